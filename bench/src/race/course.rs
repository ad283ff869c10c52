//! The networks that are raced over.

/// A network and a question to it.
pub(crate) struct Course {
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// The scenario, as `simnet` reads it.
    pub(crate) scenario: &'static str,
    pub(crate) targets: &'static str,
    /// The last port that is asked; the first is 1.
    pub(crate) last_port: u16,
}

macro_rules! scenario {
    ($name:literal) => {
        include_str!(concat!("../../../crates/simnet/scenarios/", $name, ".toml"))
    };
}

const ONE: &str = "198.18.0.10";

pub(crate) const COURSES: [Course; 8] = [
    Course {
        name: "lan",
        title: "0.4 ms, 65,535 ports, no loss",
        scenario: scenario!("lan"),
        targets: ONE,
        last_port: u16::MAX,
    },
    Course {
        name: "lossy",
        title: "40 ms ± 5, 1 % lost each way, 65,535 ports",
        scenario: scenario!("lossy"),
        targets: ONE,
        last_port: u16::MAX,
    },
    Course {
        name: "very-lossy",
        title: "80 ms ± 10, 5 % lost each way, 10,000 ports",
        scenario: scenario!("very-lossy"),
        targets: ONE,
        last_port: 10_000,
    },
    Course {
        name: "bottleneck",
        title: "4,000 packets/s, a queue of 60, 30 ms, 65,535 ports",
        scenario: scenario!("bottleneck"),
        targets: ONE,
        last_port: u16::MAX,
    },
    Course {
        name: "filtered",
        title: "closed ports dropped, 60 ms, 1 % lost, 10,000 ports",
        scenario: scenario!("filtered"),
        targets: ONE,
        last_port: 10_000,
    },
    Course {
        name: "rst-limited",
        title: "200 resets a second, 20 ms, 10,000 ports",
        scenario: scenario!("rst-limited"),
        targets: ONE,
        last_port: 10_000,
    },
    Course {
        name: "nat",
        title: "8 silent hosts behind a NAT table of 2,048 for 5 s, 1,000 ports each",
        scenario: scenario!("nat"),
        targets: "198.18.0.8/29",
        last_port: 1_000,
    },
    Course {
        name: "sparse-20",
        title: "a /20 with 8 % of hosts, 25 ms, 1 % lost, 100 ports each",
        scenario: scenario!("sparse-20"),
        targets: "198.18.0.0/20",
        last_port: 100,
    },
];
