//! What the system's errors mean for the port that was asked.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use portolan_model::{PortState, Reason};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::transport::{Finding, unreachable_means};

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is an answer, or as good as one.
    Answer(Finding),
    /// This machine has no room just now: the same again in a moment.
    Wait,
    /// Nothing was learnt: nothing came back.
    Silence,
}

/// What an error means that `connect` to `address` gave at once, before a packet went out.
pub(super) fn at_once(error: Errno, address: IpAddr) -> Meaning {
    match error {
        // Besides a missing route: TCP does not connect to broadcast and multicast addresses.
        Errno::NETUNREACH if is_group(address) => Meaning::Answer(Finding::NoHost),
        // An address on "this" network (RFC 1122, 3.2.1.3 b) is no host's.
        Errno::INVAL if matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0) => {
            Meaning::Answer(Finding::NoHost)
        }
        // No route, no address of ours that fits the family, a route to nowhere
        // (`ip route add blackhole`), an address of a link that is not named (RFC 4007, 6), or a
        // link that has just gone down.
        Errno::NETUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT | Errno::INVAL => {
            Meaning::Answer(Finding::NoRoute)
        }
        // The same of a family whose addresses were all taken away, as in containers without
        // IPv6; where merely no port is left, the next try may find one.
        Errno::ADDRNOTAVAIL if has_no_source(address) => Meaning::Answer(Finding::NoRoute),
        // A route that says so: `ip route add unreachable`, `prohibit`.
        Errno::ACCESS | Errno::PERM => {
            Meaning::Answer(Finding::Port(PortState::Filtered, Reason::AdminProhibited))
        }
        _ => later(error),
    }
}

/// Whether an address that TCP finds no route to is one of many hosts: a broadcast address of a
/// network that this machine is on, or a multicast address.
///
/// A datagram socket tells: connecting it sends nothing and takes the same route, but it may go
/// to a group, and is refused a broadcast address by another error (ip(7), `EACCES`).
fn is_group(address: IpAddr) -> bool {
    if address.is_multicast() {
        return true;
    }
    let IpAddr::V4(v4) = address else {
        return false;
    };
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
    let tried = socket.and_then(|socket| {
        let discard = SocketAddr::from((v4, 9));
        rustix::net::connect(&socket, &discard)
    });
    v4.is_broadcast() || tried == Err(Errno::ACCESS)
}

/// Whether this machine has no address to ask `address` from.
///
/// A datagram socket tells: connecting it sends nothing, takes the same source address, and a
/// port of its own kind.
fn has_no_source(address: IpAddr) -> bool {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let tried = rustix::net::socket(family, SocketType::DGRAM, None)
        .and_then(|socket| rustix::net::connect(&socket, &SocketAddr::new(address, 9)));
    tried == Err(Errno::ADDRNOTAVAIL)
}

/// What an error means that a connection ended with.
pub(super) fn later(error: Errno) -> Meaning {
    let filtered = |reason| Meaning::Answer(Finding::Port(PortState::Filtered, reason));
    match error {
        Errno::CONNREFUSED => {
            Meaning::Answer(Finding::Port(PortState::Closed, Reason::ConnRefused))
        }
        // A reset after the handshake: something accepted, then let go.
        Errno::CONNRESET | Errno::PIPE => {
            Meaning::Answer(Finding::Port(PortState::Open, Reason::SynAck))
        }
        Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::NONET | Errno::OPNOTSUPP => {
            filtered(Reason::HostUnreach)
        }
        // ICMP type 3, code 2: no TCP there at all.
        Errno::NOPROTOOPT => filtered(Reason::ProtoUnreach),
        Errno::NETUNREACH | Errno::NETDOWN => filtered(Reason::NetUnreach),
        Errno::ACCESS | Errno::PERM => filtered(Reason::AdminProhibited),
        Errno::TIMEDOUT => Meaning::Silence,
        Errno::MFILE
        | Errno::NFILE
        | Errno::NOBUFS
        | Errno::NOMEM
        | Errno::AGAIN
        | Errno::INTR
        | Errno::ADDRNOTAVAIL
        | Errno::ADDRINUSE => Meaning::Wait,
        other => Meaning::Answer(Finding::Failed(words(other))),
    }
}

/// The system's words for an error, without its number.
pub(super) fn words(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_lowercase()
}

/// The ICMP error that a socket's connection attempt ended with, if it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Icmp {
    /// Whether it is one of ICMP for IPv6.
    pub(super) v6: bool,
    pub(super) kind: u8,
    pub(super) code: u8,
    /// Who sent it.
    pub(super) from: Option<IpAddr>,
}

