//! Which ports: sets of numbers, and the words that users write for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::services;
use crate::state::Protocol;

mod list;

pub use list::{Named, PortList};

/// A set of ports of one protocol, held as runs.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct PortSet {
    /// First and last port of each run, sorted, neither touching nor overlapping.
    runs: Vec<(u16, u16)>,
}

impl PortSet {
    /// The set without a port.
    pub const EMPTY: Self = Self { runs: Vec::new() };

    /// Ports 1 to 65535.
    pub fn all() -> Self {
        Self {
            runs: vec![(1, u16::MAX)],
        }
    }

    /// The ports from `first` to `last`, both included.
    pub fn from_range(first: u16, last: u16) -> Self {
        Self::from_runs(vec![(first, last)])
    }

    /// The ports of all these ranges, each given by its first and last, in any order; reversed
    /// ones hold none.
    pub fn from_ranges<I: IntoIterator<Item = (u16, u16)>>(ranges: I) -> Self {
        Self::from_runs(ranges.into_iter().collect())
    }

    fn from_runs(mut runs: Vec<(u16, u16)>) -> Self {
        runs.retain(|(first, last)| first <= last);
        runs.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::with_capacity(runs.len());
        for (first, last) in runs {
            match joined.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self { runs: joined }
    }

    /// How many ports it holds.
    pub fn len(&self) -> usize {
        self.runs
            .iter()
            .map(|&(first, last)| usize::from(last - first) + 1)
            .sum()
    }

    /// Whether it holds no port.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether it holds `port`.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.runs.partition_point(|&(first, _)| first <= port);
        after > 0 && port <= self.runs[after - 1].1
    }

    /// Every run of ports, as its first and last.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.runs
    }

    /// Every port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.runs.iter().flat_map(|&(first, last)| first..=last)
    }

    /// The ports of this set that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.iter().filter(|&port| !other.contains(port)).collect()
    }

    /// The ports of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut runs = self.runs.clone();
        runs.extend_from_slice(&other.runs);
        Self::from_runs(runs)
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        Self::from_runs(ports.into_iter().map(|port| (port, port)).collect())
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Ranges joined by commas: `22,80,8000-8100`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, &(first, last)) in self.runs.iter().enumerate() {
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

/// A growing set of ports that takes them one by one in any order, each in constant time.
///
/// It holds a list while there are few, and one bit a port (8 KiB) from 2,048 on.
#[derive(Debug, Clone)]
pub enum PortBits {
    /// Few ports, sorted.
    Few(Vec<u16>),
    /// A bit for each of the 65,536 numbers.
    Many(Box<[u64; 1024]>),
}

/// From this many ports on, bits take less room than a list, and less time to add to.
const MANY: usize = 2048;

impl Default for PortBits {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl PortBits {
    /// Adds `port`; returns whether it was new.
    pub fn insert(&mut self, port: u16) -> bool {
        match self {
            Self::Few(ports) => match ports.binary_search(&port) {
                Ok(_) => false,
                Err(position) if ports.len() < MANY => {
                    ports.insert(position, port);
                    true
                }
                Err(_) => {
                    let mut bits = Box::new([0u64; 1024]);
                    for &known in ports.iter() {
                        bits[usize::from(known >> 6)] |= 1 << (known & 63);
                    }
                    *self = Self::Many(bits);
                    self.insert(port)
                }
            },
            Self::Many(bits) => {
                let word = &mut bits[usize::from(port >> 6)];
                let mask = 1u64 << (port & 63);
                let new = *word & mask == 0;
                *word |= mask;
                new
            }
        }
    }

    /// Takes `port` out; returns whether it was there.
    pub fn remove(&mut self, port: u16) -> bool {
        match self {
            Self::Few(ports) => ports
                .binary_search(&port)
                .map(|position| ports.remove(position))
                .is_ok(),
            Self::Many(bits) => {
                let word = &mut bits[usize::from(port >> 6)];
                let mask = 1u64 << (port & 63);
                let known = *word & mask != 0;
                *word &= !mask;
                known
            }
        }
    }

    /// Whether it holds `port`.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::Few(ports) => ports.binary_search(&port).is_ok(),
            Self::Many(bits) => bits[usize::from(port >> 6)] & (1 << (port & 63)) != 0,
        }
    }

    /// How many ports it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::Few(ports) => ports.len(),
            Self::Many(bits) => bits.iter().map(|word| word.count_ones() as usize).sum(),
        }
    }

    /// Whether it holds no port.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Few(ports) => ports.is_empty(),
            Self::Many(bits) => bits.iter().all(|&word| word == 0),
        }
    }

    /// Adds every port of `set`.
    pub fn extend_set(&mut self, set: &PortSet) {
        for port in set.iter() {
            self.insert(port);
        }
    }

    /// Every port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..=u16::MAX).filter(|&port| self.contains(port))
    }

    /// The same ports as runs.
    pub fn to_set(&self) -> PortSet {
        match self {
            Self::Few(ports) => ports.iter().copied().collect(),
            Self::Many(_) => self.iter().collect(),
        }
    }
}

