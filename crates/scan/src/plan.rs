//! What is asked, in which order: addresses × ports, walked by a keyed permutation.
//!
//! Hosts are taken in a permuted order and dealt into blocks; within a block, the pairs of host
//! and port are walked in a permuted order of their own. So load spreads over hosts and ports,
//! nothing is listed in memory, and what a scan must remember (a bit a pair, a few numbers a
//! host) is bounded by a block, whatever the size of the whole.

use std::net::IpAddr;

use portolan_model::event::Endpoint;
use portolan_model::{AddressSet, PortSet, Protocol, Shard, Zoned, Zones};

use crate::divide::Divisor;
use crate::error::{Error, Result};
use crate::permutation::{MAX_LEN, Permutation, mix};

/// Pairs of host and port in a block, at the most: half a megabyte of bits.
const BLOCK_PAIRS: u64 = 1 << 22;

/// The same where hosts are looked for first: those that are not there cost no memory, since
/// nobody writes into their bits, and each block that is looked through takes a few seconds.
const DISCOVERED_PAIRS: u64 = 1 << 26;

/// Hosts in a block, at the most.
const BLOCK_HOSTS: u64 = 1 << 16;

/// Addresses × ports of one protocol in a keyed order.
///
/// It costs the same memory for one address and for 2^32.
#[derive(Debug, Clone)]
pub struct Plan {
    addresses: AddressSet,
    zones: Zones,
    protocol: Protocol,
    ports: Vec<u16>,
    hosts: Permutation,
    /// The hosts of this shard: those at `first_host` in the order, and at every `stride` from
    /// there.
    first_host: u64,
    stride: u64,
    host_count: u64,
    block_hosts: u64,
    seed: u64,
}

impl Plan {
    /// The plan that asks each port of each address once, in the order that `seed` gives.
    ///
    /// # Errors
    /// [`Error::NothingToScan`] without an address or a port, [`Error::TooLarge`] above 2^63
    /// pairs.
    pub fn new(
        addresses: AddressSet,
        protocol: Protocol,
        ports: &PortSet,
        seed: u64,
    ) -> Result<Self> {
        let hosts = addresses.len();
        let count = ports.len() as u64;
        if hosts == 0 || count == 0 {
            return Err(Error::NothingToScan);
        }
        let too_large = || Error::TooLarge {
            probes: hosts.saturating_mul(count.into()),
        };
        let hosts = u64::try_from(hosts).map_err(|_| too_large())?;
        if hosts.checked_mul(count).is_none_or(|pairs| pairs > MAX_LEN) {
            return Err(too_large());
        }
        let order = Permutation::new(hosts, mix(seed ^ 0x686f_7374)).ok_or_else(too_large)?;
        Ok(Self {
            addresses,
            zones: Zones::NONE,
            protocol,
            ports: ports.iter().collect(),
            hosts: order,
            first_host: 0,
            stride: 1,
            host_count: hosts,
            block_hosts: (BLOCK_PAIRS / count).clamp(1, BLOCK_HOSTS).min(hosts),
            seed,
        })
    }

    /// The same plan, of which link-local addresses are reached over these interfaces.
    #[must_use]
    pub fn with_zones(mut self, zones: Zones) -> Self {
        self.zones = zones;
        self
    }

    /// An address of the plan as it is shown: with its zone, where it has one.
    pub fn zoned(&self, address: IpAddr) -> Zoned {
        self.zones.zoned(address)
    }

    /// The same plan in larger blocks, for a scan that looks for hosts first.
    #[must_use]
    pub fn for_discovery(mut self) -> Self {
        let ports = self.ports.len() as u64;
        let most = BLOCK_HOSTS.min(self.host_count);
        self.block_hosts = (DISCOVERED_PAIRS / ports).clamp(1, most);
        self
    }

    /// One shard of it. Hosts are dealt to the shards in the order of the plan; where there are
    /// fewer hosts than shards, every shard has all hosts, and the ports are dealt.
    ///
    /// # Errors
    /// [`Error::TooManyShards`] where a shard would get neither a host nor a port.
    pub fn of_shard(mut self, shard: Shard) -> Result<Self> {
        let (hosts, ports) = (self.host_count, self.ports.len() as u64);
        let (of, index) = (u64::from(shard.of().get()), u64::from(shard.index()));
        if of <= hosts {
            (self.first_host, self.stride) = (index, of);
            self.host_count = (hosts - index).div_ceil(of);
        } else if of <= ports {
            let key = mix(self.seed ^ 0x706f_7274);
            let order = Permutation::new(ports, key).ok_or(Error::NothingToScan)?;
            let all = std::mem::take(&mut self.ports);
            let dealt = (index..ports).step_by(usize::try_from(of).unwrap_or(usize::MAX));
            let dealt = dealt.filter_map(|place| usize::try_from(order.at(place)).ok());
            self.ports = dealt.filter_map(|place| all.get(place).copied()).collect();
            self.ports.sort_unstable();
        } else {
            return Err(Error::TooManyShards {
                hosts,
                ports,
                shards: shard.of().get(),
            });
        }
        let ports = self.ports.len() as u64;
        self.block_hosts = (BLOCK_PAIRS / ports)
            .clamp(1, BLOCK_HOSTS)
            .min(self.host_count);
        Ok(self)
    }

