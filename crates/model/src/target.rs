//! One word of a user's list of targets: an address, a network, a range, or a name.

mod error;
mod host_name;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::{AddressSet, AddressSetBuilder, MAX_RUNS};
use crate::zone::{Zone, split};

pub use error::TargetError;
pub use host_name::HostName;

/// What one word of the target list means.
///
/// It prints as it can be read back: `parse(print(target)) == target`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One address.
    Address(IpAddr),
    /// A CIDR prefix without host bits (RFC 4632, RFC 4291).
    Network {
        /// Its first address.
        network: IpAddr,
        /// How many leading bits are fixed: 0 to 32, or to 128.
        prefix: u8,
    },
    /// Every address between two, both included: `10.0.0.1-10.0.1.20`.
    Range {
        /// The first.
        first: IpAddr,
        /// The last: of the same family, not before the first.
        last: IpAddr,
    },
    /// IPv4 with ranges in its octets: `10.0.0-3.1,5,9`.
    Octets(OctetRanges),
    /// A host name, to be looked up.
    Name(HostName),
    /// Link-local IPv6 addresses on the link of an interface (RFC 4007, 11): `fe80::1%eth0`,
    /// `fe80::%eth0/64`, `fe80::1-fe80::9%eth0`.
    Zoned {
        /// Which: an address, a network or a range.
        target: Box<Self>,
        /// The interface.
        zone: Zone,
    },
}

/// Four octets, each any of a set of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OctetRanges {
    /// For each octet its runs: sorted, neither touching nor overlapping.
    octets: [Vec<(u8, u8)>; 4],
}

impl Target {
    /// The addresses it stands for; `None` for a name, which is to be looked up first.
    pub fn addresses(&self) -> Option<AddressSet> {
        match self {
            Self::Address(address) => Some(AddressSet::from_range(*address, *address)),
            Self::Network { network, prefix } => {
                Some(AddressSet::from_range(*network, last_of(*network, *prefix)))
            }
            Self::Range { first, last } => Some(AddressSet::from_range(*first, *last)),
            Self::Octets(octets) => Some(octets.addresses()),
            Self::Name(_) => None,
            Self::Zoned { target, .. } => target.addresses(),
        }
    }

    /// Whether it names one host: an address or a name.
    pub fn is_single(&self) -> bool {
        matches!(self.unzoned(), Self::Address(_) | Self::Name(_))
    }

    /// The interface that it names.
    pub const fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Zoned { zone, .. } => Some(zone),
            _ => None,
        }
    }

    /// The target without its interface.
    pub fn unzoned(&self) -> &Self {
        match self {
            Self::Zoned { target, .. } => target,
            other => other,
        }
    }
}

/// The last address of a network.
fn last_of(network: IpAddr, prefix: u8) -> IpAddr {
    match network {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() | host).into()
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() | host).into()
        }
    }
}

/// The first address of the network that `address` is in.
fn network_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & !host).into()
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & !host).into()
        }
    }
}

impl OctetRanges {
    /// How many runs of consecutive addresses it falls into.
    fn runs(&self) -> u64 {
        // An octet that is whole, and whole to its right, joins what is before it into one run.
        let mut runs = 1u64;
        let mut joined = true;
        for octet in self.octets.iter().rev() {
            let whole = octet[..] == [(0, 255)];
            if joined {
                runs = octet.len() as u64;
                joined = whole;
            } else {
                let values: u64 = octet
                    .iter()
                    .map(|&(first, last)| u64::from(last - first) + 1)
                    .sum();
                runs = runs.saturating_mul(values);
            }
        }
        runs
    }

    fn addresses(&self) -> AddressSet {
        let mut builder = AddressSetBuilder::default();
        self.push(0, 0, &mut builder);
        builder.build()
    }

    /// Adds every address whose octets before `place` are those of `prefix`.
    fn push(&self, place: usize, prefix: u32, into: &mut AddressSetBuilder) {
        let below = 24 - 8 * place;
        let rest_is_whole = self.octets[place + 1..]
            .iter()
            .all(|octet| octet[..] == [(0, 255)]);
        for &(first, last) in &self.octets[place] {
            if rest_is_whole {
                let host = (1u32 << below) - 1;
                let first = prefix | (u32::from(first) << below);
                let last = prefix | (u32::from(last) << below) | host;
                into.push_range(
                    Ipv4Addr::from_bits(first).into(),
                    Ipv4Addr::from_bits(last).into(),
                );
            } else {
                for value in first..=last {
                    self.push(place + 1, prefix | (u32::from(value) << below), into);
                }
            }
        }
    }
}

