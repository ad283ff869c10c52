//! What could not be asked, gathered into few words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portolan_model::AddressSet;
use portolan_model::address::AddressSetBuilder;
use portolan_model::event::{Endpoint, Problem};

use crate::plan::Plan;
use crate::words::grouped;

/// Up to so many runs of addresses are named in a message.
const NAMED: usize = 8;

/// And as many as need no more characters than this.
const NAMED_LEN: usize = 80;

/// Addresses without a route, and ports that this machine failed to ask.
#[derive(Debug, Default)]
pub(crate) struct Unreached {
    no_route: AddressSetBuilder,
    any_without_route: bool,
    no_hosts: BTreeSet<IpAddr>,
    failed: BTreeMap<String, (Endpoint, u64)>,
}

impl Unreached {
    /// There is no route to `address`.
    pub(crate) fn no_route(&mut self, address: IpAddr) {
        self.any_without_route = true;
        self.no_route.push_range(address, address);
    }

    /// `address` is none that a host can have there. It is told of where it is all that is asked:
    /// in a network, it belongs to it.
    pub(crate) fn no_host(&mut self, address: IpAddr) {
        if self.no_hosts.len() < NAMED {
            self.no_hosts.insert(address);
        }
    }

    /// The system refused to ask `endpoint`, and said `why`.
    pub(crate) fn failed(&mut self, endpoint: Endpoint, why: String) {
        self.failed.entry(why).or_insert((endpoint, 0)).1 += 1;
    }

    /// Whether anything is left out of the result for this.
    pub(crate) fn is_left_out(&self) -> bool {
        self.any_without_route || !self.no_hosts.is_empty() || !self.failed.is_empty()
    }

    /// A message for each kind of it.
    pub(crate) fn problems<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = Problem> + 'a {
        let without_route = self.any_without_route.then(|| {
            let set = self.no_route.clone().build();
            no_route(&set, &|only| plan.zoned(only).to_string())
        });
        let failed = self.failed.iter().map(move |(why, (endpoint, count))| {
            let address = plan.zoned(endpoint.address);
            let about = match endpoint.port {
                0 => address.to_string(),
                port => format!("{address} port {port}"),
            };
            let others = match count {
                1 => String::new(),
                _ => format!(" and {} more", grouped(count - 1)),
            };
            Problem {
                message: format!("cannot ask {about}{others}: {why}"),
                about,
                hint: None,
                left_out: true,
            }
        });
        let no_hosts = self
            .no_hosts
            .iter()
            .map(|address| no_host(&address.to_string()));
        without_route.into_iter().chain(no_hosts).chain(failed)
    }
}

/// That an address is one by which many hosts are meant.
pub fn no_host(address: &str) -> Problem {
    Problem {
        about: address.to_owned(),
        message: format!("{address} is a broadcast or multicast address, which no host has"),
        hint: Some("write the addresses of the hosts themselves".to_owned()),
        left_out: true,
    }
}

/// That there is no route to these addresses, one of which alone is shown by `zoned`.
fn no_route(set: &AddressSet, zoned: &dyn Fn(IpAddr) -> String) -> Problem {
    let about = match set.len() {
        1 => set.at(0).map(zoned),
        _ => None,
    };
    let about = about.unwrap_or_else(|| named(set));
    let first = set
        .at(0)
        .map_or_else(String::new, |first| format!(" {first}"));
    Problem {
        message: format!("no route to {about}"),
        about,
        hint: Some(format!(
            "the routing table has no way there: see `ip route get{first}`"
        )),
        left_out: true,
    }
}

/// What is said of addresses to which there is no route.
pub fn without_route(addresses: &AddressSet) -> Problem {
    no_route(addresses, &|only| only.to_string())
}

fn named(set: &AddressSet) -> String {
    let mut text = String::new();
    for (index, (first, last)) in set.ranges().enumerate() {
        let run = AddressSet::from_range(first, last).to_string();
        // One is always named, however long.
        if index > 0 && (index >= NAMED || text.len() + run.len() > NAMED_LEN) {
            let (left, plural) = match set.runs() - index {
                1 => (1, ""),
                left => (left, "s"),
            };
            return format!("{text} and {} more range{plural}", grouped(left));
        }
        if index > 0 {
            text += ", ";
        }
        text += &run;
    }
    text
}

#[cfg(test)]
mod tests {
    use portolan_model::Protocol;

    use super::*;

    fn plan() -> Plan {
        let set = AddressSet::from_range([192, 0, 2, 0].into(), [192, 0, 2, 255].into());
        Plan::new(set, Protocol::Tcp, &(1..=3).collect(), 1).unwrap()
    }

    #[test]
    fn addresses_without_a_route_are_one_message() {
        let mut unreached = Unreached::default();
        for last in 1..=9 {
            unreached.no_route(IpAddr::from([192, 0, 2, last]));
        }
        let problems: Vec<_> = unreached.problems(&plan()).collect();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, "no route to 192.0.2.1-192.0.2.9");
        assert!(unreached.is_left_out());
    }

    #[test]
    fn many_ranges_without_a_route_are_not_all_named() {
        let mut unreached = Unreached::default();
        for last in 0..40_u16 {
            let address = format!("2001:db8:1234:5678:9abc:def0:1234:{:x}", 2 * last);
            unreached.no_route(address.parse().unwrap());
        }
        let message = unreached.problems(&plan()).next().unwrap().message;
        assert_eq!(
            message,
            "no route to 2001:db8:1234:5678:9abc:def0:1234:0, \
             2001:db8:1234:5678:9abc:def0:1234:2 and 38 more ranges"
        );
    }

    #[test]
    fn an_address_that_no_host_has_is_told_of() {
        let mut unreached = Unreached::default();
        unreached.no_host("192.0.2.255".parse().unwrap());
        let problems: Vec<_> = unreached
            .problems(&plan())
            .map(|problem| problem.message)
            .collect();
        assert_eq!(
            problems,
            ["192.0.2.255 is a broadcast or multicast address, which no host has"]
        );
        assert!(unreached.is_left_out());
    }

    #[test]
    fn ports_that_failed_alike_are_one_message() {
        let mut unreached = Unreached::default();
        for port in 1..=3 {
            let endpoint = Endpoint {
                address: "192.0.2.1".parse().unwrap(),
                protocol: Protocol::Tcp,
                port,
            };
            unreached.failed(endpoint, "operation not permitted".to_owned());
        }
        let problems: Vec<_> = unreached
            .problems(&plan())
            .map(|problem| problem.message)
            .collect();
        assert_eq!(
            problems,
            ["cannot ask 192.0.2.1 port 1 and 2 more: operation not permitted"]
        );
    }
}
