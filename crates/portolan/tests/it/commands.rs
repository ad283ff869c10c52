//! Help, list, completions, the manual page.

use super::run;

#[test]
fn the_short_help() {
    insta::assert_snapshot!(run(&["-h"]));
}

#[test]
fn help_as_a_word_is_the_long_help() {
    assert_eq!(run(&["help"]), run(&["--help"]));
    assert_eq!(run(&["help", "list"]), run(&["list", "--help"]));
    assert_eq!(
        run(&["help", "user", "add"]),
        run(&["user", "add", "--help"])
    );
}

#[test]
fn help_for_help_says_what_it_does() {
    assert_eq!(
        run(&["help", "help"]),
        "exit 0\n--- stdout\n\
         Shows every option of the program, or of one of its commands\n\n\
         Usage: portolan help [COMMAND]\n\n\
         `portolan help list` is `portolan list --help`; `portolan -h` shows the options\n\
         that matter most. A host named `help` is scanned by `portolan scan help`.\n--- stderr\n"
    );
}

#[test]
fn no_help_is_wider_than_80_columns_or_broken_within_an_example() {
    for args in [
        &["-h"][..],
        &["--help"],
        &["help", "help"],
        &["help", "list"],
        &["help", "serve"],
        &["help", "detect"],
    ] {
        let shown = run(args);
        for line in shown.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
    let shown = run(&["--help"]);
    let (_, rest) = shown.split_once("Examples:\n").unwrap();
    let (examples, rest) = rest.split_once("\n\n").unwrap();
    for line in examples.lines() {
        assert!(line.starts_with("  portolan "), "broken: {line}");
    }
    let (status, _) = rest.split_once("\n\n").unwrap();
    let lines: Vec<&str> = status.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    assert!(!last.is_empty());
    for line in before {
        assert!(line.chars().count() > 60, "broken too early: {line}");
    }
}

#[test]
fn the_long_help() {
    insta::assert_snapshot!(run(&["--help"]));
}

#[test]
fn list_shows_targets_ports_and_how_many() {
    insta::assert_snapshot!(run(&[
        "list",
        "192.0.2.0/28",
        "host.example",
        "--exclude",
        "192.0.2.3",
        "-p",
        "22,8000-8100"
    ]));
}

#[test]
fn list_shows_the_order_of_both_protocols_and_what_udp_alone_asks() {
    let both = run(&["list", "127.0.0.1", "-p", "T:22,U:53", "--seed", "1"]);
    for line in [
        "ports      1 of TCP",
        "ports      1 of UDP",
        "127.0.0.1:22\n",
        "127.0.0.1:53/udp\n",
    ] {
        assert!(both.contains(line), "{both}");
    }
    let udp = run(&["list", "127.0.0.1", "-sU", "-p", "53,123", "--seed", "1"]);
    assert!(
        udp.contains("ports      2 of UDP") && !udp.contains("TCP"),
        "{udp}"
    );
}

#[test]
fn list_shows_the_order_of_a_scan_that_passes_a_broadcast_address() {
    // The order is that of all six addresses, of which five are asked.
    let args = [
        "list",
        "127.255.255.250-127.255.255.255",
        "-p",
        "54321",
        "--seed",
    ];
    for seed in ["1", "2", "3", "4"] {
        let with = run(&[&args[..], &[seed]].concat());
        let order = with.split("beginning with").nth(1).unwrap().trim();
        let plan = portolan_scan::Plan::new(
            "127.255.255.250-127.255.255.255"
                .parse::<portolan_model::Target>()
                .unwrap()
                .addresses()
                .unwrap(),
            portolan_model::Protocol::Tcp,
            &(54321..=54321).collect(),
            seed.parse().unwrap(),
        )
        .unwrap();
        let asked = (0..6).filter_map(|at| plan.at(at));
        let asked = asked.filter(|pair| pair.address.to_string() != "127.255.255.255");
        let asked: Vec<String> = asked
            .map(|pair| format!("{}:54321", pair.address))
            .collect();
        let shown: Vec<&str> = order.lines().take(5).map(str::trim).collect();
        assert_eq!(shown, asked, "seed {seed}");
    }
}

#[test]
fn list_shows_first_the_udp_ports_that_a_scan_asks_first() {
    let listed = run(&[
        "list",
        "127.0.0.1",
        "--udp",
        "-p",
        "9000-9999,161",
        "--seed",
        "1",
    ]);
    let first = listed.split("beginning with").nth(1).unwrap().trim();
    assert!(first.starts_with("127.0.0.1:161/udp"), "{listed}");
}

#[test]
fn a_dry_run_counts_what_a_sweep_asks() {
    let args = [
        "sweep",
        "--dry-run",
        "127.255.255.250-127.255.255.255",
        "-p",
        "9",
    ];
    let shown = run(&[&args[..], &["--seed", "1"]].concat());
    assert!(shown.contains("addresses  5\n"), "{shown}");
    assert!(shown.contains("probes     5\n"), "{shown}");
    assert!(!shown.contains("127.255.255.255:9"), "{shown}");
}

#[test]
fn udp_with_ports_of_tcp_alone_is_refused() {
    insta::assert_snapshot!(run(&["127.0.0.1", "--udp", "-p", "T:22", "-n"]));
}

#[test]
fn list_leaves_out_what_a_scan_would_not_ask() {
    let broadcast = run(&["list", "127.255.255.250-127.255.255.255", "-p", "9"]);
    assert!(broadcast.contains("addresses  5\n"), "{broadcast}");
    assert!(
        broadcast.contains("left out   127.255.255.255: a broadcast address"),
        "{broadcast}"
    );
    let nowhere = run(&["list", "fe80::1%nosuch", "127.0.0.1", "-p", "9"]);
    assert!(nowhere.contains("addresses  1\n"), "{nowhere}");
    assert!(
        nowhere.contains("left out   cannot scan `fe80::1%nosuch`"),
        "{nowhere}"
    );
}

#[test]
fn list_counts_all_of_ipv4_at_once() {
    insta::assert_snapshot!(run(&["list", "0.0.0.0/0", "-p-", "--seed", "1"]));
}

#[test]
fn list_counts_all_of_ipv6_exactly_and_says_that_it_has_no_order() {
    insta::assert_snapshot!(run(&["list", "::/0", "-p-", "--seed", "1"]));
}

#[test]
fn list_writes_json() {
    insta::assert_snapshot!(run(&[
        "list",
        "2001:db8::/64",
        "-p",
        "http",
        "--json",
        "--seed",
        "1"
    ]));
}

#[test]
fn completions_and_the_manual_page_name_every_option() {
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["man"],
        &["man", "list"],
    ] {
        let shown = run(args);
        assert!(shown.starts_with("exit 0\n"), "{shown}");
        assert!(
            shown.replace('\\', "").contains("--exclude-ports"),
            "{args:?}"
        );
    }
    assert!(
        run(&["man", "lits"])
            .ends_with("error: there is no command `lits`\nhint: did you mean `list`?\n")
    );
}

#[test]
fn a_target_named_like_a_command_is_reached_through_scan() {
    // Refused for its port, before any name is looked up.
    assert_eq!(
        run(&["scan", "list", "-p", "0"]),
        "exit 2\n--- stdout\n--- stderr\nerror: port 0 is out of range: ports are 1 to 65535\n"
    );
}

#[test]
fn a_dry_run_says_what_a_sweep_would_ask_and_leave_out() {
    let args = [
        "sweep",
        "0.0.0.0/0",
        "10.1.0.0/16",
        "--exclude",
        "9.0.0.0/8",
        "-p",
        "443,8443",
        "--seed",
        "7",
        "--shard",
        "3/8",
        "--max-rate",
        "200000",
        "--dry-run",
    ];
    insta::assert_snapshot!(run(&args));
}

#[test]
fn a_dry_run_holds_any_ipv6_prefix() {
    let args = ["sweep", "2001:db8::/32", "-p-", "--seed", "7", "--dry-run"];
    insta::assert_snapshot!(run(&args));
}
