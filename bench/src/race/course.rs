//! The networks that are raced over.

/// A network and a question to it.
pub(crate) struct Course {
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// The scenario, as `simnet` reads it.
    pub(crate) scenario: &'static str,
    pub(crate) targets: &'static str,
    pub(crate) ask: Ask,
}

/// What a course asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// TCP ports from 1 to this one, as fast as the scanner finds right.
    Ports(u16),
    /// UDP ports from 1 to this one.
    UdpPorts(u16),
    /// One port of every address, with this many probes a second.
    Sweep { port: u16, rate: u32 },
}

impl Course {
    /// Whether it asks IPv6 addresses.
    pub(crate) fn is_v6(&self) -> bool {
        self.targets.contains(':')
    }

    /// Whether a scanner is asked for a port.
    pub(crate) fn asks(&self, port: u16) -> bool {
        match self.ask {
            Ask::Ports(last) | Ask::UdpPorts(last) => (1..=last).contains(&port),
            Ask::Sweep { port: only, .. } => port == only,
        }
    }
}

macro_rules! scenario {
    ($name:literal) => {
        include_str!(concat!("../../../crates/simnet/scenarios/", $name, ".toml"))
    };
}

const ONE: &str = "198.18.0.10";

const ONE_V6: &str = "2001:db8::10";

pub(crate) const COURSES: [Course; 15] = [
    Course {
        name: "lan",
        title: "0.4 ms, 65,535 ports, no loss",
        scenario: scenario!("lan"),
        targets: ONE,
        ask: Ask::Ports(u16::MAX),
    },
    Course {
        name: "lossy",
        title: "40 ms ± 5, 1 % lost each way, 65,535 ports",
        scenario: scenario!("lossy"),
        targets: ONE,
        ask: Ask::Ports(u16::MAX),
    },
    Course {
        name: "very-lossy",
        title: "80 ms ± 10, 5 % lost each way, 10,000 ports",
        scenario: scenario!("very-lossy"),
        targets: ONE,
        ask: Ask::Ports(10_000),
    },
    Course {
        name: "bottleneck",
        title: "4,000 packets/s, a queue of 60, 30 ms, 65,535 ports",
        scenario: scenario!("bottleneck"),
        targets: ONE,
        ask: Ask::Ports(u16::MAX),
    },
    Course {
        name: "filtered",
        title: "closed ports dropped, 60 ms, 1 % lost, 10,000 ports",
        scenario: scenario!("filtered"),
        targets: ONE,
        ask: Ask::Ports(10_000),
    },
    Course {
        name: "rst-limited",
        title: "200 resets a second, 20 ms, 10,000 ports",
        scenario: scenario!("rst-limited"),
        targets: ONE,
        ask: Ask::Ports(10_000),
    },
    Course {
        name: "nat",
        title: "8 silent hosts behind a NAT table of 2,048 for 5 s, 1,000 ports each",
        scenario: scenario!("nat"),
        targets: "198.18.0.8/29",
        ask: Ask::Ports(1_000),
    },
    Course {
        name: "sparse-20",
        title: "a /20 with 8 % of hosts, 25 ms, 1 % lost, 100 ports each",
        scenario: scenario!("sparse-20"),
        targets: "198.18.0.0/20",
        ask: Ask::Ports(100),
    },
    Course {
        name: "lan-v6",
        title: "0.4 ms, 65,535 ports, no loss, over IPv6",
        scenario: scenario!("lan"),
        targets: ONE_V6,
        ask: Ask::Ports(u16::MAX),
    },
    Course {
        name: "lossy-v6",
        title: "40 ms ± 5, 1 % lost each way, 65,535 ports, over IPv6",
        scenario: scenario!("lossy"),
        targets: ONE_V6,
        ask: Ask::Ports(u16::MAX),
    },
    Course {
        name: "filtered-v6",
        title: "closed ports dropped, 60 ms, 1 % lost, 10,000 ports, over IPv6",
        scenario: scenario!("filtered"),
        targets: ONE_V6,
        ask: Ask::Ports(10_000),
    },
    Course {
        name: "sweep-14",
        title: "one port of a /14 of which 2 % answer, 30 ms, 100,000 probes a second",
        scenario: scenario!("sweep-14"),
        targets: "10.64.0.0/14",
        ask: Ask::Sweep {
            port: 443,
            rate: 100_000,
        },
    },
    Course {
        name: "udp-limited",
        title: "UDP: 1,000 ports, 4 answer, 50 ICMP errors a second, 20 ms",
        scenario: scenario!("udp-limited"),
        targets: ONE,
        ask: Ask::UdpPorts(1_000),
    },
    Course {
        name: "udp-one-a-second",
        title: "UDP: 1,000 ports, 4 answer, one ICMP error a second, 20 ms",
        scenario: scenario!("udp-one-a-second"),
        targets: ONE,
        ask: Ask::UdpPorts(1_000),
    },
    Course {
        name: "udp-hosts",
        title: "UDP: 100 hosts with 50 ports each, 3 answer, 20 ms, 1 % lost each way",
        scenario: scenario!("udp-hosts"),
        targets: "198.18.0.0-99",
        ask: Ask::UdpPorts(50),
    },
];
