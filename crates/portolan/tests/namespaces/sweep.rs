//! Sweeps through the kernel.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use portolan_testnet::Namespace;

use crate::lab::{Lab, PORTOLAN, Scan, bare};

/// Sweeps in a namespace.
fn sweep(namespace: &Namespace, args: &[&str]) -> Scan {
    let mut command = namespace.command("timeout");
    command.args(["--kill-after=1", "60", PORTOLAN, "sweep"]);
    Scan::of(&bare(&mut command).args(args).output().unwrap())
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_network_is_swept_and_its_open_ports_are_a_stream_of_rows() {
    let lab = Lab::new();
    let _listeners = lab.listen([443, 8443]);
    let swept = sweep(
        &lab.here,
        &[
            "192.0.2.0/24",
            "2001:db8::/120",
            "-p",
            "443,8443,9",
            "-n",
            "--max-rate",
            "10000",
        ],
    );
    assert_eq!(swept.status, 0, "{swept:?}");
    let rows: BTreeSet<&str> = swept
        .out
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = [
        "192.0.2.2:443/tcp",
        "192.0.2.2:8443/tcp",
        "[2001:db8::2]:443/tcp",
        "[2001:db8::2]:8443/tcp",
    ];
    assert_eq!(rows, expected.into(), "{swept:?}");
    assert_eq!(swept.out.lines().count(), 4, "no table follows: {swept:?}");
    assert!(
        swept.err.starts_with("2 hosts up: 4 ports open\n"),
        "{}",
        swept.err
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn what_runs_on_an_open_port_follows_at_once() {
    let lab = Lab::new();
    let listener = lab
        .there
        .enter(|| TcpListener::bind("192.0.2.2:2200"))
        .unwrap()
        .unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n");
            thread::spawn(move || stream.read(&mut [0; 512]));
        }
    });
    let args = [
        "192.0.2.0/24",
        "-p2200,2201",
        "-n",
        "--detect",
        "--max-rate",
        "10000",
    ];
    let swept = sweep(&lab.here, &args);
    assert_eq!(swept.status, 0, "{swept:?}");
    let rows: Vec<Vec<&str>> = swept
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 2, "{swept:?}");
    assert_eq!(rows[0][..2], ["192.0.2.2:2200/tcp", "open"]);
    assert_eq!(
        rows[1][..4],
        ["192.0.2.2:2200/tcp", "ssh", "OpenSSH", "9.2p1"]
    );
    let args = ["192.0.2.2", "-p2200", "-n", "-sV", "--json"];
    let swept = sweep(&lab.here, &args);
    assert!(swept.out.contains(r#""product":"OpenSSH""#), "{swept:?}");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn results_for_other_programs_hold_the_open_ports_of_all_shards() {
    let lab = Lab::new();
    let _listeners = lab.listen(4_000..4_020);
    let mut found = BTreeSet::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let args = [
            "192.0.2.2",
            "-p4000-4050",
            "--shard",
            shard,
            "--seed",
            "7",
            "--json",
            "-n",
        ];
        for port in sweep(&lab.here, &args).open("192.0.2.2") {
            assert!(found.insert(port), "{port} is in two shards");
        }
    }
    assert_eq!(found, (4_000..4_020).collect());
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn without_the_right_to_raw_sockets_it_says_how_to_get_it() {
    let lab = Lab::new();
    let mut command = lab.here.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", PORTOLAN]);
    bare(&mut command).args(["sweep", "192.0.2.0/24", "-p443", "-n"]);
    let refused = Scan::of(&command.output().unwrap());
    assert_eq!(refused.status, 2);
    assert!(
        refused.err.starts_with(
            "error: `sweep`: this process may not send packets of its own\nhint: run `sudo setcap cap_net_raw+ep "
        ),
        "{}",
        refused.err
    );
}
