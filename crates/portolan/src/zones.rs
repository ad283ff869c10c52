//! Over which interface each link-local target is reached, and which targets are too large to
//! ask each address but lie on a link of this machine.

use std::net::{IpAddr, Ipv6Addr};

use portolan_link::Interface;
use portolan_model::event::Problem;
use portolan_model::{AddressSet, Target, Zone};

/// A network of IPv6 with more addresses than this is not walked where it is on a link of this
/// machine: whoever is there is found by asking all at once. So many are asked in a minute or two.
pub(crate) const WALKED: u128 = 1 << 20;

/// The interfaces of this machine, asked of the kernel when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Links {
    known: Option<Result<Vec<Interface>, String>>,
}

/// The interface that a link-local target is reached over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) zone: Zone,
    pub(crate) index: u32,
}

impl Links {
    /// Interfaces that are given, for tests.
    #[cfg(test)]
    pub(crate) const fn of(interfaces: Vec<Interface>) -> Self {
        Self {
            known: Some(Ok(interfaces)),
        }
    }

    fn all(&mut self) -> Result<&[Interface], String> {
        let known = self.known.get_or_insert_with(|| {
            portolan_link::interfaces().map_err(|error| crate::failure::io_reason(&error))
        });
        match known {
            Ok(all) => Ok(all),
            Err(why) => Err(why.clone()),
        }
    }

    /// The interface of a target: the one that it names, or for a link-local target without one
    /// the only one that there is. `None` where it needs none.
    ///
    /// # Errors
    /// What is said of a target that cannot be asked.
    pub(crate) fn over(&mut self, target: &Target) -> Result<Option<Over>, Problem> {
        let Some(addresses) = target.addresses().filter(is_link_local) else {
            return Ok(None);
        };
        self.find(&target.to_string(), target.zone(), &addresses)
            .map(Some)
    }

    fn find(
        &mut self,
        about: &str,
        zone: Option<&Zone>,
        addresses: &AddressSet,
    ) -> Result<Over, Problem> {
        let refused = |message: String, hint: Option<String>| Problem {
            about: about.to_owned(),
            message: format!("cannot scan `{about}`: {message}"),
            hint,
            left_out: true,
        };
        let all = self
            .all()
            .map_err(|why| refused(format!("the interfaces cannot be listed: {why}"), None))?;
        let listed = |interfaces: Vec<&Interface>| -> String {
            let names: Vec<&str> = interfaces.iter().map(|one| one.name.as_str()).collect();
            names.join(", ")
        };
        let over = |interface: &Interface| {
            let zone = interface.name.parse().ok()?;
            Some(Over {
                zone,
                index: interface.index,
            })
        };
        if let Some(zone) = zone {
            let is_meant =
                |one: &&Interface| one.name == zone.as_str() || zone.number() == Some(one.index);
            // A name wins over a number: an interface may be called `7`.
            let by_name = all.iter().find(|one| one.name == zone.as_str());
            let Some(found) = by_name.or_else(|| all.iter().find(is_meant)) else {
                return Err(refused(
                    format!("this machine has no interface `{zone}`"),
                    Some(format!(
                        "its interfaces are {}",
                        listed(all.iter().collect())
                    )),
                ));
            };
            if !found.is_up {
                return Err(refused(
                    format!("the interface `{}` is down", found.name),
                    None,
                ));
            }
            return over(found)
                .ok_or_else(|| refused(format!("`{}` is no plain name", found.name), None));
        }
        // This machine's own address says itself where it is.
        if let (1, Some(IpAddr::V6(own))) = (addresses.len(), addresses.at(0)) {
            let has_it = |one: &&Interface| one.addresses.iter().any(|(of, _)| *of == own);
            let mut owners = all.iter().filter(has_it);
            if let (Some(found), None) = (owners.next(), owners.next())
                && let Some(over) = over(found)
            {
                return Ok(over);
            }
        }
        let usable: Vec<&Interface> = all
            .iter()
            .filter(|one| !one.is_loopback && one.is_up && one.link_local().is_some())
            .collect();
        match usable[..] {
            [only] => {
                over(only).ok_or_else(|| refused(format!("`{}` is no plain name", only.name), None))
            }
            [] => Err(refused(
                "it is link-local, and no interface of this machine has a link-local address"
                    .to_owned(),
                None,
            )),
            _ => {
                let example = usable.first().map_or("eth0", |one| one.name.as_str());
                Err(refused(
                    "it is link-local: every link has its own, so the interface must be named"
                        .to_owned(),
                    Some(format!(
                        "name one of {} after a `%`, as in `fe80::1%{example}`",
                        listed(usable)
                    )),
                ))
            }
        }
    }

    /// The interface whose link holds all of a target that is too large to walk.
    pub(crate) fn searched(&mut self, target: &Target, over: Option<&Over>) -> Option<Interface> {
        let addresses = target.addresses()?;
        let (first, last) = addresses.ranges().next()?;
        let (IpAddr::V6(first), IpAddr::V6(last)) = (first, last) else {
            return None;
        };
        if addresses.len() <= WALKED {
            return None;
        }
        let all = self.all().ok()?;
        let is_on = |one: &&Interface| match over {
            Some(over) => one.index == over.index,
            // Within one prefix of it: both ends share its network.
            None => !one.is_loopback && holds(one, first, last),
        };
        all.iter().find(is_on).cloned()
    }

