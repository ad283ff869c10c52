//! The network behind a device, scanned by other programs: their counts must be the truth.

use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use simnet::scenario::{Attached, LinkKind};
use simnet::tap::{self, Outcome, Settings, Stdin};
use simnet::{Hosts, Path, Scenario, Truth};

/// Ends the network also when what is done in it panics.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a scenario in a namespace of its own while `work` is done, and what both say.
fn during<T: Send>(
    scenario: &Scenario,
    name: &str,
    work: impl FnOnce(&str) -> T + Send,
) -> (T, Outcome) {
    // The process's number keeps two runs of the tests apart.
    let settings = Settings {
        namespace: format!("sim-{name}-{}", std::process::id()),
        device: "sim0".to_owned(),
        limit: Some(Duration::from_mins(2)),
        stdin: Stdin::Ignored,
    };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, settings) = (&stop, &settings);
        let run = scope.spawn(move || {
            tap::run(scenario, settings, stop, move || {
                let _ = ready.send(());
            })
        });
        let worked = is_ready.recv().map(|()| {
            let _ending = Ending(stop);
            work(&settings.namespace)
        });
        let outcome = run.join().expect("the network does not panic");
        let outcome = outcome.expect("the network runs");
        (worked.expect("the network became ready"), outcome)
    })
}

/// Runs a command in a namespace and what it prints.
fn command(namespace: &str, words: &str) -> String {
    let output = Command::new("ip")
        .args(["netns", "exec", namespace])
        .args(words.split_whitespace())
        .output()
        .expect("`ip` runs");
    assert!(output.status.success(), "{words}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The open ports in nmap's grepable output.
fn open_ports(grepable: &str) -> Vec<u16> {
    let fields = grepable.split([',', ' ', '\t']);
    let mut ports: Vec<u16> = fields
        .filter_map(|field| field.split_once("/open/")?.0.parse().ok())
        .collect();
    ports.sort_unstable();
    ports
}

/// What is really open on an address.
fn truth(scenario: &Scenario, address: &str) -> Vec<u16> {
    let address = address.parse().expect("it is an address");
    let truth = Truth::new(scenario);
    let ports = truth.open_ports(address, portolan_wire::Protocol::TCP);
    ports.iter().collect()
}

fn scenario(kind: LinkKind) -> Scenario {
    let mut hosts = Hosts {
        addresses: ["198.18.0.10", "2001:db8::10"]
            .map(|address| address.parse().expect("it is an address"))
            .to_vec(),
        ..Hosts::default()
    };
    hosts.tcp.open_share = 0.002;
    hosts.tcp.banner = String::from("hello\r\n");
    let mut scenario = Scenario::new(3, Path::rtt_ms(2.0), vec![hosts]);
    scenario.link.kind = kind;
    scenario
}

#[test]
#[ignore = "needs CAP_NET_ADMIN, and nmap"]
fn a_syn_scan_over_tap_finds_the_truth() {
    let scenario = scenario(LinkKind::Tap);
    let (found, outcome) = during(&scenario, "syn", |namespace| {
        let words = "nmap -sS -Pn -n -p- --min-rate 5000 -oG - 198.18.0.10";
        open_ports(&command(namespace, words))
    });
    assert_eq!(found, truth(&scenario, "198.18.0.10"));
    assert!(outcome.counters.syns >= 65_535);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN, and nmap"]
fn a_connect_scan_over_tun_finds_the_truth() {
    let scenario = scenario(LinkKind::Tun);
    let (found, outcome) = during(&scenario, "connect", |namespace| {
        let words = "nmap -sT -Pn -n -p- -T4 -oG - 198.18.0.10";
        open_ports(&command(namespace, words))
    });
    let truth = truth(&scenario, "198.18.0.10");
    assert_eq!(found, truth);
    assert!(outcome.counters.established >= truth.len() as u64);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN, and nmap"]
fn an_ipv6_scan_over_tap_finds_the_truth() {
    let scenario = scenario(LinkKind::Tap);
    let (found, _) = during(&scenario, "v6", |namespace| {
        let words = "nmap -6 -sS -Pn -n -p- --min-rate 5000 -oG - 2001:db8::10";
        open_ports(&command(namespace, words))
    });
    assert_eq!(found, truth(&scenario, "2001:db8::10"));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN, and nmap"]
fn hosts_on_the_link_answer_arp() {
    let hosts = Hosts {
        addresses: vec!["198.18.0.0/26".parse().expect("it is a network")],
        live: 0.4,
        ..Hosts::default()
    };
    let mut scenario = Scenario::new(3, Path::rtt_ms(0.5), vec![hosts]);
    scenario.link.attached = Attached::OnLink;
    scenario.link.address = [198, 18, 0, 254].into();
    let (found, _) = during(&scenario, "arp", |namespace| {
        let report = command(namespace, "nmap -sn -n -oG - 198.18.0.0/26");
        report.matches("Status: Up").count()
    });
    assert_eq!(found, Truth::new(&scenario).hosts().count());
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_kernel_shakes_hands_and_reads_the_banner() {
    let scenario = scenario(LinkKind::Tun);
    let port = truth(&scenario, "198.18.0.10")[0];
    let (banner, outcome) = during(&scenario, "hands", move |namespace| {
        // A thread of its own enters the namespace, so that the others stay.
        let path = format!("/run/netns/{namespace}");
        thread::spawn(move || {
            let file = std::fs::File::open(path).expect("the namespace is there");
            rustix::thread::move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&file),
                Some(rustix::thread::LinkNameSpaceType::Network),
            )
            .expect("the namespace can be entered");
            let mut stream = TcpStream::connect(("198.18.0.10", port)).expect("the port is open");
            let mut banner = [0; 7];
            std::io::Read::read_exact(&mut stream, &mut banner).expect("a banner comes");
            banner
        })
        .join()
        .expect("the conversation does not fail")
    });
    assert_eq!(&banner, b"hello\r\n");
    assert_eq!(outcome.counters.established, 1);
    let truth = outcome.truth;
    assert_eq!((truth.hosts, truth.is_cut), (2, false));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_namespace_that_exists_is_left_alone() {
    let scenario = scenario(LinkKind::Tun);
    let ((), outcome) = during(&scenario, "twice", |namespace| {
        let settings = Settings {
            namespace: namespace.to_owned(),
            device: "sim1".to_owned(),
            limit: None,
            stdin: Stdin::Ignored,
        };
        let stop = AtomicBool::new(true);
        let second = tap::run(&scenario, &settings, &stop, || {});
        assert!(second.is_err());
        command(namespace, "ip link show sim0");
    });
    assert_eq!(outcome.counters.malformed, 0);
}