    /// How many hosts it asks: those of its shard.
    pub const fn host_count(&self) -> u64 {
        self.host_count
    }

    /// How many pairs of address and port it holds.
    pub fn len(&self) -> u64 {
        self.host_count * self.ports.len() as u64
    }

    /// Whether it holds no pair; a plan that was made always holds one.
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The addresses.
    pub const fn addresses(&self) -> &AddressSet {
        &self.addresses
    }

    /// The protocol of the ports.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The ports, in numeric order.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// What decides the order.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How many blocks there are.
    pub const fn blocks(&self) -> u64 {
        self.host_count.div_ceil(self.block_hosts)
    }

    /// The number of the block that an address is in; `None` for one that is not in the plan.
    pub fn block_of(&self, address: IpAddr) -> Option<u64> {
        let index = u64::try_from(self.addresses.index_of(address)?).ok()?;
        let place = self.hosts.position_of(index);
        let is_dealt = place % self.stride == self.first_host;
        is_dealt.then_some(place / self.stride / self.block_hosts)
    }

    /// One block, by its number.
    pub fn block(&self, number: u64) -> Block<'_> {
        let first = (number * self.block_hosts).min(self.host_count);
        let hosts = self.block_hosts.min(self.host_count - first);
        let pairs = hosts * self.ports.len() as u64;
        let key = mix(self.seed ^ mix(number.wrapping_add(0x626c_6f63)));
        let order = Permutation::new(pairs, key).unwrap_or_else(|| self.hosts.clone());
        Block {
            plan: self,
            first,
            hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
            order,
            by_ports: Divisor::new(u32::try_from(self.ports.len()).unwrap_or(u32::MAX)),
        }
    }

    /// The pair at `position` in the order of the plan.
    pub fn at(&self, position: u64) -> Option<Endpoint> {
        if position >= self.len() {
            return None;
        }
        let size = self.block_hosts * self.ports.len() as u64;
        let block = self.block(position / size);
        block.endpoint(block.pair_at(position % size))
    }
}

/// Some of the plan's hosts with all their ports.
///
/// A *pair* is the number of a host in the block times the number of ports, plus the port's
/// place among the ports.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    plan: &'a Plan,
    /// The first host's place in the order of hosts.
    first: u64,
    hosts: u32,
    order: Permutation,
    by_ports: Divisor,
}