impl fmt::Display for OctetRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.octets.iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            for (position, &(first, last)) in octet.iter().enumerate() {
                if position > 0 {
                    f.write_str(",")?;
                }
                if first == last {
                    write!(f, "{first}")?;
                } else {
                    write!(f, "{first}-{last}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Network { network, prefix } => write!(f, "{network}/{prefix}"),
            Self::Range { first, last } => write!(f, "{first}-{last}"),
            Self::Octets(octets) => write!(f, "{octets}"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Zoned { target, zone } => match &**target {
                // RFC 4007, 11.7: the prefix comes last.
                Self::Network { network, prefix } => write!(f, "{network}%{zone}/{prefix}"),
                target => write!(f, "{target}%{zone}"),
            },
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        read(text).map_err(|error| {
            // A comma belongs between octets alone; whoever writes a list with commas is told so.
            let parts = || text.split(',').map(str::trim);
            if parts().count() > 1 && parts().all(|part| read(part).is_ok()) {
                TargetError::List {
                    text: text.to_owned(),
                    count: parts().count(),
                }
            } else {
                error
            }
        })
    }
}

/// The words of a text: blanks and commas stand between targets, `10.0.0.1, 10.0.0.7`. A comma
/// between the parts of an octet belongs to it, `10.0.0.1,5`.
///
/// What is no target stays whole where the text without its comma would be none either.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        if piece.parse::<Target>().is_ok() {
            words.push(piece.to_owned());
            continue;
        }
        let parts = piece.split(',').filter(|part| !part.is_empty());
        words.extend(parts.map(str::to_owned));
    }
    words
}

/// Reads one word.
fn read(text: &str) -> Result<Target, TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let place = place.rsplit('@').next().unwrap_or(place);
        let (host, port) = host_and_port(place).unwrap_or((place, ""));
        return Err(TargetError::NotATarget {
            text: text.to_owned(),
            what: error::WEB_ADDRESS,
            host: host.to_owned(),
            port: port.to_owned(),
        });
    }
    if let Some(target) = zoned(text) {
        return target;
    }
    if let Some((address, prefix)) = text.split_once('/') {
        return network(text, address, prefix);
    }
    // An IPv6 address in brackets is how one stands in a web address.
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inner| inner.contains(':'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(Target::Address(address));
    }
    if let Some((host, port)) = host_and_port(text) {
        return Err(TargetError::NotATarget {
            text: text.to_owned(),
            what: "an address with a port",
            host: host.to_owned(),
            port: port.to_owned(),
        });
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(TargetError::MixedFamilies {
                text: text.to_owned(),
            });
        }
        if first > last {
            return Err(TargetError::Reversed {
                text: text.to_owned(),
                first: first.to_string(),
                last: last.to_string(),
            });
        }
        return Ok(Target::Range { first, last });
    }
    if text.contains(':') {
        return Err(TargetError::NotIpv6 {
            text: text.to_owned(),
        });
    }
    let is_octets = |byte: u8| byte.is_ascii_digit() || b".-,*".contains(&byte);
    if text.bytes().all(is_octets) {
        return octets(text);
    }
    text.parse().map(Target::Name)
}

/// Reads `fe80::1%eth0`, `fe80::%eth0/64`, `fe80::/64%eth0` and `fe80::1-fe80::9%eth0`, in
/// brackets or not; `None` for what names no interface.
fn zoned(text: &str) -> Option<Result<Target, TargetError>> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if !bare.contains('%') {
        return None;
    }
    let (plain, first, second) = if let Some((address, prefix)) = bare.split_once('/') {
        let (address, first) = match address.split_once('%') {
            None => (address, None),
            Some((address, zone)) => (address, Some(zone)),
        };
        let (prefix, second) = match prefix.split_once('%') {
            None => (prefix, None),
            Some((prefix, zone)) => (prefix, Some(zone)),
        };
        address.parse::<IpAddr>().ok()?;
        (format!("{address}/{prefix}"), first, second)
    } else if let Some(((first, one), (last, other))) =
        bare.match_indices('-').find_map(|(at, _)| {
            let (left, right) = (bare.get(..at)?, bare.get(at + 1..)?);
            Some((split(left)?, split(right)?))
        })
    {
        (format!("{first}-{last}"), one, other)
    } else {
        let (address, zone) = bare.split_once('%')?;
        address.parse::<IpAddr>().ok()?;
        (address.to_owned(), Some(zone), None)
    };
    Some(in_zone(text, &plain, first, second))
}

/// The target `plain` on the link of the one interface that is named.
fn in_zone(
    text: &str,
    plain: &str,
    first: Option<&str>,
    second: Option<&str>,
) -> Result<Target, TargetError> {
    if let (Some(first), Some(second)) = (first, second)
        && first != second
    {
        return Err(TargetError::TwoZones {
            text: text.to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        });
    }
    let named = first.or(second).unwrap_or_default();
    let zone: Zone = named.parse().map_err(|source| TargetError::BadZone {
        text: text.to_owned(),
        source,
    })?;
    let target = read(plain)?;
    let is_local = |address: IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let set = target.addresses().unwrap_or_default();
    if !set
        .ranges()
        .all(|(first, last)| is_local(first) && is_local(last))
    {
        return Err(TargetError::NotLinkLocal {
            text: text.to_owned(),
            without: target.to_string(),
            zone: named.to_owned(),
        });
    }
    Ok(Target::Zoned {
        target: Box::new(target),
        zone,
    })
}

