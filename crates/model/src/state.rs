//! What a port can be found to be, and what that rests on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares an enum whose variants each have one word, used everywhere it is printed, parsed
/// and stored.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident ($what:literal) {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// The word for it, the same in every output.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $( $word => Ok(Self::$variant), )+
                    _ => Err(UnknownWord { what: $what, found: text.to_owned() }),
                }
            }
        }
    };
}

/// A word that is none of those an enum of this module knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{found}`")]
pub struct UnknownWord {
    what: &'static str,
    found: String,
}

words! {
    /// A transport protocol that has ports.
    pub enum Protocol("protocol") {
        /// TCP (RFC 9293).
        Tcp = "tcp",
        /// UDP (RFC 768).
        Udp = "udp",
    }
}

words! {
    /// What a port was found to be.
    pub enum PortState("port state") {
        /// Something listens there and answered.
        Open = "open",
        /// The host answered that nothing listens there.
        Closed = "closed",
        /// No answer, or the answer of something in between that forbids the way.
        Filtered = "filtered",
        /// No answer, and silence is also what an open port of this protocol may give.
        OpenFiltered = "open|filtered",
    }
}

words! {
    /// The packet or the time-out on which a state rests.
    pub enum Reason("reason") {
        /// SYN and ACK, or an established connection (RFC 9293, 3.5).
        SynAck = "syn-ack",
        /// RST in answer to a SYN (RFC 9293, 3.5.2).
        Reset = "reset",
        /// The system's `ECONNREFUSED`: a RST, seen through a socket.
        ConnRefused = "conn-refused",
        /// Nothing came back, as often as was asked.
        NoResponse = "no-response",
        /// ICMP port unreachable (RFC 792, type 3, code 3; RFC 4443, type 1, code 4).
        PortUnreach = "port-unreach",
        /// ICMP host unreachable, or no neighbour with that address.
        HostUnreach = "host-unreach",
        /// ICMP network unreachable.
        NetUnreach = "net-unreach",
        /// ICMP communication administratively prohibited (RFC 1812, 5.2.7.1).
        AdminProhibited = "admin-prohibited",
        /// A datagram in answer to ours.
        UdpResponse = "udp-response",
        /// ICMP echo reply.
        EchoReply = "echo-reply",
        /// ICMP timestamp reply.
        TimestampReply = "timestamp-reply",
        /// ARP reply (RFC 826).
        ArpResponse = "arp-response",
        /// Neighbour advertisement (RFC 4861, 4.4).
        NdpResponse = "nd-response",
        /// The address is one of this machine's own.
        LocalhostResponse = "localhost-response",
        /// The user said so: no host discovery was asked for.
        UserSet = "user-set",
        /// ICMP protocol unreachable (RFC 792, type 3, code 2): the host speaks no TCP or UDP, or
        /// a firewall says so.
        ProtoUnreach = "proto-unreach",
    }
}

words! {
    /// How a scan asks.
    pub enum Technique("technique") {
        /// A full TCP connection through a socket; needs no rights.
        Connect = "connect",
        /// A TCP SYN as a packet of our own; needs raw sockets.
        Syn = "syn",
        /// UDP datagrams.
        Udp = "udp",
    }
}

impl Technique {
    /// The protocol whose ports it asks.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Connect | Self::Syn => Protocol::Tcp,
            Self::Udp => Protocol::Udp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_value() {
        for &state in PortState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for &reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert_eq!(
            "ajar".parse::<PortState>().unwrap_err().to_string(),
            "unknown port state `ajar`"
        );
    }
}
