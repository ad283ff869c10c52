//! Zones: over which interface a link-local IPv6 address is reached (RFC 4007).
//!
//! Every link has its own `fe80::1`, so the address alone names no host. Within one scan an
//! address is asked over one interface, so there the address alone does; [`Zones`] says which.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::address::{AddressSet, AddressSetBuilder};
use crate::target::{Target, TargetError};

/// Interfaces of a result that are told apart, at the most.
const MOST_LINKS: usize = 256;

/// The most bytes in the name of an interface (Linux, `IFNAMSIZ` less the final zero).
const MOST_BYTES: usize = 15;

/// An interface as it stands after the `%` of an address: its name, or its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone {
    /// Its bytes of ASCII, with zeros after them: so they sort as text does.
    bytes: [u8; MOST_BYTES],
}

/// Why a word is no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// Nothing stands there.
    #[error("nothing stands there")]
    Empty,
    /// It is longer than names of interfaces are.
    #[error("names of interfaces have at most {MOST_BYTES} bytes")]
    TooLong,
    /// It holds what names of interfaces do not.
    #[error("names of interfaces do not hold {0:?}")]
    Letter(char),
}

impl Zone {
    /// The name or number as text.
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|byte| *byte == 0);
        let text = self.bytes.get(..len.unwrap_or(MOST_BYTES));
        str::from_utf8(text.unwrap_or_default()).unwrap_or_default()
    }

    /// The number of the interface, where it is written as a number.
    pub fn number(&self) -> Option<u32> {
        let text = self.as_str();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if text.is_empty() {
            return Err(ZoneError::Empty);
        }
        // The kernel forbids `/`, `:` and white space; the others would end a target.
        let is_strange = |letter: &char| !letter.is_ascii_graphic() || "/:%,[]#".contains(*letter);
        if let Some(letter) = text.chars().find(is_strange) {
            return Err(ZoneError::Letter(letter));
        }
        let mut bytes = [0; MOST_BYTES];
        let room = bytes.get_mut(..text.len()).ok_or(ZoneError::TooLong)?;
        room.copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }
}

/// An address with its zone, where it has one: `192.0.2.1`, `fe80::1%eth0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zoned {
    /// The address.
    pub address: IpAddr,
    /// The interface over which it is reached.
    pub zone: Option<Zone>,
}

impl From<IpAddr> for Zoned {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            zone: None,
        }
    }
}

impl fmt::Display for Zoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            None => f.pad(&self.address.to_string()),
            Some(zone) => f.pad(&format!("{}%{zone}", self.address)),
        }
    }
}

impl FromStr for Zoned {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let target: Target = text.parse()?;
        match (target.unzoned(), target.zone()) {
            (Target::Address(address), zone) => Ok(Self {
                address: *address,
                zone: zone.copied(),
            }),
            _ => Err(TargetError::NotOne {
                text: text.to_owned(),
            }),
        }
    }
}

impl Serialize for Zoned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zoned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which addresses of a scan are reached over which interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zones(Vec<Link>);

/// Addresses that are reached over one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The addresses, all link-local.
    pub addresses: AddressSet,
    /// The interface's name.
    pub zone: Zone,
    /// Its number on this machine; 0 where the scan was read from a result.
    pub index: u32,
}

impl Zones {
    /// None: no address needs one.
    pub const NONE: Self = Self(Vec::new());

    /// Adds addresses that are reached over the interface of this name and number.
    ///
    /// # Errors
    /// The first address that is reached over another already, and that one's name.
    pub fn add(
        &mut self,
        addresses: &AddressSet,
        zone: &Zone,
        index: u32,
    ) -> Result<(), (IpAddr, Zone)> {
        let is_same = |link: &Link| link.zone == *zone && link.index == index;
        for other in self.0.iter().filter(|other| !is_same(other)) {
            let apart = addresses.without(&other.addresses);
            if let Some(shared) = addresses.without(&apart).at(0) {
                return Err((shared, other.zone));
            }
        }
        match self.0.iter_mut().find(|link| is_same(link)) {
            Some(link) => link.addresses = link.addresses.union(addresses),
            None => self.0.push(Link {
                addresses: addresses.clone(),
                zone: *zone,
                index,
            }),
        }
        Ok(())
    }

    /// Takes addresses away; interfaces without any are forgotten.
    pub fn retain(&mut self, kept: &AddressSet) {
        for link in &mut self.0 {
            let gone = link.addresses.without(kept);
            link.addresses = link.addresses.without(&gone);
        }
        self.0.retain(|link| !link.addresses.is_empty());
    }

