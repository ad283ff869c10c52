//! Which destinations the kernel sends alike: stretches of addresses within which no route, no rule
//! and nothing else that it decides by draws a line. One question to it answers for all of a stretch.
//!
//! What the answer is stays the kernel's business: whatever tables and rules it goes through, two
//! addresses that lie in the same of all their networks cannot be told apart by them. Where it
//! spreads destinations over several gateways, each is asked for by itself.

use std::net::IpAddr;

/// A network that the kernel may make a difference for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) address: IpAddr,
    /// Bits that its addresses share.
    pub(crate) len: u8,
    /// Whether its addresses are spread over several gateways.
    pub(crate) spreads: bool,
}

impl Prefix {
    /// A network of which nothing is known but that it is one.
    pub(crate) const fn of(address: IpAddr, len: u8) -> Self {
        Self {
            address,
            len,
            spreads: false,
        }
    }

    /// Its first address and its last, as numbers.
    pub(crate) fn range(&self) -> (u128, u128) {
        let (bits, number) = number_of(self.address);
        let free = bits.saturating_sub(self.len.into());
        let rest = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
        (number & !rest, number | rest)
    }
}

/// Bits of the family, and the address as a number.
fn number_of(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(address) => (32, address.to_bits().into()),
        IpAddr::V6(address) => (128, address.to_bits()),
    }
}

/// What is known of the way to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// It and all others of its stretch take this path.
    Path(u32),
    /// Nobody has asked yet.
    Unasked,
    /// Its neighbours may be sent otherwise: it is asked for by itself.
    Alone,
}

/// The stretches of one family, in the order of their addresses: they begin at 0 and leave no gap.
#[derive(Debug, Default)]
struct Stretches {
    firsts: Vec<u128>,
    known: Vec<Alike>,
    /// The stretch that was looked for last, and the addresses that it spans: what is asked for
    /// next is in it most of the time.
    recent: (usize, u128, u128),
}

impl Stretches {
    fn of(prefixes: &[Prefix]) -> Self {
        let mut firsts = vec![0];
        for prefix in prefixes {
            let (first, last) = prefix.range();
            firsts.push(first);
            // An address beyond those of IPv4 begins a stretch that nobody looks for.
            firsts.extend(last.checked_add(1));
        }
        firsts.sort_unstable();
        firsts.dedup();
        firsts.shrink_to_fit();
        let place = |address| firsts.partition_point(|first| *first < address);
        // Where networks that spread begin and end: in between, more have begun than ended.
        let mut steps = vec![0_i32; firsts.len() + 1];
        for prefix in prefixes.iter().filter(|prefix| prefix.spreads) {
            let (first, last) = prefix.range();
            steps[place(first)] += 1;
            steps[last.checked_add(1).map_or(firsts.len(), place)] -= 1;
        }
        let mut within = 0;
        let known = steps.iter().take(firsts.len()).map(|step| {
            within += step;
            if within > 0 {
                Alike::Alone
            } else {
                Alike::Unasked
            }
        });
        Self {
            known: known.collect(),
            firsts,
            // Spans nothing.
            recent: (0, 1, 0),
        }
    }

    /// The place of the stretch that holds an address.
    fn place(&mut self, address: u128) -> usize {
        let (place, first, last) = self.recent;
        if (first..=last).contains(&address) {
            return place;
        }
        let next = self.firsts.partition_point(|first| *first <= address);
        let place = next.saturating_sub(1);
        let first = self.firsts.get(place).copied().unwrap_or(0);
        let last = self.firsts.get(next).map_or(u128::MAX, |first| first - 1);
        self.recent = (place, first, last);
        place
    }
}

/// What is known of a family.
#[derive(Debug, Default)]
enum Family {
    /// Nothing, or nothing since something changed.
    #[default]
    Unknown,
    /// It has too many networks to hold, or they could not be read: each destination is asked for
    /// by itself.
    Unheld,
    Known(Stretches),
}

/// The stretches of both families, and the paths that were found for them.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    v4: Family,
    v6: Family,
}

impl Cells {
    fn family(&mut self, is_v4: bool) -> &mut Family {
        if is_v4 { &mut self.v4 } else { &mut self.v6 }
    }

    /// Whether the networks of a family are to be read.
    pub(crate) fn wants(&mut self, is_v4: bool) -> bool {
        matches!(self.family(is_v4), Family::Unknown)
    }

    /// Takes the networks of a family; `None` where they are too many, which they then stay.
    pub(crate) fn draw(&mut self, is_v4: bool, prefixes: Option<&[Prefix]>) {
        *self.family(is_v4) = match prefixes {
            None => Family::Unheld,
            Some(prefixes) => Family::Known(Stretches::of(prefixes)),
        };
    }

    /// What is known of the way to a destination.
    pub(crate) fn find(&mut self, destination: IpAddr) -> Alike {
        match self.family(destination.is_ipv4()) {
            Family::Unknown | Family::Unheld => Alike::Alone,
            Family::Known(stretches) => {
                let place = stretches.place(number_of(destination).1);
                let known = stretches.known.get(place);
                known.copied().unwrap_or(Alike::Alone)
            }
        }
    }

    /// Notes what was found out about a destination that nobody had asked for.
    pub(crate) fn note(&mut self, destination: IpAddr, found: Alike) {
        if let Family::Known(stretches) = self.family(destination.is_ipv4()) {
            let place = stretches.place(number_of(destination).1);
            if let Some(known @ Alike::Unasked) = stretches.known.get_mut(place) {
                *known = found;
            }
        }
    }

