//! Lists of ports as users write them, and what they ask for together with techniques.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::{PortError, PortSet, PortSpec};
use crate::state::{Protocol, Technique};

/// Which protocols a list of ports names, by `T:` and `U:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Named {
    /// TCP.
    pub tcp: bool,
    /// UDP.
    pub udp: bool,
}

/// Ports as a user wrote them, and which protocols were named for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortList {
    /// The ports of each protocol, should it be scanned.
    pub ports: PortSpec,
    /// The protocols that are to be scanned whatever else is asked for.
    pub named: Named,
}

impl PortList {
    /// What is asked in all, by `techniques` or by what the list names: exactly these ports of
    /// each protocol where UDP is asked, and [`Technique::Udp`] among the techniques then.
    ///
    /// Nothing that is named is left out. Ports without a protocol are those of each protocol
    /// that is scanned: of TCP, unless `techniques` are of UDP alone.
    pub fn asked(self, mut techniques: Vec<Technique>) -> (PortSpec, Vec<Technique>) {
        let by_technique = techniques.contains(&Technique::Udp);
        if !by_technique && !self.named.udp {
            return (self.ports, techniques);
        }
        let has_tcp = techniques.iter().any(|one| one.protocol() == Protocol::Tcp);
        let asks_tcp = has_tcp || self.named.tcp || !by_technique;
        if !by_technique {
            techniques.push(Technique::Udp);
        }
        let tcp = if asks_tcp {
            self.ports.tcp
        } else {
            PortSet::EMPTY
        };
        (PortSpec::new(tcp, self.ports.udp), techniques)
    }
}

/// Ports of which nothing is said but their numbers.
impl From<PortSpec> for PortList {
    fn from(ports: PortSpec) -> Self {
        Self {
            ports,
            named: Named::default(),
        }
    }
}

impl FromStr for PortList {
    type Err = PortError;

    fn from_str(list: &str) -> Result<Self, PortError> {
        let ports = list.parse()?;
        let names = |prefixes: [&str; 2]| {
            list.split(',')
                .map(str::trim)
                .any(|item| prefixes.iter().any(|prefix| item.starts_with(prefix)))
        };
        Ok(Self {
            ports,
            named: Named {
                tcp: names(["T:", "t:"]),
                udp: names(["U:", "u:"]),
            },
        })
    }
}

impl<'de> Deserialize<'de> for PortList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list asks with these techniques: ports, and techniques.
    fn asked(list: &str, techniques: &[Technique]) -> (String, Vec<Technique>) {
        let list: PortList = list.parse().unwrap();
        let (ports, techniques) = list.asked(techniques.to_vec());
        (ports.to_string(), techniques)
    }

    #[test]
    fn udp_ports_that_are_named_are_asked_without_an_option() {
        assert_eq!(
            asked("U:53", &[]),
            ("U:53".to_owned(), vec![Technique::Udp])
        );
        let both = ("T:80,U:53".to_owned(), vec![Technique::Udp]);
        assert_eq!(asked("U:53,T:80", &[]), both);
        let beside = ("T:80,U:53,80".to_owned(), vec![Technique::Udp]);
        assert_eq!(asked("80,U:53", &[]), beside);
        let named = ("T:80,U:53".to_owned(), vec![Technique::Syn, Technique::Udp]);
        assert_eq!(asked("T:80,U:53", &[Technique::Syn]), named);
    }

    #[test]
    fn udp_alone_asks_no_tcp_port_that_is_not_named() {
        let udp = vec![Technique::Udp];
        assert_eq!(asked("53", &udp), ("U:53".to_owned(), udp.clone()));
        assert_eq!(asked("53,T:80", &udp), ("T:53,80,U:53".to_owned(), udp));
    }

    #[test]
    fn without_udp_a_list_stays_as_it_is() {
        assert_eq!(asked("22,80", &[]), ("22,80".to_owned(), vec![]));
        let connect = vec![Technique::Connect];
        assert_eq!(asked("T:22", &connect), ("T:22".to_owned(), connect));
    }
}
