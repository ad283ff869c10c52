//! What a sweep asks: addresses × ports as one range of numbers, in a keyed order, or one shard of
//! it.

use portolan_model::event::Endpoint;
use portolan_model::{AddressSet, PortSet, Protocol, Shard};

use crate::divide::Divisor;
use crate::error::{Error, Result};
use crate::permutation::{WidePermutation, mix};

/// Every port of every address in a keyed order, in the memory of the set of addresses.
///
/// A *position* is the place of a pair in the order of the shard: shard 3 of 8 has the places
/// 2, 10, 18, … of the whole order, which its positions 0, 1, 2, … stand for.
#[derive(Debug, Clone)]
pub struct Space {
    addresses: AddressSet,
    ports: Vec<u16>,
    by_ports: Divisor,
    order: WidePermutation,
    shard: Shard,
    len: u128,
}

impl Space {
    /// The order that `seed` gives, or the part of it that is a shard's.
    ///
    /// # Errors
    /// [`Error::NothingToScan`] without an address or a port, [`Error::TooManyPairs`] from 2^128
    /// pairs on.
    pub fn new(
        addresses: AddressSet,
        ports: &PortSet,
        seed: u64,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let pairs = addresses
            .len()
            .checked_mul(ports.len() as u128)
            // The set's own length stops there.
            .filter(|&pairs| pairs < u128::MAX)
            .ok_or(Error::TooManyPairs)?;
        let shard = shard.unwrap_or(Shard::WHOLE);
        let len = shard.share(pairs);
        if len == 0 {
            return Err(Error::NothingToScan);
        }
        Ok(Self {
            addresses,
            ports: ports.iter().collect(),
            by_ports: Divisor::new(u32::try_from(ports.len()).unwrap_or(u32::MAX)),
            order: WidePermutation::new(pairs, mix(seed ^ 0x7377_6565)),
            shard,
            len,
        })
    }

    /// How many pairs of address and port it holds.
    pub const fn len(&self) -> u128 {
        self.len
    }

    /// Whether it holds none; a space that was made always holds one.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The addresses, those of other shards among them.
    pub const fn addresses(&self) -> &AddressSet {
        &self.addresses
    }

    /// The address and port at a position; `None` at the length and beyond.
    #[inline]
    pub fn at(&self, position: u128) -> Option<Endpoint> {
        if position >= self.len {
            return None;
        }
        // A product of 128 bits costs as much as the order itself.
        let number = self.order.at(if self.shard == Shard::WHOLE {
            position
        } else {
            position * u128::from(self.shard.of().get()) + u128::from(self.shard.index())
        });
        let (host, place) = self.split(number);
        Some(Endpoint {
            address: self.addresses.at(host)?,
            protocol: Protocol::Tcp,
            port: *self.ports.get(place)?,
        })
    }

    /// The position of a pair; `None` for one that is not in it.
    pub fn position_of(&self, endpoint: &Endpoint) -> Option<u128> {
        let place = self.ports.binary_search(&endpoint.port).ok()?;
        let host = self.addresses.index_of(endpoint.address)?;
        let number = host * self.ports.len() as u128 + place as u128;
        let at = self.order.position_of(number);
        let of = u128::from(self.shard.of().get());
        (at % of == u128::from(self.shard.index())).then_some(at / of)
    }

    /// The index of the address and the place of the port.
    #[inline]
    fn split(&self, number: u128) -> (u128, usize) {
        if self.ports.len() == 1 {
            return (number, 0);
        }
        let (host, place) = match u64::try_from(number) {
            Ok(number) if number < Divisor::END => {
                let (host, place) = self.by_ports.divide(number);
                (host.into(), place.into())
            }
            _ => {
                let ports = u128::from(self.by_ports.by());
                (number / ports, number % ports)
            }
        };
        (host, usize::try_from(place).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::num::NonZeroU32;

    use portolan_model::Target;
    use proptest::prelude::*;

    use super::*;

    fn addresses(target: &str) -> AddressSet {
        target.parse::<Target>().unwrap().addresses().unwrap()
    }

    fn shards(of: u32) -> impl Iterator<Item = Shard> {
        let of = NonZeroU32::new(of).unwrap();
        (1..=of.get()).map(move |number| Shard::new(NonZeroU32::new(number).unwrap(), of).unwrap())
    }

    #[test]
    fn all_of_ipv4_with_every_port_and_an_ipv6_prefix_of_32_bits_are_held_at_once() {
        for target in ["0.0.0.0/0", "2001:db8::/32"] {
            let space = Space::new(addresses(target), &PortSet::all(), 1, None).unwrap();
            let last = space.at(space.len() - 1).unwrap();
            assert_eq!(space.position_of(&last), Some(space.len() - 1));
            assert_eq!(space.at(space.len()), None);
        }
    }

    #[test]
    fn from_2_to_the_128_pairs_on_it_is_refused() {
        let whole = || addresses("::/0");
        let one = PortSet::from_range(1, 1);
        for refused in [
            Space::new(whole(), &one, 1, None),
            Space::new(addresses("::/8"), &PortSet::all(), 1, None),
        ] {
            assert_eq!(
                refused.unwrap_err().to_string(),
                "addresses times ports are more than a sweep can count: there must be less than 2^128"
            );
        }
        assert!(Space::new(addresses("::/1"), &one, 1, None).is_ok());
    }

    proptest! {
        #[test]
        fn shards_are_disjoint_and_complete(
            prefix in 24u8..=32,
            ports in prop::collection::btree_set(1u16.., 1..12),
            seed: u64,
            of in 1u32..20,
        ) {
            let set: PortSet = ports.iter().copied().collect();
            let addresses = addresses(&format!("198.18.0.0/{prefix}"));
            let whole = addresses.len() * ports.len() as u128;
            let mut seen = HashSet::new();
            for shard in shards(of) {
                let Ok(space) = Space::new(addresses.clone(), &set, seed, Some(shard)) else {
                    prop_assert_eq!(shard.share(whole), 0);
                    continue;
                };
                for position in 0..space.len() {
                    let endpoint = space.at(position).unwrap();
                    prop_assert!(seen.insert(endpoint), "{endpoint:?} is in two shards");
                    prop_assert_eq!(space.position_of(&endpoint), Some(position));
                }
            }
            prop_assert_eq!(seen.len() as u128, whole);
        }

        #[test]
        fn a_pair_is_in_one_shard_alone_however_large_the_whole(
            seed: u64, of in 1u32..30, index: u64, port in 1u16..2_000,
        ) {
            let ports = PortSet::from_range(1, 2_000);
            let address = AddressSet::at(&addresses("2001:db8::/48"), index.into()).unwrap();
            let endpoint = Endpoint { address, protocol: Protocol::Tcp, port };
            let holders: Vec<_> = shards(of)
                .filter_map(|shard| {
                    let set = addresses("2001:db8::/48");
                    let space = Space::new(set, &ports, seed, Some(shard)).unwrap();
                    Some((space.position_of(&endpoint)?, space))
                })
                .collect();
            prop_assert_eq!(holders.len(), 1);
            let (position, space) = &holders[0];
            prop_assert_eq!(space.at(*position), Some(endpoint));
        }
    }
}
