//! Sets of addresses that cost as much memory as they have gaps, not as they have members.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The most separate runs of addresses that one set may hold: 1,048,576, some 32 MB.
pub const MAX_RUNS: usize = 1 << 20;

/// A set of IPv4 and IPv6 addresses: sorted, without repetition, walked by index.
///
/// IPv4 comes before IPv6, each in numeric order. Looking up an index or an address takes
/// time in the logarithm of the number of runs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AddressSet {
    v4: Runs,
    v6: Runs,
}

/// One family's addresses as numbers: sorted runs that neither touch nor overlap.
#[derive(Clone, PartialEq, Eq, Default)]
struct Runs {
    /// First and last member of each run.
    bounds: Vec<(u128, u128)>,
    /// How many members come before each run.
    before: Vec<u128>,
    /// How many members there are, at most `u128::MAX`.
    len: u128,
}

impl Runs {
    /// Sorts and joins `runs`.
    fn new(mut runs: Vec<(u128, u128)>) -> Self {
        runs.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(runs.len());
        for (first, last) in runs {
            match joined.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self::from_disjoint(joined)
    }

    fn from_disjoint(runs: Vec<(u128, u128)>) -> Self {
        let mut total = 0u128;
        let before = runs
            .iter()
            .map(|&(first, last)| {
                let here = total;
                total = total.saturating_add((last - first).saturating_add(1));
                here
            })
            .collect();
        Self {
            bounds: runs,
            before,
            len: total,
        }
    }

    /// A sweep asks this of every packet: a single run, as a prefix has, is not searched for.
    #[inline]
    fn at(&self, index: u128) -> Option<u128> {
        if index >= self.len {
            return None;
        }
        if let [(first, _)] = *self.bounds {
            return Some(first + index);
        }
        let run = self.before.partition_point(|&before| before <= index) - 1;
        Some(self.bounds[run].0 + (index - self.before[run]))
    }

    fn index_of(&self, value: u128) -> Option<u128> {
        let run = self.bounds.partition_point(|&(first, _)| first <= value);
        let run = run.checked_sub(1)?;
        let (first, last) = *self.bounds.get(run)?;
        (value <= last).then(|| self.before[run] + (value - first))
    }

    fn without(&self, other: &Self) -> Self {
        let mut left = Vec::with_capacity(self.bounds.len());
        let mut cuts = other.bounds.iter().peekable();
        for &(mut first, last) in &self.bounds {
            while cuts.next_if(|&&(_, cut_last)| cut_last < first).is_some() {}
            let mut covered = false;
            // A cut may reach into the next run, so it is looked at, not taken.
            let mut ahead = cuts.clone();
            while let Some(&(cut_first, cut_last)) = ahead.next_if(|&&(start, _)| start <= last) {
                if cut_first > first {
                    left.push((first, cut_first - 1));
                }
                if cut_last >= last {
                    covered = true;
                    break;
                }
                first = cut_last + 1;
            }
            if !covered {
                left.push((first, last));
            }
            // What ends before this run's end is spent.
            while cuts.next_if(|&&(_, cut_last)| cut_last <= last).is_some() {}
        }
        Self::from_disjoint(left)
    }
}

/// `::ffff:0:0/96`.
const MAPPED: RangeInclusive<u128> = 0xffff_0000_0000..=0xffff_ffff_ffff;

impl AddressSet {
    /// The set of the addresses from `first` to `last`, both included; empty when the two are
    /// of different families or reversed.
    pub fn from_range(first: IpAddr, last: IpAddr) -> Self {
        let mut builder = AddressSetBuilder::default();
        builder.push_range(first, last);
        builder.build()
    }

    /// How many addresses it holds, saturating at `u128::MAX` (`::/0` holds one more).
    pub fn len(&self) -> u128 {
        self.v4.len.saturating_add(self.v6.len)
    }

    /// Whether it holds no address at all.
    pub fn is_empty(&self) -> bool {
        self.v4.bounds.is_empty() && self.v6.bounds.is_empty()
    }

    /// How many separate runs it is made of.
    pub fn runs(&self) -> usize {
        self.v4.bounds.len() + self.v6.bounds.len()
    }

