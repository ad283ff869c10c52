//! What the kernel knows: interfaces, addresses, routes and neighbours (rtnetlink(7)).
//!
//! Each question is one request and its answers; whoever asks needs no rights. The kernel
//! decides what a route is, with its rules and tables; nothing here guesses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_wire::MacAddress;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::cells::Prefix;
use crate::netlink::{Attributes, Message, Request, address, u16_at, u32_at};

/// The largest datagram that the kernel sends (`NLMSG_GOODSIZE` and what dumps use).
const BUFFER_BYTES: usize = 1 << 16;

/// Datagrams of one answer, at the most: a dump of a million addresses.
const MOST_DATAGRAMS: usize = 1 << 16;

/// Datagrams of notices that are read at once.
const MOST_NOTICES: usize = 64;

/// The kernel answers at once; without an answer after this, something is broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// Types and flags of messages (`linux/netlink.h`, `linux/rtnetlink.h`).
mod kind {
    pub(super) const ERROR: u16 = 2;
    pub(super) const DONE: u16 = 3;
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const GET_LINK: u16 = 18;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const GET_ADDRESS: u16 = 22;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const GET_ROUTE: u16 = 26;
    pub(super) const NEW_NEIGHBOUR: u16 = 28;
    pub(super) const GET_NEIGHBOUR: u16 = 30;
    pub(super) const GET_RULE: u16 = 34;
    pub(super) const GET_LABEL: u16 = 74;
    pub(super) const REQUEST: u16 = 1;
    pub(super) const DUMP: u16 = 0x300;
}

/// Types of attributes, by the message that they are in.
mod attribute {
    pub(super) mod link {
        pub(in super::super) const ADDRESS: u16 = 1;
        pub(in super::super) const NAME: u16 = 3;
        pub(in super::super) const MTU: u16 = 4;
    }
    pub(super) mod address {
        pub(in super::super) const ADDRESS: u16 = 1;
        pub(in super::super) const LOCAL: u16 = 2;
    }
    pub(super) mod route {
        pub(in super::super) const DESTINATION: u16 = 1;
        pub(in super::super) const SOURCE: u16 = 2;
        pub(in super::super) const INTERFACE: u16 = 4;
        pub(in super::super) const GATEWAY: u16 = 5;
        pub(in super::super) const PREFERRED_SOURCE: u16 = 7;
        pub(in super::super) const METRICS: u16 = 8;
        pub(in super::super) const MULTIPATH: u16 = 9;
        pub(in super::super) const VIA: u16 = 18;
        pub(in super::super) const NEXT_HOP_ID: u16 = 30;
        /// Within the metrics.
        pub(in super::super) const MTU: u16 = 2;
    }
    pub(super) mod neighbour {
        pub(in super::super) const DESTINATION: u16 = 1;
        pub(in super::super) const LINK_ADDRESS: u16 = 2;
    }
}

/// Multicast groups of notices: links; addresses, routes and rules of both families.
const NOTICES: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x4_0000;

/// Networks of a family that are held, at the most. A router of the Internet knows a million, which
/// to read takes a second and changes many times in one.
const MOST_PREFIXES: usize = 1 << 14;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The type of its hardware (`ARPHRD_…`).
    pub(crate) hardware: u16,
    /// `IFF_…`.
    pub(crate) flags: u32,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) mtu: u32,
}

impl Interface {
    /// Whether it has Ethernet headers and neighbours that are asked for.
    pub(crate) fn has_neighbours(&self) -> bool {
        let is_quiet = self.flags & (flag(libc::IFF_NOARP) | flag(libc::IFF_LOOPBACK)) != 0;
        self.hardware == libc::ARPHRD_ETHER && self.mac.is_some() && !is_quiet
    }

    /// Whether it leads nowhere but to this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.flags & flag(libc::IFF_LOOPBACK) != 0
    }

    /// Whether packets can go out: it is up and has a carrier.
    pub(crate) fn is_up(&self) -> bool {
        let wanted = flag(libc::IFF_UP) | flag(libc::IFF_RUNNING);
        self.flags & wanted == wanted
    }
}

fn flag(flag: libc::c_int) -> u32 {
    flag.cast_unsigned()
}

/// What kind of destination a route leads to (`RTN_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Another host.
    Unicast,
    /// This machine.
    Local,
    /// A broadcast, multicast or anycast address.
    Group,
    /// Nowhere: this machine says that the destination cannot be reached.
    Unreachable,
    /// Nowhere: this machine says that the destination must not be reached.
    Prohibited,
    /// Nowhere, without a word.
    Nowhere,
}

