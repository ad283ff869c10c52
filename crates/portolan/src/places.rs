//! Where the targets of a request are: their addresses, the interfaces of those that are
//! link-local, what is searched for hosts, and what is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_model::address::AddressSetBuilder;
use portolan_model::event::Problem;
use portolan_model::front::Front;
use portolan_model::target::HostName as Name;
use portolan_model::zone::Link;
use portolan_model::{AddressSet, ScanSpec, Target, Zone, Zones};
use portolan_scan::Search;

use crate::names;
use crate::runner::{Error, choose, no_host, push_all, push_target};
use crate::zones::Links;

/// The targets of a request, names looked up.
pub(crate) struct Gathered<'a> {
    /// Every address that is asked, but for those that are searched for.
    pub(crate) all: AddressSet,
    /// The targets that can be asked and are no names.
    pub(crate) accepted: Vec<&'a Target>,
    /// The names that were typed, by the address that each led to.
    pub(crate) typed: BTreeMap<IpAddr, Vec<Name>>,
    /// What is said of targets that cannot be asked.
    pub(crate) problems: Vec<Problem>,
    /// Over which interfaces link-local addresses are reached.
    pub(crate) zones: Zones,
    /// Networks whose hosts are found first.
    pub(crate) searches: Vec<Search>,
}

