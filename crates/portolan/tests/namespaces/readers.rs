//! Next to nmap, on the same machine at the same time.

use std::process::Command;

use crate::lab::{Lab, THERE, THERE_V6, bare, filter, spread};

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn ndiff_sees_the_same_ports_in_ours_and_in_that_of_nmap() {
    for (address, flag) in [(THERE, "-4"), (THERE_V6, "-6")] {
        let lab = Lab::new();
        let _listeners = lab.listen(spread(40, 1, 2_000));
        let rules = "tcp dport 1500-1509 drop\ntcp dport 1520-1529 reject with tcp reset";
        filter(&lab.there, "input", rules);
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (ours, theirs) = (file("ours.xml"), file("theirs.xml"));
        let scan = lab.scan(&[address, "-p1-2000", "-n", flag, "-oX", &ours]);
        assert_eq!(scan.status, 0, "{scan:?}");
        lab.here
            .run(
                "nmap",
                &[
                    "-sT", "-Pn", "-n", flag, "-p1-2000", "-oX", &theirs, address,
                ],
            )
            .unwrap();
        let found = std::fs::read_to_string(&theirs).unwrap();
        assert_eq!(found.matches("state=\"open\"").count(), 40);
        let compared = bare(&mut Command::new("ndiff"))
            .args([&theirs, &ours])
            .output()
            .unwrap();
        let said = String::from_utf8(compared.stdout).unwrap();
        assert_ne!(compared.status.code(), Some(2), "{:?}", compared.stderr);
        assert_eq!(ports(&said, '-'), ports(&said, '+'), "{said}");
        // Both count the closed ones, and as many.
        assert!(!said.contains("Not shown"), "{said}");
    }
}

/// Ports and states on one side of a difference. The names of services differ by themselves:
/// ours are those of IANA, and nmap has a list of its own.
fn ports(said: &str, side: char) -> Vec<[&str; 2]> {
    let of_side = said.lines().filter_map(|line| line.strip_prefix(side));
    let words = of_side.map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first().is_some_and(|word| word.ends_with("/tcp")))
        .map(|words| [words[0], words[1]])
        .collect()
}