    /// Whether no address has one.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each interface and its addresses.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.0.iter()
    }

    fn link(&self, address: IpAddr) -> Option<&Link> {
        let is_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let mut links = self.0.iter();
        links.find(|link| is_local && link.addresses.contains(address))
    }

    /// The interface over which an address is reached, if it has one.
    pub fn of(&self, address: IpAddr) -> Option<&Zone> {
        Some(&self.link(address)?.zone)
    }

    /// The number of that interface: the scope of a socket address (RFC 3493, 3.3).
    pub fn index_of(&self, address: IpAddr) -> Option<u32> {
        Some(self.link(address)?.index)
    }

    /// The address with its zone.
    pub fn zoned(&self, address: IpAddr) -> Zoned {
        Zoned {
            address,
            zone: self.of(address).copied(),
        }
    }
}

/// Targets joined by commas: `fe80::1%eth0,fe80::4-fe80::9%eth1`.
impl fmt::Display for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for link in &self.0 {
            for (first, last) in link.addresses.ranges() {
                f.write_str(comma)?;
                comma = ",";
                if first == last {
                    write!(f, "{first}%{}", link.zone)?;
                } else {
                    write!(f, "{first}-{last}%{}", link.zone)?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Zones {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let words = text.split(',').filter(|word| !word.is_empty());
        let read = words.map(|word| {
            let target: Target = word.parse()?;
            let zone = target.zone().copied();
            Ok(zone.zip(target.addresses()))
        });
        let read: Vec<_> = read.collect::<Result<_, TargetError>>()?;
        Ok(read.into_iter().flatten().collect())
    }
}

/// As a result tells of them: of an address that stands in two, the first by name counts, and
/// interfaces beyond a bound are left out, since a result may come from anywhere.
impl FromIterator<(Zone, AddressSet)> for Zones {
    fn from_iter<I: IntoIterator<Item = (Zone, AddressSet)>>(parts: I) -> Self {
        let mut gathered: BTreeMap<Zone, AddressSetBuilder> = BTreeMap::new();
        for (zone, addresses) in parts {
            if gathered.len() < MOST_LINKS || gathered.contains_key(&zone) {
                gathered.entry(zone).or_default().push_set(&addresses);
            }
        }
        let mut links: Vec<Link> = Vec::new();
        for (zone, addresses) in gathered {
            let all = addresses.build();
            let addresses = links
                .iter()
                .fold(all, |left, link| left.without(&link.addresses));
            links.push(Link {
                addresses,
                zone,
                index: 0,
            });
        }
        links.retain(|link| !link.addresses.is_empty());
        Self(links)
    }
}

/// Splits `fe80::1%eth0` into the address and what follows `%`, which may be missing.
pub(crate) fn split(text: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    match text.split_once('%') {
        None => Some((text.parse().ok()?, None)),
        Some((address, zone)) => Some((address.parse().ok()?, Some(zone))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> AddressSet {
        text.parse::<Target>().unwrap().addresses().unwrap()
    }

    fn zone(text: &str) -> Zone {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_reached_over_the_interface_that_it_was_given() {
        let mut zones = Zones::default();
        zones
            .add(&addresses("fe80::1-fe80::9"), &zone("eth0"), 2)
            .unwrap();
        zones.add(&addresses("fe80::a"), &zone("eth1"), 3).unwrap();
        let inside: IpAddr = "fe80::7".parse().unwrap();
        assert_eq!(zones.index_of(inside), Some(2));
        assert_eq!(zones.zoned(inside).to_string(), "fe80::7%eth0");
        assert_eq!(zones.index_of("fe80::b".parse().unwrap()), None);
        assert_eq!(
            zones.add(&addresses("fe80::9-fe80::a"), &zone("eth2"), 4),
            Err(("fe80::9".parse().unwrap(), zone("eth0")))
        );
        assert_eq!(zones.to_string(), "fe80::1-fe80::9%eth0,fe80::a%eth1");
        let read: Zones = zones.to_string().parse().unwrap();
        assert_eq!(read.to_string(), zones.to_string());
        zones.retain(&addresses("fe80::a"));
        assert_eq!(zones.to_string(), "fe80::a%eth1");
    }

    #[test]
    fn an_address_with_a_zone_is_read_as_it_is_printed() {
        for text in ["192.0.2.1", "2001:db8::1", "fe80::1", "fe80::1%br-1a.7"] {
            assert_eq!(text.parse::<Zoned>().unwrap().to_string(), text);
        }
        let refused = "fe80::/64%eth0".parse::<Zoned>().unwrap_err();
        assert_eq!(refused.to_string(), "`fe80::/64%eth0` is not one address");
        assert!("192.0.2.0-9".parse::<Zoned>().is_err());
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        assert_eq!("".parse::<Zone>(), Err(ZoneError::Empty));
        assert_eq!("a/b".parse::<Zone>(), Err(ZoneError::Letter('/')));
        assert_eq!("a b".parse::<Zone>(), Err(ZoneError::Letter(' ')));
        assert_eq!("a234567890123456".parse::<Zone>(), Err(ZoneError::TooLong));
        assert_eq!(zone("3").number(), Some(3));
        assert_eq!(zone("eth3").number(), None);
    }
}
