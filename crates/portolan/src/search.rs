//! Before a scan: the hosts of networks that are too large to ask each address, found on their
//! links.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_link::{Interface, Searched, Wanted};
use portolan_model::address::AddressSetBuilder;
use portolan_model::event::{Finished, Outcome, Problem, Started};
use portolan_model::spec::Discovery;
use portolan_model::{AddressSet, PortSet, PortSpec, ScanEvent};
use portolan_scan::clock::{Clock, SystemClock};
use portolan_scan::{Control, Request, Search};

use crate::order;

/// Neighbours of IPv4 that are asked for their MAC addresses, at the most.
const MOST_IPV4: usize = 4_096;

/// A request with what was found, and what is said of it.
pub(crate) struct Prepared {
    pub(crate) request: Request,
    pub(crate) notes: Vec<Problem>,
}

/// Finds the hosts of the request's large networks and puts their addresses into it. It takes
/// about two seconds for each link, and no time without such a network.
pub(crate) fn prepare(
    request: &Request,
    control: &Control,
    sink: &mut dyn FnMut(ScanEvent),
) -> Prepared {
    let mut prepared = Prepared {
        request: request.clone(),
        notes: Vec::new(),
    };
    if request.searches.is_empty() {
        return prepared;
    }
    let clock = SystemClock::start();
    let mut found = AddressSetBuilder::default();
    found.push_set(&request.addresses);
    let mut by_link: BTreeMap<u32, Vec<&Search>> = BTreeMap::new();
    for search in &request.searches {
        by_link.entry(search.interface).or_default().push(search);
    }
    let interfaces = portolan_link::interfaces().map_err(|error| crate::failure::io_reason(&error));
    for (index, searches) in by_link {
        let searched = match &interfaces {
            Err(why) => Err(why.clone()),
            Ok(all) => match all.iter().find(|one| one.index == index) {
                None => Err("its interface is gone".to_owned()),
                Some(interface) if !interface.is_up => {
                    Err(format!("the interface `{}` is down", interface.name))
                }
                Some(interface) => {
                    let what = format!("looking for hosts on the link of {}", interface.name);
                    sink(ScanEvent::Preparing(what));
                    on_link(interface, &searches, request, &clock, control)
                }
            },
        };
        for search in searches {
            match &searched {
                Ok(searched) => {
                    let here: Vec<IpAddr> = searched
                        .found
                        .iter()
                        .copied()
                        .map(IpAddr::V6)
                        .filter(|address| search.addresses.contains(*address))
                        .collect();
                    for address in &here {
                        found.push_range(*address, *address);
                    }
                    prepared.notes.push(note(search, here.len(), searched));
                }
                Err(why) => prepared.notes.push(Problem {
                    about: search.target.clone(),
                    message: format!("the hosts of {} cannot be found: {why}", search.target),
                    hint: None,
                    left_out: true,
                }),
            }
            // What an earlier part of the scan found is not left out of this one.
            for &address in request.settled.keys() {
                if search.addresses.contains(address) {
                    found.push_range(address, address);
                }
            }
        }
    }
    prepared.request.addresses = found.build();
    prepared.request.searches = Vec::new();
    prepared
}

fn on_link(
    interface: &Interface,
    searches: &[&Search],
    request: &Request,
    clock: &SystemClock,
    control: &Control,
) -> Result<Searched, String> {
    let has = |address: Ipv6Addr| {
        searches
            .iter()
            .any(|search| search.addresses.contains(address.into()))
    };
    let wanted = Wanted {
        has: &has,
        networks: searches
            .iter()
            .flat_map(|search| networks(&search.addresses))
            .collect(),
        ipv4: neighbours(interface, &request.addresses),
    };
    let token = crate::scan::seed();
    portolan_link::search(interface, &wanted, clock, token, &|| control.is_stopped())
        .map_err(|error| crate::failure::io_reason(&error))
}

/// An address of each network of 64 bits that a set begins or ends in: a set is that of one target,
/// less what is excluded, and lies in one network of a link.
fn networks(addresses: &AddressSet) -> Vec<Ipv6Addr> {
    let ends = addresses.ranges().flat_map(|(first, last)| [first, last]);
    let mut networks: Vec<Ipv6Addr> = ends
        .filter_map(|end| match end {
            IpAddr::V6(end) => Some(Ipv6Addr::from_bits(end.to_bits() >> 64 << 64)),
            IpAddr::V4(_) => None,
        })
        .collect();
    networks.dedup();
    networks
}

