//! Neighbour discovery for IPv6 (RFC 4861): the messages, and the options that follow them.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::bytes::{array_at, ipv6_at, put, put_u16, put_u32, u16_at, u32_at};
use crate::{Error, MacAddress, Result, Ttl};

mod field {
    use std::ops::Range;
    pub(super) const FLAGS: usize = 4;
    pub(super) const TARGET: Range<usize> = 8..24;
    pub(super) const CUR_HOP_LIMIT: usize = 4;
    pub(super) const ROUTER_FLAGS: usize = 5;
    pub(super) const ROUTER_LIFETIME: Range<usize> = 6..8;
    pub(super) const REACHABLE_TIME: Range<usize> = 8..12;
    pub(super) const RETRANS_TIMER: Range<usize> = 12..16;
}

/// Message types (RFC 4861, 4.1 to 4.4).
mod kind {
    pub(super) const ROUTER_SOLICITATION: u8 = 133;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
    pub(super) const NEIGHBOR_SOLICITATION: u8 = 135;
    pub(super) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
}

/// Bytes of a message of this type before its options; `None` for other types.
const fn fixed_len(kind: u8) -> Option<usize> {
    match kind {
        kind::ROUTER_SOLICITATION => Some(8),
        kind::ROUTER_ADVERTISEMENT => Some(16),
        kind::NEIGHBOR_SOLICITATION | kind::NEIGHBOR_ADVERTISEMENT => Some(24),
        _ => None,
    }
}

/// Checks a message of a type that is known here, options included.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let Some(len) = fixed_len(bytes[0]) else {
        return Ok(());
    };
    crate::bytes::check("neighbour discovery message", bytes, len)?;
    NdpOptions::new(&bytes[len..])?;
    Ok(())
}

/// What a neighbour discovery message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// Which routers are there?
    RouterSolicitation {
        /// What follows.
        options: NdpOptions<'a>,
    },
    /// I route.
    RouterAdvertisement {
        /// What routers say of themselves and the link.
        router: Router,
        /// What follows.
        options: NdpOptions<'a>,
    },
    /// Who has this address?
    NeighborSolicitation {
        /// The address.
        target: Ipv6Addr,
        /// What follows.
        options: NdpOptions<'a>,
    },
    /// I have.
    NeighborAdvertisement {
        /// Who says so, and why.
        flags: NeighborFlags,
        /// The address.
        target: Ipv6Addr,
        /// What follows.
        options: NdpOptions<'a>,
    },
}

/// The fixed fields of a router advertisement (RFC 4861, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Router {
    /// The hop limit to send with; 0 for unspecified.
    pub cur_hop_limit: Ttl,
    /// Managed (0x80), other configuration (0x40) and later flags.
    pub flags: u8,
    /// For how long it is a default router, in seconds; 0 when it is none.
    pub router_lifetime_seconds: u16,
    /// For how long a neighbour is held reachable, in milliseconds; 0 for unspecified.
    pub reachable_time_millis: u32,
    /// Between solicitations, in milliseconds; 0 for unspecified.
    pub retrans_timer_millis: u32,
}

impl Router {
    /// For how long it is a default router.
    pub const fn router_lifetime(&self) -> Duration {
        Duration::from_secs(self.router_lifetime_seconds as u64)
    }
}

/// The flags of a neighbour advertisement (RFC 4861, 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NeighborFlags(pub u8);

impl NeighborFlags {
    /// It answers a solicitation, and replaces what was known.
    pub const SOLICITED_OVERRIDE: Self = Self(0x60);

