//! Why a word is no target, and what to write in its place.

use crate::front::Front;
use std::net::IpAddr;

use super::is_port;
use crate::address::MAX_RUNS;
use crate::zone::ZoneError;

/// Why a word is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Nothing stands there.
    #[error("the target is empty")]
    Empty,
    /// The prefix is longer than an address.
    #[error("`{text}` has a prefix of {found}: {family} has prefixes of 0 to {most}")]
    PrefixTooLong {
        /// The word.
        text: String,
        /// The prefix as written.
        found: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// 32 or 128.
        most: u8,
    },
    /// What stands after the slash is no number.
    #[error("`{text}` has `{found}` after its slash, where a prefix length belongs")]
    NotAPrefix {
        /// The word.
        text: String,
        /// What stands there.
        found: String,
    },
    /// Nothing stands after the slash.
    #[error("`{text}` has nothing after its slash, where a prefix length belongs")]
    NoPrefix {
        /// The word.
        text: String,
    },
    /// Targets with commas between them.
    #[error("`{text}` joins {count} targets by commas")]
    List {
        /// The word.
        text: String,
        /// How many.
        count: usize,
    },
    /// An address inside a network stands where the network belongs.
    #[error("`{text}` has host bits set: the network is `{network}/{prefix}`")]
    HostBits {
        /// The word.
        text: String,
        /// The network with its host bits cleared.
        network: IpAddr,
        /// Its prefix.
        prefix: u8,
        /// The address that was written.
        address: IpAddr,
    },
    /// A range whose end comes before its start.
    #[error("the range `{first}-{last}` in `{text}` is reversed")]
    Reversed {
        /// The word.
        text: String,
        /// Its start.
        first: String,
        /// Its end.
        last: String,
    },
    /// A range between an IPv4 and an IPv6 address.
    #[error("the range `{text}` joins an IPv4 and an IPv6 address")]
    MixedFamilies {
        /// The word.
        text: String,
    },
    /// Digits, dots and ranges that make no IPv4 address.
    #[error("`{text}` is no IPv4 address or range: {why}")]
    NotIpv4 {
        /// The word.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Colons, but no IPv6 address.
    #[error("`{text}` is no IPv6 address")]
    NotIpv6 {
        /// The word.
        text: String,
    },
    /// What stands after the `%` is no interface (RFC 4007, 11).
    #[error("`{text}` names no interface after its `%`: {source}")]
    BadZone {
        /// The word.
        text: String,
        /// What is wrong with it.
        source: ZoneError,
    },
    /// An interface after an address that is reached without one.
    #[error(
        "`{text}` names the interface `{zone}`, which only link-local addresses (fe80::/10) need"
    )]
    NotLinkLocal {
        /// The word.
        text: String,
        /// The word without the interface.
        without: String,
        /// The interface.
        zone: String,
    },
    /// A range from one interface to another, or an interface that is named twice.
    #[error("`{text}` names two interfaces: `{first}` and `{second}`")]
    TwoZones {
        /// The word.
        text: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Several addresses, or a name, where one address belongs.
    #[error("`{text}` is not one address")]
    NotOne {
        /// The word.
        text: String,
    },
    /// Neither an address nor a possible name.
    #[error("`{text}` is no address and no host name: {why}")]
    NotAName {
        /// The word.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A web address, or an address with a port.
    #[error("`{text}` is {what}, not a target")]
    NotATarget {
        /// The word.
        text: String,
        /// What it looks like.
        what: &'static str,
        /// The host in it.
        host: String,
        /// The port in it; empty where there is none.
        port: String,
    },
    /// A name with a prefix.
    #[error("`{text}` puts a prefix on a host name: only addresses have networks")]
    NameWithPrefix {
        /// The word.
        text: String,
    },
    /// More separate runs of addresses than are held in memory.
    #[error("`{text}` falls into {runs} separate ranges: at most {MAX_RUNS} are held")]
    TooManyRuns {
        /// The word.
        text: String,
        /// How many it falls into.
        runs: u64,
    },
}

/// What a URL is called.
pub(super) const WEB_ADDRESS: &str = "a web address";

impl TargetError {
    /// What the user of the shell can do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint_at(Front::Shell)
    }

    /// What can be done about it, in the words of who shows it.
    pub fn hint_at(&self, front: Front) -> Option<String> {
        match self {
            Self::Empty => Some(
                "write a host name, an address, a network `192.0.2.0/24` or a range `192.0.2.1-50`"
                    .to_owned(),
            ),
            Self::HostBits {
                network,
                prefix,
                address,
                ..
            } => Some(format!(
                "write `{network}/{prefix}` for the network, or `{address}` for the one address"
            )),
            Self::Reversed { first, last, .. } => Some(format!("did you mean `{last}-{first}`?")),
            Self::NotATarget {
                what, host, port, ..
            } => Some(alone(what, host, port, front)),
            Self::NoPrefix { text } => {
                let address = text.trim_end_matches('/');
                Some(if address.parse::<IpAddr>().is_ok() {
                    format!("write `{address}` for the one address, a network as `192.0.2.0/24`")
                } else {
                    format!("write `{address}`")
                })
            }
            Self::List { text, .. } => Some(format!(
                "targets are separated by spaces: `{}`",
                text.replace(',', " ")
            )),
            Self::NotIpv6 { text } if text.starts_with('[') && text.contains("]/") => {
                Some(format!(
                    "write it without brackets: `{}`",
                    text.replace(['[', ']'], "")
                ))
            }
            Self::NotIpv6 { text } if text.contains('-') => {
                Some("write both ends in full, as in `2001:db8::1-2001:db8::ff`".to_owned())
            }
            Self::NotIpv4 { text, .. } if is_port(text) => Some(match front {
                Front::Shell => format!("to scan port {text}, write `-p {text}`"),
                Front::Api => format!("to scan port {text}, write it in `ports`"),
                Front::Page => {
                    format!("to scan port {text}, choose Custom Port Range and write it there")
                }
            }),
            Self::BadZone { .. } => Some(match front {
                Front::Shell => "write the name or the number of an interface, as in \
                                 `fe80::1%eth0`: `ip link` lists them"
                    .to_owned(),
                Front::Api | Front::Page => "write the name or the number of an interface of the \
                                             server, as in `fe80::1%eth0`"
                    .to_owned(),
            }),
            Self::NotLinkLocal { without, .. } => Some(format!(
                "write `{without}`: the routing table knows its interface"
            )),
            Self::TwoZones { .. } => Some("write a target for each interface".to_owned()),
            Self::NameWithPrefix { .. } => {
                Some("look the name up first, and write the network's address".to_owned())
            }
            Self::TooManyRuns { .. } => {
                Some("scan it in parts, or write whole networks instead".to_owned())
            }
            _ => None,
        }
    }
}

/// What to write in the place of a web address, or of an address with a port.
fn alone(what: &str, host: &str, port: &str, front: Front) -> String {
    let write = if what == WEB_ADDRESS {
        "scan its host: "
    } else if front == Front::Shell || port.is_empty() {
        "write "
    } else {
        "write the host alone, "
    };
    match front {
        _ if port.is_empty() => format!("{write}`{host}`"),
        Front::Shell => format!("{write}`{host} -p {port}`"),
        Front::Api => format!("{write}`{host}`, and the port {port} in `ports`"),
        Front::Page => {
            format!("{write}`{host}`, and the port {port} as a Custom Port Range")
        }
    }
}
