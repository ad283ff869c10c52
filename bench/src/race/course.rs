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
    /// Of which protocol the ports are.
    pub(crate) asks: Asks,
}

/// A protocol whose ports are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Tcp,
    Udp,
}

macro_rules! scenario {
    ($name:literal) => {
        include_str!(concat!("../../../crates/simnet/scenarios/", $name, ".toml"))
    };
}

const ONE: &str = "198.18.0.10";

pub(crate) const COURSES: [Course; 11] = [
    Course {
        name: "lan",
        title: "0.4 ms, 65,535 ports, no loss",
        scenario: scenario!("lan"),
        targets: ONE,
        last_port: u16::MAX,
        asks: Asks::Tcp,
    },
    Course {
        name: "lossy",
        title: "40 ms ± 5, 1 % lost each way, 65,535 ports",
        scenario: scenario!("lossy"),
        targets: ONE,
        last_port: u16::MAX,
        asks: Asks::Tcp,
    },
    Course {
        name: "very-lossy",
        title: "80 ms ± 10, 5 % lost each way, 10,000 ports",
        scenario: scenario!("very-lossy"),
        targets: ONE,
        last_port: 10_000,
        asks: Asks::Tcp,
    },
    Course {
        name: "bottleneck",
        title: "4,000 packets/s, a queue of 60, 30 ms, 65,535 ports",
        scenario: scenario!("bottleneck"),
        targets: ONE,
        last_port: u16::MAX,
        asks: Asks::Tcp,
    },
    Course {
        name: "filtered",
        title: "closed ports dropped, 60 ms, 1 % lost, 10,000 ports",
        scenario: scenario!("filtered"),
        targets: ONE,
        last_port: 10_000,
        asks: Asks::Tcp,
    },
    Course {
        name: "rst-limited",
        title: "200 resets a second, 20 ms, 10,000 ports",
        scenario: scenario!("rst-limited"),
        targets: ONE,
        last_port: 10_000,
        asks: Asks::Tcp,
    },
    Course {
        name: "nat",
        title: "8 silent hosts behind a NAT table of 2,048 for 5 s, 1,000 ports each",
        scenario: scenario!("nat"),
        targets: "198.18.0.8/29",
        last_port: 1_000,
        asks: Asks::Tcp,
    },
    Course {
        name: "sparse-20",
        title: "a /20 with 8 % of hosts, 25 ms, 1 % lost, 100 ports each",
        scenario: scenario!("sparse-20"),
        targets: "198.18.0.0/20",
        last_port: 100,
        asks: Asks::Tcp,
    },
    Course {
        name: "udp-limited",
        title: "UDP: 1,000 ports, 4 answer, 50 ICMP errors a second, 20 ms",
        scenario: scenario!("udp-limited"),
        targets: ONE,
        last_port: 1_000,
        asks: Asks::Udp,
    },
    Course {
        name: "udp-one-a-second",
        title: "UDP: 1,000 ports, 4 answer, one ICMP error a second, 20 ms",
        scenario: scenario!("udp-one-a-second"),
        targets: ONE,
        last_port: 1_000,
        asks: Asks::Udp,
    },
    Course {
        name: "udp-hosts",
        title: "UDP: 100 hosts with 50 ports each, 3 answer, 20 ms, 1 % lost each way",
        scenario: scenario!("udp-hosts"),
        targets: "198.18.0.0-99",
        last_port: 50,
        asks: Asks::Udp,
    },
];
