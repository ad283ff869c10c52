//! Socket addresses below IP, and of IP without ports.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use portolan_wire::{EtherType, MacAddress};

use super::{checked, len_of};

/// A socket address that the kernel can read through a pointer.
///
/// # Safety
/// The type is the C structure of a socket address with its family set, without padding that
/// was never written and without pointers.
pub(crate) unsafe trait Name: Copy {
    /// Bytes that count of it.
    fn len(&self) -> libc::socklen_t;
}

/// An interface and a MAC address on it (packet(7), `sockaddr_ll`).
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct LinkName(libc::sockaddr_ll);

impl std::fmt::Debug for LinkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkName")
            .field("interface", &self.interface())
            .field("mac", &self.mac())
            .finish()
    }
}

impl LinkName {
    /// No interface, no address: what is overwritten by the kernel.
    pub(crate) const NONE: Self = Self(libc::sockaddr_ll {
        sll_family: 0,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    });

    /// Where a packet of this type goes on the link of the interface.
    pub(crate) fn new(interface: u32, to: MacAddress, ether_type: EtherType) -> Self {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&to.0);
        Self(libc::sockaddr_ll {
            sll_family: family(libc::AF_PACKET),
            sll_protocol: ether_type.0.to_be(),
            sll_ifindex: interface.cast_signed(),
            sll_halen: 6,
            sll_addr: address,
            ..Self::NONE.0
        })
    }

    /// Every interface, and packets of this type.
    pub(crate) fn any(ether_type: EtherType) -> Self {
        Self(libc::sockaddr_ll {
            sll_family: family(libc::AF_PACKET),
            sll_protocol: ether_type.0.to_be(),
            ..Self::NONE.0
        })
    }

    /// An interface, and nothing of who is on it.
    pub(crate) fn interface_alone(interface: u32) -> Self {
        Self(libc::sockaddr_ll {
            sll_family: family(libc::AF_PACKET),
            sll_ifindex: interface.cast_signed(),
            ..Self::NONE.0
        })
    }

    /// The index of the interface.
    pub(crate) const fn interface(&self) -> u32 {
        self.0.sll_ifindex.cast_unsigned()
    }

    /// The MAC address, where the link has such.
    pub(crate) fn mac(&self) -> Option<MacAddress> {
        let is_ethernet = self.0.sll_hatype == libc::ARPHRD_ETHER && self.0.sll_halen == 6;
        let octets = self.0.sll_addr.first_chunk()?;
        is_ethernet.then_some(MacAddress(*octets))
    }
}

// SAFETY: `LinkName` is a `sockaddr_ll`, which has no padding, and every constructor writes all
// its fields.
unsafe impl Name for LinkName {
    fn len(&self) -> libc::socklen_t {
        len_of::<Self>()
    }
}

/// No name: the packet says itself where it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nameless;

// SAFETY: of a name of no bytes the kernel reads none (it takes a length of 0 for no name).
unsafe impl Name for Nameless {
    fn len(&self) -> libc::socklen_t {
        0
    }
}

/// A host, for sockets that have no ports (raw(7), ip(7), ipv6(7)).
///
/// Both families share one structure, so that one array holds either: `sockaddr_in` is the
/// shorter one, and its fields are the bytes at the front.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(4))]
pub(crate) struct HostName {
    bytes: [u8; size_of::<libc::sockaddr_in6>()],
    len: libc::socklen_t,
}

impl HostName {
    /// The address; `scope` is the interface of an IPv6 address that needs one.
    pub(crate) fn new(address: IpAddr, scope: u32) -> Self {
        let mut bytes = [0; size_of::<libc::sockaddr_in6>()];
        let len = match address {
            IpAddr::V4(address) => {
                bytes[..2].copy_from_slice(&family(libc::AF_INET).to_ne_bytes());
                bytes[4..8].copy_from_slice(&address.octets());
                len_of::<libc::sockaddr_in>()
            }
            IpAddr::V6(address) => {
                bytes[..2].copy_from_slice(&family(libc::AF_INET6).to_ne_bytes());
                bytes[8..24].copy_from_slice(&address.octets());
                if address.is_unicast_link_local() {
                    bytes[24..28].copy_from_slice(&scope.to_ne_bytes());
                }
                len_of::<libc::sockaddr_in6>()
            }
        };
        Self { bytes, len }
    }
}

// SAFETY: the bytes at the front are those of a `sockaddr_in` or `sockaddr_in6`, all written,
// aligned as these are; `len` keeps the kernel from reading what follows.
unsafe impl Name for HostName {
    fn len(&self) -> libc::socklen_t {
        self.len
    }
}

/// Binds a packet socket.
pub(crate) fn bind(socket: BorrowedFd<'_>, name: &LinkName) -> io::Result<()> {
    let pointer = std::ptr::from_ref(name).cast();
    // SAFETY: the pointer is that of a whole `sockaddr_ll`, the length is its length, and the
    // kernel only reads it.
    let result = unsafe { libc::bind(socket.as_raw_fd(), pointer, len_of::<LinkName>()) };
    checked(result).map(drop)
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).expect("a family is a small number")
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn the_bytes_of_a_host_are_where_the_system_reads_them() {
        assert_eq!(offset_of!(libc::sockaddr_in, sin_family), 0);
        assert_eq!(offset_of!(libc::sockaddr_in, sin_addr), 4);
        assert_eq!(offset_of!(libc::sockaddr_in6, sin6_family), 0);
        assert_eq!(offset_of!(libc::sockaddr_in6, sin6_addr), 8);
        assert_eq!(offset_of!(libc::sockaddr_in6, sin6_scope_id), 24);
        assert_eq!(offset_of!(HostName, bytes), 0);
        assert!(align_of::<HostName>() >= align_of::<libc::sockaddr_in6>());
    }

    #[test]
    fn a_mac_address_goes_in_and_comes_out() {
        let mac = MacAddress([2, 0, 0, 0, 0, 7]);
        let mut name = LinkName::new(3, mac, EtherType::IPV4);
        assert_eq!(name.interface(), 3);
        // The kernel sets the type of the link when it hands a packet over.
        assert_eq!(name.mac(), None);
        name.0.sll_hatype = libc::ARPHRD_ETHER;
        assert_eq!(name.mac(), Some(mac));
    }
}