/// How the kernel would send to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelRoute {
    pub(crate) kind: RouteKind,
    pub(crate) interface: u32,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) mtu: Option<u32>,
}

/// Asks the kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Kernel {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = open_socket(0, SocketFlags::CLOEXEC)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// The interface of this index; `None` when there is none.
    pub(crate) fn interface(&mut self, index: u32) -> io::Result<Option<Interface>> {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let request = Request::new(kind::GET_LINK, kind::REQUEST, &fixed);
        self.ask_link(request)
    }

    /// The interface of this name; `None` when there is none.
    pub(crate) fn interface_by_name(&mut self, name: &str) -> io::Result<Option<Interface>> {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        // The kernel takes no name of 16 bytes and more (`IFNAMSIZ`).
        if text.len() > 16 {
            return Ok(None);
        }
        let request = Request::new(kind::GET_LINK, kind::REQUEST, &[0; 16]);
        self.ask_link(request.attribute(attribute::link::NAME, &text))
    }

    /// Every interface, at most `most`.
    pub(crate) fn interfaces(&mut self, most: usize) -> io::Result<Vec<Interface>> {
        let mut found = Vec::new();
        let request = Request::new(kind::GET_LINK, kind::REQUEST | kind::DUMP, &[0; 16]);
        self.ask(request, |message| {
            if message.kind == kind::NEW_LINK
                && found.len() < most
                && let Some(interface) = read_interface(message)
            {
                found.push(interface);
            }
        })?;
        Ok(found)
    }

    /// Hands over every address of this machine: its interface, itself, and its prefix's length.
    pub(crate) fn addresses(&mut self, mut each: impl FnMut(u32, IpAddr, u8)) -> io::Result<()> {
        let request = Request::new(kind::GET_ADDRESS, kind::REQUEST | kind::DUMP, &[0; 8]);
        self.ask(request, |message| {
            if message.kind == kind::NEW_ADDRESS
                && let Some((index, address)) = read_address(message)
                && let Some(prefix) = message.payload.get(1)
            {
                each(index, address, *prefix);
            }
        })
    }

    /// Hands over what the kernel knows of the neighbours on an interface: their addresses, and
    /// where each is, whether or not it was heard from lately.
    pub(crate) fn neighbours(
        &mut self,
        interface: u32,
        mut each: impl FnMut(IpAddr, MacAddress),
    ) -> io::Result<()> {
        let request = Request::new(kind::GET_NEIGHBOUR, kind::REQUEST | kind::DUMP, &[0; 12]);
        self.ask(request, |message| {
            if message.kind == kind::NEW_NEIGHBOUR
                && let Some((index, address, mac)) = read_known(message)
                && index == interface
            {
                each(address, mac);
            }
        })
    }

    fn ask_link(&mut self, request: Request) -> io::Result<Option<Interface>> {
        let mut found = None;
        let result = self.ask(request, |message| {
            if message.kind == kind::NEW_LINK {
                found = read_interface(message);
            }
        });
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            result => result.map(|()| found),
        }
    }

    /// The index of the interface that has this address.
    pub(crate) fn owner(&mut self, wanted: IpAddr) -> io::Result<Option<u32>> {
        let mut owner = None;
        let request = Request::new(kind::GET_ADDRESS, kind::REQUEST | kind::DUMP, &[0; 8]);
        self.ask(request, |message| {
            if message.kind == kind::NEW_ADDRESS
                && let Some((index, address)) = read_address(message)
                && address == wanted
            {
                owner = Some(index);
            }
        })?;
        Ok(owner)
    }

    /// How the kernel would send to `destination`, from `source` and over `interface` where
    /// these are given; `None` when it would not.
    pub(crate) fn route(
        &mut self,
        destination: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
    ) -> io::Result<Option<KernelRoute>> {
        let bits = if destination.is_ipv4() { 32 } else { 128 };
        let mut fixed = [0; 12];
        fixed[0] = family_of(destination);
        fixed[1] = bits;
        let mut request = Request::new(kind::GET_ROUTE, kind::REQUEST, &fixed)
            .address(attribute::route::DESTINATION, destination);
        if let Some(source) = source {
            request = request.address(attribute::route::SOURCE, source);
        }
        if let Some(index) = interface {
            request = request.attribute(attribute::route::INTERFACE, &index.to_ne_bytes());
        }
        let mut found = None;
        let result = self.ask(request, |message| {
            if message.kind == kind::NEW_ROUTE {
                found = read_route(message);
            }
        });
        match result.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) => Ok(found),
            Err((Some(libc::EHOSTUNREACH), _)) => Ok(Some(refused(RouteKind::Unreachable))),
            Err((Some(libc::EACCES), _)) => Ok(Some(refused(RouteKind::Prohibited))),
            // `EINVAL` is what a blackhole route gives.
            Err((Some(libc::ENETUNREACH | libc::EINVAL | libc::ENETDOWN), _)) => Ok(None),
            Err((_, error)) => Err(error),
        }
    }

    /// The MAC address of a neighbour that the kernel has heard from lately, or was told for
    /// good.
    pub(crate) fn neighbour(
        &mut self,
        address: IpAddr,
        interface: u32,
    ) -> io::Result<Option<MacAddress>> {
        let mut fixed = [0; 12];
        fixed[0] = family_of(address);
        fixed[4..8].copy_from_slice(&interface.to_ne_bytes());
        let request = Request::new(kind::GET_NEIGHBOUR, kind::REQUEST, &fixed)
            .address(attribute::neighbour::DESTINATION, address);
        let mut found = None;
        let result = self.ask(request, |message| {
            if message.kind == kind::NEW_NEIGHBOUR {
                found = read_neighbour(message);
            }
        });
        match result.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) => Ok(found),
            // None, or a kernel before 5.0, which has no such question.
            Err((Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EINVAL), _)) => Ok(None),
            Err((_, error)) => Err(error),
        }
    }

    /// The networks of a family that the kernel may make a difference for, as destinations: those
    /// of all its routes and rules, and what its choice of source addresses goes by. `None` where
    /// there are more than can be held.
    pub(crate) fn prefixes(&mut self, is_v4: bool) -> io::Result<Option<Vec<Prefix>>> {
        let family = u8::try_from(if is_v4 { libc::AF_INET } else { libc::AF_INET6 })
            .expect("a family is a small number");
        let mut found: Vec<Prefix> = NO_HOSTS
            .into_iter()
            .filter(|prefix| prefix.address.is_ipv4() == is_v4)
            .collect();
        let mut dump = |kind: u16, len: usize, read: &dyn Fn(&Message<'_>, &mut Vec<Prefix>)| {
            let mut fixed = vec![0; len];
            fixed[0] = family;
            let request = Request::new(kind, kind::REQUEST | kind::DUMP, &fixed);
            self.ask(request, |message| {
                if found.len() <= MOST_PREFIXES {
                    read(message, &mut found);
                }
            })
        };
        dump(kind::GET_ROUTE, 12, &|message, found| {
            found.extend(read_prefix(message, is_v4));
        })?;
        let rules = dump(kind::GET_RULE, 12, &|message, found| {
            found.extend(read_prefix(message, is_v4));
        });
        match rules.map_err(|error| (error.raw_os_error(), error)) {
            // A kernel without rules.
            Ok(()) | Err((Some(libc::EOPNOTSUPP), _)) => {}
            Err((_, error)) => return Err(error),
        }
        if !is_v4 {
            dump(kind::GET_LABEL, 12, &|message, found| {
                found.extend(read_label(message));
            })?;
            dump(kind::GET_ADDRESS, 8, &read_own_networks)?;
        }
        Ok((found.len() <= MOST_PREFIXES).then_some(found))
    }

    /// Sends a request and hands over the messages that answer it.
    fn ask(&mut self, request: Request, mut each: impl FnMut(&Message<'_>)) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let is_dump = request.is_dump();
        let bytes = request.finish(self.sequence);
        rustix::net::send(&self.socket, &bytes, SendFlags::empty())?;
        for _ in 0..MOST_DATAGRAMS {
            let received = rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC);
            let (_, len) = match received {
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            };
            let datagram = self.buffer.get(..len).ok_or(io::ErrorKind::InvalidData)?;
            for message in Message::all(datagram) {
                // An answer to an earlier question, which was given up.
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    kind::ERROR => {
                        let number =
                            u32_at(message.payload, 0).ok_or(io::ErrorKind::InvalidData)?;
                        return match number.cast_signed() {
                            0 => Ok(()),
                            number => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
                        };
                    }
                    kind::DONE => return Ok(()),
                    _ => {
                        each(&message);
                        if !is_dump {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Hears that links, addresses or routes changed; what changed is asked anew.
#[derive(Debug)]
pub(crate) struct Notices {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Notices {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: open_socket(NOTICES, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?,
            buffer: vec![0; 64],
        })
    }

    /// Whether anything changed since the last call.
    pub(crate) fn any(&mut self) -> bool {
        let mut any = false;
        for _ in 0..MOST_NOTICES {
            match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                // The last: there were more than the queue holds.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => any = true,
                Err(_) => break,
            }
        }
        any
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open_socket(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        // None is the first: `NETLINK_ROUTE`.
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn family_of(address: IpAddr) -> u8 {
    let family = match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    u8::try_from(family).expect("a family is a small number")
}

/// Reads an `ifinfomsg` and its attributes.
pub(crate) fn read_interface(message: &Message<'_>) -> Option<Interface> {
    let (fixed, attributes) = message.split(16)?;
    let mac = attributes.get(attribute::link::ADDRESS);
    Some(Interface {
        index: u32_at(fixed, 4)?,
        name: attributes.text(attribute::link::NAME)?,
        hardware: u16_at(fixed, 2)?,
        flags: u32_at(fixed, 8)?,
        mac: mac.and_then(|mac| mac.try_into().ok()).map(MacAddress),
        mtu: attributes
            .number(attribute::link::MTU)
            .unwrap_or(u32::from(u16::MAX)),
    })
}

/// Reads an `ifaddrmsg` and its attributes: the interface and the address.
pub(crate) fn read_address(message: &Message<'_>) -> Option<(u32, IpAddr)> {
    let (fixed, attributes) = message.split(8)?;
    // On a link of two ends, the other attribute is the other end.
    let local = attributes.address(attribute::address::LOCAL);
    let address = local.or_else(|| attributes.address(attribute::address::ADDRESS))?;
    Some((u32_at(fixed, 4)?, address))
}

/// The route that an error of the kernel's stands for.
fn refused(kind: RouteKind) -> KernelRoute {
    KernelRoute {
        kind,
        interface: 0,
        gateway: None,
        source: None,
        mtu: None,
    }
}

/// Reads an `rtmsg` and its attributes.
pub(crate) fn read_route(message: &Message<'_>) -> Option<KernelRoute> {
    let (fixed, attributes) = message.split(12)?;
    let kind = match *fixed.get(7)? {
        libc::RTN_UNICAST => RouteKind::Unicast,
        libc::RTN_LOCAL => RouteKind::Local,
        libc::RTN_BROADCAST | libc::RTN_ANYCAST | libc::RTN_MULTICAST => RouteKind::Group,
        libc::RTN_UNREACHABLE => RouteKind::Unreachable,
        libc::RTN_PROHIBIT => RouteKind::Prohibited,
        _ => RouteKind::Nowhere,
    };
    let metrics = attributes.get(attribute::route::METRICS).map(Attributes);
    // A gateway of the other family comes as a family of 2 bytes and an address (RFC 8950).
    let via = attributes
        .get(attribute::route::VIA)
        .and_then(|via| address(via.get(2..)?));
    Some(KernelRoute {
        kind,
        interface: attributes.number(attribute::route::INTERFACE).unwrap_or(0),
        gateway: attributes.address(attribute::route::GATEWAY).or(via),
        source: attributes.address(attribute::route::PREFERRED_SOURCE),
        mtu: metrics.and_then(|metrics| metrics.number(attribute::route::MTU)),
    })
}

/// What no route need say: addresses that are no hosts, and the scopes of RFC 4007 and 4291, 2.5,
/// which the choice of a source goes by.
const NO_HOSTS: [Prefix; 11] = [
    Prefix::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 32),
    Prefix::of(IpAddr::V4(Ipv4Addr::BROADCAST), 32),
    Prefix::of(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    Prefix::of(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    Prefix::of(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    Prefix::of(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 96),
    Prefix::of(IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), 96),
    Prefix::of(IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
    Prefix::of(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    Prefix::of(IpAddr::V6(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0)), 10),
    Prefix::of(IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// Reads the destinations of an `rtmsg` or a `fib_rule_hdr`, which begin alike.
pub(crate) fn read_prefix(message: &Message<'_>, is_v4: bool) -> Option<Prefix> {
    let (fixed, attributes) = message.split(12)?;
    let any = if is_v4 {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let address = attributes
        .address(attribute::route::DESTINATION)
        .unwrap_or(any);
    let has = |kind| attributes.get(kind).is_some();
    // A group of next hops is told as such, or by its number alone.
    let is_group = has(attribute::route::NEXT_HOP_ID) && !has(attribute::route::INTERFACE);
    (address.is_ipv4() == is_v4).then_some(Prefix {
        address,
        len: *fixed.get(1)?,
        spreads: message.kind == kind::NEW_ROUTE && (has(attribute::route::MULTIPATH) || is_group),
    })
}

/// Reads an `ifaddrlblmsg`: a network that the choice of a source tells from others (RFC 6724, 2.1).
pub(crate) fn read_label(message: &Message<'_>) -> Option<Prefix> {
    let (fixed, attributes) = message.split(12)?;
    let address = attributes.address(attribute::address::ADDRESS)?;
    (!address.is_ipv4()).then_some(Prefix::of(address, *fixed.get(2)?))
}

/// Reads an `ifaddrmsg`: of an own address of IPv6, how many bits a destination has in common with
/// it decides whether it is the source, up to the length of its network (RFC 6724, 5, rule 8).
pub(crate) fn read_own_networks(message: &Message<'_>, found: &mut Vec<Prefix>) {
    if let Some((fixed, _)) = message.split(8)
        && let (Some(&len), Some((_, address @ IpAddr::V6(_)))) =
            (fixed.get(1), read_address(message))
    {
        found.extend((1..=len.min(128)).map(|len| Prefix::of(address, len)));
    }
}

/// Reads an `ndmsg` and its attributes: where a neighbour is that was heard from lately.
pub(crate) fn read_neighbour(message: &Message<'_>) -> Option<MacAddress> {
    let (fixed, attributes) = message.split(12)?;
    let sure = libc::NUD_REACHABLE | libc::NUD_PERMANENT;
    if u16_at(fixed, 8)? & sure == 0 {
        return None;
    }
    let mac = attributes.get(attribute::neighbour::LINK_ADDRESS)?;
    mac.try_into().ok().map(MacAddress)
}

/// Reads an `ndmsg` and its attributes: interface, address and where a neighbour is or was.
pub(crate) fn read_known(message: &Message<'_>) -> Option<(u32, IpAddr, MacAddress)> {
    let (fixed, attributes) = message.split(12)?;
    let mac = attributes.get(attribute::neighbour::LINK_ADDRESS)?;
    Some((
        u32_at(fixed, 4)?,
        attributes.address(attribute::neighbour::DESTINATION)?,
        MacAddress(mac.try_into().ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kernel_tells_all_networks_that_it_goes_by() {
        let mut kernel = Kernel::open().unwrap();
        let found = kernel.prefixes(true).unwrap().unwrap();
        let loopback = Prefix::of(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
        assert!(found.contains(&loopback), "{found:?}");
        let found = kernel.prefixes(false).unwrap().unwrap();
        // Of the label of RFC 3056's addresses.
        let label = Prefix::of("2002::".parse().unwrap(), 16);
        assert!(found.contains(&label), "{found:?}");
    }

    #[test]
    fn the_kernel_knows_the_loopback() {
        let mut kernel = Kernel::open().unwrap();
        let loopback = kernel.interface_by_name("lo").unwrap().unwrap();
        assert_eq!(loopback.name, "lo");
        assert!(!loopback.has_neighbours());
        assert_eq!(
            kernel.interface(loopback.index).unwrap(),
            Some(loopback.clone())
        );
        let near = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(kernel.owner(near).unwrap(), Some(loopback.index));
        let route = kernel.route(near, None, None).unwrap().unwrap();
        assert_eq!((route.kind, route.source), (RouteKind::Local, Some(near)));
    }

    #[test]
    fn what_is_not_there_is_none() {
        let mut kernel = Kernel::open().unwrap();
        assert_eq!(kernel.interface_by_name("portolan-none").unwrap(), None);
        assert_eq!(
            kernel
                .interface_by_name("a name that is far too long")
                .unwrap(),
            None
        );
        assert_eq!(kernel.interface(0x7fff_fff0).unwrap(), None);
        assert_eq!(kernel.owner("192.0.2.77".parse().unwrap()).unwrap(), None);
        assert_eq!(
            kernel.neighbour("192.0.2.77".parse().unwrap(), 1).unwrap(),
            None
        );
    }

    proptest! {
        #[test]
        fn no_message_makes_a_reader_panic(
            payload in proptest::collection::vec(prop_oneof![0_u8..12, any::<u8>()], 0..200),
        ) {
            let message = Message { kind: 0, sequence: 0, payload: &payload };
            let _ = (read_interface(&message), read_address(&message));
            let _ = (read_route(&message), read_neighbour(&message));
            let _ = (read_prefix(&message, true), read_label(&message));
            read_own_networks(&message, &mut Vec::new());
            let _ = read_known(&message);
        }
    }
}