    /// Whether the sender is a router.
    pub const fn is_router(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Whether it answers a solicitation.
    pub const fn is_solicited(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Whether it replaces what was known.
    pub const fn is_override(self) -> bool {
        self.0 & 0x20 != 0
    }
}

impl<'a> Message<'a> {
    /// The message of these bytes, which [`check`] has seen; `None` for other types.
    pub(crate) fn of(kind: u8, code: u8, bytes: &'a [u8]) -> Option<Self> {
        if code != 0 {
            return None;
        }
        let options = NdpOptions {
            bytes: &bytes[fixed_len(kind)?..],
        };
        Some(match kind {
            kind::ROUTER_SOLICITATION => Self::RouterSolicitation { options },
            kind::ROUTER_ADVERTISEMENT => Self::RouterAdvertisement {
                router: Router {
                    cur_hop_limit: Ttl(bytes[field::CUR_HOP_LIMIT]),
                    flags: bytes[field::ROUTER_FLAGS],
                    router_lifetime_seconds: u16_at(bytes, field::ROUTER_LIFETIME),
                    reachable_time_millis: u32_at(bytes, field::REACHABLE_TIME),
                    retrans_timer_millis: u32_at(bytes, field::RETRANS_TIMER),
                },
                options,
            },
            kind::NEIGHBOR_SOLICITATION => Self::NeighborSolicitation {
                target: ipv6_at(bytes, field::TARGET),
                options,
            },
            _ => Self::NeighborAdvertisement {
                flags: NeighborFlags(bytes[field::FLAGS]),
                target: ipv6_at(bytes, field::TARGET),
                options,
            },
        })
    }

    /// The `ICMPv6` type.
    pub const fn message_type(&self) -> u8 {
        match self {
            Self::RouterSolicitation { .. } => kind::ROUTER_SOLICITATION,
            Self::RouterAdvertisement { .. } => kind::ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation { .. } => kind::NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement { .. } => kind::NEIGHBOR_ADVERTISEMENT,
        }
    }

    /// What follows the fixed fields.
    pub const fn options(&self) -> NdpOptions<'a> {
        match *self {
            Self::RouterSolicitation { options }
            | Self::RouterAdvertisement { options, .. }
            | Self::NeighborSolicitation { options, .. }
            | Self::NeighborAdvertisement { options, .. } => options,
        }
    }

    /// Bytes of the message, the `ICMPv6` header included.
    pub(crate) const fn len(&self) -> usize {
        let fixed = match self {
            Self::RouterSolicitation { .. } => 8,
            Self::RouterAdvertisement { .. } => 16,
            Self::NeighborSolicitation { .. } | Self::NeighborAdvertisement { .. } => 24,
        };
        fixed + self.options().bytes.len()
    }

    /// Writes what follows type, code and checksum into a buffer of [`len`](Self::len) bytes.
    pub(crate) fn emit(&self, bytes: &mut [u8]) {
        match self {
            Self::RouterSolicitation { .. } => {}
            Self::RouterAdvertisement { router, .. } => {
                bytes[field::CUR_HOP_LIMIT] = router.cur_hop_limit.0;
                bytes[field::ROUTER_FLAGS] = router.flags;
                put_u16(
                    bytes,
                    field::ROUTER_LIFETIME,
                    router.router_lifetime_seconds,
                );
                put_u32(bytes, field::REACHABLE_TIME, router.reachable_time_millis);
                put_u32(bytes, field::RETRANS_TIMER, router.retrans_timer_millis);
            }
            Self::NeighborSolicitation { target, .. } => {
                put(bytes, field::TARGET, &target.octets());
            }
            Self::NeighborAdvertisement { flags, target, .. } => {
                bytes[field::FLAGS] = flags.0;
                put(bytes, field::TARGET, &target.octets());
            }
        }
        let options = self.options().bytes;
        let end = self.len();
        put(bytes, end - options.len()..end, options);
    }
}

/// Option types (RFC 4861, 4.6).
mod option_kind {
    pub(super) const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
    pub(super) const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
    pub(super) const PREFIX_INFORMATION: u8 = 3;
    pub(super) const MTU: u8 = 5;
}

/// Options lengths count in units of 8 bytes (RFC 4861, 4.6).
const UNIT: usize = 8;

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NdpOption<'a> {
    /// The sender's MAC address.
    SourceLinkLayerAddress(MacAddress),
    /// The MAC address of what the message is about.
    TargetLinkLayerAddress(MacAddress),
    /// A prefix of the link.
    PrefixInformation(Prefix),
    /// The largest packet that the link takes, in bytes.
    Mtu(u32),
    /// One that is not known, or known with another length.
    Unknown {
        /// Its type.
        kind: u8,
        /// What follows type and length: 8n - 2 bytes.
        data: &'a [u8],
    },
}

/// A prefix of the link (RFC 4861, 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// How many bits of it count.
    pub prefix_length: u8,
    /// On-link (0x80), autonomous (0x40) and later flags.
    pub flags: u8,
    /// For how long it is on the link, in seconds; `u32::MAX` for ever.
    pub valid_lifetime_seconds: u32,
    /// For how long its addresses are preferred, in seconds; `u32::MAX` for ever.
    pub preferred_lifetime_seconds: u32,
    /// The prefix.
    pub prefix: Ipv6Addr,
}

