//! What each format looks like, word for word, and what a diff says.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostUp, NameKind, Outcome, PortFact, PortsFact, Problem, Started,
};
use portolan_model::service::Method;
use portolan_model::{
    HostRecord, PortRecord, PortSet, PortSpec, PortState, Protocol, Reason, ScanEvent, ScanRecord,
    Service, Technique,
};
use portolan_report::table::{self, TableOptions};
use portolan_report::{Format, JsonLines, WriteOptions, diff, write};

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_438_518 + second).unwrap()
}

fn open(service: Option<Service>) -> PortRecord {
    PortRecord {
        state: PortState::Open,
        reason: Reason::SynAck,
        rtt: Some(Duration::from_micros(120)),
        ttl: None,
        at: time(2),
        service,
    }
}

fn probed(name: &str, product: &str, version: &str) -> Service {
    Service {
        name: name.to_owned(),
        product: Some(product.to_owned()),
        version: Some(version.to_owned()),
        method: Method::Probed,
        confidence: 10,
        ..Service::default()
    }
}

fn address() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn record() -> ScanRecord {
    let mut host = HostRecord::new(Reason::SynAck, time(0));
    host.names = vec![("gw.example".to_owned(), NameKind::Ptr)];
    host.rtt = Some(Duration::from_micros(120));
    host.last = time(3);
    let https = Service {
        tls: true,
        ..probed("http", "<nginx>|", "1.2\u{1b}[31m")
    };
    host.ports = BTreeMap::from([
        (
            (Protocol::Tcp, 22),
            open(Some(probed("ssh", "=OpenSSH", "9.2p1"))),
        ),
        ((Protocol::Tcp, 443), open(Some(https))),
        ((Protocol::Tcp, 8080), open(None)),
    ]);
    let mut add = |state, reason, first, last| {
        let into = host.rest.entry((Protocol::Tcp, state, reason)).or_default();
        into.extend_set(&PortSet::from_range(first, last));
    };
    add(PortState::Closed, Reason::ConnRefused, 1000, 2999);
    add(PortState::Filtered, Reason::NoResponse, 25, 25);
    ScanRecord {
        args: "portolan 192.0.2.1 -sV".to_owned(),
        version: "0.1.0".to_owned(),
        started: Some(Started {
            at: time(0),
            techniques: vec![Technique::Connect],
            ports: PortSpec::new("22,25,443,1000-2999,8080".parse().unwrap(), PortSet::EMPTY),
            addresses: 1,
            probes: 2004,
            seed: 7,
            zones: portolan_model::Zones::NONE,
        }),
        hosts: BTreeMap::from([(address(), host)]),
        problems: Vec::new(),
        finished: Some(Finished {
            at: time(4),
            outcome: Outcome::Complete,
            elapsed: Duration::from_millis(4_120),
            hosts_up: 1,
            hosts_down: 0,
            sent: 2006,
            loss: Some(0.0),
            expected_missed: 0.0,
        }),
    }
}

