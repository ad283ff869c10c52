//! By packets of our own: who is found, which rights are left, and what bad luck does.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::IpAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use portolan_model::event::Outcome;
use portolan_model::{PortState, Reason, ScanRecord, Technique};
use portolan_testnet::{Namespace, connect};
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Lab, PORTOLAN, Scan, THERE, bare, filter, listen, set, spread};

/// A scan that takes longer has hung.
const PATIENCE: &str = "120";

/// Runs the program with nothing said of how ports are asked.
fn scan(namespace: &Namespace, args: &[&str]) -> Scan {
    let mut command = namespace.command("timeout");
    command.args(["--kill-after=1", PATIENCE, PORTOLAN]);
    let output = bare(&mut command).arg("-n").args(args).output().unwrap();
    Scan::of(&output)
}

fn techniques(record: &ScanRecord) -> &[Technique] {
    &record.started.as_ref().unwrap().techniques
}

/// The MAC address of the first interface that `ip` shows beside the loopback.
fn mac(namespace: &Namespace) -> String {
    let shown = namespace.run("ip", &["-o", "link", "show"]).unwrap();
    let line = shown.lines().find(|line| line.contains("link/ether"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    let place = words.iter().position(|word| *word == "link/ether").unwrap();
    words[place + 1].to_uppercase()
}

pub(crate) fn interface(namespace: &Namespace) -> String {
    let shown = namespace.run("ip", &["-o", "link", "show"]).unwrap();
    let line = shown.lines().find(|line| line.contains("link/ether"));
    let name = line.unwrap().split_whitespace().nth(1).unwrap();
    name.split(['@', ':']).next().unwrap().to_owned()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn neighbours_are_found_with_their_mac_addresses_though_they_drop_everything() {
    let here = Namespace::new().unwrap();
    here.run("ip", &["link", "add", "bridge0", "type", "bridge"])
        .unwrap();
    here.run("ip", &["address", "add", "192.0.2.1/24", "dev", "bridge0"])
        .unwrap();
    here.run(
        "ip",
        &[
            "-6",
            "address",
            "add",
            "2001:db8::1/64",
            "dev",
            "bridge0",
            "nodad",
        ],
    )
    .unwrap();
    let others: Vec<Namespace> = (2..7)
        .map(|number| {
            let other = Namespace::new().unwrap();
            let end = format!("end{number}");
            let peer = ["peer", "name", "cable0", "netns", other.name()];
            let add = ["link", "add", &end, "type", "veth"];
            here.run("ip", &[&add[..], &peer].concat()).unwrap();
            here.run("ip", &["link", "set", &end, "master", "bridge0", "up"])
                .unwrap();
            let address = format!("192.0.2.{number}/24");
            other
                .run("ip", &["address", "add", &address, "dev", "cable0"])
                .unwrap();
            let address = format!("2001:db8::{number}/64");
            other
                .run(
                    "ip",
                    &["-6", "address", "add", &address, "dev", "cable0", "nodad"],
                )
                .unwrap();
            other.run("ip", &["link", "set", "cable0", "up"]).unwrap();
            filter(&other, "input", "meta l4proto { tcp, udp, icmp } drop");
            other
        })
        .collect();
    here.run("ip", &["link", "set", "bridge0", "up"]).unwrap();
    for (targets, prefix, reason, down) in [
        (
            "192.0.2.2-192.0.2.254",
            "192.0.2.",
            Reason::ArpResponse,
            248,
        ),
        (
            "2001:db8::2-2001:db8::fe",
            "2001:db8::",
            Reason::NdpResponse,
            248,
        ),
    ] {
        let found = scan(&here, &["-sn", targets, "--json"]);
        assert_eq!((found.status, found.complaints().as_str()), (0, ""));
        let record = found.record();
        let shown: BTreeSet<(IpAddr, String, Reason)> = record
            .hosts
            .iter()
            .map(|(&address, host)| {
                let mac = host.mac.map(|mac| mac.to_string()).unwrap_or_default();
                (address, mac, host.reason)
            })
            .collect();
        let there: BTreeSet<(IpAddr, String, Reason)> = others
            .iter()
            .zip(2..)
            .map(|(other, number)| {
                let address: IpAddr = format!("{prefix}{number}").parse().unwrap();
                (address, mac(other), reason)
            })
            .collect();
        assert_eq!(shown, there);
        assert_eq!(record.finished.unwrap().hosts_down, down);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn hosts_beyond_a_router_are_found_by_echo_and_by_refusals() {
    let (here, router, there) = (
        Namespace::new().unwrap(),
        Namespace::new().unwrap(),
        Namespace::new().unwrap(),
    );
    connect((&here, "192.0.2.1/30"), (&router, "192.0.2.2/30")).unwrap();
    connect((&router, "198.51.100.1/24"), (&there, "198.51.100.2/24")).unwrap();
    set(&router, "ipv4.ip_forward", "1");
    // Its own limit of errors would make silence of refusals.
    set(&router, "ipv4.icmp_ratelimit", "0");
    here.run("ip", &["route", "add", "default", "via", "192.0.2.2"])
        .unwrap();
    there
        .run("ip", &["route", "add", "default", "via", "198.51.100.1"])
        .unwrap();
    for last in [9, 10] {
        let address = format!("198.51.100.{last}/24");
        let interface = interface(&there);
        there
            .run("ip", &["address", "add", &address, "dev", &interface])
            .unwrap();
    }
    // One answers no echo, one nothing but one port.
    filter(
        &there,
        "input",
        "ip daddr 198.51.100.9 meta l4proto icmp drop\n\
         ip daddr 198.51.100.10 tcp dport 443 accept\nip daddr 198.51.100.10 drop",
    );
    let _listeners = listen(&there, [443]);
    let found = scan(&here, &["-sn", "198.51.100.0/28", "--json"]);
    let record = found.record();
    let shown: BTreeSet<(String, Reason)> = record
        .hosts
        .iter()
        .map(|(address, host)| (address.to_string(), host.reason))
        .collect();
    let expected = [
        ("198.51.100.1", Reason::EchoReply),
        ("198.51.100.2", Reason::EchoReply),
        ("198.51.100.9", Reason::SynAck),
        ("198.51.100.10", Reason::SynAck),
    ];
    let expected = expected.map(|(address, reason)| (address.to_owned(), reason));
    assert_eq!(shown, expected.into(), "{}", found.err);
    assert!(record.hosts.values().all(|host| host.mac.is_none()));
    // The router answers for those that are not there: host unreachable.
    assert_eq!(record.finished.unwrap().hosts_down, 12);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn syn_is_the_default_with_rights_and_connections_on_the_loopback() {
    let lab = Lab::new();
    let open = spread(20, 1, 3_000);
    let _there = lab.listen(open.iter().copied());
    let found = scan(&lab.here, &[THERE, "-p1-3000", "--json"]);
    assert_eq!(techniques(&found.record()), [Technique::Syn]);
    assert_eq!(found.open(THERE), open);
    let host = &found.record().hosts[&THERE.parse::<IpAddr>().unwrap()];
    assert_eq!(host.mac.map(|mac| mac.to_string()), Some(mac(&lab.there)));
    assert_eq!(found.record().count(PortState::Closed), 2_980);

    let _here = listen(&lab.here, open.iter().copied());
    let found = scan(&lab.here, &["127.0.0.1", "-p1-3000", "--json"]);
    assert_eq!(techniques(&found.record()), [Technique::Connect]);
    assert_eq!(found.open("127.0.0.1"), open);
    // Asked for, they do on the loopback too.
    let found = scan(&lab.here, &["--syn", "127.0.0.1", "-p1-3000", "--json"]);
    assert_eq!(techniques(&found.record()), [Technique::Syn]);
    assert_eq!(found.open("127.0.0.1"), open);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_rights_connections_are_made_and_that_is_one_line() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let bare_of_rights = |args: &[&str]| {
        let mut command = lab.here.command("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--", PORTOLAN]);
        Scan::of(&bare(&mut command).arg("-n").args(args).output().unwrap())
    };
    let found = bare_of_rights(&[THERE, "-p80,81", "--json"]);
    assert_eq!(techniques(&found.record()), [Technique::Connect]);
    assert_eq!(found.open(THERE), [80].into());
    let notes: Vec<&str> = found
        .err
        .lines()
        .filter(|line| line.starts_with("note:"))
        .collect();
    let command = format!("`sudo setcap cap_net_raw+ep {PORTOLAN}`");
    assert_eq!(notes.len(), 1, "{}", found.err);
    assert!(notes[0].contains(&command), "{}", found.err);
    let refused = bare_of_rights(&[THERE, "--syn"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused
            .err
            .contains("error: `--syn`: this process may not send packets")
    );
    assert!(refused.err.contains(&command), "{}", refused.err);
    // Hosts are looked for by connections then, and by the same rules.
    let found = bare_of_rights(&["-sn", "192.0.2.0/29", "--json"]);
    let up: Vec<String> = found
        .record()
        .hosts
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(up, ["192.0.2.1", "192.0.2.2"]);
}

/// A scan that is busy for hours, from its first open port on.
fn busy(lab: &Lab, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    filter(
        &lab.there,
        "input",
        "tcp dport { 80, 9999 } accept\nmeta l4proto tcp drop",
    );
    let mut command = lab.here.command(PORTOLAN);
    bare(&mut command)
        .args(["-n", THERE, "-p1-65535", "--json", "--max-rate", "300"])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        if line.contains("\"type\":\"port\"") {
            return (child, out);
        }
        line.clear();
    }
    panic!("it ended by itself: {:?}", child.wait_with_output());
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // One that has just ended is none to be interrupted.
    let _ = kill_process(pid, Signal::INT);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn once_the_sockets_are_open_no_thread_of_root_has_a_right_to_the_network() {
    const FILES: u64 = 1 << 1 | 1 << 2;
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let (mut child, _out) = busy(&lab, &[]);
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let mut seen = Vec::new();
    for task in tasks {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap();
        seen.push((
            field("Name:"),
            set("CapPrm:") | set("CapEff:") | set("CapAmb:"),
        ));
    }
    interrupt(&child);
    child.wait().unwrap();
    assert!(seen.len() >= 3, "{seen:?}");
    for (name, rights) in &seen {
        // The first thread writes results, maybe into the directory of a user.
        let allowed = if name.starts_with("portolan") {
            FILES
        } else {
            0
        };
        assert_eq!(rights & !allowed, 0, "{seen:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_interface_that_goes_down_ends_the_scan_with_what_was_found() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let (mut child, mut out) = busy(&lab, &[]);
    let name = interface(&lab.here);
    lab.here.run("ip", &["link", "set", &name, "down"]).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    let expected = format!("the scan cannot go on: the interface `{name}` went down");
    assert!(said.contains(&expected), "{said}");
    assert!(rest.contains("\"outcome\":\"incomplete\""), "{rest}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_source_address_that_is_taken_away_ends_the_scan_with_what_was_found() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let (mut child, mut out) = busy(&lab, &[]);
    let name = interface(&lab.here);
    lab.here
        .run("ip", &["address", "del", "192.0.2.1/24", "dev", &name])
        .unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("the scan cannot go on: "), "{said}");
    assert!(said.contains("192.0.2."), "{said}");
    assert!(rest.contains("\"outcome\":\"incomplete\""), "{rest}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_gateway_that_does_not_answer_is_named() {
    let lab = Lab::new();
    lab.here
        .run("ip", &["route", "add", "default", "via", "192.0.2.77"])
        .unwrap();
    for args in [&["198.51.100.7", "-p1-50"][..], &["198.51.100.0/29", "-sn"]] {
        let found = scan(&lab.here, args);
        assert_eq!(found.status, 1, "{}", found.err);
        assert!(
            found.err.contains("the gateway 192.0.2.77 on `"),
            "{}",
            found.err
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn ctrl_c_at_any_moment_leaves_a_whole_result() {
    let lab = Lab::new();
    let open = spread(20, 1, 20_000);
    let _listeners = lab.listen(open.iter().copied());
    let mut whole = 0;
    for moment in 0..20_u64 {
        let mut command = lab.here.command(PORTOLAN);
        bare(&mut command)
            .args(["-n", "192.0.2.0/29", "-p1-20000", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // The moments are the point: from before the first packet until after the last.
        std::thread::sleep(Duration::from_millis(moment * moment * 7 + 3));
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let ended = Scan::of(&output);
        // Before signals are watched, the process ends as any other does.
        if ended.out.is_empty() {
            continue;
        }
        assert!(matches!(ended.status, 0 | 130), "{moment}: {ended:?}");
        let record = ended.record();
        let outcome = record.finished.as_ref().unwrap().outcome;
        assert_eq!(ended.status == 130, outcome == Outcome::Interrupted);
        assert!(ended.open(THERE).is_subset(&open), "{moment}");
        if ended.status == 0 {
            assert_eq!(ended.open(THERE), open);
        }
        whole += 1;
    }
    assert!(whole >= 10, "{whole}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn packets_that_are_forged_at_line_rate_make_no_port() {
    let lab = Lab::new();
    let open = spread(30, 1, 5_000);
    let _listeners = lab.listen(open.iter().copied());
    // SYN/ACKs and RSTs of the scanned host to every port that probes leave from, echo replies,
    // and what is no packet at all; some from addresses that do not belong there.
    let mut flood = lab.there.command("python3");
    let flood = bare(&mut flood)
        .args(["-c", FLOOD, THERE, "192.0.2.1"])
        .spawn();
    let mut flood = flood.unwrap();
    let found = scan(&lab.here, &[THERE, "-p1-5000", "--json"]);
    flood.kill().unwrap();
    flood.wait().unwrap();
    assert_eq!(found.status, 0, "{}", found.err);
    assert_eq!(found.open(THERE), open);
    assert_eq!(found.record().hosts.len(), 1);
    assert_eq!(found.record().count(PortState::Closed), 5_000 - open.len());
}

/// Sends forged packets for two minutes at the most.
pub(crate) const FLOOD: &str = r#"
import os, random, socket, struct, sys, time
there, here = (socket.inet_aton(word) for word in sys.argv[1:3])
def total(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16: n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff
def packet(src, protocol, load):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(load), 1, 0, 64, protocol, 0, src, here) + load
def tcp(src, flags):
    head = struct.pack("!HHIIBBHHH", random.randint(1, 5000), random.randint(61000, 65095),
        random.getrandbits(32), random.getrandbits(32), 0x50, flags, 1024, 0, 0)
    sum_ = total(src + here + struct.pack("!BBH", 0, 6, len(head)) + head)
    return packet(src, 6, head[:16] + struct.pack("!H", sum_) + head[18:])
def echo(src):
    load = struct.pack("!BBHHH", 0, 0, 0, random.randint(61000, 65095), random.getrandbits(16)) + os.urandom(8)
    return packet(src, 1, load[:2] + struct.pack("!H", total(load)) + load[4:])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
other = socket.inet_aton("192.0.2.66")
ready = [tcp(src, flags) for src in (there, other) for flags in (0x12, 0x14, 0x04) for _ in range(300)]
ready += [echo(src) for src in (there, other) for _ in range(200)]
ready += [packet(there, protocol, os.urandom(random.randint(0, 40))) for protocol in (1, 6, 17) for _ in range(200)]
end = time.time() + 120
while time.time() < end:
    for bytes_ in ready:
        try: s.sendto(bytes_, (sys.argv[2], 0))
        except OSError: pass
"#;