    /// Something changed: the networks are to be read again.
    pub(crate) fn forget(&mut self) {
        for family in [&mut self.v4, &mut self.v6] {
            if matches!(family, Family::Known(_)) {
                *family = Family::Unknown;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn prefix(text: &str) -> Prefix {
        let (network, len) = text.split_once('/').unwrap();
        Prefix::of(address(network), len.parse().unwrap())
    }

    fn drawn(prefixes: &[&str]) -> Cells {
        let prefixes: Vec<_> = prefixes.iter().map(|text| prefix(text)).collect();
        let mut cells = Cells::default();
        cells.draw(prefixes[0].address.is_ipv4(), Some(&prefixes));
        cells
    }

    #[test]
    fn one_answer_serves_for_all_that_no_finer_route_cuts_out() {
        let mut cells = drawn(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"]);
        assert_eq!(cells.find(address("10.2.3.4")), Alike::Unasked);
        cells.note(address("10.2.3.4"), Alike::Path(5));
        for same in ["10.2.0.0", "10.255.255.255", "10.77.1.2"] {
            assert_eq!(cells.find(address(same)), Alike::Path(5), "{same}");
        }
        // Before, within and after the finer route, all is still to be asked.
        for other in [
            "9.255.255.255",
            "10.0.9.9",
            "10.1.0.0",
            "10.1.255.255",
            "11.0.0.0",
        ] {
            assert_eq!(cells.find(address(other)), Alike::Unasked, "{other}");
        }
    }

    #[test]
    fn the_whole_of_a_family_is_a_network_too() {
        for (all, one) in [("0.0.0.0/0", "255.255.255.255"), ("::/0", "ffff::ffff")] {
            let mut cells = drawn(&[all]);
            cells.note(address(one), Alike::Path(1));
            assert_eq!(cells.find(address(one)), Alike::Path(1));
            let first = all.split('/').next().unwrap();
            assert_eq!(cells.find(address(first)), Alike::Path(1));
        }
    }

    #[test]
    fn what_is_spread_over_gateways_is_asked_one_by_one() {
        let mut cells = Cells::default();
        let spread = Prefix {
            spreads: true,
            ..prefix("10.0.0.0/8")
        };
        let finer = prefix("10.1.0.0/16");
        cells.draw(true, Some(&[prefix("0.0.0.0/0"), finer, spread]));
        for alone in ["10.0.0.0", "10.1.2.3", "10.255.255.255"] {
            assert_eq!(cells.find(address(alone)), Alike::Alone, "{alone}");
            cells.note(address(alone), Alike::Path(1));
            assert_eq!(cells.find(address(alone)), Alike::Alone, "{alone}");
        }
        assert_eq!(cells.find(address("11.0.0.0")), Alike::Unasked);
    }

    #[test]
    fn what_changed_is_read_again_and_what_was_too_much_stays_so() {
        let mut cells = drawn(&["0.0.0.0/0"]);
        assert!(cells.wants(false));
        cells.draw(false, None);
        assert!(!cells.wants(true) && !cells.wants(false));
        cells.forget();
        assert!(cells.wants(true) && !cells.wants(false));
        assert_eq!(cells.find(address("10.0.0.1")), Alike::Alone);
        assert_eq!(cells.find(address("2001:db8::1")), Alike::Alone);
    }

    fn networks() -> impl Strategy<Value = Vec<Prefix>> {
        // Of few bits, so that many of them hold each other.
        let v4 = (0_u32..64, 0_u8..=32).prop_map(|(high, len)| {
            Prefix::of(Ipv4Addr::from_bits(high << 26 | high << 3).into(), len)
        });
        proptest::collection::vec(v4, 0..20)
    }

    proptest! {
        #[test]
        fn addresses_of_one_stretch_are_in_the_same_networks(
            prefixes in networks(), pairs in proptest::collection::vec((any::<u32>(), 0_u32..34), 50),
        ) {
            let holders = |address: u32| -> Vec<bool> {
                prefixes.iter().map(|prefix| {
                    let (first, last) = prefix.range();
                    (first..=last).contains(&address.into())
                }).collect()
            };
            let mut stretches = Stretches::of(&prefixes);
            for (one, shift) in pairs {
                // Near to each other and far apart.
                let other = one ^ 1_u32.checked_shl(shift).unwrap_or(0);
                let is_same = stretches.place(one.into()) == stretches.place(other.into());
                if is_same {
                    prop_assert_eq!(holders(one), holders(other));
                }
            }
        }

        #[test]
        fn a_place_is_found_as_a_search_through_all_would(
            prefixes in networks(), addresses in proptest::collection::vec(any::<u32>(), 50),
        ) {
            let mut stretches = Stretches::of(&prefixes);
            for address in addresses {
                let expected = stretches.firsts.iter().rposition(|first| *first <= address.into());
                prop_assert_eq!(Some(stretches.place(address.into())), expected);
                prop_assert_eq!(Some(stretches.place(address.into())), expected);
            }
        }

        #[test]
        fn no_network_makes_it_panic(bits: u128, len: u8) {
            let prefix = Prefix { spreads: true, ..Prefix::of(Ipv6Addr::from_bits(bits).into(), len) };
            let mut cells = Cells::default();
            cells.draw(false, Some(&[prefix]));
            prop_assert_eq!(cells.find(prefix.address), Alike::Alone);
        }
    }
}
