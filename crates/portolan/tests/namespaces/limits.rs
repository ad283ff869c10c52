//! Machines that give a scanner little: few descriptors, few ports, no rights.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portolan_model::{PortState, Reason};

use crate::lab::{Lab, PORTOLAN, Scan, THERE, filter, set, spread, through};

fn open_ports() -> BTreeSet<u16> {
    spread(30, 1, 3_000)
}

/// Every port of the range has a state, and the open ones are the open ones.
fn is_whole(scan: &Scan, address: &str) {
    assert_eq!(scan.status, 0, "{}", scan.err);
    assert_eq!(scan.complaints(), "");
    let open = open_ports();
    assert_eq!(scan.open(address), open);
    let record = scan.record();
    assert_eq!(record.count(PortState::Open), open.len());
    assert_eq!(record.count(PortState::Closed), 3_000 - open.len());
}

const RANGE: [&str; 4] = [THERE, "-p1-3000", "-n", "--json"];

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_20_descriptors_no_port_is_lost() {
    let lab = Lab::new();
    let _listeners = lab.listen(open_ports());
    let limited = ["prlimit", "--nofile=20:20", PORTOLAN];
    is_whole(&through(&lab.here, &limited, &RANGE), THERE);
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_64_descriptors_and_silent_ports_no_port_is_lost() {
    let lab = Lab::new();
    let _listeners = lab.listen([7, 77]);
    filter(&lab.there, "input", "tcp dport != { 7, 77 } drop");
    let limited = ["prlimit", "--nofile=64:64", PORTOLAN];
    let scan = through(&lab.here, &limited, &[THERE, "-p1-200", "-n", "--json"]);
    assert_eq!((scan.status, scan.complaints().as_str()), (0, ""));
    assert_eq!(scan.open(THERE), [7, 77].into());
    assert_eq!(
        scan.state(THERE, 200),
        Some((PortState::Filtered, Reason::NoResponse))
    );
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn with_10_outgoing_ports_no_port_is_lost() {
    let lab = Lab::new();
    let _listeners = lab.listen(open_ports());
    set(&lab.here, "ipv4.ip_local_port_range", "50000 50009");
    is_whole(&lab.scan(&RANGE), THERE);
}

/// A copy of the program that everyone may run: where the project stands, others may not be let
/// in.
pub(crate) fn for_all(directory: &Path) -> PathBuf {
    let program = directory.join("portolan");
    std::fs::copy(PORTOLAN, &program).unwrap();
    for path in [directory, &program] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    }
    program
}

/// What starts a program as a user without any rights.
pub(crate) fn nobody(program: &Path) -> Vec<String> {
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
        program.to_str().unwrap(),
    ];
    words.map(str::to_owned).to_vec()
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_configuration_that_may_not_be_read_is_a_warning_unless_it_was_named() {
    let lab = Lab::new();
    let _listeners = lab.listen([80]);
    let directory = tempfile::tempdir().unwrap();
    let mut words = nobody(&for_all(directory.path()));
    let home = directory.path().join("home");
    let file = home.join("portolan").join("config.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "ports = \"81\"\n").unwrap();
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&home, closed).unwrap();
    words.insert(0, format!("XDG_CONFIG_HOME={}", home.display()));
    words.insert(0, "env".to_owned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = format!(
        "cannot read the configuration file `{}`: permission denied\n",
        file.display()
    );

    let scan = through(&lab.here, &words, &[THERE, "-p80", "-n", "--json"]);
    assert_eq!(
        (scan.status, scan.open(THERE)),
        (0, [80].into()),
        "{scan:?}"
    );
    assert_eq!(scan.complaints(), format!("warning: {refused}"));

    let named = ["--config", file.to_str().unwrap(), THERE, "-p80", "-n"];
    let scan = through(&lab.here, &words, &named);
    assert_eq!((scan.status, scan.out.as_str()), (2, ""), "{scan:?}");
    assert_eq!(scan.complaints(), format!("error: {refused}"));
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_user_without_rights_finds_the_same() {
    let lab = Lab::new();
    let _listeners = lab.listen(open_ports());
    let directory = tempfile::tempdir().unwrap();
    let program = for_all(directory.path());
    let nobody = nobody(&program);
    let nobody: Vec<&str> = nobody.iter().map(String::as_str).collect();
    is_whole(&through(&lab.here, &nobody, &RANGE), THERE);

    let forbidden = directory.path().join("scan.xml");
    let scan = through(
        &lab.here,
        &nobody,
        &[THERE, "-p80", "-n", "-oX", forbidden.to_str().unwrap()],
    );
    assert_eq!(scan.status, 2);
    assert_eq!(scan.out, "", "it was found before the scan began");
    assert!(
        scan.err.starts_with(&format!(
            "error: cannot write `{}`: permission denied\n",
            forbidden.display()
        )),
        "{}",
        scan.err
    );
}
