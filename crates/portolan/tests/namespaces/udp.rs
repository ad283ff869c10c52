//! UDP over the kernel's own networks: what answers, what is refused, and what keeps silent.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use portolan_model::{PortState, Protocol, Reason, ScanRecord};
use portolan_testnet::Namespace;

use crate::lab::{Lab, PORTOLAN, Scan, THERE, THERE_V6, bare, filter, set};
use crate::limits::{for_all, nobody};

/// Services that answer whatever they are sent, until they are dropped.
pub(crate) struct Services {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Services {
    pub(crate) fn start(on: &Namespace, ports: impl IntoIterator<Item = u16>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let threads = ports.into_iter().map(|port| {
            let socket = on.enter(|| UdpSocket::bind(("::", port)).unwrap()).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while !ends.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                        let _ = socket.send_to(b"here I am", from);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { ends, threads }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Runs the program with the rights that these words before it leave it.
fn scan(on: &Namespace, before: &[String], args: &[&str]) -> Scan {
    let mut command = on.command("timeout");
    command.args(["--kill-after=1", "120"]).args(before);
    let output = bare(&mut command).arg("-n").args(args).output().unwrap();
    Scan::of(&output)
}

fn udp(record: &ScanRecord, address: &str, ports: &[u16]) -> BTreeMap<u16, (PortState, Reason)> {
    let host = &record.hosts[&address.parse::<IpAddr>().unwrap()];
    let state = |&port: &u16| Some((port, host.state_of(Protocol::Udp, port)?));
    ports.iter().filter_map(state).collect()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn packets_and_sockets_say_the_same_of_each_port() {
    let lab = Lab::new();
    let _services = Services::start(&lab.there, [5_000]);
    let silent = lab
        .there
        .enter(|| UdpSocket::bind(("::", 5_001)).unwrap())
        .unwrap();
    filter(
        &lab.there,
        "input",
        "udp dport 5002 reject with icmpx type admin-prohibited\n\
         udp dport 5003 drop\nudp dport 5005 reject with icmpx type host-unreachable",
    );
    let directory = tempfile::tempdir().unwrap();
    let program = for_all(directory.path());
    let root = vec![PORTOLAN.to_owned()];
    for address in [THERE, THERE_V6] {
        for before in [&root, &nobody(&program)] {
            let scan = scan(&lab.here, before, &[address, "-p", "U:5000-5005", "--json"]);
            assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
            let wanted = BTreeMap::from([
                (5_000, (PortState::Open, Reason::UdpResponse)),
                (5_001, (PortState::OpenFiltered, Reason::NoResponse)),
                (5_002, (PortState::Filtered, Reason::AdminProhibited)),
                (5_003, (PortState::OpenFiltered, Reason::NoResponse)),
                (5_004, (PortState::Closed, Reason::PortUnreach)),
                (5_005, (PortState::Filtered, Reason::HostUnreach)),
            ]);
            let ports: Vec<u16> = wanted.keys().copied().collect();
            assert_eq!(
                udp(&scan.record(), address, &ports),
                wanted,
                "{address} {before:?}"
            );
        }
    }
    drop(silent);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn both_protocols_are_one_scan() {
    let lab = Lab::new();
    let _services = Services::start(&lab.there, [5_000]);
    let _listeners = lab.listen([5_000]);
    let root = vec![PORTOLAN.to_owned()];
    let scan = scan(
        &lab.here,
        &root,
        &[THERE, "-p", "U:5000,5001,T:5000,5002", "--json"],
    );
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    let record = scan.record();
    assert_eq!(record.hosts.len(), 1);
    let open: Vec<(Protocol, u16)> = record
        .hosts
        .values()
        .flat_map(|host| {
            let open = host
                .ports
                .iter()
                .filter(|(_, port)| port.state == PortState::Open);
            open.map(|(&port, _)| port).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(open, [(Protocol::Tcp, 5_000), (Protocol::Udp, 5_000)]);
    let started = record.started.unwrap();
    assert_eq!(started.ports.to_string(), "T:5000,5002,U:5000-5001");
    assert_eq!(started.probes, 4);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_limit_of_a_real_kernel_is_met_and_every_port_is_settled() {
    let lab = Lab::new();
    let _services = Services::start(&lab.there, [5_000, 5_100]);
    // One ICMP error in 20 ms to each address.
    set(&lab.there, "ipv4.icmp_ratelimit", "20");
    let root = vec![PORTOLAN.to_owned()];
    let scan = scan(
        &lab.here,
        &root,
        &[THERE, "--udp", "-p", "5000-5299", "--json"],
    );
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    let record = scan.record();
    assert_eq!(record.count(PortState::Open), 2);
    assert_eq!(record.count(PortState::Closed), 298);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn services_that_were_moved_to_odd_ports_are_found_and_named() {
    let lab = Lab::new();
    let serve = |port: u16, answer: fn(&[u8]) -> Option<Vec<u8>>| {
        let socket = lab
            .there
            .enter(|| UdpSocket::bind(("::", port)).unwrap())
            .unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut buffer)
                    && let Some(answer) = answer(&buffer[..len])
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Services {
            ends,
            threads: vec![thread],
        }
    };
    // A name server that refuses (RFC 1035, 4.1.1), to questions alone.
    let _names = serve(20_053, |asked| {
        let is_question = asked.len() > 16 && asked[2] & 0x80 == 0 && asked[4..6] == [0, 1];
        is_question.then(|| {
            let mut answer = asked.to_vec();
            answer[2] |= 0x80;
            answer[3] = (answer[3] & 0xf0) | 5;
            answer
        })
    });
    // A time server (RFC 5905, 7.3): version and mode of a client, of the length of its packets.
    let _time = serve(20_057, |asked| {
        (asked.len() == 48 && asked[0] & 7 == 3).then(|| {
            let mut answer = vec![0; 48];
            answer[0] = (asked[0] & 0x38) | 4;
            answer[1] = 2;
            answer[24..32].copy_from_slice(&asked[40..48]);
            answer
        })
    });
    // An agent that answers a request of SNMP v1 or v2c (RFC 3416, 3) by a response of as many bytes.
    let _agent = serve(20_900, |asked| {
        (asked.len() > 20 && asked[0] == 0x30).then(|| {
            let mut answer = asked.to_vec();
            if let Some(at) = answer.iter().position(|&byte| matches!(byte, 0xa0 | 0xa1)) {
                answer[at] = 0xa2;
            }
            answer
        })
    });
    // A server of SIP, that answers a request (RFC 3261, 7.2).
    let _calls = serve(20_500, |asked| {
        let is_request = asked.windows(7).any(|bytes| bytes == b"SIP/2.0");
        is_request.then(|| b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let root = vec![PORTOLAN.to_owned()];
    // A thousand ports of a host that tells of one closed port a second.
    set(&lab.there, "ipv4.icmp_ratelimit", "1000");
    let thousand = [
        THERE,
        "--udp",
        "-p",
        "20000-20999",
        "--json",
        "--udp-budget",
        "1s",
    ];
    let found = scan(&lab.here, &root, &thousand).record();
    let open = found.hosts[&THERE.parse::<IpAddr>().unwrap()].ports.iter();
    let open = open.filter(|(_, port)| port.state == PortState::Open);
    let open: Vec<u16> = open.map(|(&(_, port), _)| port).collect();
    assert_eq!(open, [20_053, 20_057, 20_500, 20_900]);
    let args = [
        THERE,
        "--udp",
        "-p",
        "20050-20069",
        "--detect",
        "--json",
        "--udp-budget",
        "4s",
    ];
    let scan = scan(&lab.here, &root, &args);
    assert_eq!(scan.status, 0, "{}", scan.err);
    let record = scan.record();
    let host = &record.hosts[&THERE.parse::<IpAddr>().unwrap()];
    let named = |port| {
        let port = host.ports.get(&(Protocol::Udp, port))?;
        Some((port.state, port.service.as_ref()?.name.clone()))
    };
    assert_eq!(named(20_053), Some((PortState::Open, "domain".to_owned())));
    assert_eq!(named(20_057), Some((PortState::Open, "ntp".to_owned())));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_kernel_at_its_defaults_tells_of_all_that_it_may_within_the_time() {
    let lab = Lab::new();
    // The defaults of Linux, whatever this machine says: one error a second, six at once.
    set(&lab.there, "ipv4.icmp_ratelimit", "1000");
    let root = vec![PORTOLAN.to_owned()];
    let args = [THERE, "--udp", "-p", "5000-5039", "--json"];
    let hurried = scan(
        &lab.here,
        &root,
        &[&args[..], &["--udp-budget", "5s"]].concat(),
    );
    assert_eq!(hurried.status, 0);
    let record = hurried.record();
    let told = record.count(PortState::Closed);
    assert!((9..=13).contains(&told), "{told}");
    let wanted = format!(
        "most of its {} open|filtered ports are likely closed",
        40 - told
    );
    assert!(hurried.err.contains(&wanted), "{}", hurried.err);
    assert!(
        hurried.err.contains("`--udp-certain` (about"),
        "{}",
        hurried.err
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_silent_service_of_a_kernel_at_its_defaults_is_told_from_closed_ports() {
    let lab = Lab::new();
    set(&lab.there, "ipv4.icmp_ratelimit", "1000");
    let silent = lab
        .there
        .enter(|| UdpSocket::bind(("::", 5_003)).unwrap())
        .unwrap();
    let root = vec![PORTOLAN.to_owned()];
    let scan = scan(
        &lab.here,
        &root,
        &[THERE, "--udp", "-p", "5000-5009", "--json", "--udp-certain"],
    );
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    let record = scan.record();
    assert_eq!(record.count(PortState::Closed), 9);
    assert_eq!(
        udp(&record, THERE, &[5_003]),
        BTreeMap::from([(5_003, (PortState::OpenFiltered, Reason::NoResponse))])
    );
    drop(silent);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_20_descriptors_no_port_is_lost() {
    let lab = Lab::new();
    let _services = Services::start(&lab.there, [5_000]);
    let directory = tempfile::tempdir().unwrap();
    let program = for_all(directory.path());
    let mut before = vec!["prlimit".to_owned(), "--nofile=20:20".to_owned()];
    before.extend(nobody(&program));
    let scan = scan(
        &lab.here,
        &before,
        &[THERE, "--udp", "-p", "4990-5009", "--json"],
    );
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    let record = scan.record();
    assert_eq!(record.count(PortState::Open), 1);
    assert_eq!(record.count(PortState::Closed), 19);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_service_is_named_by_what_it_said_in_the_scan() {
    let lab = Lab::new();
    // An echo, which no rule is needed for: what it is sent comes back.
    let socket = lab
        .there
        .enter(|| UdpSocket::bind(("0.0.0.0", 7)).unwrap())
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        // It answers once: whatever is asked later is not answered.
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
        socket
    });
    let root = vec![PORTOLAN.to_owned()];
    let scan = scan(
        &lab.here,
        &root,
        &[THERE, "--udp", "-p", "7", "--detect", "--json"],
    );
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    let record = scan.record();
    let host = &record.hosts[&THERE.parse::<IpAddr>().unwrap()];
    let service = host.ports[&(Protocol::Udp, 7)].service.as_ref().unwrap();
    assert_eq!(service.name, "echo");
    assert!(service.evidence.is_some());
    drop(echo.join().unwrap());
}