    /// The address at `index`, counting from 0; `None` at [`len`](Self::len) and beyond.
    #[inline]
    pub fn at(&self, index: u128) -> Option<IpAddr> {
        if index < self.v4.len {
            let bits = u32::try_from(self.v4.at(index)?).ok()?;
            return Some(Ipv4Addr::from_bits(bits).into());
        }
        self.v6
            .at(index - self.v4.len)
            .map(|bits| Ipv6Addr::from_bits(bits).into())
    }

    /// Where `address` stands in the order of [`at`](Self::at).
    pub fn index_of(&self, address: IpAddr) -> Option<u128> {
        match address {
            IpAddr::V4(v4) => self.v4.index_of(v4.to_bits().into()),
            IpAddr::V6(v6) => Some(self.v6.index_of(v6.to_bits())? + self.v4.len),
        }
    }

    /// Whether it holds `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.index_of(address).is_some()
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            v4: self.v4.without(&other.v4),
            v6: self.v6.without(&other.v6),
        }
    }

    /// The members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut builder = AddressSetBuilder::default();
        builder.push_set(self);
        builder.push_set(other);
        builder.build()
    }

    /// The same hosts by the addresses at which they are asked: an IPv4-mapped address (RFC 4291,
    /// 2.5.5.2) is that of IPv4, so that one host has one address wherever it is left out or
    /// allowed. A run that holds other addresses too does not mean the mapped ones among them:
    /// no packet bears those.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let is_mapped = |bits: u128| MAPPED.contains(&bits);
        if !self
            .v6
            .bounds
            .iter()
            .any(|&(first, last)| first <= *MAPPED.end() && last >= *MAPPED.start())
        {
            return self.clone();
        }
        let mut builder = AddressSetBuilder::default();
        for (first, last) in self.ranges() {
            match (first, last) {
                (IpAddr::V6(from), IpAddr::V6(to))
                    if is_mapped(from.to_bits()) && is_mapped(to.to_bits()) =>
                {
                    builder.push_range(first.to_canonical(), last.to_canonical());
                }
                _ => builder.push_range(first, last),
            }
        }
        let mapped = |bits: &u128| IpAddr::from(Ipv6Addr::from_bits(*bits));
        builder.build().without(&Self::from_range(
            mapped(MAPPED.start()),
            mapped(MAPPED.end()),
        ))
    }

    /// Every run, as its first and last address.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let v4 = self.v4.bounds.iter().filter_map(|&(first, last)| {
            let first = Ipv4Addr::from_bits(u32::try_from(first).ok()?);
            let last = Ipv4Addr::from_bits(u32::try_from(last).ok()?);
            Some((first.into(), last.into()))
        });
        let v6 = self.v6.bounds.iter().map(|&(first, last)| {
            (
                Ipv6Addr::from_bits(first).into(),
                Ipv6Addr::from_bits(last).into(),
            )
        });
        v4.chain(v6)
    }

    /// Every address, in order. It may be very long.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        (0..self.len()).map_while(|index| self.at(index))
    }
}

impl fmt::Debug for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Ranges joined by commas: `192.0.2.1,192.0.2.4-192.0.2.9`.
impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.ranges().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromIterator<IpAddr> for AddressSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut builder = AddressSetBuilder::default();
        for address in addresses {
            builder.push_range(address, address);
        }
        builder.build()
    }
}

/// Gathers ranges in any order, with repetitions and overlaps, into an [`AddressSet`].
#[derive(Debug, Clone, Default)]
pub struct AddressSetBuilder {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
    /// From this many gathered ranges on, they are sorted and joined before more are taken,
    /// so that repetitions never cost memory.
    joined_at: usize,
}

