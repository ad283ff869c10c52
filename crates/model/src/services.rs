//! What ports are for: registered names, the names people use, and how often each is found.
//!
//! The names are facts of the IANA Service Name and Transport Protocol Port Number Registry;
//! `common-ports.tsv` is the project's own list.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::hint;
use crate::ports::PortSet;
use crate::state::Protocol;

static IANA: &str = include_str!("../data/iana-services.tsv");
static COMMON: &str = include_str!("../data/common-ports.tsv");
static TOP_TCP: &str = include_str!("../data/top-tcp-ports.tsv");
static TOP_UDP: &str = include_str!("../data/top-udp-ports.tsv");

/// A port of the common list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommonPort {
    /// What it is for: `web`, `mail`, `database`, ….
    pub group: &'static str,
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The name people use for what runs there.
    pub name: &'static str,
}

struct Tables {
    /// By number and protocol, the name to show.
    names: HashMap<(u16, Protocol), &'static str>,
    /// Of each protocol, every known name and its port or ports.
    ports: [HashMap<&'static str, Vec<u16>>; 2],
    common: Vec<CommonPort>,
    top_tcp: Vec<u16>,
    top_udp: Vec<u16>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

/// The fields of each line of a table that is no comment.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

impl Tables {
    fn read() -> Self {
        let mut names = HashMap::with_capacity(12_000);
        let mut ports: [HashMap<&'static str, Vec<u16>>; 2] = Default::default();
        let mut common = Vec::new();
        for row in rows(COMMON) {
            if let [group, port, protocol, name] = row[..]
                && let (Ok(port), Ok(protocol)) = (port.parse(), protocol.parse())
            {
                names.insert((port, protocol), name);
                let of_protocol = &mut ports[protocol as usize];
                of_protocol.entry(name).or_default().push(port);
                common.push(CommonPort {
                    group,
                    port,
                    protocol,
                    name,
                });
            }
        }
        let mut registered: [HashMap<&'static str, Vec<u16>>; 2] = Default::default();
        for row in rows(IANA) {
            if let [port, protocol, name] = row[..]
                && let (Ok(port), Ok(protocol)) = (port.parse(), protocol.parse())
            {
                names.entry((port, protocol)).or_insert(name);
                let of_protocol = &mut registered[protocol as usize];
                of_protocol.entry(name).or_default().push(port);
            }
        }
        // A registered name means the registered ports, whatever else people call so.
        for (ports, registered) in ports.iter_mut().zip(registered) {
            ports.extend(registered);
        }
        let ranks = |table| {
            rows(table)
                .filter_map(|row| row.get(1)?.parse().ok())
                .collect()
        };
        Self {
            names,
            ports,
            common,
            top_tcp: ranks(TOP_TCP),
            top_udp: ranks(TOP_UDP),
        }
    }
}

/// The name of what usually runs on a port: a guess by number, not a finding.
pub fn name(port: u16, protocol: Protocol) -> Option<&'static str> {
    TABLES.names.get(&(port, protocol)).copied()
}

/// The ports of a service by its name, in either case; `None` for a name that is not known.
pub fn ports_of(name: &str, protocol: Protocol) -> Option<&'static [u16]> {
    let name = name.to_ascii_lowercase();
    let of_protocol = &TABLES.ports[protocol as usize];
    of_protocol.get(name.as_str()).map(Vec::as_slice)
}

/// The known service name that is written most like `name`, where one is close; of several, the
/// one whose port is found open most often.
pub fn nearest_name(name: &str) -> Option<&'static str> {
    let known = TABLES.ports.iter().flat_map(HashMap::keys).copied();
    hint::nearest_by(&name.to_ascii_lowercase(), known, rank)
}

/// Where a service stands by how often its ports are found open: those of TCP first, which are
/// asked for far more often, then those of UDP, then all that have no rank.
fn rank(name: &str) -> usize {
    let place = |of| {
        let ports = ports_of(name, of).unwrap_or_default();
        let places = ports
            .iter()
            .filter_map(|port| ranked(of).iter().position(|ranked| ranked == port));
        places.min()
    };
    place(Protocol::Tcp)
        .or_else(|| Some(ranked(Protocol::Tcp).len() + place(Protocol::Udp)?))
        .unwrap_or(usize::MAX)
}

/// The ports that people really run, grouped by what they are for.
pub fn common() -> &'static [CommonPort] {
    &TABLES.common
}

/// The common ports of a protocol.
pub fn common_ports(protocol: Protocol) -> PortSet {
    common()
        .iter()
        .filter(|entry| entry.protocol == protocol)
        .map(|entry| entry.port)
        .collect()
}

/// Ports by how often they are found open, the most frequent first: 1,000 for TCP, 20 for UDP.
pub fn ranked(protocol: Protocol) -> &'static [u16] {
    match protocol {
        Protocol::Tcp => &TABLES.top_tcp,
        Protocol::Udp => &TABLES.top_udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_people_use_go_before_the_registered_ones() {
        assert_eq!(name(80, Protocol::Tcp), Some("http"));
        assert_eq!(name(9200, Protocol::Tcp), Some("elasticsearch"));
        assert_eq!(name(7, Protocol::Tcp), Some("echo"));
        assert_eq!(name(65_000, Protocol::Tcp), None);
    }

    #[test]
    fn names_lead_to_ports_in_either_case() {
        assert_eq!(ports_of("HTTPS", Protocol::Tcp), Some(&[443][..]));
        assert_eq!(ports_of("http", Protocol::Tcp), Some(&[80][..]));
        assert_eq!(ports_of("www-http", Protocol::Tcp), Some(&[80][..]));
        assert_eq!(ports_of("domain", Protocol::Udp), Some(&[53][..]));
        assert_eq!(ports_of("no-such-thing", Protocol::Tcp), None);
    }

    #[test]
    fn of_names_that_are_equally_near_the_port_found_more_often_is_meant() {
        assert_eq!(nearest_name("htpp"), Some("http"));
        assert_eq!(nearest_name("htpps"), Some("https"));
        assert_eq!(nearest_name("sssh"), Some("ssh"));
        assert_eq!(nearest_name("stmp"), Some("smtp"));
        assert_eq!(nearest_name("no-such-thing-at-all"), None);
    }

    #[test]
    fn the_common_list_is_about_120_tcp_ports_without_repetition() {
        let listed = common()
            .iter()
            .filter(|entry| entry.protocol == Protocol::Tcp);
        let count = listed.count();
        assert!((110..=135).contains(&count), "{count}");
        assert_eq!(common_ports(Protocol::Tcp).len(), count);
    }

    #[test]
    fn the_ranked_lists_hold_each_port_once() {
        for (protocol, length) in [(Protocol::Tcp, 1000), (Protocol::Udp, 20)] {
            let set: PortSet = ranked(protocol).iter().copied().collect();
            assert_eq!(ranked(protocol).len(), length);
            assert_eq!(set.len(), length);
        }
        assert_eq!(ranked(Protocol::Tcp)[..3], [80, 23, 443]);
    }
}
