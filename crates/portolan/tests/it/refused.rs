//! Bad input: each with its exact message, exit status 2, and nothing on standard output.

use super::{run, run_with};

/// What is said on standard error.
fn refused(args: &[&str]) -> String {
    refusal(&run(args))
}

fn refusal(shown: &str) -> String {
    let rest = shown.strip_prefix("exit 2\n--- stdout\n--- stderr\n");
    rest.unwrap_or_else(|| panic!("{shown}")).to_owned()
}

macro_rules! refuses {
    ($($name:ident: $args:expr => $message:literal,)+) => {
        $(#[test]
        fn $name() {
            assert_eq!(refused(&$args), $message);
        })+
    };
}

refuses! {
    no_target: [] =>
        "error: no target is given\nhint: name one, as in `portolan 127.0.0.1`, or see `portolan --help`\n",
    an_option_before_a_command: ["--no-config", "history", "--limit", "3"] =>
        "error: the command `history` must be the first word\nhint: write `portolan history --no-config --limit 3`\n",
    a_shard_without_a_seed: ["192.0.2.0/24", "--shard", "3/8"] =>
        "error: `--shard 3/8` needs `--seed`: each machine would cut the whole in another way\nhint: give all 8 machines the same one, as in `--shard 3/8 --seed 7`\n",
    a_shard_that_there_is_not: ["192.0.2.0/24", "--seed", "7", "--shard", "9/8"] =>
        "error: invalid value '9/8' for '--shard <N/OF>': `9/8` is no part of a scan: expected a number and how many there are, as in `3/8`\nhint: see `portolan --help`\n",
    a_sweep_without_ports: ["sweep", "192.0.2.0/24"] =>
        "error: a sweep needs to be told which ports\nhint: name them, as in `-p 443` or `-p 22,80,443`\n",
    a_checkpoint_that_is_not_there: ["resume", "/nonexistent/scan.jsonl"] =>
        "error: cannot read the checkpoint `/nonexistent/scan.jsonl`: no such file or directory\n",
    an_empty_target: [""] =>
        "error: the target is empty\nhint: write a host name, an address, a network `192.0.2.0/24` or a range `192.0.2.1-50`\n",
    an_octet_over_255: ["192.0.2.256"] =>
        "error: `192.0.2.256` is no IPv4 address or range: `256` is no number from 0 to 255\n",
    an_octet_too_many: ["192.0.2.1.1"] =>
        "error: `192.0.2.1.1` is no IPv4 address or range: it has 5 parts where four belong\n",
    a_misspelt_ipv6_address: ["2001:db8::g"] =>
        "error: `2001:db8::g` is no IPv6 address\n",
    a_misspelt_name: ["server!example"] =>
        "error: `server!example` is no address and no host name: only letters, digits, `-` and `_` may stand between its dots\n",
    host_bits: ["192.0.2.1/24"] =>
        "error: `192.0.2.1/24` has host bits set: the network is `192.0.2.0/24`\nhint: write `192.0.2.0/24` for the network, or `192.0.2.1` for the one address\n",
    a_prefix_over_32: ["192.0.2.0/33"] =>
        "error: `192.0.2.0/33` has a prefix of 33: IPv4 has prefixes of 0 to 32\n",
    a_prefix_over_128: ["2001:db8::/129"] =>
        "error: `2001:db8::/129` has a prefix of 129: IPv6 has prefixes of 0 to 128\n",
    a_reversed_range_of_ports: ["127.0.0.1", "-p", "100-20"] =>
        "error: the port range `100-20` is reversed\nhint: did you mean `20-100`?\n",
    a_reversed_pair_of_ports: ["127.0.0.1", "1024", "1"] =>
        "error: the port range `1024-1` is reversed\nhint: did you mean `1-1024`?\n",
    port_0: ["127.0.0.1", "-p", "0"] =>
        "error: port 0 is out of range: ports are 1 to 65535\n",
    port_65536: ["127.0.0.1", "-p65536"] =>
        "error: port 65536 is out of range: ports are 1 to 65535\n",
    an_unknown_service: ["127.0.0.1", "-p", "htpps"] =>
        "error: no service is named `htpps`\nhint: did you mean `https`?\n",
    an_unknown_service_goes_by_what_people_run: ["127.0.0.1", "-p", "htpp"] =>
        "error: no service is named `htpp`\nhint: did you mean `http`?\n",
    a_zone_of_an_address_that_needs_none: ["[2001:db8::1%eth0]"] =>
        "error: `[2001:db8::1%eth0]` names the interface `eth0`, which only link-local addresses (fe80::/10) need\nhint: write `2001:db8::1`: the routing table knows its interface\n",
    help_for_a_misspelt_command: ["help", "lst"] =>
        "error: there is no command `lst`\nhint: did you mean `list`?\n",
    help_for_no_command: ["help", "frobnicate"] =>
        "error: there is no command `frobnicate`\nhint: see `portolan --help` for all commands\n",
    help_for_a_misspelt_command_of_a_command: ["help", "user", "ad"] =>
        "error: there is no command `ad`\nhint: see `portolan help user` for its commands\n",
    help_that_is_misspelt: ["hepl"] =>
        "error: `hepl` is no command\nhint: did you mean the command `help`? A host of this name is scanned by `portolan scan hepl`\n",
    an_option_that_is_like_no_other: ["127.0.0.1", "--frobnicate"] =>
        "error: unexpected argument '--frobnicate' found\nhint: see `portolan --help`\n",
    an_option_of_a_command_that_is_misspelt: ["list", "127.0.0.1", "--exclde=192.0.2.1"] =>
        "error: unexpected argument '--exclde' found\nhint: did you mean `--exclude`?\n",
    scripts: ["127.0.0.1", "--script", "default"] =>
        "error: `--script`: there are no scripts\nhint: leave the option out\n",
    scripts_in_short: ["-sC", "127.0.0.1"] =>
        "error: `-sC`: there are no scripts\nhint: leave the option out\n",
    operating_systems: ["127.0.0.1", "-O"] =>
        "error: `-O`: operating systems are not guessed\nhint: leave the option out\n",
    operating_systems_that_are_guessed: ["127.0.0.1", "--osscan-guess"] =>
        "error: `--osscan-guess`: operating systems are not guessed\nhint: leave the option out\n",
    everything_at_once: ["-A", "127.0.0.1"] =>
        "error: `-A`: operating systems, scripts and routes are not looked for\nhint: write `-sV` for services and versions\n",
    routes: ["127.0.0.1", "--traceroute"] =>
        "error: `--traceroute`: routes are not traced\nhint: leave the option out, and use a program such as `traceroute` beside it\n",
    decoys: ["127.0.0.1", "-D", "192.0.2.9"] =>
        "error: `-D`: probes never pretend to come from elsewhere\nhint: leave the option out\n",
    fragments: ["127.0.0.1", "-f"] =>
        "error: `-f`: packets are not dressed up to pass a firewall\nhint: leave the option out\n",
    a_pace_of_no_known_name: ["127.0.0.1", "-T", "fast"] =>
        "error: invalid value 'fast' for '--timing <0-5>': expected a number from 0 to 5, or paranoid, sneaky, polite, normal, aggressive or insane\nhint: see `portolan --help`\n",
    names_looked_up_and_not: ["127.0.0.1", "-n", "-R"] =>
        "error: the argument '--no-dns' cannot be used with '--dns'\nhint: see `portolan --help`\n",
    a_scanner_without_a_name: ["127.0.0.1", "--xml-scanner", ""] =>
        "error: invalid value '' for '--xml-scanner <NAME>': expected a name, such as `nmap`\nhint: see `portolan --help`\n",
    the_broadcast_address: ["255.255.255.255", "-n"] =>
        "error: cannot scan `255.255.255.255`: this is the broadcast address, which means every host of a link\nhint: write the network instead, as in `192.0.2.0/24`\nerror: there is nothing to scan: no target has the address of a host\n",
    multicast_networks: ["ff02::/16", "224.0.0.0/24", "-n"] =>
        "error: cannot scan `ff02::/16`: these are multicast addresses, each of which means a group of hosts\nhint: write the addresses of the hosts themselves\nerror: cannot scan `224.0.0.0/24`: these are multicast addresses, each of which means a group of hosts\nhint: write the addresses of the hosts themselves\nerror: there is nothing to scan: no target has the address of a host\n",
    a_list_of_no_host: ["list", "224.0.0.1"] =>
        "error: cannot scan `224.0.0.1`: this is a multicast address, which means a group of hosts\nhint: write the addresses of the hosts themselves\n",
    an_ipv4_range_with_a_wrong_end: ["10.0.0.1-10.0.0.300"] =>
        "error: `10.0.0.1-10.0.0.300` is no IPv4 address or range: `10.0.0.300` is none\n",
    a_short_end_of_an_ipv6_range: ["2001:db8::1-ffff"] =>
        "error: `2001:db8::1-ffff` is no IPv6 address\nhint: write both ends in full, as in `2001:db8::1-2001:db8::ff`\n",
    brackets_around_an_ipv6_network: ["[2001:db8::]/64"] =>
        "error: `[2001:db8::]/64` is no IPv6 address\nhint: write it without brackets: `2001:db8::/64`\n",
    the_address_of_no_host: ["0.0.0.0", "-n"] =>
        "error: cannot scan `0.0.0.0`: this address means no host\nhint: this machine is `127.0.0.1`, or `::1` in IPv6\nerror: there is nothing to scan: no target has the address of a host\n",
    a_missing_target_file: ["-iL", "/nonexistent/hosts"] =>
        "error: cannot read targets from `/nonexistent/hosts`: no such file or directory\n",
    a_host_and_one_number: ["127.0.0.1", "80"] =>
        "error: `80` is a port, not a target\nhint: write `127.0.0.1 -p 80`\n",
    a_number_alone: ["80"] =>
        "error: `80` is no IPv4 address or range: it has 1 part where four belong\nhint: to scan port 80, write `-p 80`\n",
    a_web_address: ["http://localhost:8000/"] =>
        "error: `http://localhost:8000/` is a web address, not a target\nhint: scan its host: `localhost -p 8000`\n",
    a_web_address_with_a_user: ["ftp://me@[::1]/x"] =>
        "error: `ftp://me@[::1]/x` is a web address, not a target\nhint: scan its host: `[::1]`\n",
    an_address_with_a_colon: ["127.0.0.1:"] =>
        "error: `127.0.0.1:` is an address with a port, not a target\nhint: write `127.0.0.1`\n",
    a_name_with_a_service: ["localhost:http"] =>
        "error: `localhost:http` is an address with a port, not a target\nhint: write `localhost -p http`\n",
    a_slash_without_a_prefix: ["192.0.2.0/"] =>
        "error: `192.0.2.0/` has nothing after its slash, where a prefix length belongs\nhint: write `192.0.2.0` for the one address, a network as `192.0.2.0/24`\n",
    a_name_with_a_slash: ["localhost/"] =>
        "error: `localhost/` has nothing after its slash, where a prefix length belongs\nhint: write `localhost`\n",
    an_ipv4_address_under_6: ["-6", "127.0.0.1"] =>
        "error: `127.0.0.1` is not IPv6, which `-6` asks for\nhint: leave out `-6`, or the target\n",
    octets_under_6: ["-6", "::1", "127.0.0.1-3"] =>
        "error: `127.0.0.1-3` is not IPv6, which `-6` asks for\nhint: leave out `-6`, or the target\n",
    an_ipv6_network_under_4: ["-4", "localhost", "2001:db8::/126"] =>
        "error: `2001:db8::/126` is not IPv4, which `-4` asks for\nhint: leave out `-4`, or the target\n",
    a_range_of_names: ["127.0.0.1", "-p", "http-https"] =>
        "error: `http-https` is no range of ports: a range goes from one number to another\nhint: did you mean `80-443`?\n",
    a_range_of_three: ["127.0.0.1", "-p", "80-81-82"] =>
        "error: `80-81-82` is no range of ports: a range goes from one number to another\nhint: did you mean `80-82`?\n",
    ports_in_brackets: ["127.0.0.1", "-p", "[1-100]"] =>
        "error: `[1-100]`: brackets in a list of ports are not known\nhint: leave them out: every port that is listed is scanned\n",
    a_seed_that_is_no_number: ["127.0.0.1", "--seed", "x"] =>
        "error: invalid value 'x' for '--seed <N>': expected a whole number from 0 to 18446744073709551615\nhint: see `portolan --help`\n",
    a_rate_that_is_too_large: ["127.0.0.1", "--max-rate", "99999999999999999999"] =>
        "error: invalid value '99999999999999999999' for '--max-rate <N>': expected a number of probes a second, 1 to 18446744073709551615\nhint: see `portolan --help`\n",
    too_many_top_ports: ["127.0.0.1", "--top-ports", "70000"] =>
        "error: invalid value '70000' for '--top-ports <N>': expected a number of ports, 1 to 65535\nhint: see `portolan --help`\n",
    a_scan_that_is_no_number: ["show", "x"] =>
        "error: invalid value 'x' for '<ID>': expected the number of a scan, as `portolan history` shows it\nhint: see `portolan show --help`\n",
    a_result_is_missing: ["diff", "a.xml"] =>
        "error: the following required arguments were not provided: <NEW>\nhint: see `portolan diff --help`\n",
    ports_in_two_options: ["127.0.0.1", "-p", "22", "-p", "80"] =>
        "error: the argument '--ports <PORTS>' cannot be used multiple times\nhint: join them by a comma, as in `-p 22,80`\n",
    a_port_with_its_protocol: ["127.0.0.1", "-p", "22/tcp"] =>
        "error: `22/tcp` is not how a port of a protocol is written\nhint: write `T:22`, or `22` alone\n",
    a_protocol_in_full: ["127.0.0.1", "-p", "80,udp:53"] =>
        "error: `udp:53` is not how a port of a protocol is written\nhint: write `U:53`, or `53` alone\n",
    one_more_port_as_a_target: ["127.0.0.1", "-p", "22", "80"] =>
        "error: `80` is a port, not a target\nhint: write `127.0.0.1 -p 22,80`\n",
    two_results_in_one_file: ["127.0.0.1", "-oX", "/tmp/scan", "-oJ", "/tmp/./scan"] =>
        "error: two results cannot both go to `/tmp/scan`\n",
    an_address_outside_the_scope: ["127.0.0.1", "-n", "--scope", "192.0.2.0/24"] =>
        "error: 127.0.0.1 is outside the scope\nhint: the scope stands in `--scope` and in the configuration file\n",
    a_shell_without_completions: ["completions", "tcsh"] =>
        "error: invalid value 'tcsh' for '<SHELL>'\nhint: write one of bash, elvish, fish, powershell, zsh\n",
    a_command_that_is_cut_short: ["complet", "bash"] =>
        "error: `complet` is no command\nhint: did you mean the command `completions`? A host of this name is scanned by `portolan scan complet`\n",
    a_misspelt_command: ["lst", "127.0.0.1"] =>
        "error: `lst` is no command\nhint: did you mean the command `list`? A host of this name is scanned by `portolan scan lst`\n",
    a_command_after_an_option: ["-n", "list", "127.0.0.1"] =>
        "error: the command `list` must be the first word\nhint: write `portolan list 127.0.0.1`, with its options behind; a host of this name is scanned by `portolan scan list`\n",
    a_command_alone_after_an_option: ["--no-config", "history"] =>
        "error: the command `history` must be the first word\nhint: write `portolan history`, with its options behind; a host of this name is scanned by `portolan scan history`\n",
    a_command_that_there_is_not: ["delete", "1"] =>
        "error: `delete` is no command\nhint: a scan is deleted on its page, see `portolan serve`; a host of this name is scanned by `portolan scan delete`\n",
    a_directory_as_the_beginning_of_files: ["127.0.0.1", "-oA", "/tmp/"] =>
        "error: `-oA /tmp/` names a directory, not the beginning of a file name\nhint: write `-oA /tmp/scan` for `/tmp/scan.xml` and others\n",
    an_output_in_a_directory_that_takes_no_files: ["127.0.0.1", "-oX", "/proc/x"] =>
        "error: cannot write `/proc/x`: no file can be made in this directory\n",
    an_output_that_ends_like_a_directory: ["127.0.0.1", "-oX", "scans/"] =>
        "error: cannot write `scans/`: it is a directory\n",
    threads_0: ["127.0.0.1", "--threads", "0"] =>
        "error: invalid value '0' for '--threads <N>': expected a number from 1 to 4294967295\nhint: see `portolan --help`\n",
    a_negative_time: ["127.0.0.1", "--timeout", "-1"] =>
        "error: invalid value '-1' for '--timeout <TIME>': a time cannot be negative\nhint: see `portolan --help`\n",
    two_families: ["localhost", "-4", "-6"] =>
        "error: the argument '--ipv4' cannot be used with '--ipv6'\nhint: see `portolan --help`\n",
    quiet_and_verbose: ["127.0.0.1", "-q", "-v"] =>
        "error: the argument '--quiet' cannot be used with '--verbose...'\nhint: see `portolan --help`\n",
    ports_twice: ["127.0.0.1", "1", "9", "-p", "80"] =>
        "error: the ports are given twice: as `1 9` and by an option\nhint: leave one of them out\n",
    a_network_and_two_numbers: ["192.0.2.0/24", "1", "9"] =>
        "error: `192.0.2.0/24 1 9` gives a range of ports to more than one host\nhint: write `192.0.2.0/24 -p 1-9`\n",
    rates_that_cross: ["127.0.0.1", "--min-rate", "9", "--max-rate", "5"] =>
        "error: --min-rate 9 is above --max-rate 5\nhint: the lowest rate cannot be above the highest\n",
    two_results_on_standard_output: ["127.0.0.1", "--json", "-oX", "-"] =>
        "error: two results cannot both go to standard output\nhint: give one of them a file\n",
    an_unwritable_output: ["127.0.0.1", "-oX", "/nonexistent/scan.xml"] =>
        "error: cannot write `/nonexistent/scan.xml`: no such file or directory\nhint: make the directory `/nonexistent` first\n",
    a_misspelt_option: ["127.0.0.1", "--opne"] =>
        "error: unexpected argument '--opne' found\nhint: did you mean `--open`?\n",
    two_techniques: ["-sS", "-sT", "127.0.0.1"] =>
        "error: the argument '--syn' cannot be used with '--connect'\nhint: see `portolan --help`\n",
    udp_budgets: ["-sU", "127.0.0.1", "--udp-budget", "5s", "--udp-certain"] =>
        "error: the argument '--udp-budget <TIME>' cannot be used with '--udp-certain'\nhint: see `portolan --help`\n",
    detection_of: ["detect", "192.0.2.1"] =>
        "error: `192.0.2.1` is no host with a port
hint: write `192.0.2.1:22`, `[2001:db8::1]:443` or `192.0.2.1:53/udp`
",
    intensity: ["-sV", "--version-intensity", "10", "127.0.0.1"] =>
        "error: invalid value '10' for '--version-intensity <0-9>': 10 is not in 0..=9
hint: see `portolan --help`
",
    no_rules: ["-sV", "--rules", "/nonexistent", "127.0.0.1"] =>
        "error: cannot read rules in `/nonexistent`: no such file or directory
hint: `--rules` takes a directory that holds files named `*.toml`
",
    udp_without_a_port_of_it: ["127.0.0.1", "--udp", "-p", "T:53", "--exclude-ports", "T:53"] =>
        "error: there is nothing to scan: every port is excluded\n",
    no_udp_port: ["127.0.0.1", "--udp", "-p", "ssh-mgmt-of-nobody"] =>
        "error: no service is named `ssh-mgmt-of-nobody`\nhint: write its number\n",
    a_sweep_of_udp: ["sweep", "192.0.2.0/24", "-p", "U:53"] =>
        "error: `sweep` asks TCP ports only\nhint: leave `U:` out, and scan UDP ports without `sweep`: `portolan --udp TARGET`\n",
    every_port_excluded: ["127.0.0.1", "-p", "80", "--exclude-ports", "http"] =>
        "error: there is nothing to scan: every port is excluded\n",
    every_target_excluded: ["127.0.0.1", "--exclude", "127.0.0.0/8"] =>
        "error: there is nothing to scan: every target is excluded\n",
    a_name_that_does_not_exist: ["a.invalid"] =>
        "error: `a.invalid` has no address: no such host is known\nhint: check its spelling, or write its address\nerror: there is nothing to scan: no target has the address of a host\n",
    a_missing_configuration_file: ["127.0.0.1", "--config", "/nonexistent/c.toml"] =>
        "error: cannot read the configuration file `/nonexistent/c.toml`: no such file or directory\n",
    no_such_result: ["diff", "/nonexistent/a.xml", "/nonexistent/b.xml"] =>
        "error: cannot read `/nonexistent/a.xml`: no such file or directory\n",
}