impl AddressSetBuilder {
    /// Adds the addresses from `first` to `last`; nothing when they are of different families
    /// or reversed.
    pub fn push_range(&mut self, first: IpAddr, last: IpAddr) {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4
                    .push((first.to_bits().into(), last.to_bits().into()));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push((first.to_bits(), last.to_bits()));
            }
            _ => {}
        }
        let gathered = self.v4.len() + self.v6.len();
        if gathered >= self.joined_at.max(1 << 16) {
            self.v4 = Runs::new(std::mem::take(&mut self.v4)).bounds;
            self.v6 = Runs::new(std::mem::take(&mut self.v6)).bounds;
            self.joined_at = 2 * (self.v4.len() + self.v6.len());
        }
    }

    /// Adds every member of `set`.
    pub fn push_set(&mut self, set: &AddressSet) {
        for (first, last) in set.ranges() {
            self.push_range(first, last);
        }
    }

    /// The set of all that was added.
    pub fn build(self) -> AddressSet {
        AddressSet {
            v4: Runs::new(self.v4),
            v6: Runs::new(self.v6),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ipv4_mapped_address_is_that_of_ipv4() {
        let set = |words: &str| -> AddressSet {
            let mut builder = AddressSetBuilder::default();
            for word in words.split(' ') {
                builder.push_set(&word.parse::<crate::Target>().unwrap().addresses().unwrap());
            }
            builder.build()
        };
        for (mapped, meant) in [
            ("::ffff:192.0.2.7", "192.0.2.7"),
            (
                "::ffff:192.0.2.0/120 2001:db8::1",
                "192.0.2.0/24 2001:db8::1",
            ),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("192.0.2.0/24 2001:db8::/120", "192.0.2.0/24 2001:db8::/120"),
            (
                "::fffe:ffff:fff0-::ffff:0:7",
                "::fffe:ffff:fff0-::fffe:ffff:ffff",
            ),
        ] {
            assert_eq!(set(mapped).canonical(), set(meant), "{mapped}");
        }
        let all = set("::/0").canonical();
        assert!(!all.contains("::ffff:192.0.2.7".parse().unwrap()));
        assert!(!all.contains("192.0.2.7".parse().unwrap()));
        assert!(all.contains("2001:db8::1".parse().unwrap()));
    }

    fn v4(bits: u32) -> IpAddr {
        Ipv4Addr::from_bits(bits).into()
    }

    #[test]
    fn the_whole_of_ipv4_is_one_run() {
        let all = AddressSet::from_range(v4(0), v4(u32::MAX));
        assert_eq!(all.len(), 1 << 32);
        assert_eq!(all.runs(), 1);
        assert_eq!(all.at((1 << 32) - 1), Some(v4(u32::MAX)));
        assert_eq!(all.at(1 << 32), None);
    }

    #[test]
    fn the_whole_of_ipv6_has_a_length() {
        let all = AddressSet::from_range(
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::from_bits(u128::MAX).into(),
        );
        assert_eq!(all.len(), u128::MAX);
        assert!(all.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn repetitions_do_not_gather() {
        let mut builder = AddressSetBuilder::default();
        for _ in 0..300_000 {
            builder.push_range(v4(7), v4(9));
        }
        assert!(builder.v4.len() <= 1 << 17);
        assert_eq!(builder.build().len(), 3);
    }

    fn ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop::collection::vec((0u32..300, 0u32..40), 0..12)
    }

    fn build(ranges: &[(u32, u32)]) -> (AddressSet, BTreeSet<IpAddr>) {
        let mut builder = AddressSetBuilder::default();
        let mut members = BTreeSet::new();
        for &(first, more) in ranges {
            builder.push_range(v4(first), v4(first + more));
            members.extend((first..=first + more).map(v4));
        }
        (builder.build(), members)
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_added_and_is_walked_in_order(ranges in ranges()) {
            let (set, members) = build(&ranges);
            prop_assert_eq!(set.len(), members.len() as u128);
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), members.iter().copied().collect::<Vec<_>>());
            for (index, &address) in members.iter().enumerate() {
                prop_assert_eq!(set.index_of(address), Some(index as u128));
            }
        }

        #[test]
        fn without_takes_away_what_the_other_holds(a in ranges(), b in ranges()) {
            let (set_a, a) = build(&a);
            let (set_b, b) = build(&b);
            let left: Vec<_> = a.difference(&b).copied().collect();
            prop_assert_eq!(set_a.without(&set_b).iter().collect::<Vec<_>>(), left);
        }

        #[test]
        fn union_holds_both(a in ranges(), b in ranges()) {
            let (set_a, a) = build(&a);
            let (set_b, b) = build(&b);
            let both: Vec<_> = a.union(&b).copied().collect();
            prop_assert_eq!(set_a.union(&set_b).iter().collect::<Vec<_>>(), both);
        }
    }
}