impl NdpOption<'_> {
    /// Bytes of the option, type and length included; what is unknown is padded to units of 8.
    #[expect(clippy::len_without_is_empty, reason = "an option is never empty")]
    pub const fn len(&self) -> usize {
        match self {
            Self::SourceLinkLayerAddress(_) | Self::TargetLinkLayerAddress(_) | Self::Mtu(_) => 8,
            Self::PrefixInformation(_) => 32,
            Self::Unknown { data, .. } => (data.len() + 2).next_multiple_of(UNIT),
        }
    }

    /// Writes the option to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter, [`Error::Length`] when the option is above
    /// 2,040 bytes.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let len = self.len();
        let units = u8::try_from(len / UNIT).map_err(|_| Error::Length {
            what: "neighbour discovery option length",
            says: len,
            least: UNIT,
            most: UNIT * usize::from(u8::MAX),
        })?;
        let bytes = crate::bytes::room("neighbour discovery option", buffer, len)?;
        bytes.fill(0);
        bytes[1] = units;
        bytes[0] = match self {
            Self::SourceLinkLayerAddress(mac) => {
                put(bytes, 2..8, &mac.0);
                option_kind::SOURCE_LINK_LAYER_ADDRESS
            }
            Self::TargetLinkLayerAddress(mac) => {
                put(bytes, 2..8, &mac.0);
                option_kind::TARGET_LINK_LAYER_ADDRESS
            }
            Self::Mtu(mtu) => {
                put_u32(bytes, 4..8, *mtu);
                option_kind::MTU
            }
            Self::PrefixInformation(prefix) => {
                bytes[2] = prefix.prefix_length;
                bytes[3] = prefix.flags;
                put_u32(bytes, 4..8, prefix.valid_lifetime_seconds);
                put_u32(bytes, 8..12, prefix.preferred_lifetime_seconds);
                put(bytes, 16..32, &prefix.prefix.octets());
                option_kind::PREFIX_INFORMATION
            }
            Self::Unknown { kind, data } => {
                put(bytes, 2..2 + data.len(), data);
                *kind
            }
        };
        Ok(())
    }
}

/// Options whose lengths have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NdpOptions<'a> {
    bytes: &'a [u8],
}

impl<'a> NdpOptions<'a> {
    /// The options that these bytes are.
    ///
    /// # Errors
    /// [`Error::Length`] when one has no length: such a packet is discarded (RFC 4861, 4.6);
    /// [`Error::Truncated`] when one is cut off.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            crate::bytes::check("neighbour discovery option", rest, UNIT)?;
            let len = usize::from(rest[1]) * UNIT;
            if len == 0 {
                return Err(Error::Length {
                    what: "neighbour discovery option length",
                    says: len,
                    least: UNIT,
                    most: UNIT * usize::from(u8::MAX),
                });
            }
            crate::bytes::check("neighbour discovery option", rest, len)?;
            rest = &rest[len..];
        }
        Ok(Self { bytes })
    }

    /// The options as bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Every option.
    pub fn iter(self) -> impl Iterator<Item = NdpOption<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let len = usize::from(*rest.get(1)?) * UNIT;
            let (option, after) = rest.split_at_checked(len)?;
            rest = after;
            Some(option_of(option))
        })
    }
}

/// The option of these bytes, as long as they say.
fn option_of(bytes: &[u8]) -> NdpOption<'_> {
    match (bytes[0], bytes.len()) {
        (option_kind::SOURCE_LINK_LAYER_ADDRESS, 8) => {
            NdpOption::SourceLinkLayerAddress(MacAddress(array_at(bytes, 2..8)))
        }
        (option_kind::TARGET_LINK_LAYER_ADDRESS, 8) => {
            NdpOption::TargetLinkLayerAddress(MacAddress(array_at(bytes, 2..8)))
        }
        (option_kind::MTU, 8) => NdpOption::Mtu(u32_at(bytes, 4..8)),
        (option_kind::PREFIX_INFORMATION, 32) => NdpOption::PrefixInformation(Prefix {
            prefix_length: bytes[2],
            flags: bytes[3],
            valid_lifetime_seconds: u32_at(bytes, 4..8),
            preferred_lifetime_seconds: u32_at(bytes, 8..12),
            prefix: ipv6_at(bytes, 16..32),
        }),
        (kind, _) => NdpOption::Unknown {
            kind,
            data: &bytes[2..],
        },
    }
}

/// The group that a neighbour solicitation for `address` goes to (RFC 4291, 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let octets = address.octets();
    let low = u16::from_be_bytes([octets[14], octets[15]]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | octets[13] as u16, low)
}
