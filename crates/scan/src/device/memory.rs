//! A device in memory, under a clock that its holder sets.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::device::{
    Batch, ChecksumStatus, Device, DeviceError, Drops, Heard, Reach, Received, Route, RouteError,
};

/// A clock that stands still until it is set; copies of it show the same time.
#[derive(Debug, Clone, Default)]
pub struct Hand(Rc<Cell<Duration>>);

impl Hand {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on to `at`; a clock never goes back.
    pub fn advance_to(&self, at: Duration) {
        self.0.set(self.0.get().max(at));
    }
}

impl Clock for Hand {
    fn now(&self) -> Duration {
        self.0.get()
    }

    /// Zero is the start of 1970.
    fn timestamp(&self, at: Duration) -> Timestamp {
        Timestamp::UNIX_EPOCH
            .checked_add(at)
            .unwrap_or(Timestamp::MAX)
    }
}

/// What a network does with a packet: the packets that come back, and after how long each.
type Network = Box<dyn FnMut(&[u8]) -> Vec<(Duration, Vec<u8>)>>;

/// A device whose network is a function, under a clock that moves when nothing is left to do
/// but wait.
///
/// ```
/// use std::time::Duration;
/// use portolan_scan::clock::Clock;
/// use portolan_scan::device::{Batch, Device, Hand, Heard, MemoryDevice};
///
/// let clock = Hand::new();
/// let delay = Duration::from_millis(30);
/// let echo = move |packet: &[u8]| vec![(delay, packet.to_vec())];
/// let mut device = MemoryDevice::new(clock.clone(), ["192.0.2.1".parse()?], echo);
///
/// let mut batch = Batch::new();
/// batch.push(2).copy_from_slice(&[1, 2]);
/// assert_eq!(device.send(&batch)?, 1);
/// let mut heard = 0;
/// device.receive(Duration::from_secs(1), &mut |received| {
///     heard += usize::from(matches!(received.heard, Heard::Packet { bytes: [1, 2], .. }));
/// })?;
/// assert_eq!((heard, clock.now()), (1, delay));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryDevice {
    clock: Hand,
    sources: Vec<IpAddr>,
    network: Network,
    /// What comes, by time and order of sending.
    coming: BTreeMap<(Duration, u64), Vec<u8>>,
    sent: u64,
}

impl MemoryDevice {
    /// A device with these addresses, at the most one a family, on `network`.
    pub fn new(
        clock: Hand,
        sources: impl IntoIterator<Item = IpAddr>,
        network: impl FnMut(&[u8]) -> Vec<(Duration, Vec<u8>)> + 'static,
    ) -> Self {
        Self {
            clock,
            sources: sources.into_iter().collect(),
            network: Box::new(network),
            coming: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Packets sent so far.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    fn schedule(&mut self, at: Duration, packet: Vec<u8>) {
        let order = self.coming.len() as u64 + self.sent;
        let mut key = (at, order);
        while self.coming.contains_key(&key) {
            key.1 += 1;
        }
        self.coming.insert(key, packet);
    }
}

impl fmt::Debug for MemoryDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDevice")
            .field("sources", &self.sources)
            .field("coming", &self.coming.len())
            .finish_non_exhaustive()
    }
}

impl Device for MemoryDevice {
    fn route(&mut self, destination: IpAddr) -> Result<Route, RouteError> {
        let source = self
            .sources
            .iter()
            .find(|source| source.is_ipv4() == destination.is_ipv4());
        let source = *source.ok_or(RouteError::NoRoute { destination })?;
        Ok(Route {
            source,
            reach: Reach::Beyond,
            path: u32::from(source.is_ipv6()),
            mtu: 1500,
        })
    }

    fn solicit(&mut self, neighbour: IpAddr) -> Result<(), DeviceError> {
        Err(DeviceError::NotOnLink { address: neighbour })
    }

    fn send(&mut self, batch: &Batch) -> Result<usize, DeviceError> {
        let now = self.clock.now();
        for packet in batch.iter() {
            self.sent += 1;
            for (delay, answer) in (self.network)(packet) {
                self.schedule(now + delay, answer);
            }
        }
        Ok(batch.len())
    }

    fn receive(
        &mut self,
        until: Duration,
        each: &mut dyn FnMut(Received<'_>),
    ) -> Result<(), DeviceError> {
        // Time passes even if nothing happens, as it does for a real thread.
        let until = until.max(self.clock.now() + Duration::from_micros(1));
        let first = self.coming.first_key_value().map(|((at, _), _)| *at);
        let wake = first.map_or(until, |at| at.min(until));
        self.clock.advance_to(wake);
        let now = self.clock.now();
        while let Some(entry) = self.coming.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let bytes = entry.remove();
            each(Received {
                at,
                heard: Heard::Packet {
                    bytes: &bytes,
                    checksum: ChecksumStatus::Unchecked,
                    link: None,
                },
            });
        }
        Ok(())
    }

    fn drops(&mut self) -> Drops {
        Drops::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn heard(device: &mut MemoryDevice, until: Duration) -> Vec<(Duration, Vec<u8>)> {
        let mut all = Vec::new();
        let each = &mut |received: Received<'_>| {
            if let Heard::Packet { bytes, .. } = received.heard {
                all.push((received.at, bytes.to_vec()));
            }
        };
        device.receive(until, each).unwrap();
        all
    }

    #[test]
    fn what_comes_later_is_heard_later() {
        let clock = Hand::new();
        let network = |packet: &[u8]| vec![(ms(u64::from(packet[0])), packet.to_vec())];
        let mut device = MemoryDevice::new(clock.clone(), [], network);
        let mut batch = Batch::new();
        for delay in [30, 10, 10] {
            batch.push(1)[0] = delay;
        }
        device.send(&batch).unwrap();
        assert_eq!(heard(&mut device, ms(5)), []);
        assert_eq!(clock.now(), ms(5));
        assert_eq!(
            heard(&mut device, ms(20)),
            [(ms(10), vec![10]), (ms(10), vec![10])]
        );
        assert_eq!(heard(&mut device, ms(99)), [(ms(30), vec![30])]);
        assert_eq!(clock.now(), ms(30));
    }

    #[test]
    fn a_family_without_an_address_has_no_route() {
        let mut device =
            MemoryDevice::new(Hand::new(), ["192.0.2.1".parse().unwrap()], |_| Vec::new());
        let near: IpAddr = "192.0.2.9".parse().unwrap();
        let far: IpAddr = "2001:db8::9".parse().unwrap();
        assert_eq!(device.source(near), Ok("192.0.2.1".parse().unwrap()));
        assert_eq!(
            device.source(far),
            Err(RouteError::NoRoute { destination: far })
        );
    }
}