#[test]
fn a_target_list_that_is_not_utf_8() {
    assert_eq!(
        refusal(&run_with(&["-iL", "-"], b"127.0.0.1\n\xff\n")),
        "error: standard input is not UTF-8 text: line 2 holds the byte 0xff\n\
         hint: save it as UTF-8, one target a line\n"
    );
}

#[test]
fn a_reversed_range_of_addresses() {
    assert_eq!(
        refused(&["192.0.2.50-192.0.2.1"]),
        "error: the range `192.0.2.50-192.0.2.1` in `192.0.2.50-192.0.2.1` is reversed\n\
         hint: did you mean `192.0.2.1-192.0.2.50`?\n"
    );
}

#[test]
fn rates_that_cross_name_the_file_that_holds_one_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    std::fs::write(&file, "max-rate = 5\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        refused(&["127.0.0.1", "--config", file, "--min-rate", "9"]),
        "error: --min-rate 9 is above `max-rate = 5` of the configuration file\n\
         hint: the lowest rate cannot be above the highest\n"
    );
}

#[test]
fn a_limit_of_8_descriptors() {
    let mut limited = std::process::Command::new("prlimit");
    limited.args(["--nofile=8:8", env!("CARGO_BIN_EXE_portolan")]);
    let output = limited
        .args(["127.0.0.1", "-n", "-p", "9", "--no-config"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot make sockets: too many open files\n\
         hint: a scan needs some dozens of descriptors: allow more, as with `ulimit -n 1024`\n"
    );
}

#[test]
fn a_failed_start_leaves_earlier_results_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    std::fs::write(&file, "of an earlier scan\n").unwrap();
    let to = file.to_str().unwrap();
    refused(&["a.invalid", "-oJ", to]);
    refused(&["127.0.0.1", "-oJ", to, "--scope", "192.0.2.0/24"]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "of an earlier scan\n"
    );
}
