//! What the system's errors mean for the port that was asked.

use std::net::IpAddr;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use portolan_model::{PortState, Reason};
use rustix::io::Errno;

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

/// What an error means that `connect` gave at once, before a packet went out.
pub(super) fn at_once(error: Errno) -> Meaning {
    match error {
        // No route, or no address of ours that fits the family.
        Errno::NETUNREACH | Errno::AFNOSUPPORT => Meaning::Answer(Finding::NoRoute),
        // A route that says so: `ip route add unreachable`, `prohibit`.
        Errno::ACCESS | Errno::PERM => {
            Meaning::Answer(Finding::Port(PortState::Filtered, Reason::AdminProhibited))
        }
        Errno::INVAL => Meaning::Answer(Finding::NoHost),
        _ => later(error),
    }
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
        // The last two are protocol unreachable (ICMP type 3, code 2): no TCP there at all.
        Errno::HOSTUNREACH
        | Errno::HOSTDOWN
        | Errno::NONET
        | Errno::NOPROTOOPT
        | Errno::OPNOTSUPP => filtered(Reason::HostUnreach),
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

    /// What it says of the port; `own` is the address that we asked from.
    pub(super) fn finding(self, own: Option<IpAddr>) -> Option<Finding> {
        let is_own = self.from.is_some() && self.from == own;
        // Of our own address: no neighbour answered ARP or neighbour discovery.
        if is_own
            && matches!(
                (self.v6, self.kind, self.code),
                (false, 3, 1) | (true, 1, 3)
            )
        {
            return Some(Finding::NoNeighbour);
        }
        unreachable_means(self.v6, self.kind, self.code)
    }
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
        assert_eq!(
            at_once(Errno::NETUNREACH),
            Meaning::Answer(Finding::NoRoute)
        );
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
        let finding = |icmp: Icmp| icmp.finding(Some(own)).unwrap();
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
        assert_eq!(icmp(11, 0, router).finding(Some(own)), None);
    }
}
