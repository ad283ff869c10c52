//! Which hosts a request is about, to tell a host that was not found from one that was not asked.

use std::net::IpAddr;

use crate::address::AddressSetBuilder;
use crate::special::without_special;
use crate::{AddressSet, ScanSpec, Shard, Target};

/// The hosts that a request is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    addresses: AddressSet,
    /// Names, whose addresses only the scan itself found out.
    names: Vec<String>,
    /// The part of them that was asked.
    shard: Option<Shard>,
}

impl Reach {
    /// The hosts that `spec` is about, as far as it says them itself.
    pub fn of(spec: &ScanSpec) -> Self {
        let sets = |targets: &[Target]| -> Vec<AddressSet> {
            let sets = targets.iter().filter_map(Target::addresses);
            sets.map(|set| set.canonical()).collect()
        };
        let mut excluded = AddressSetBuilder::default();
        for set in sets(&spec.exclude) {
            excluded.push_set(&set);
        }
        let excluded = excluded.build();
        let each: Vec<_> = sets(&spec.targets)
            .iter()
            .map(|set| set.without(&excluded))
            .collect();
        let addresses = if spec.sweep.is_some() {
            without_special(&each).0
        } else {
            let mut all = AddressSetBuilder::default();
            for set in &each {
                all.push_set(set);
            }
            all.build()
        };
        let names = spec.targets.iter().filter_map(|target| match target {
            Target::Name(name) => Some(name.to_string()),
            _ => None,
        });
        Self {
            addresses,
            names: names.collect(),
            shard: spec.shard,
        }
    }

    /// Whether an address was to be asked by itself, not by a name.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// Whether a name was to be asked, wherever it leads.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The part of the hosts that was asked; `None` for all.
    pub const fn shard(&self) -> Option<Shard> {
        self.shard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(targets: &[&str], exclude: &[&str]) -> Reach {
        let parsed = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let mut spec = ScanSpec::new(parsed(targets), "80".parse().unwrap());
        spec.exclude = parsed(exclude);
        Reach::of(&spec)
    }

    #[test]
    fn what_is_left_out_is_not_asked_and_a_name_is_asked_by_itself() {
        let reach = reach(&["192.0.2.0/29", "router.example"], &["192.0.2.3"]);
        assert!(reach.has("192.0.2.2".parse().unwrap()));
        assert!(!reach.has("192.0.2.3".parse().unwrap()));
        assert!(!reach.has("192.0.2.8".parse().unwrap()));
        assert!(reach.names("router.example") && !reach.names("other.example"));
    }

    #[test]
    fn an_address_of_both_families_is_one_host() {
        let reach = reach(&["::ffff:192.0.2.1"], &[]);
        assert!(reach.has("192.0.2.1".parse().unwrap()));
    }
}