/// The addresses of IPv4 that are scanned anyway and are on the link.
fn neighbours(interface: &Interface, addresses: &AddressSet) -> Vec<Ipv4Addr> {
    let mut on_link = AddressSetBuilder::default();
    for (own, prefix) in &interface.addresses {
        if let IpAddr::V4(own) = own {
            let host = u32::MAX.checked_shr((*prefix).into()).unwrap_or(0);
            let first = Ipv4Addr::from_bits(own.to_bits() & !host);
            let last = Ipv4Addr::from_bits(own.to_bits() | host);
            on_link.push_range(first.into(), last.into());
        }
    }
    let others = on_link.clone().build().without(addresses);
    let both = on_link.build().without(&others);
    let of_v4 = both.iter().map_while(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    of_v4.take(MOST_IPV4).collect()
}

/// What is said of a network whose hosts were found.
fn note(search: &Search, count: usize, searched: &Searched) -> Problem {
    let hosts = match count {
        1 => "1 host of its link was".to_owned(),
        count => format!("{count} hosts of its link were"),
    };
    let how = match (searched.by_packets, searched.by_echo) {
        (true, _) => "by multicast and from their neighbours",
        (false, true) => "by multicast and in this machine's table of neighbours",
        (false, false) => "by mDNS and in this machine's table of neighbours",
    };
    let hint = if searched.by_packets {
        "name an address that is missing as a target of its own"
    } else {
        "with the right to raw sockets more are found; \
         name an address that is missing as a target of its own"
    };
    Problem {
        about: search.target.clone(),
        message: format!(
            "{} is too large to ask each address: {hosts} found {how}; others may be missing",
            search.target
        ),
        hint: Some(hint.to_owned()),
        left_out: false,
    }
}

/// Says the notes right after the scan has started, and marks places by the addresses that they
/// are places among.
pub(crate) fn telling(
    mut notes: Vec<Problem>,
    mark: u32,
    sink: &mut dyn FnMut(ScanEvent),
) -> impl FnMut(ScanEvent) {
    move |event| {
        let event = match event {
            ScanEvent::Reached(place) => ScanEvent::Reached(order::marked(place, mark)),
            event => event,
        };
        let is_start = matches!(event, ScanEvent::Started(_));
        sink(event);
        if is_start {
            for note in std::mem::take(&mut notes) {
                sink(ScanEvent::Problem(note));
            }
        }
    }
}

/// The events of a scan whose networks hold nobody.
pub(crate) fn of_nobody(request: &Request, control: &Control, sink: &mut dyn FnMut(ScanEvent)) {
    let clock = SystemClock::start();
    let ports = match request.discovery {
        Discovery::Only => PortSpec::new(PortSet::EMPTY, PortSet::EMPTY),
        _ => request.ports.clone(),
    };
    sink(ScanEvent::Started(Started {
        at: clock.timestamp(clock.now()),
        techniques: request.techniques.clone(),
        ports,
        addresses: 0,
        probes: 0,
        seed: request.seed,
        zones: request.zones.clone(),
    }));
    sink(ScanEvent::Finished(Finished {
        at: clock.timestamp(clock.now()),
        outcome: if control.is_stopped() {
            Outcome::Interrupted
        } else {
            Outcome::Complete
        },
        elapsed: clock.now(),
        hosts_up: 0,
        hosts_down: 0,
        sent: 0,
        loss: None,
        expected_missed: 0.0,
    }));
}

#[cfg(test)]
mod tests {
    use portolan_model::Target;

    use super::*;

    fn set(text: &str) -> AddressSet {
        text.parse::<Target>().unwrap().addresses().unwrap()
    }

    #[test]
    fn neighbours_of_ipv4_are_those_on_the_link_that_are_scanned() {
        let interface = Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: None,
            is_loopback: false,
            is_up: true,
            addresses: vec![("192.0.2.9".parse().unwrap(), 24)],
        };
        let found = neighbours(&interface, &set("192.0.2.254-192.0.3.7"));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(neighbours(&interface, &set("198.51.100.0/24")).is_empty());
        assert!(neighbours(&interface, &set("2001:db8::/64")).is_empty());
    }

    #[test]
    fn a_network_is_named_by_its_first_half() {
        let networks = networks(&set("2001:db8:1::/64"));
        assert_eq!(networks, ["2001:db8:1::".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn what_was_done_is_said_of_each_network() {
        let search = Search {
            target: "2001:db8:1::/64".to_owned(),
            addresses: set("2001:db8:1::/64"),
            interface: 2,
        };
        let by_packets = Searched {
            by_packets: true,
            ..Searched::default()
        };
        assert_eq!(
            note(&search, 3, &by_packets).message,
            "2001:db8:1::/64 is too large to ask each address: 3 hosts of its link were found \
             by multicast and from their neighbours; others may be missing"
        );
        let without = note(&search, 1, &Searched::default());
        assert!(
            without
                .message
                .contains("1 host of its link was found by mDNS")
        );
        assert!(without.hint.unwrap().contains("raw sockets"));
    }
}