/// Two sets are equal when they hold the same ports, however they hold them.
impl PartialEq for PortBits {
    fn eq(&self, other: &Self) -> bool {
        self.to_set() == other.to_set()
    }
}

impl Eq for PortBits {}

impl FromIterator<u16> for PortBits {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut bits = Self::default();
        for port in ports {
            bits.insert(port);
        }
        bits
    }
}

/// Which ports of each protocol, as users write it.
///
/// Items are joined by commas. An item is a port, a range (`1-1024`, open at either end, `-`
/// or `all` for every port), `common`, or a service's name; `T:` and `U:` before an item make
/// it and what follows count for that protocol alone. Without one, an item counts for every
/// protocol that is scanned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSpec {
    tcp: PortSet,
    udp: PortSet,
}

impl PortSpec {
    /// The given ports of each protocol.
    pub const fn new(tcp: PortSet, udp: PortSet) -> Self {
        Self { tcp, udp }
    }

    /// The ports that people really run: the default.
    pub fn common() -> Self {
        Self {
            tcp: services::common_ports(Protocol::Tcp),
            udp: services::common_ports(Protocol::Udp),
        }
    }

    /// The `count` ports of each protocol that are most often found open.
    ///
    /// # Errors
    /// [`PortError::TooManyRanked`] for 0 and for more than 65,535.
    pub fn top(count: u32) -> Result<Self, PortError> {
        if count == 0 || count > 65_535 {
            return Err(PortError::TooManyRanked { count });
        }
        let top = |protocol| {
            let ranked = services::ranked(protocol).iter().copied();
            // Past the ranked ones, what is registered, then the rest in order.
            let named = (1..=u16::MAX).filter(|&port| services::name(port, protocol).is_some());
            let mut chosen = PortBits::default();
            let mut left = count as usize;
            for port in ranked.chain(named).chain(1..=u16::MAX) {
                if left == 0 {
                    break;
                }
                left -= usize::from(chosen.insert(port));
            }
            chosen.to_set()
        };
        Ok(Self {
            tcp: top(Protocol::Tcp),
            udp: top(Protocol::Udp),
        })
    }

    /// The TCP ports.
    pub const fn tcp(&self) -> &PortSet {
        &self.tcp
    }

    /// The UDP ports.
    pub const fn udp(&self) -> &PortSet {
        &self.udp
    }

    /// The ports of one protocol.
    pub const fn of(&self, protocol: Protocol) -> &PortSet {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        }
    }

    /// What is left when the ports of `other` are taken away.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            tcp: self.tcp.without(&other.tcp),
            udp: self.udp.without(&other.udp),
        }
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tcp.is_empty(), self.udp.is_empty()) {
            _ if self.tcp == self.udp => write!(f, "{}", self.tcp),
            (_, true) => write!(f, "T:{}", self.tcp),
            (true, _) => write!(f, "U:{}", self.udp),
            _ => write!(f, "T:{},U:{}", self.tcp, self.udp),
        }
    }
}