/// Reads the targets of a request.
///
/// # Errors
/// [`Error::TwoLinks`] for an address that is asked for over two interfaces.
pub(crate) fn gather<'a>(
    spec: &'a ScanSpec,
    answers: &names::Forward,
    front: Front,
) -> Result<Gathered<'a>, Error> {
    let mut places = Places::default();
    let mut accepted = Vec::new();
    let mut addresses = AddressSetBuilder::default();
    let mut typed: BTreeMap<IpAddr, Vec<Name>> = BTreeMap::new();
    let mut problems: Vec<Problem> = Vec::new();
    for target in &spec.targets {
        let Target::Name(name) = target else {
            let problem = no_host(target).or_else(|| places.is_anycast(target));
            let added = match problem {
                Some(problem) => Err(problem),
                None => places.add(target, spec, &mut addresses),
            };
            match added {
                Ok(()) => accepted.push(target),
                Err(problem) if !problems.contains(&problem) => problems.push(problem),
                Err(_) => {}
            }
            continue;
        };
        match answers.get(name) {
            Some(Ok(found)) => {
                for address in choose(found, spec.names) {
                    let target = Target::Address(address);
                    if let Err(problem) = places.add(&target, spec, &mut addresses) {
                        problems.push(problem);
                        continue;
                    }
                    let names = typed.entry(address).or_default();
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
            Some(Err(error)) => {
                let problem = Problem {
                    about: name.to_string(),
                    message: error.to_string(),
                    hint: Some(error.hint(front)),
                    left_out: true,
                };
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
            None => {}
        }
    }
    Ok(Gathered {
        all: addresses.build(),
        accepted,
        typed,
        problems,
        zones: places.zones()?,
        searches: places.searches,
    })
}

/// The addresses of a target without the one that means all routers of its network and no host: all
/// bits of its interface identifier are zero (RFC 4291, 2.6.1). Named alone, it is asked. A link of
/// two hosts has none (RFC 6164, 5).
fn without_anycast(target: &Target, addresses: &AddressSet) -> AddressSet {
    match target.unzoned() {
        Target::Network {
            network: IpAddr::V6(network),
            prefix: 64..127,
        } if network.to_bits() & u128::from(u64::MAX) == 0 => addresses.without(
            &AddressSet::from_range((*network).into(), (*network).into()),
        ),
        _ => addresses.clone(),
    }
}

/// What is searched, without what is excluded.
pub(crate) fn without(searches: Vec<Search>, excluded: &AddressSet) -> Vec<Search> {
    let left = searches.into_iter().map(|search| Search {
        addresses: search.addresses.without(excluded),
        ..search
    });
    left.filter(|search| !search.addresses.is_empty()).collect()
}

/// What is to be left out, names looked up.
pub(crate) fn excluded(spec: &ScanSpec, answers: &names::Forward) -> Result<Excluded, Error> {
    let mut excluded = AddressSetBuilder::default();
    let mut over = Vec::new();
    for target in &spec.exclude {
        match target {
            Target::Name(name) => match answers.get(name) {
                Some(Ok(addresses)) => push_all(&mut excluded, addresses),
                Some(Err(source)) => {
                    return Err(Error::Exclude {
                        name: name.clone(),
                        source: source.clone(),
                    });
                }
                None => {}
            },
            Target::Zoned { target, zone } => {
                over.extend(target.addresses().map(|addresses| (addresses, *zone)));
            }
            other => push_target(&mut excluded, other),
        }
    }
    Ok(Excluded {
        anywhere: excluded.build(),
        over,
    })
}

/// What is left out.
pub(crate) struct Excluded {
    /// Over every interface.
    anywhere: AddressSet,
    /// Over one.
    over: Vec<(AddressSet, Zone)>,
}

impl Excluded {
    /// All of it that concerns these interfaces.
    pub(crate) fn over(self, zones: &Zones) -> AddressSet {
        let mut all = self.anywhere;
        for (addresses, zone) in &self.over {
            let is_meant = |link: &&Link| link.zone == *zone || zone.number() == Some(link.index);
            for link in zones.links().filter(is_meant) {
                let others = addresses.without(&link.addresses);
                all = all.union(&addresses.without(&others));
            }
        }
        all
    }
}

/// Where the targets are: over which interfaces, and which of them are searched for hosts.
#[derive(Default)]
struct Places {
    links: Links,
    zones: BTreeMap<(u32, Zone), AddressSetBuilder>,
    searches: Vec<Search>,
}

impl Places {
    /// Adds the addresses of a target, which is no name. Of a target that cannot be asked, what
    /// is said of it.
    fn add(
        &mut self,
        target: &Target,
        spec: &ScanSpec,
        into: &mut AddressSetBuilder,
    ) -> Result<(), Problem> {
        let over = self.links.over(target)?;
        let Some(addresses) = target.addresses() else {
            return Ok(());
        };
        let addresses = addresses.canonical();
        let searched = match spec.sweep {
            None => self.links.searched(target, over.as_ref()),
            Some(_) => None,
        };
        match searched {
            Some(_) if spec.shard.is_some() => {
                return Err(Problem {
                    about: target.to_string(),
                    message: format!(
                        "cannot scan `{target}` in shards: its hosts are found as the scan runs"
                    ),
                    hint: Some("scan it without `--shard`, or name its hosts".to_owned()),
                    left_out: true,
                });
            }
            Some(interface) => self.searches.push(Search {
                target: target.to_string(),
                addresses: addresses.clone(),
                interface: interface.index,
            }),
            None => into.push_set(&without_anycast(target, &addresses)),
        }
        if let Some(over) = over {
            let link = self.zones.entry((over.index, over.zone)).or_default();
            link.push_set(&addresses);
        }
        Ok(())
    }

    /// Which addresses are reached over which interface.
    ///
    /// # Errors
    /// [`Error::TwoLinks`] for an address that is asked for over two.
    fn zones(&mut self) -> Result<Zones, Error> {
        let mut zones = Zones::NONE;
        for ((index, zone), addresses) in std::mem::take(&mut self.zones) {
            zones
                .add(&addresses.build(), &zone, index)
                .map_err(|(address, first)| Error::TwoLinks {
                    address,
                    first,
                    second: zone,
                })?;
        }
        Ok(zones)
    }

    /// What is said of an address that means all routers of a link and no host.
    fn is_anycast(&mut self, target: &Target) -> Option<Problem> {
        let Target::Address(address) = target.unzoned() else {
            return None;
        };
        self.links.is_routers_anycast(*address).then(|| Problem {
            about: target.to_string(),
            message: format!(
                "cannot scan `{target}`: this is the anycast address of the routers of its network"
            ),
            hint: Some("write the addresses of the routers themselves".to_owned()),
            left_out: true,
        })
    }
}