impl Icmp {
    /// Takes the error from the socket's queue (`IP_RECVERR`, ip(7)).
    pub(super) fn of<Fd: rustix::fd::AsRawFd>(socket: &Fd) -> Option<Self> {
        const ICMP: u8 = 2;
        const ICMP6: u8 = 3;
        let mut space = nix::cmsg_space!([u8; 128]);
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut [],
            Some(&mut space),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )
        .ok()?;
        for control in message.cmsgs().ok()? {
            let (error, from) = match control {
                ControlMessageOwned::Ipv4RecvErr(error, from) => (
                    error,
                    from.map(|from| IpAddr::from(u32::from_be(from.sin_addr.s_addr).to_be_bytes())),
                ),
                ControlMessageOwned::Ipv6RecvErr(error, from) => {
                    (error, from.map(|from| IpAddr::from(from.sin6_addr.s6_addr)))
                }
                _ => continue,
            };
            if matches!(error.ee_origin, ICMP | ICMP6) {
                return Some(Self {
                    v6: error.ee_origin == ICMP6,
                    kind: error.ee_type,
                    code: error.ee_code,
                    from,
                });
            }
        }
        None
    }

    /// What it says of a port of `asked`; `is_ours` tells the addresses of this machine.
    pub(super) fn finding(
        self,
        asked: IpAddr,
        is_ours: impl FnOnce(IpAddr) -> bool,
    ) -> Option<Finding> {
        // Of one of our own addresses: no neighbour answered ARP or neighbour discovery.
        let is_host_unreachable = matches!(
            (self.v6, self.kind, self.code),
            (false, 3, 1) | (true, 1, 3)
        );
        if is_host_unreachable && self.from.is_some_and(|from| from != asked && is_ours(from)) {
            return Some(Finding::NoNeighbour);
        }
        unreachable_means(self.v6, self.kind, self.code)
    }
}

/// Whether an address is one of this machine's, which is the address that it asks itself from.
///
/// The socket that was refused cannot tell: the system takes its address away as it fails.
/// `scope` is the interface that a link-local address would be on.
pub(super) fn is_ours(address: IpAddr, scope: u32) -> bool {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let at = match address {
        IpAddr::V4(_) => SocketAddr::new(address, 9),
        IpAddr::V6(address) => SocketAddrV6::new(address, 9, 0, scope).into(),
    };
    // Connecting a datagram socket sends nothing.
    let from = || {
        let socket = rustix::net::socket(family, SocketType::DGRAM, None)?;
        rustix::net::connect(&socket, &at)?;
        SocketAddr::try_from(rustix::net::getsockname(&socket)?)
    };
    from().is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(state: PortState, reason: Reason) -> Meaning {
        Meaning::Answer(Finding::Port(state, reason))
    }

    #[test]
    fn every_error_of_connect_has_its_state_and_reason() {
        for (error, meaning) in [
            (
                Errno::CONNREFUSED,
                port(PortState::Closed, Reason::ConnRefused),
            ),
            (
                Errno::HOSTUNREACH,
                port(PortState::Filtered, Reason::HostUnreach),
            ),
            (
                Errno::NETUNREACH,
                port(PortState::Filtered, Reason::NetUnreach),
            ),
            (
                Errno::ACCESS,
                port(PortState::Filtered, Reason::AdminProhibited),
            ),
            (Errno::TIMEDOUT, Meaning::Silence),
            (Errno::MFILE, Meaning::Wait),
            (Errno::NFILE, Meaning::Wait),
            (Errno::ADDRNOTAVAIL, Meaning::Wait),
            (Errno::NOBUFS, Meaning::Wait),
        ] {
            assert_eq!(later(error), meaning, "{error:?}");
        }
        for (error, address, finding) in [
            (Errno::NETUNREACH, "ff02::1", Finding::NoHost),
            (Errno::NETUNREACH, "224.0.0.1", Finding::NoHost),
            (Errno::NETUNREACH, "255.255.255.255", Finding::NoHost),
            (Errno::NETUNREACH, "127.255.255.255", Finding::NoHost),
            (Errno::NETUNREACH, "2001:db8::1", Finding::NoRoute),
            (Errno::NETUNREACH, "127.0.0.1", Finding::NoRoute),
            (Errno::INVAL, "0.1.2.3", Finding::NoHost),
            (Errno::NETDOWN, "2001:db8::1", Finding::NoRoute),
            (Errno::INVAL, "fe80::1", Finding::NoRoute),
            (Errno::INVAL, "127.0.0.1", Finding::NoRoute),
        ] {
            assert_eq!(
                at_once(error, address.parse().unwrap()),
                Meaning::Answer(finding),
                "{error:?} {address}"
            );
        }
        assert_eq!(
            later(Errno::ISDIR),
            Meaning::Answer(Finding::Failed("is a directory".to_owned()))
        );
    }

    #[test]
    fn icmp_tells_prohibition_from_a_missing_host() {
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let router: IpAddr = "192.0.2.254".parse().unwrap();
        let icmp = |kind, code, from| Icmp {
            v6: false,
            kind,
            code,
            from: Some(from),
        };
        let asked = "198.51.100.1".parse().unwrap();
        let finding = |icmp: Icmp| icmp.finding(asked, |from| from == own).unwrap();
        assert_eq!(finding(icmp(3, 1, own)), Finding::NoNeighbour);
        assert_eq!(
            finding(icmp(3, 1, router)),
            Finding::Port(PortState::Filtered, Reason::HostUnreach)
        );
        for code in [9, 10, 13] {
            assert_eq!(
                finding(icmp(3, code, router)),
                Finding::Port(PortState::Filtered, Reason::AdminProhibited)
            );
        }
        assert_eq!(icmp(11, 0, router).finding(asked, |_| false), None);
        // A host that speaks of itself is there.
        assert_eq!(
            icmp(3, 1, own).finding(own, |_| true),
            Some(Finding::Port(PortState::Filtered, Reason::HostUnreach))
        );
    }

    #[test]
    fn addresses_of_this_machine_are_told_from_others() {
        assert!(is_ours("127.0.0.1".parse().unwrap(), 0));
        assert!(is_ours("::1".parse().unwrap(), 0));
        assert!(!is_ours("192.0.2.254".parse().unwrap(), 0));
    }
}