/// Why a list of ports cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// Nothing stands there.
    #[error("the list of ports is empty")]
    Empty,
    /// Nothing stands between two commas, or after the last.
    #[error("an item of the port list `{list}` is empty")]
    EmptyItem {
        /// The whole list.
        list: String,
    },
    /// Not a number from 1 to 65535.
    #[error("port {found} is out of range: ports are 1 to 65535")]
    OutOfRange {
        /// The number as written.
        found: String,
    },
    /// A range whose end comes before its start.
    #[error("the port range `{first}-{last}` is reversed")]
    Reversed {
        /// Its start.
        first: u16,
        /// Its end.
        last: u16,
    },
    /// A word that no known service goes by.
    #[error("no service is named `{name}`")]
    UnknownName {
        /// The word as written.
        name: String,
        /// The known name that is written most like it.
        nearest: Option<&'static str>,
    },
    /// A dash between words that make no range.
    #[error("`{item}` is no range of ports: a range goes from one number to another")]
    NotARange {
        /// The item as written.
        item: String,
        /// What may have been meant.
        meant: Option<String>,
    },
    /// A port with its protocol, as results print it.
    #[error("`{item}` is not how a port of a protocol is written")]
    WithProtocol {
        /// The item as written.
        item: String,
        /// The port.
        port: String,
        /// Its protocol.
        protocol: Protocol,
    },
    /// nmap's brackets.
    #[error("`{item}`: brackets in a list of ports are not known")]
    Brackets {
        /// The item as written.
        item: String,
    },
    /// A known name, but not of the protocol before it.
    #[error("the service `{name}` has no {protocol} port")]
    NotOfProtocol {
        /// The name as written.
        name: String,
        /// The protocol that was asked for.
        protocol: Protocol,
    },
    /// More of the most frequent ports than there are ports.
    #[error("cannot take the top {count} ports: there are 1 to 65535")]
    TooManyRanked {
        /// How many were asked for.
        count: u32,
    },
}

impl PortError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty | Self::EmptyItem { .. } => {
                Some("write ports as `22,80,8000-8100`, `common` or `all`".to_owned())
            }
            Self::Reversed { first, last } => Some(format!("did you mean `{last}-{first}`?")),
            Self::UnknownName { nearest, .. } => match nearest {
                Some(name) => Some(format!("did you mean `{name}`?")),
                None => Some("write its number".to_owned()),
            },
            Self::WithProtocol { port, protocol, .. } => {
                let letter = match protocol {
                    Protocol::Tcp => 'T',
                    Protocol::Udp => 'U',
                };
                Some(format!("write `{letter}:{port}`, or `{port}` alone"))
            }
            Self::NotARange {
                meant: Some(meant), ..
            } => Some(format!("did you mean `{meant}`?")),
            Self::Brackets { .. } => {
                Some("leave them out: every port that is listed is scanned".to_owned())
            }
            _ => None,
        }
    }
}

