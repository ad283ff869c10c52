//! Link-local addresses over the interfaces that are named: two links, each with its own
//! `fe80::1`.

use std::net::IpAddr;

use portolan_model::event::Outcome;
use portolan_testnet::{Listeners, Namespace, connect};

use crate::lab::{PORTOLAN, Scan, bare, listen, set};

const BOTH: [&str; 2] = ["-sT", "-sS"];

/// A machine with two links, `left` and `right`; at the other end of each is a `fe80::1`, with
/// port 8081 open on the left and 8082 on the right.
struct TwoLinks {
    here: Namespace,
    others: Vec<(Namespace, Listeners)>,
}

impl TwoLinks {
    fn new() -> Self {
        let here = Namespace::new().unwrap();
        let mut others = Vec::new();
        for (own, port) in [("left", 8081), ("right", 8082)] {
            let other = Namespace::new().unwrap();
            let peer = ["peer", "name", "cable0", "netns", other.name()];
            here.run(
                "ip",
                &[&["link", "add", own, "type", "veth"][..], &peer].concat(),
            )
            .unwrap();
            let add = |on: &Namespace, address: &str, device: &str| {
                // No other link-local address than this one.
                on.run("ip", &["link", "set", device, "addrgenmode", "none"])
                    .unwrap();
                let add = ["-6", "address", "add", address, "dev", device, "nodad"];
                on.run("ip", &add).unwrap();
                on.run("ip", &["link", "set", device, "up"]).unwrap();
            };
            add(&here, "fe80::a/64", own);
            add(&other, "fe80::1/64", "cable0");
            wait_for_links(&other);
            let listeners = listen(&other, [port]);
            others.push((other, listeners));
        }
        wait_for_links(&here);
        Self { here, others }
    }

    fn scan(&self, args: &[&str]) -> Scan {
        self.run(&[&["-n"][..], args].concat())
    }

    fn run(&self, args: &[&str]) -> Scan {
        let mut command = self.here.command("timeout");
        command.args(["--kill-after=1", "120", PORTOLAN]);
        Scan::of(&bare(&mut command).args(args).output().unwrap())
    }
}

/// Waits until the kernel has seen that the links of a machine have carriers: it takes its time,
/// and drops packets before.
fn wait_for_links(machine: &Namespace) {
    let are_up = || {
        let shown = machine.run("ip", &["-o", "link", "show"]).unwrap();
        let mut links = shown.lines().filter(|line| line.contains("link/ether"));
        links.all(|line| line.contains("state UP"))
    };
    assert!((0..2000).any(|_| are_up()));
}

