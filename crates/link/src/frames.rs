//! Whole frames, written here, that leave by one interface.
//!
//! To the kernel a frame with its header costs less than a packet with the name of its next hop, which
//! it reads, looks the interface up by, and writes the header from: about 6 % of a frame that the
//! other end drops. So packets that all leave by one interface go out as frames, by a socket that is
//! bound to it; where interfaces alternate, the name of each says which.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use portolan_wire::{EtherType, MacAddress, ethernet};

use crate::closing::PacketSocket;
use crate::sys;

/// Frames back to back, all for one interface; used again and again.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    interface: Option<u32>,
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// Some of the packets are not among them.
    is_short: bool,
}

/// From whom to whom on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) interface: u32,
    /// The interface's own address, where it has one.
    pub(crate) from: Option<MacAddress>,
    pub(crate) to: MacAddress,
}

impl Frames {
    pub(crate) fn clear(&mut self) {
        self.interface = None;
        self.bytes.clear();
        self.ends.clear();
        self.is_short = false;
    }

    /// Adds the frame of a packet, or notes that it can be none of these.
    pub(crate) fn push(&mut self, hop: Hop, ether_type: EtherType, packet: &[u8]) {
        let interface = *self.interface.get_or_insert(hop.interface);
        let Some(source) = hop.from.filter(|_| interface == hop.interface) else {
            self.is_short = true;
            return;
        };
        let header = ethernet::Repr {
            destination: hop.to,
            source,
            ether_type,
            vlan: None,
        };
        let mut room = [0; ethernet::HEADER_LEN];
        self.is_short |= header.emit(&mut room).is_err();
        self.bytes.extend_from_slice(&room);
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len());
    }

    /// The interface by which all leave; `None` where that cannot be said of all that were pushed.
    pub(crate) fn interface(&self) -> Option<u32> {
        self.interface.filter(|_| !self.is_short)
    }

    /// The frame at a place.
    pub(crate) fn get(&self, place: usize) -> Option<&[u8]> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(start..end)
    }
}

/// A socket for frames, bound to the interface that it was last used for.
#[derive(Debug)]
pub(crate) struct FrameSocket {
    socket: PacketSocket,
    bound_to: Cell<Option<u32>>,
}

impl FrameSocket {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: PacketSocket::new(socket),
            bound_to: Cell::new(None),
        }
    }

    /// Sends frames, from the one at `first` on; returns how many left, at least one.
    ///
    /// # Errors
    /// The first frame's, or those of binding to an interface that is gone.
    pub(crate) fn send(&self, interface: u32, frames: &Frames, first: usize) -> io::Result<usize> {
        let socket = self.socket.as_fd();
        if self.bound_to.get() != Some(interface) {
            // It has no protocol and so receives nothing, and binding it waits for nobody.
            sys::bind(socket, &sys::LinkName::interface_alone(interface))?;
            self.bound_to.set(Some(interface));
        }
        let rest = (first..).map_while(|place| frames.get(place));
        let nameless = vec![sys::Nameless; frames.ends.len().saturating_sub(first)];
        // An interface that went and came may be another by the same number.
        sys::send(socket, &nameless, rest).inspect_err(|_| self.bound_to.set(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(interface: u32, from: Option<u8>) -> Hop {
        Hop {
            interface,
            from: from.map(|last| MacAddress([2, 0, 0, 0, 0, last])),
            to: MacAddress([2, 0, 0, 0, 0, 9]),
        }
    }

    #[test]
    fn frames_are_headers_and_packets() {
        let mut frames = Frames::default();
        frames.push(hop(3, Some(1)), EtherType::IPV4, b"one");
        frames.push(hop(3, Some(1)), EtherType::IPV6, b"other");
        assert_eq!(frames.interface(), Some(3));
        let header = *b"\x02\0\0\0\0\x09\x02\0\0\0\0\x01";
        let one = [&header[..], b"\x08\0one"].concat();
        let other = [&header[..], b"\x86\xddother"].concat();
        assert_eq!(frames.get(0), Some(&one[..]));
        assert_eq!(frames.get(1), Some(&other[..]));
        assert_eq!(frames.get(2), None);
        frames.clear();
        assert_eq!((frames.interface(), frames.get(0)), (None, None));
    }

    #[test]
    fn of_several_interfaces_or_one_without_an_address_there_are_none() {
        for second in [hop(4, Some(1)), hop(3, None)] {
            let mut frames = Frames::default();
            frames.push(hop(3, Some(1)), EtherType::IPV4, b"one");
            frames.push(second, EtherType::IPV4, b"other");
            frames.push(hop(3, Some(1)), EtherType::IPV4, b"third");
            assert_eq!(frames.interface(), None, "{second:?}");
        }
    }
}