fn port(text: &str) -> Result<u16, PortError> {
    match text.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(PortError::OutOfRange {
            found: text.to_owned(),
        }),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The two ends of `1-1024`, `-1024`, `1024-` or `-`; `None` for anything else, names with a
/// dash among them.
fn range(item: &str) -> Option<Result<(u16, u16), PortError>> {
    let (first, last) = item.split_once('-')?;
    let is_end = |text: &str| text.is_empty() || is_number(text);
    if !is_end(first) || !is_end(last) {
        return None;
    }
    let end = |text: &str, open| {
        if text.is_empty() {
            Ok(open)
        } else {
            port(text)
        }
    };
    Some(end(first, 1).and_then(|first| {
        let last = end(last, u16::MAX)?;
        if first > last {
            return Err(PortError::Reversed { first, last });
        }
        Ok((first, last))
    }))
}

impl FromStr for PortSpec {
    type Err = PortError;

    fn from_str(list: &str) -> Result<Self, PortError> {
        if list.trim().is_empty() {
            return Err(PortError::Empty);
        }
        let mut protocols: &[Protocol] = Protocol::ALL;
        let mut runs: [Vec<(u16, u16)>; 2] = [Vec::new(), Vec::new()];
        for item in list.split(',') {
            let mut item = item.trim();
            for (prefix, only) in [
                (["T:", "t:"], &[Protocol::Tcp][..]),
                (["U:", "u:"], &[Protocol::Udp][..]),
            ] {
                if let Some(rest) = prefix.iter().find_map(|prefix| item.strip_prefix(prefix)) {
                    protocols = only;
                    item = rest.trim_start();
                    break;
                }
            }
            if item.is_empty() {
                return Err(PortError::EmptyItem {
                    list: list.to_owned(),
                });
            }
            let mut known = false;
            for &protocol in protocols {
                let into = &mut runs[protocol as usize];
                if is_number(item) {
                    let number = port(item)?;
                    into.push((number, number));
                } else if let Some(range) = range(item) {
                    into.push(range?);
                } else if item.eq_ignore_ascii_case("all") {
                    into.push((1, u16::MAX));
                } else if item.eq_ignore_ascii_case("common") {
                    into.extend_from_slice(services::common_ports(protocol).ranges());
                } else if let Some(numbers) = services::ports_of(item, protocol) {
                    into.extend(numbers.iter().map(|&number| (number, number)));
                } else {
                    continue;
                }
                known = true;
            }
            if !known {
                return Err(unknown_name(item, protocols));
            }
        }
        let [tcp, udp] = runs;
        Ok(Self {
            tcp: PortSet::from_runs(tcp),
            udp: PortSet::from_runs(udp),
        })
    }
}

fn unknown_name(name: &str, protocols: &[Protocol]) -> PortError {
    if name.contains(['[', ']']) {
        return PortError::Brackets {
            item: name.to_owned(),
        };
    }
    if let Some((port, protocol)) = with_protocol(name) {
        return PortError::WithProtocol {
            item: name.to_owned(),
            port: port.to_owned(),
            protocol,
        };
    }
    if let Some(error) = not_a_range(name) {
        return error;
    }
    let name = name.to_owned();
    let elsewhere = Protocol::ALL
        .iter()
        .any(|&protocol| services::ports_of(&name, protocol).is_some());
    match protocols {
        &[protocol] if elsewhere => PortError::NotOfProtocol { name, protocol },
        _ => PortError::UnknownName {
            nearest: services::nearest_name(&name),
            name,
        },
    }
}

/// `22/tcp` or `tcp:22` in its parts.
fn with_protocol(item: &str) -> Option<(&str, Protocol)> {
    let (before, after) = item.split_once(['/', ':'])?;
    let protocol = |word: &str| word.to_ascii_lowercase().parse().ok();
    let (port, protocol) = match (protocol(before), protocol(after)) {
        (Some(protocol), None) => (after, protocol),
        (None, Some(protocol)) => (before, protocol),
        _ => return None,
    };
    port.parse::<PortSpec>().is_ok().then_some((port, protocol))
}

/// The error for words with dashes between them each of which is a port.
fn not_a_range(item: &str) -> Option<PortError> {
    let number = |word: &str| {
        let by_name = || services::ports_of(word, Protocol::Tcp)?.first().copied();
        port(word).ok().or_else(by_name)
    };
    let ends: Option<Vec<u16>> = item.split('-').map(number).collect();
    let ends = ends.filter(|ends| ends.len() > 1)?;
    let (first, last) = (ends.iter().min()?, ends.iter().max()?);
    Some(PortError::NotARange {
        item: item.to_owned(),
        meant: (first < last).then(|| format!("{first}-{last}")),
    })
}

impl Serialize for PortSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for PortSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads what [`PortSet`]'s `Display` writes; the empty text is the empty set.
impl FromStr for PortSet {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        if text.is_empty() {
            return Ok(Self::EMPTY);
        }
        Ok(text.parse::<PortSpec>()?.tcp)
    }
}