fn written(format: Format) -> String {
    let mut out = Vec::new();
    write(format, &record(), &WriteOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn shown(options: TableOptions) -> String {
    let mut out = Vec::new();
    table::write(&record(), &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_lines_hold_a_fact_a_line() {
    insta::assert_snapshot!(written(Format::JsonLines), @r##"
{"v":1,"type":"scan.started","at":"2026-11-23T12:55:18Z","args":"portolan 192.0.2.1 -sV","version":"0.1.0","techniques":["connect"],"tcp":"22,25,443,1000-2999,8080","udp":"","addresses":1,"probes":2004,"seed":7}
{"type":"host.up","at":"2026-11-23T12:55:18Z","address":"192.0.2.1","reason":"syn-ack","rtt_ms":0.12}
{"type":"host.name","address":"192.0.2.1","name":"gw.example","kind":"ptr"}
{"type":"port","at":"2026-11-23T12:55:20Z","address":"192.0.2.1","protocol":"tcp","port":22,"state":"open","reason":"syn-ack","rtt_ms":0.12,"guess":"ssh"}
{"type":"service","address":"192.0.2.1","protocol":"tcp","port":22,"name":"ssh","product":"=OpenSSH","version":"9.2p1","tls":false,"method":"probed","confidence":10}
{"type":"port","at":"2026-11-23T12:55:20Z","address":"192.0.2.1","protocol":"tcp","port":443,"state":"open","reason":"syn-ack","rtt_ms":0.12,"guess":"https"}
{"type":"service","address":"192.0.2.1","protocol":"tcp","port":443,"name":"http","product":"<nginx>|","version":"1.2\u001b[31m","tls":true,"method":"probed","confidence":10}
{"type":"port","at":"2026-11-23T12:55:20Z","address":"192.0.2.1","protocol":"tcp","port":8080,"state":"open","reason":"syn-ack","rtt_ms":0.12,"guess":"http-alt"}
{"type":"ports","at":"2026-11-23T12:55:21Z","address":"192.0.2.1","protocol":"tcp","state":"closed","reason":"conn-refused","count":2000,"ports":"1000-2999"}
{"type":"ports","at":"2026-11-23T12:55:21Z","address":"192.0.2.1","protocol":"tcp","state":"filtered","reason":"no-response","count":1,"ports":"25"}
{"type":"host.done","at":"2026-11-23T12:55:21Z","address":"192.0.2.1"}
{"type":"scan.done","at":"2026-11-23T12:55:22Z","outcome":"complete","elapsed_ms":4120.0,"hosts_up":1,"hosts_down":0,"sent":2006,"loss":0.0,"expected_missed":0.0}
"##);
}

#[test]
fn xml_is_laid_out_as_nmap_does() {
    insta::assert_snapshot!(written(Format::Xml), @r##"
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<!-- portolan 0.1.0 scan initiated Mon Nov 23 12:55:18 2026 as: portolan 192.0.2.1 -sV -->
<nmaprun scanner="nmap" args="portolan 192.0.2.1 -sV" start="1795438518" startstr="Mon Nov 23 12:55:18 2026" version="portolan 0.1.0" xmloutputversion="1.05">
<scaninfo type="connect" protocol="tcp" numservices="2004" services="22,25,443,1000-2999,8080"/>
<verbose level="0"/>
<debugging level="0"/>
<host starttime="1795438518" endtime="1795438521"><status state="up" reason="syn-ack" reason_ttl="0"/>
<address addr="192.0.2.1" addrtype="ipv4"/>
<hostnames>
<hostname name="gw.example" type="PTR"/>
</hostnames>
<ports><extraports state="closed" count="2000">
<extrareasons reason="conn-refused" count="2000" proto="tcp" ports="1000-2999"/>
</extraports>
<port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="ssh" product="=OpenSSH" version="9.2p1" method="probed" conf="10"/></port>
<port protocol="tcp" portid="25"><state state="filtered" reason="no-response" reason_ttl="0"/><service name="smtp" method="table" conf="3"/></port>
<port protocol="tcp" portid="443"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="http" product="&lt;nginx&gt;|" version="1.2\x1b[31m" tunnel="ssl" method="probed" conf="10"/></port>
<port protocol="tcp" portid="8080"><state state="open" reason="syn-ack" reason_ttl="0"/><service name="http-alt" method="table" conf="3"/></port>
</ports>
<times srtt="120" rttvar="60" to="1000000"/>
</host>
<runstats><finished time="1795438522" timestr="Mon Nov 23 12:55:22 2026" summary="Portolan done at Mon Nov 23 12:55:22 2026; 1 IP address (1 host up) scanned in 4.12 seconds" elapsed="4.12" exit="success"/>
<hosts up="1" down="0" total="1"/></runstats>
</nmaprun>
"##);
}

#[test]
fn grepable_has_a_host_a_line() {
    insta::assert_snapshot!(written(Format::Grepable).replace('\t', "<TAB>"), @r##"
# Portolan 0.1.0 scan initiated Mon Nov 23 12:55:18 2026 as: portolan 192.0.2.1 -sV
Host: 192.0.2.1 (gw.example)<TAB>Status: Up
Host: 192.0.2.1 (gw.example)<TAB>Ports: 22/open/tcp//ssh//=OpenSSH 9.2p1/, 25/filtered/tcp//smtp///, 443/open/tcp//ssl|http//<nginx>| 1.2\x1b[31m/, 8080/open/tcp//http-alt///<TAB>Ignored State: closed (2000)
# Portolan done at Mon Nov 23 12:55:22 2026 -- 1 IP address (1 host up) scanned in 4.12 seconds
"##);
}

#[test]
fn normal_is_for_reading() {
    insta::assert_snapshot!(written(Format::Normal), @r##"
# Portolan 0.1.0 scan initiated Mon Nov 23 12:55:18 2026 as: portolan 192.0.2.1 -sV
Portolan scan report for gw.example (192.0.2.1)
Host is up, received syn-ack (0.00012s latency).
Not shown: 2,000 closed tcp ports (conn-refused)
PORT     STATE    SERVICE  REASON      VERSION
22/tcp   open     ssh      syn-ack     =OpenSSH 9.2p1
25/tcp   filtered smtp     no-response
443/tcp  open     ssl/http syn-ack     <nginx>| 1.2\x1b[31m
8080/tcp open     http-alt syn-ack

# Portolan done at Mon Nov 23 12:55:22 2026 -- 1 IP address (1 host up) scanned in 4.12 seconds
"##);
}

#[test]
fn csv_has_a_port_a_row() {
    let text = written(Format::Csv).replace("\r\n", "\n");
    let head: Vec<&str> = text.lines().take(6).collect();
    assert_eq!(text.lines().count(), 1 + 3 + 2001);
    insta::assert_snapshot!(head.join("\n"), @r##"
host,name,protocol,port,state,reason,service,product,version,extra,tls,rtt_ms,ttl,time
192.0.2.1,gw.example,tcp,22,open,syn-ack,ssh,'=OpenSSH,9.2p1,,false,0.120,,2026-11-23T12:55:20Z
192.0.2.1,gw.example,tcp,443,open,syn-ack,http,<nginx>|,1.2\x1b[31m,,true,0.120,,2026-11-23T12:55:20Z
192.0.2.1,gw.example,tcp,8080,open,syn-ack,http-alt,,,,false,0.120,,2026-11-23T12:55:20Z
192.0.2.1,gw.example,tcp,1000,closed,conn-refused,cadlock2,,,,false,,,2026-11-23T12:55:21Z
192.0.2.1,gw.example,tcp,1001,closed,conn-refused,webpush,,,,false,,,2026-11-23T12:55:21Z
"##);
}

#[test]
fn markdown_is_a_table() {
    insta::assert_snapshot!(written(Format::Markdown), @r##"
# Port scan

- Command: portolan 192.0.2.1 -sV
- Started: 2026-11-23 12:55:18 +00:00
- Result: 1 IP address (1 host up) scanned in 4.12 seconds

## gw.example \(192.0.2.1\)

| Port | State | Reason | Service | Version |
| ---: | --- | --- | --- | --- |
| 22/tcp | open | syn-ack | ssh | =OpenSSH 9.2p1 |
| 25/tcp | filtered | no-response | smtp |  |
| 443/tcp | open | syn-ack | ssl/http | &lt;nginx&gt;\| 1.2\\x1b\[31m |
| 8080/tcp | open | syn-ack | http-alt |  |

Not shown: 2,000 closed (conn-refused)
"##);
}

#[test]
fn the_body_of_the_page_is_complete_without_its_script() {
    let page = written(Format::Html);
    let main = page
        .split_once("<main>")
        .unwrap()
        .1
        .split_once("</main>")
        .unwrap()
        .0;
    insta::assert_snapshot!(main.trim(), @r##"
<section>
<h2>gw.example (192.0.2.1)</h2>
<p>Up (syn-ack), answers in 0.12 ms</p>
<table>
<thead><tr><th scope="col" class="n">Port</th><th scope="col">Protocol</th><th scope="col">State</th><th scope="col">Reason</th><th scope="col">Service</th><th scope="col">Version</th></tr></thead>
<tbody>
<tr><td class="n">22</td><td>tcp</td><td class="open">open</td><td>syn-ack</td><td>ssh</td><td>=OpenSSH 9.2p1</td></tr>
<tr><td class="n">25</td><td>tcp</td><td class="filtered">filtered</td><td>no-response</td><td>smtp</td><td></td></tr>
<tr><td class="n">443</td><td>tcp</td><td class="open">open</td><td>syn-ack</td><td>ssl/http</td><td>&lt;nginx&gt;| 1.2\x1b[31m</td></tr>
<tr><td class="n">8080</td><td>tcp</td><td class="open">open</td><td>syn-ack</td><td>http-alt</td><td></td></tr>
</tbody>
</table>
<details><summary>Not shown: 2,000 closed tcp (conn-refused)</summary><p class="ranges">1000-2999</p></details>
</section>
"##);
}

#[test]
fn the_page_asks_nothing_of_any_other_machine() {
    let page = written(Format::Html);
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_table_fits_eighty_columns() {
    insta::assert_snapshot!(shown(TableOptions::default()), @r##"
192.0.2.1 (gw.example), 0.12 ms
PORT      STATE     REASON       SERVICE   VERSION
22/tcp    open      syn-ack      ssh       =OpenSSH 9.2p1
25/tcp    filtered  no-response  smtp
443/tcp   open      syn-ack      ssl/http  <nginx>| 1.2\x1b[31m
8080/tcp  open      syn-ack      http-alt
Not shown: 2,000 closed (conn-refused)
"##);
}

#[test]
fn the_table_colours_states_when_asked_and_says_the_same() {
    let color = TableOptions {
        color: true,
        ..TableOptions::default()
    };
    let colored = shown(color);
    assert!(colored.contains("\x1b[32mopen\x1b[0m"));
    let plain = ["\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"]
        .iter()
        .fold(colored, |text, code| text.replace(code, ""));
    assert_eq!(plain, shown(TableOptions::default()));
}

#[test]
fn a_narrow_table_shortens_what_is_long() {
    let narrow = TableOptions {
        width: 40,
        open_only: true,
        ..TableOptions::default()
    };
    insta::assert_snapshot!(shown(narrow), @r##"
192.0.2.1 (gw.example), 0.12 ms
PORT      STATE  SERVICE   VERSION
22/tcp    open   ssh       =OpenSSH 9.2…
443/tcp   open   ssl/http  <nginx>| 1.2…
8080/tcp  open   http-alt
Not shown: 2,000 closed (conn-refused),
  1 filtered (no-response)
"##);
}

fn fact(port: u16, state: PortState, reason: Reason) -> PortFact {
    PortFact {
        endpoint: Endpoint {
            address: address(),
            protocol: Protocol::Tcp,
            port,
        },
        state,
        reason,
        rtt: Some(Duration::from_micros(120)),
        ttl: None,
        at: time(1),
    }
}

#[test]
fn a_live_row_says_where_what_and_how_fast() {
    let row = table::row(
        &fact(22, PortState::Open, Reason::SynAck),
        &portolan_model::Zones::NONE,
        &TableOptions::default(),
    );
    insta::assert_snapshot!(row, @r##"192.0.2.1:22/tcp           open      ssh                   0.12 ms"##);
}

#[test]
fn closed_ports_are_written_together_when_their_host_is_done() {
    let mut lines = JsonLines::new(Vec::new(), "portolan 192.0.2.1", "0.1.0", false);
    let events = [
        ScanEvent::HostUp(HostUp {
            address: address(),
            reason: Reason::ConnRefused,
            rtt: None,
            ttl: None,
            at: time(0),
        }),
        ScanEvent::Port(fact(23, PortState::Closed, Reason::ConnRefused)),
        ScanEvent::Port(fact(22, PortState::Open, Reason::SynAck)),
        ScanEvent::Ports(PortsFact {
            address: address(),
            protocol: Protocol::Tcp,
            ports: PortSet::from_range(24, 30),
            state: PortState::Closed,
            reason: Reason::ConnRefused,
            at: time(2),
        }),
        ScanEvent::HostDone {
            address: address(),
            at: time(3),
        },
    ];
    for event in &events {
        lines.event(event).unwrap();
    }
    let text = String::from_utf8(lines.into_inner().unwrap()).unwrap();
    insta::assert_snapshot!(text, @r##"
{"v":1,"type":"host.up","at":"2026-11-23T12:55:18Z","address":"192.0.2.1","reason":"conn-refused"}
{"type":"port","at":"2026-11-23T12:55:19Z","address":"192.0.2.1","protocol":"tcp","port":22,"state":"open","reason":"syn-ack","rtt_ms":0.12,"guess":"ssh"}
{"type":"ports","at":"2026-11-23T12:55:20Z","address":"192.0.2.1","protocol":"tcp","state":"closed","reason":"conn-refused","count":8,"ports":"23-30"}
{"type":"host.done","at":"2026-11-23T12:55:21Z","address":"192.0.2.1"}
"##);
}

#[test]
fn a_diff_says_what_came_went_and_changed() {
    let old = record();
    let mut new = record();
    let host = new.hosts.get_mut(&address()).unwrap();
    host.ports.remove(&(Protocol::Tcp, 22));
    host.rest
        .entry((Protocol::Tcp, PortState::Closed, Reason::ConnRefused))
        .or_default()
        .insert(22);
    let key = (Protocol::Tcp, PortState::Filtered, Reason::NoResponse);
    host.rest.remove(&key);
    host.ports.insert((Protocol::Tcp, 25), open(None));
    let https = host.ports.get_mut(&(Protocol::Tcp, 443)).unwrap();
    https.service.as_mut().unwrap().version = Some("1.3".to_owned());
    let mut other = HostRecord::new(Reason::SynAck, time(0));
    other.ports.insert((Protocol::Tcp, 22), open(None));
    new.hosts.insert("192.0.2.7".parse().unwrap(), other);
    let changes = diff(&old, &new);
    insta::assert_snapshot!(changes.text(), @r##"
+ host 192.0.2.7 is up: 22/tcp ssh
- 192.0.2.1 (gw.example) 22/tcp ssh: open -> closed
+ 192.0.2.1 (gw.example) 25/tcp smtp: filtered -> open
~ 192.0.2.1 (gw.example) 443/tcp: ssl/http <nginx>| 1.2\x1b[31m -> ssl/http <nginx>| 1.3
"##);
    insta::assert_snapshot!(changes.markdown(), @r##"
# Changes

- **new** host 192.0.2.7 is up&#58; 22/tcp ssh
- **gone** 192.0.2.1 \(gw.example\) 22/tcp ssh&#58; open -&gt; closed
- **new** 192.0.2.1 \(gw.example\) 25/tcp smtp&#58; filtered -&gt; open
- **changed** 192.0.2.1 \(gw.example\) 443/tcp&#58; ssl/http &lt;nginx&gt;\| 1.2\\x1b\[31m -&gt; ssl/http &lt;nginx&gt;\| 1.3
"##);
    assert!(!changes.is_empty());
    let json: serde_json::Value = serde_json::from_str(&changes.json()).unwrap();
    assert_eq!(json["ports"][0]["change"], "closed");
}

#[test]
fn the_same_result_has_no_changes() {
    let same = diff(&record(), &record());
    assert!(same.is_empty());
    assert_eq!(same.text(), "no changes\n");
}

#[test]
fn a_result_of_open_ports_alone_tells_which_are_no_longer_open() {
    let old = record();
    let mut new = record();
    let host = new.hosts.get_mut(&address()).unwrap();
    host.rest.clear();
    host.ports.remove(&(Protocol::Tcp, 22));
    assert_eq!(
        diff(&old, &new).text(),
        "- 192.0.2.1 (gw.example) 22/tcp ssh: open -> not open\n"
    );
}

#[test]
fn what_an_interrupted_scan_did_not_reach_is_no_change() {
    let old = record();
    let mut new = record();
    new.finished = None;
    new.hosts.clear();
    let changes = diff(&old, &new);
    assert!(changes.is_empty());
    assert_eq!(
        changes.not_compared,
        [
            "what the new scan did not come to: it did not finish, and 1 of its 1 addresses were not reached, or silent until then",
            "hosts that only the old scan found: 1, with 3 open ports; the new one did not finish"
        ]
    );
    assert!(
        changes
            .text()
            .starts_with("no changes in what can be compared\nnot compared: what the new scan")
    );
}

#[test]
fn ports_that_only_one_scan_asked_are_not_compared() {
    let old = record();
    let mut new = record();
    new.started.as_mut().unwrap().ports =
        PortSpec::new("25,443,1000-2999,8080".parse().unwrap(), PortSet::EMPTY);
    let host = new.hosts.get_mut(&address()).unwrap();
    host.ports.remove(&(Protocol::Tcp, 22));
    new.problems.push(Problem {
        about: "note".to_owned(),
        message: "advice".to_owned(),
        hint: None,
        left_out: false,
    });
    let changes = diff(&old, &new);
    assert!(changes.is_empty());
    assert_eq!(
        changes.not_compared,
        [
            "tcp ports that only the old scan asked: 22",
            "open ports that only the old scan asked: 1, of 1 host"
        ]
    );
}

#[test]
fn what_is_left_out_is_named_once_in_xml() {
    let mut record = record();
    for (about, message) in [
        ("a.example", "`a.example` has no address"),
        ("192.0.2.7", "no route"),
    ] {
        record.problems.push(Problem {
            about: about.to_owned(),
            message: message.to_owned(),
            hint: None,
            left_out: true,
        });
    }
    let mut xml = Vec::new();
    write(Format::Xml, &record, &WriteOptions::default(), &mut xml).unwrap();
    let xml = String::from_utf8(xml).unwrap();
    let expected = r#"errormsg="`a.example` has no address; 192.0.2.7: no route""#;
    assert!(xml.contains(expected), "{xml}");
}
