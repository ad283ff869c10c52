//! Scans that are not of a host's ports: for hosts alone, and sweeps of networks.

use portolan_model::event::HostLink;
use portolan_model::spec::{Discovery, Sweep};

use super::*;

/// A site with one scan, which found this.
fn site_with(spec: ScanSpec, args: &str, found: Vec<ScanEvent>) -> Site {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(data.path(), Mode::Serve).unwrap();
    let ports = spec.ports.clone();
    let new = NewScan {
        args: args.to_owned(),
        ..NewScan::new(spec, at())
    };
    let writer = store.begin(new).unwrap();
    let mut events = vec![ScanEvent::Started(started(ports))];
    events.extend(found);
    events.push(ScanEvent::Finished(Finished {
        hosts_down: 254,
        ..finished(Outcome::Complete)
    }));
    writer.send(events).unwrap();
    writer.flush().unwrap();
    let settings = Settings::new("127.0.0.1:5000".parse().unwrap(), "0.1.0");
    let state = AppState::new(store, Arc::new(Waiting), settings).unwrap();
    Site {
        app: crate::app(state),
        _data: data,
    }
}

fn up(address: &str) -> ScanEvent {
    ScanEvent::HostUp(HostUp {
        address: address.parse().unwrap(),
        reason: Reason::ArpResponse,
        rtt: Some(Duration::from_micros(310)),
        ttl: None,
        at: at(),
    })
}

fn hosts_alone() -> ScanSpec {
    let targets = vec!["10.0.0.0/24".parse().unwrap()];
    let mut spec = ScanSpec::new(targets, PortSpec::common());
    spec.discovery = Discovery::Only;
    spec
}

#[tokio::test]
async fn a_scan_for_hosts_alone_shows_its_hosts_and_speaks_of_no_ports() {
    let address = "10.0.0.7".parse().unwrap();
    let found = vec![
        up("10.0.0.7"),
        ScanEvent::HostLink(HostLink {
            address,
            mac: "02:00:00:00:00:07".parse().unwrap(),
        }),
        up("10.0.0.9"),
    ];
    let site = site_with(hosts_alone(), "", found);
    let page = site.get("/scans/1").await;
    assert_eq!(page.texts("#found td a"), ["10.0.0.7", "10.0.0.9"]);
    assert!(page.text.contains("02:00:00:00:00:07"), "{}", page.text);
    assert!(page.text.contains("it answered on the local network (ARP)"));
    assert!(page.texts("result-table, port-map, live-scan").is_empty());
    let figures = page.texts(".figures dt");
    assert_eq!(
        figures,
        [
            "Hosts up",
            "Silent addresses",
            "Took",
            "Probes sent",
            "Loss measured",
            "Expected missed"
        ]
    );
    assert!(page.texts(".figures dd").contains(&"254".to_owned()));
    assert!(page.text.contains("hosts alone"));
    // The same again is the same.
    let again = page.attributes(".actions a.button", "href");
    let form = site.get(&again[0]).await;
    let chosen = form.attributes("input[name=ports][checked]", "value");
    assert_eq!(chosen, ["none"], "{again:?}");
    assert_eq!(form.texts("#command"), ["portolan 10.0.0.0/24 -sn -n"]);
    let list = site.get("/scans").await;
    assert!(list.text.contains("2 hosts") && list.text.contains("hosts alone"));
}

#[tokio::test]
async fn a_scan_for_hosts_that_found_none_says_what_that_means() {
    let site = site_with(hosts_alone(), "", Vec::new());
    let page = site.get("/scans/1").await;
    assert_eq!(page.texts("#found h2"), ["No host answered"]);
    assert!(page.text.contains("may be silent"));
}

#[tokio::test]
async fn a_sweep_tells_of_open_ports_alone_and_is_made_again_in_the_shell() {
    let targets = vec!["10.0.0.0/8".parse().unwrap()];
    let mut spec = ScanSpec::new(targets, "443".parse().unwrap());
    spec.sweep = Some(Sweep::default());
    let port = ScanEvent::Port(PortFact {
        endpoint: Endpoint {
            address: "10.0.0.7".parse().unwrap(),
            protocol: Protocol::Tcp,
            port: 443,
        },
        state: PortState::Open,
        reason: Reason::SynAck,
        rtt: None,
        ttl: None,
        at: at(),
    });
    let typed = "portolan sweep 10.0.0.0/8 -p 443 --save";
    let site = site_with(spec, typed, vec![up("10.0.0.7"), port]);
    let page = site.get("/scans/1").await;
    let figures = page.texts(".figures dt");
    assert_eq!(figures[..2], ["Open", "Hosts up"], "{figures:?}");
    assert!(page.text.contains("sweep for ports"));
    assert_eq!(page.texts("td.c-port"), ["443"]);
    let copied = page.attributes(".actions copy-button", "data-text");
    assert_eq!(copied, [typed, typed]);
    assert!(
        page.texts(".actions > a.button")
            .iter()
            .all(|word| word != "Scan again")
    );
    let scan = site.get("/api/v1/scans/1").await;
    assert!(scan.text.contains(r#""kind":"sweep""#), "{}", scan.text);
}

#[tokio::test]
async fn an_address_of_ipv6_has_its_pages_and_is_filtered_by() {
    let address: IpAddr = "2001:db8::7".parse().unwrap();
    let spec = ScanSpec::new(
        vec!["2001:db8::7".parse().unwrap()],
        "22,80".parse().unwrap(),
    );
    let port = |port| {
        ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address,
                protocol: Protocol::Tcp,
                port,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: Some(64),
            at: at(),
        })
    };
    let site = site_with(spec, "", vec![up("2001:db8::7"), port(22), port(80)]);
    for query in [
        "host:2001:db8::7",
        "host:2001:db8::/32",
        "host:%222001:db8::7%22%20port:22,80",
    ] {
        let page = site.get(&format!("/scans/1?q={query}")).await;
        assert_eq!(page.texts("td.c-port"), ["22", "80"], "{query}");
    }
    let rows = site.get("/scans/1").await;
    for link in rows.attributes("td.c-port a", "href") {
        let page = site.get(&link).await;
        assert_eq!(page.status, StatusCode::OK, "{link}");
        assert!(page.text.contains("2001:db8::7"), "{link}");
    }
    let host = site.get("/hosts/2001:db8::7").await;
    assert_eq!(host.status, StatusCode::OK);
    let again = host.attributes(".actions a.button", "href");
    let form = site.get(&again[0]).await;
    assert_eq!(form.attributes("#target", "value"), ["2001:db8::7"]);
    assert_eq!(form.texts("#command"), ["portolan 2001:db8::7 -n"]);
    let found = site.get("/hosts?q=2001:db8::/64").await;
    assert_eq!(found.texts("td.t-target a"), ["2001:db8::7"]);
}

#[tokio::test]
async fn all_ports_say_what_they_come_to_for_what_is_typed() {
    let site = Site::new();
    let page = site.get("/?target=10.0.0.0/24").await;
    let said = page.texts("#all-ports").concat();
    assert!(said.starts_with(", 16,776,960 in all, about "), "{said}");
    let page = site.get("/").await;
    assert_eq!(page.texts("#all-ports"), [""]);
}