impl<'de> Deserialize<'de> for PortSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn tcp(list: &str) -> String {
        list.parse::<PortSpec>().unwrap().tcp().to_string()
    }

    fn refused(list: &str) -> (String, Option<String>) {
        let error = list.parse::<PortSpec>().unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn every_form_of_port_is_read() {
        assert_eq!(tcp("22,80,8000-8100"), "22,80,8000-8100");
        assert_eq!(tcp("-"), "1-65535");
        assert_eq!(tcp("all"), "1-65535");
        assert_eq!(tcp("-1024"), "1-1024");
        assert_eq!(tcp("65000-"), "65000-65535");
        assert_eq!(tcp(" 443 , http "), "80,443");
        assert_eq!(tcp("http-alt"), tcp("HTTP-ALT"));
        assert_eq!(tcp("3,2,1,2"), "1-3");
    }

    #[test]
    fn prefixes_make_items_count_for_one_protocol() {
        let spec: PortSpec = "T:22,80,U:53,ntp".parse().unwrap();
        assert_eq!(spec.tcp().to_string(), "22,80");
        assert_eq!(spec.udp().to_string(), "53,123");
        assert_eq!(spec.to_string(), "T:22,80,U:53,123");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_value() {
        assert_eq!(refused("").0, "the list of ports is empty");
        assert_eq!(
            refused("22,,80").0,
            "an item of the port list `22,,80` is empty"
        );
        assert_eq!(
            refused("0").0,
            "port 0 is out of range: ports are 1 to 65535"
        );
        assert_eq!(
            refused("65536").0,
            "port 65536 is out of range: ports are 1 to 65535"
        );
        assert_eq!(
            refused("0-10").0,
            "port 0 is out of range: ports are 1 to 65535"
        );
        assert_eq!(
            refused("99999999999999999999").0,
            "port 99999999999999999999 is out of range: ports are 1 to 65535"
        );
        assert_eq!(
            refused("100-20"),
            (
                "the port range `100-20` is reversed".to_owned(),
                Some("did you mean `20-100`?".to_owned())
            )
        );
        assert_eq!(
            refused("htpps"),
            (
                "no service is named `htpps`".to_owned(),
                Some("did you mean `https`?".to_owned())
            )
        );
        assert_eq!(
            refused("U:ssh-alt").0,
            "the service `ssh-alt` has no udp port"
        );
    }

    #[test]
    fn ranges_join_in_any_order() {
        let set = PortSet::from_ranges([(80, 90), (1, 5), (9, 7), (85, 100), (6, 6)]);
        assert_eq!(set.to_string(), "1-6,80-100");
    }

    #[test]
    fn the_top_ports_are_the_ranked_ones_and_then_the_rest() {
        assert_eq!(
            PortSpec::top(3).unwrap().tcp(),
            &[23, 80, 443].into_iter().collect()
        );
        assert_eq!(PortSpec::top(1000).unwrap().udp().len(), 1000);
        assert_eq!(PortSpec::top(65_535).unwrap().tcp(), &PortSet::all());
        assert!(PortSpec::top(0).is_err());
        assert!(PortSpec::top(65_536).is_err());
    }

    proptest! {
        #[test]
        fn a_printed_list_reads_back_as_the_same_ports(
            tcp in prop::collection::vec((1u16.., 0u16..500), 1..8),
            udp in prop::collection::vec((1u16.., 0u16..500), 0..8),
        ) {
            let set = |runs: Vec<(u16, u16)>| PortSet::from_runs(
                runs.into_iter().map(|(first, more)| (first, first.saturating_add(more))).collect(),
            );
            let spec = PortSpec { tcp: set(tcp), udp: set(udp) };
            prop_assert_eq!(spec.to_string().parse::<PortSpec>(), Ok(spec));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<PortSpec>();
        }

        #[test]
        fn bits_hold_what_a_set_of_numbers_holds(
            ports in prop::collection::vec(any::<u16>(), 0..4000),
            gone in prop::collection::vec(any::<u16>(), 0..100),
        ) {
            let mut bits: PortBits = ports.iter().copied().collect();
            let mut numbers: BTreeSet<u16> = ports.iter().copied().collect();
            for port in gone {
                prop_assert_eq!(bits.remove(port), numbers.remove(&port));
            }
            prop_assert_eq!(bits.len(), numbers.len());
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), numbers.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(bits.to_set(), numbers.into_iter().collect::<PortSet>());
        }
    }
}