const PORTS: &str = "8080-8083";

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_same_address_on_two_links_is_two_hosts() {
    let lab = TwoLinks::new();
    let shown = lab
        .here
        .run("ip", &["-o", "link", "show", "right"])
        .unwrap();
    let number = shown.split(':').next().unwrap().trim().to_owned();
    for technique in BOTH {
        for (target, zone, port) in [
            ("fe80::1%left", "left", 8081),
            ("fe80::1%right", "right", 8082),
            (&format!("fe80::1%{number}"), "right", 8082),
            ("fe80::%left/126", "left", 8081),
            ("fe80::1%right-fe80::3", "right", 8082),
        ] {
            let scan = lab.scan(&[technique, "-p", PORTS, target, "--json"]);
            assert_eq!(scan.status, 0, "{technique} {target}: {scan:?}");
            assert_eq!(
                scan.open("fe80::1"),
                [port].into(),
                "{technique} {target}: {scan:?}"
            );
            let address: IpAddr = "fe80::1".parse().unwrap();
            let shown = scan.record().zoned(address).to_string();
            assert_eq!(shown, format!("fe80::1%{zone}"), "{technique} {target}");
            assert!(
                scan.out.contains(&format!(r#""zone":"{zone}""#)),
                "{scan:?}"
            );
        }
    }
    assert_eq!(lab.others.len(), 2);
    for technique in BOTH {
        let own = lab.scan(&[technique, "-p", PORTS, "fe80::a%left", "--json"]);
        assert_eq!(own.status, 0, "this machine itself, {technique}: {own:?}");
        assert_eq!(own.record().hosts.len(), 1, "{technique}: {own:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn one_scan_asks_over_several_interfaces_and_leaves_out_what_is_excluded_of_one() {
    let lab = TwoLinks::new();
    for technique in BOTH {
        // The two links are told apart by the addresses of one scan.
        let args = [technique, "-p", PORTS, "fe80::1%left", "fe80::2%right"];
        let both = lab.scan(&[&args[..], &["--json"]].concat());
        assert_eq!(both.open("fe80::1"), [8081].into(), "{technique}: {both:?}");
        let twice = lab.scan(&[technique, "-p", PORTS, "fe80::1%left", "fe80::1%right"]);
        assert_eq!(twice.status, 2, "{twice:?}");
        assert_eq!(
            twice.complaints(),
            "error: fe80::1 is asked for over `left` and over `right`\n\
             hint: one scan asks an address over one interface: scan them one by one\n"
        );
        let excluded = |what: &str| {
            lab.scan(&[
                technique,
                "-p",
                PORTS,
                "fe80::%left/126",
                "--exclude",
                what,
                "--json",
            ])
        };
        assert_eq!(excluded("fe80::1%right").open("fe80::1"), [8081].into());
        assert_eq!(excluded("fe80::1%left").open("fe80::1"), [].into());
        assert_eq!(excluded("fe80::1").open("fe80::1"), [].into());
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn an_interface_that_is_missing_or_not_named_is_told_and_the_others_go_on() {
    let lab = TwoLinks::new();
    for technique in BOTH {
        let args = [
            technique,
            "-p",
            PORTS,
            "fe80::1%left",
            "fe80::9%eth9",
            "fe80::8",
        ];
        let scan = lab.scan(&[&args[..], &["--json"]].concat());
        assert_eq!(scan.status, 1, "{scan:?}");
        assert_eq!(scan.open("fe80::1"), [8081].into(), "{scan:?}");
        assert_eq!(scan.record().outcome(), Outcome::Incomplete);
        let complaints = scan.complaints();
        for line in [
            "error: cannot scan `fe80::9%eth9`: this machine has no interface `eth9`\n",
            "hint: its interfaces are lo, left, right\n",
            "error: cannot scan `fe80::8`: it is link-local: every link has its own, so the \
             interface must be named\n",
            "hint: name one of left, right after a `%`, as in `fe80::1%left`\n",
        ] {
            assert!(complaints.contains(line), "{complaints}");
        }
    }
    // With one link left, it is the one that is meant.
    lab.here.run("ip", &["link", "delete", "right"]).unwrap();
    for technique in BOTH {
        let scan = lab.scan(&[technique, "-p", PORTS, "fe80::1", "--json"]);
        assert_eq!(scan.open("fe80::1"), [8081].into(), "{technique}: {scan:?}");
        assert!(scan.out.contains(r#""zone":"left""#), "{scan:?}");
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn every_output_shows_the_interface_beside_the_address() {
    let lab = TwoLinks::new();
    for technique in BOTH {
        for (format, shown) in [
            (&["-oN", "-"][..], "Portolan scan report for fe80::1%left"),
            (&["-oG", "-"], "Host: fe80::1%left ()"),
            (&["--csv", "-"], "fe80::1%left,,tcp,8081,open"),
            (&["--markdown", "-"], "## fe80&#58;&#58;1%left"),
            (&["--html", "-"], "<h2>fe80::1%left</h2>"),
            (&["--json"], r#""address":"fe80::1""#),
            (
                &["-oX", "-"],
                r#"<address addr="fe80::1" addrtype="ipv6"/>"#,
            ),
            (&["-oX", "-"], r#"<script id="zone" output="left"/>"#),
            (&[], "fe80::1%left"),
        ] {
            let args = [technique, "-p", PORTS, "fe80::1%left"];
            let scan = lab.scan(&[&args[..], format].concat());
            assert!(scan.out.contains(shown), "{technique} {format:?}: {scan:?}");
        }
    }
    // What stays silent is named with its interface too.
    let silent = lab.scan(&["-sS", "-p", PORTS, "fe80::77%right"]);
    assert!(silent.err.contains("fe80::77%right"), "{silent:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn the_anycast_address_of_routers_is_no_host_in_either_way() {
    let here = Namespace::new().unwrap();
    let there = Namespace::new().unwrap();
    connect((&here, "2001:db8::1/120"), (&there, "2001:db8::2/120")).unwrap();
    // A router, which answers neighbour discovery for that address.
    set(&there, "ipv6.conf.all.forwarding", "1");
    wait_for_links(&here);
    wait_for_links(&there);
    let _listeners = listen(&there, [8081]);
    let lab = TwoLinks {
        here,
        others: Vec::new(),
    };
    let hosts = BOTH.map(|technique| {
        let args = [technique, "-p", "8075-8085", "2001:db8::/126", "--json"];
        let scan = lab.scan(&args);
        assert_eq!(scan.status, 0, "{technique}: {scan:?}");
        let record = scan.record();
        let up = record.hosts.iter().filter(|(_, host)| host.is_up());
        up.map(|(address, _)| address.to_string())
            .collect::<Vec<_>>()
    });
    assert_eq!(hosts[0], ["2001:db8::1", "2001:db8::2"]);
    assert_eq!(hosts[1], hosts[0]);
    for technique in BOTH {
        let alone = lab.scan(&[technique, "-p", "8081", "2001:db8::"]);
        assert_eq!(alone.status, 2, "{technique}: {alone:?}");
        assert!(
            alone.err.contains("the anycast address of the routers"),
            "{alone:?}"
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn datagrams_go_over_the_interface_too() {
    let lab = TwoLinks::new();
    let plain = [
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--reuid=1000",
    ];
    for before in [
        &[][..],
        &[&plain[..], &["--regid=1000", "--clear-groups"]].concat(),
    ] {
        let mut command = lab.here.command("timeout");
        command
            .args(["--kill-after=1", "120"])
            .args(before)
            .arg(PORTOLAN);
        let args = ["-n", "-sU", "-p", "U:40001", "fe80::1%right", "--json"];
        let scan = Scan::of(&bare(&mut command).args(args).output().unwrap());
        assert_eq!(scan.status, 0, "{scan:?}");
        // The other machine says that nobody listens there.
        assert!(
            scan.out.contains(r#""reason":"port-unreach""#),
            "{before:?}: {scan:?}"
        );
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn services_are_asked_over_the_interface_too() {
    let lab = TwoLinks::new();
    let scan = lab.scan(&["-sS", "-sV", "-p", PORTS, "fe80::1%right", "--json"]);
    assert_eq!(scan.status, 0, "{scan:?}");
    assert_eq!(scan.open("fe80::1"), [8082].into(), "{scan:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn two_results_of_one_address_over_two_links_are_of_two_hosts() {
    let lab = TwoLinks::new();
    let kept = tempfile::tempdir().unwrap();
    let file = |name: &str| kept.path().join(name).display().to_string();
    for (zone, ending) in [
        ("left", "json"),
        ("right", "json"),
        ("left", "xml"),
        ("right", "xml"),
    ] {
        let option = if ending == "json" { "-oJ" } else { "-oX" };
        let (target, to) = (format!("fe80::1%{zone}"), file(&format!("{zone}.{ending}")));
        let scan = lab.scan(&["-sS", "-p", PORTS, &target, option, &to]);
        assert_eq!(scan.status, 0, "{scan:?}");
    }
    for ending in ["json", "xml"] {
        let (left, right) = (
            file(&format!("left.{ending}")),
            file(&format!("right.{ending}")),
        );
        let diff = lab.run(&["diff", &left, &right]);
        assert!(diff.out.contains("host fe80::1%left is gone"), "{diff:?}");
        assert!(diff.out.contains("host fe80::1%right is up"), "{diff:?}");
    }
}