impl Block<'_> {
    /// How many hosts are in it.
    pub const fn hosts(&self) -> u32 {
        self.hosts
    }

    /// How many pairs are in it.
    pub const fn pairs(&self) -> u64 {
        self.order.len()
    }

    /// The pair that is asked at `position` in the block's order.
    pub const fn pair_at(&self, position: u64) -> u64 {
        self.order.at(position)
    }

    /// Where a pair comes in the block's order: the inverse of [`pair_at`](Self::pair_at).
    pub const fn position_of(&self, pair: u64) -> u64 {
        self.order.position_of(pair)
    }

    /// The address of a host of the block.
    pub fn address(&self, host: u32) -> Option<IpAddr> {
        if host >= self.hosts {
            return None;
        }
        let place = (self.first + u64::from(host)) * self.plan.stride + self.plan.first_host;
        let index = self.plan.hosts.at(place);
        self.plan.addresses.at(index.into())
    }

    /// The host of the block that has `address`.
    pub fn host_of(&self, address: IpAddr) -> Option<u32> {
        let index = u64::try_from(self.plan.addresses.index_of(address)?).ok()?;
        let place = self.plan.hosts.position_of(index);
        if place % self.plan.stride != self.plan.first_host {
            return None;
        }
        let place = (place / self.plan.stride).checked_sub(self.first)?;
        u32::try_from(place).ok().filter(|&host| host < self.hosts)
    }

    /// The number of the host in a pair.
    pub fn host(&self, pair: u64) -> u32 {
        u32::try_from(self.by_ports.divide(pair).0).unwrap_or(u32::MAX)
    }

    /// The address and port of a pair.
    pub fn endpoint(&self, pair: u64) -> Option<Endpoint> {
        let (host, place) = self.by_ports.divide(pair);
        Some(Endpoint {
            address: self.address(u32::try_from(host).ok()?)?,
            protocol: self.plan.protocol,
            port: *self.plan.ports.get(usize::try_from(place).ok()?)?,
        })
    }

    /// The pair of a host and a port; `None` for a port that is not in the plan.
    pub fn pair(&self, host: u32, port: u16) -> Option<u64> {
        let place = self.plan.ports.binary_search(&port).ok()?;
        Some(u64::from(host) * self.plan.ports.len() as u64 + place as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use portolan_model::Target;
    use proptest::prelude::*;

    use super::*;

    fn addresses(target: &str) -> AddressSet {
        target.parse::<Target>().unwrap().addresses().unwrap()
    }

    #[test]
    fn the_whole_of_ipv4_with_every_port_is_planned_at_once() {
        let plan = Plan::new(addresses("0.0.0.0/0"), Protocol::Tcp, &PortSet::all(), 1).unwrap();
        assert_eq!(plan.len(), (1 << 32) * 65_535);
        assert!(plan.at(plan.len() - 1).is_some());
        assert_eq!(plan.at(plan.len()), None);
    }

    #[test]
    fn more_than_2_to_63_pairs_are_refused() {
        let refused = Plan::new(
            addresses("2001:db8::/32"),
            Protocol::Tcp,
            &PortSet::all(),
            1,
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "5192217630372313364192902785269760 probes are more than one scan can hold: the most is 2^63"
        );
    }

    #[test]
    fn every_pair_comes_once_over_many_blocks() {
        let ports: PortSet = (1..=20).collect();
        let mut plan = Plan::new(addresses("192.0.0.0/20"), Protocol::Tcp, &ports, 3).unwrap();
        plan.block_hosts = 300;
        assert_eq!(plan.blocks(), 14);
        let pairs: HashSet<Endpoint> = (0..plan.len()).filter_map(|at| plan.at(at)).collect();
        assert_eq!(pairs.len() as u64, plan.len());
    }

    #[test]
    fn more_shards_than_hosts_and_ports_are_refused() {
        let plan = Plan::new(
            addresses("192.0.2.0/31"),
            Protocol::Tcp,
            &(1..=3).collect(),
            1,
        );
        let refused = plan.unwrap().of_shard("1/4".parse().unwrap());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "2 hosts with 3 ports are too few for 4 shards of a scan"
        );
    }

    proptest! {
        #[test]
        fn shards_are_disjoint_and_complete(
            prefix in 20u8..=32,
            ports in prop::collection::btree_set(1u16.., 1..12),
            seed: u64,
            of in 1u32..20,
        ) {
            let set: PortSet = ports.iter().copied().collect();
            let whole = Plan::new(addresses(&format!("198.18.0.0/{prefix}")), Protocol::Tcp, &set, seed).unwrap();
            let mut seen = HashSet::new();
            for number in 1..=of {
                let shard: Shard = format!("{number}/{of}").parse().unwrap();
                let Ok(plan) = whole.clone().of_shard(shard) else {
                    prop_assert!(u64::from(of) > whole.host_count().max(set.len() as u64));
                    return Ok(());
                };
                for position in 0..plan.len() {
                    let endpoint = plan.at(position).unwrap();
                    prop_assert!(seen.insert(endpoint), "{endpoint:?} is in two shards");
                }
                // What is in another shard is not taken for an answer.
                let block = plan.block(0);
                for index in 0..16.min(whole.len()) {
                    let address = whole.at(index).unwrap().address;
                    if let Some(host) = block.host_of(address) {
                        prop_assert_eq!(block.address(host), Some(address));
                    }
                }
            }
            prop_assert_eq!(seen.len() as u64, whole.len());
        }

        #[test]
        fn a_pair_is_found_by_its_address_and_port(
            prefix in 18u8..=32,
            ports in prop::collection::btree_set(1u16.., 1..50),
            seed: u64,
            position: u64,
        ) {
            let set: PortSet = ports.into_iter().collect();
            let plan = Plan::new(addresses(&format!("198.18.0.0/{prefix}")), Protocol::Tcp, &set, seed).unwrap();
            for number in 0..plan.blocks() {
                let block = plan.block(number);
                let pair = block.pair_at(position % block.pairs());
                let endpoint = block.endpoint(pair).unwrap();
                prop_assert_eq!(plan.block_of(endpoint.address), Some(number));
                let host = block.host_of(endpoint.address).unwrap();
                prop_assert_eq!(block.pair(host, endpoint.port), Some(pair));
            }
        }
    }
}