/// `host:port` in its parts, also where no port follows the colon.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_port = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_host = host.parse::<Ipv4Addr>().is_ok()
        || host.parse::<HostName>().is_ok()
        || (host.starts_with('[') && host.ends_with(']'));
    (is_host && port.bytes().all(is_port)).then_some((host, port))
}

/// Whether a word that is no target would be a port.
fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Reads `address/prefix`.
fn network(text: &str, address: &str, prefix: &str) -> Result<Target, TargetError> {
    let is_host = address.parse::<IpAddr>().is_ok() || address.parse::<HostName>().is_ok();
    if prefix.is_empty() && is_host {
        return Err(TargetError::NoPrefix {
            text: text.to_owned(),
        });
    }
    let Ok(address) = address.parse::<IpAddr>() else {
        if address.contains(':') {
            return Err(TargetError::NotIpv6 {
                text: text.to_owned(),
            });
        }
        if address.parse::<HostName>().is_ok() {
            return Err(TargetError::NameWithPrefix {
                text: text.to_owned(),
            });
        }
        return Err(TargetError::NotIpv4 {
            text: text.to_owned(),
            why: "a prefix goes with one whole address, `192.0.2.0/24`".to_owned(),
        });
    };
    let (family, most) = match address {
        IpAddr::V4(_) => ("IPv4", 32u8),
        IpAddr::V6(_) => ("IPv6", 128u8),
    };
    if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::NotAPrefix {
            text: text.to_owned(),
            found: prefix.to_owned(),
        });
    }
    let prefix = match prefix.parse::<u8>() {
        Ok(prefix) if prefix <= most => prefix,
        _ => {
            return Err(TargetError::PrefixTooLong {
                text: text.to_owned(),
                found: prefix.to_owned(),
                family,
                most,
            });
        }
    };
    let network = network_of(address, prefix);
    if network != address {
        return Err(TargetError::HostBits {
            text: text.to_owned(),
            network,
            prefix,
            address,
        });
    }
    Ok(Target::Network { network, prefix })
}

/// Reads `10.0.0-3.1,5,9`; `*` is every value of an octet.
fn octets(text: &str) -> Result<Target, TargetError> {
    let refused = |why: String| TargetError::NotIpv4 {
        text: text.to_owned(),
        why,
    };
    let parts: Vec<&str> = text.split('.').collect();
    let Ok(parts) = <[&str; 4]>::try_from(parts.as_slice()) else {
        // Two addresses, of which one is none.
        let ends = text.split_once('-').filter(|_| parts.len() == 7);
        let wrong = ends.and_then(|(first, last)| {
            let is_wrong = |end: &&str| end.parse::<Ipv4Addr>().is_err();
            [first, last].into_iter().find(is_wrong)
        });
        if let Some(wrong) = wrong {
            return Err(refused(format!("`{wrong}` is none")));
        }
        return Err(refused(format!(
            "it has {} part{} where four belong",
            parts.len(),
            if parts.len() == 1 { "" } else { "s" },
        )));
    };
    let value = |part: &str| {
        if part.is_empty() {
            return Err(refused("a part is empty".to_owned()));
        }
        // A leading zero is octal to some readers and decimal to others.
        if part.len() > 1 && part.starts_with('0') {
            return Err(refused(format!("`{part}` starts with a zero")));
        }
        part.parse::<u8>()
            .map_err(|_| refused(format!("`{part}` is no number from 0 to 255")))
    };
    let mut octets: [Vec<(u8, u8)>; 4] = Default::default();
    for (octet, part) in octets.iter_mut().zip(parts) {
        for item in part.split(',') {
            let (first, last) = match item.split_once('-') {
                _ if item == "*" => (0, 255),
                None => {
                    let only = value(item)?;
                    (only, only)
                }
                Some((first, last)) => {
                    let first = if first.is_empty() { 0 } else { value(first)? };
                    let last = if last.is_empty() { 255 } else { value(last)? };
                    (first, last)
                }
            };
            if first > last {
                return Err(TargetError::Reversed {
                    text: text.to_owned(),
                    first: first.to_string(),
                    last: last.to_string(),
                });
            }
            octet.push((first, last));
        }
        octet.sort_unstable();
        let mut joined: Vec<(u8, u8)> = Vec::with_capacity(octet.len());
        for &(first, last) in octet.iter() {
            match joined.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        *octet = joined;
    }
    let octets = OctetRanges { octets };
    let runs = octets.runs();
    if runs > MAX_RUNS as u64 {
        return Err(TargetError::TooManyRuns {
            text: text.to_owned(),
            runs,
        });
    }
    Ok(Target::Octets(octets))
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
