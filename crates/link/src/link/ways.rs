//! Which way packets take to a destination: the kernel is asked once for all that it sends alike.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use portolan_scan::clock::Clock;
use portolan_scan::device::RouteError;
use portolan_wire::MacAddress;

use super::Link;
use crate::cells::Alike;
use crate::kernel::{Interface, RouteKind};
use crate::path::{Carrier, Path, Way};

/// Ways out that differ, at the most: interfaces times gateways times source addresses.
const MOST_PATHS: usize = 4_096;

impl<C: Clock> Link<C> {
    /// The way to a destination: remembered, or asked of the kernel.
    pub(super) fn way(&mut self, destination: IpAddr) -> Result<Way, RouteError> {
        let is_v4 = destination.is_ipv4();
        if self.cells.wants(is_v4) {
            // Where they cannot be read, each destination is asked for, and shows what is wrong.
            let prefixes = self.kernel.prefixes(is_v4).ok().flatten();
            self.cells.draw(is_v4, prefixes.as_deref());
        }
        // Neighbours in number of one that has an interface of its own may be on another link.
        let is_apart = self.asked.zones.index_of(destination).is_some()
            || self.is_some_routers_anycast(destination);
        let alike = if is_apart {
            Alike::Alone
        } else {
            self.cells.find(destination)
        };
        if let Alike::Path(path) = alike {
            return Ok(self.with_mac(Way {
                destination,
                path,
                mac: None,
            }));
        }
        if let Some(way) = self.ways.get(destination) {
            return Ok(self.with_mac(way));
        }
        let path = self.find_path(destination)?;
        // Of its own addresses, each is its own source.
        let is_shared = alike == Alike::Unasked && path.carrier != Carrier::Host;
        let known = self.paths.iter().position(|other| other.is(&path));
        let number = match known {
            Some(number) => number,
            None if self.paths.len() < MOST_PATHS => {
                self.paths.push(path);
                self.paths.len() - 1
            }
            None => {
                let why = format!("more than {MOST_PATHS} ways out");
                return Err(RouteError::LookUp { destination, why });
            }
        };
        let way = Way {
            destination,
            path: u32::try_from(number).unwrap_or(u32::MAX),
            mac: None,
        };
        if is_shared {
            self.cells.note(destination, Alike::Path(way.path));
        } else {
            self.cells.note(destination, Alike::Alone);
            self.ways.insert(way);
        }
        Ok(self.with_mac(way))
    }

    /// The way with what is known of its next hop: the gateway of its path, or the destination
    /// itself on the link.
    fn with_mac(&self, way: Way) -> Way {
        let mac = match self.path(&way) {
            Some(path) if path.carrier == Carrier::Link && path.gateway.is_none() => {
                let known = self.ways.get(way.destination);
                known
                    .filter(|known| known.path == way.path)
                    .and_then(|known| known.mac)
            }
            Some(path) => path.gateway_mac,
            None => None,
        };
        Way { mac, ..way }
    }

    /// Notes where a way's next hop is.
    pub(super) fn learn_mac(&mut self, way: Way, mac: MacAddress) {
        let path = usize::try_from(way.path)
            .ok()
            .and_then(|path| self.paths.get_mut(path));
        match path {
            Some(path) if path.gateway.is_some() => path.gateway_mac = Some(mac),
            _ => self.ways.insert(Way {
                mac: Some(mac),
                ..way
            }),
        }
    }

    /// Asks the kernel how packets to a destination leave.
    pub(super) fn find_path(&mut self, destination: IpAddr) -> Result<Path, RouteError> {
        // To the kernel, the unspecified address is this machine, and without a default route
        // the broadcast address is nowhere.
        let is_broadcast = destination == IpAddr::from(Ipv4Addr::BROADCAST);
        if destination.is_unspecified() || destination.is_multicast() || is_broadcast {
            return Err(RouteError::NotAHost { destination });
        }
        let failed = |error: io::Error| RouteError::LookUp {
            destination,
            why: error.to_string(),
        };
        let found = self.asked.route(&mut self.kernel, destination);
        let no_route = RouteError::NoRoute { destination };
        let route = found.map_err(failed)?.ok_or_else(|| no_route.clone())?;
        let is_local = match route.kind {
            RouteKind::Unicast => false,
            RouteKind::Local => true,
            RouteKind::Group => return Err(RouteError::NotAHost { destination }),
            RouteKind::Unreachable => return Err(RouteError::Unreachable { destination }),
            RouteKind::Prohibited => return Err(RouteError::Prohibited { destination }),
            RouteKind::Nowhere => return Err(no_route),
        };
        let interface = self.interface(route.interface).map_err(failed)?;
        let interface = interface.ok_or(no_route)?;
        let carrier = match interface.has_neighbours() {
            _ if is_local => Carrier::Host,
            true => Carrier::Link,
            false => Carrier::Tunnel,
        };
        if !interface.is_up() {
            return Err(RouteError::InterfaceDown {
                interface: interface.name,
            });
        }
        let is_on_link = carrier == Carrier::Link && route.gateway.is_none();
        if is_on_link && self.is_some_routers_anycast(destination) {
            return Err(RouteError::NotAHost { destination });
        }
        let source = self
            .asked
            .source_for(destination)
            .or(route.source)
            .ok_or_else(|| RouteError::LookUp {
                destination,
                why: format!("`{}` has no address of its family", interface.name),
            })?;
        Ok(Path {
            carrier,
            gateway: route.gateway,
            gateway_mac: None,
            source,
            mtu: route.mtu.unwrap_or(interface.mtu).min(interface.mtu),
            sample: destination,
            interface,
        })
    }

    /// Whether an address means the routers of a link of this machine's. They answer neighbour
    /// discovery, and no connection.
    fn is_some_routers_anycast(&mut self, destination: IpAddr) -> bool {
        let IpAddr::V6(address) = destination else {
            return false;
        };
        // Asked of every packet: most are no such address for their last bits alone.
        if address.to_bits().trailing_zeros() < 2 {
            return false;
        }
        // Where the kernel cannot be asked, it is a host like any other.
        let own = self
            .own
            .get_or_insert_with(|| crate::local::interfaces().unwrap_or_default());
        own.iter()
            .any(|interface| interface.is_routers_anycast(address))
    }

    /// An interface, which is remembered until something changes: to ask for one costs the
    /// kernel several times what a route does.
    fn interface(&mut self, index: u32) -> io::Result<Option<Interface>> {
        if let Some(known) = self.interfaces.get(&index) {
            return Ok(Some(known.clone()));
        }
        let found = self.kernel.interface(index)?;
        if let Some(interface) = &found {
            self.interfaces.insert(index, interface.clone());
        }
        Ok(found)
    }
}