    /// Whether an address means the routers of a network of this machine's, and no host.
    pub(crate) fn is_routers_anycast(&mut self, address: IpAddr) -> bool {
        let IpAddr::V6(address) = address else {
            return false;
        };
        let Ok(all) = self.all() else { return false };
        all.iter().any(|one| one.is_routers_anycast(address))
    }
}

fn holds(interface: &Interface, first: Ipv6Addr, last: Ipv6Addr) -> bool {
    interface.addresses.iter().any(|&(own, prefix)| {
        let IpAddr::V6(own) = own else { return false };
        let fixed = !u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let network = own.to_bits() & fixed;
        prefix < 128 && first.to_bits() & fixed == network && last.to_bits() & fixed == network
    })
}

/// Whether every address of a set is link-local.
fn is_link_local(addresses: &AddressSet) -> bool {
    let is_local = |address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => Ipv6Addr::is_unicast_link_local(&address),
    };
    !addresses.is_empty()
        && addresses
            .ranges()
            .all(|(first, last)| is_local(first) && is_local(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, addresses: &[(&str, u8)]) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            mac: None,
            is_loopback: name == "lo",
            is_up: true,
            addresses: addresses
                .iter()
                .map(|(address, prefix)| (address.parse().unwrap(), *prefix))
                .collect(),
        }
    }

    fn two() -> Links {
        Links::of(vec![
            interface(1, "lo", &[("::1", 128)]),
            interface(2, "eth0", &[("fe80::a", 64), ("2001:db8:1::5", 64)]),
            interface(3, "eth1", &[("fe80::b", 64)]),
        ])
    }

    fn over(links: &mut Links, target: &str) -> Result<Option<(String, u32)>, (String, String)> {
        links
            .over(&target.parse().unwrap())
            .map(|over| over.map(|over| (over.zone.to_string(), over.index)))
            .map_err(|problem| (problem.message, problem.hint.unwrap_or_default()))
    }

    #[test]
    fn an_interface_is_found_by_its_name_and_by_its_number() {
        let found = Ok(Some(("eth1".to_owned(), 3)));
        assert_eq!(over(&mut two(), "fe80::1%eth1"), found);
        assert_eq!(over(&mut two(), "fe80::%3/64"), found);
        assert_eq!(over(&mut two(), "2001:db8::1"), Ok(None));
        assert_eq!(over(&mut two(), "192.0.2.1"), Ok(None));
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_with_those_that_are() {
        assert_eq!(
            over(&mut two(), "fe80::1%eth9"),
            Err((
                "cannot scan `fe80::1%eth9`: this machine has no interface `eth9`".to_owned(),
                "its interfaces are lo, eth0, eth1".to_owned()
            ))
        );
    }

    #[test]
    fn a_link_local_address_without_an_interface_means_the_only_one() {
        let mut one = Links::of(vec![
            interface(1, "lo", &[("::1", 128)]),
            interface(2, "eth0", &[("fe80::a", 64)]),
            interface(3, "eth1", &[]),
        ]);
        assert_eq!(over(&mut one, "fe80::1"), Ok(Some(("eth0".to_owned(), 2))));
        let (message, hint) = over(&mut two(), "fe80::1").unwrap_err();
        assert_eq!(
            message,
            "cannot scan `fe80::1`: it is link-local: every link has its own, so the interface \
             must be named"
        );
        assert_eq!(
            hint,
            "name one of eth0, eth1 after a `%`, as in `fe80::1%eth0`"
        );
        let own = Ok(Some(("eth1".to_owned(), 3)));
        assert_eq!(over(&mut two(), "fe80::b"), own);
        let (message, _) = over(&mut Links::of(Vec::new()), "fe80::1").unwrap_err();
        assert!(message.contains("no interface"), "{message}");
    }

    #[test]
    fn what_is_too_large_to_walk_is_searched_on_its_link() {
        let mut links = two();
        let mut searched = |text: &str| {
            let target: Target = text.parse().unwrap();
            let over = links.over(&target).unwrap();
            links.searched(&target, over.as_ref()).map(|one| one.name)
        };
        assert_eq!(searched("2001:db8:1::/64").as_deref(), Some("eth0"));
        assert_eq!(searched("2001:db8:1::/96").as_deref(), Some("eth0"));
        assert_eq!(searched("fe80::%eth1/64").as_deref(), Some("eth1"));
        assert_eq!(searched("2001:db8:1::/108"), None, "few enough to walk");
        assert_eq!(searched("2001:db8:2::/64"), None, "not on a link");
        assert_eq!(searched("2001:db8::/32"), None, "not as a whole");
        assert_eq!(searched("10.0.0.0/8"), None);
    }

    #[test]
    fn the_address_of_the_routers_is_no_host() {
        assert!(two().is_routers_anycast("2001:db8:1::".parse().unwrap()));
        assert!(!two().is_routers_anycast("2001:db8:1::1".parse().unwrap()));
        assert!(!two().is_routers_anycast("192.0.2.0".parse().unwrap()));
    }
}
