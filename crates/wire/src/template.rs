//! A prebuilt segment for one path, in which a probe changes four fields.
//!
//! A scanner sends the same SYN a million times a second, to another address, port and number
//! each time. So all that stays is built and summed once; a probe is one copy, four fields and
//! the folding of a few words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bytes::{put, put_u16, put_u32, room};
use crate::checksum::{Addresses, Sum};
use crate::tcp::{self, Flags, Options};
use crate::{Error, Protocol, Result, SeqNumber, Ttl, ethernet, ipv4, ipv6};

/// The longest frame: two tags, IPv6, TCP with all options.
const MAX_LEN: usize =
    ethernet::HEADER_LEN + 2 * ethernet::TAG_LEN + ipv6::HEADER_LEN + tcp::HEADER_LEN + 40;

/// Offsets in the IP headers.
mod field {
    use std::ops::Range;
    pub(super) const V4_CHECKSUM: Range<usize> = 10..12;
    pub(super) const V4_DESTINATION: Range<usize> = 16..20;
    pub(super) const V6_DESTINATION: Range<usize> = 24..40;
}

/// What the segments of one path have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynPath {
    /// The Ethernet header, where there is one. Its type is set to that of the source address.
    pub ethernet: Option<ethernet::Repr>,
    /// Who sends.
    pub src: IpAddr,
    /// The hops that it may go.
    pub ttl: Ttl,
    /// Identification of IPv4; not used in IPv6.
    pub identification: u16,
    /// SYN for a probe; RST to take one back.
    pub flags: Flags,
    /// The receive window.
    pub window: u16,
    /// The options, in their order.
    pub options: Options,
}

impl SynPath {
    /// A SYN from `src` without Ethernet header and options, with a usual window.
    pub const fn new(src: IpAddr) -> Self {
        Self {
            ethernet: None,
            src,
            ttl: Ttl(64),
            identification: 0,
            flags: Flags::SYN,
            window: 64_240,
            options: Options::new(),
        }
    }
}

/// A frame for one path, ready but for destination, ports and sequence number.
#[derive(Debug, Clone)]
pub struct SynTemplate {
    frame: [u8; MAX_LEN],
    len: usize,
    /// Where the IP header begins.
    ip_at: usize,
    /// Where the TCP header begins.
    tcp_at: usize,
    is_v4: bool,
    /// The sum of the IPv4 header without the destination.
    ip_sum: Sum,
    /// The sum of pseudo-header and segment without destination, ports and number.
    tcp_sum: Sum,
}

impl SynTemplate {
    /// Builds the frame of a path.
    ///
    /// # Errors
    /// None that a `SynPath` can cause today; emission of each header is checked all the same.
    pub fn new(path: &SynPath) -> Result<Self> {
        let mut frame = [0; MAX_LEN];
        let (addresses, ether_type, ip_len) = match path.src {
            IpAddr::V4(src) => (
                Addresses::V4 {
                    src,
                    dst: Ipv4Addr::UNSPECIFIED,
                },
                ethernet::EtherType::IPV4,
                ipv4::HEADER_LEN,
            ),
            IpAddr::V6(src) => (
                Addresses::V6 {
                    src,
                    dst: Ipv6Addr::UNSPECIFIED,
                },
                ethernet::EtherType::IPV6,
                ipv6::HEADER_LEN,
            ),
        };
        let segment = tcp::Repr {
            window: path.window,
            options: path.options,
            ..tcp::Repr::new(0, 0, path.flags)
        };
        let ip_at = match path.ethernet {
            Some(header) => {
                let header = ethernet::Repr {
                    ether_type,
                    ..header
                };
                header.emit(&mut frame)?;
                header.len()
            }
            None => 0,
        };
        let tcp_at = ip_at + ip_len;
        let len = tcp_at + segment.len();
        match addresses {
            Addresses::V4 { src, dst } => ipv4::Repr {
                ttl: path.ttl,
                identification: path.identification,
                ..ipv4::Repr::new(src, dst, Protocol::TCP, segment.len())
            }
            .emit(&mut frame[ip_at..])?,
            Addresses::V6 { src, dst } => ipv6::Repr {
                hop_limit: path.ttl,
                ..ipv6::Repr::new(src, dst, Protocol::TCP, segment.len())
            }
            .emit(&mut frame[ip_at..])?,
        }
        segment.emit(&addresses, &mut frame[tcp_at..])?;
        let is_v4 = path.src.is_ipv4();
        if is_v4 {
            put_u16(&mut frame[ip_at..], field::V4_CHECKSUM, 0);
        }
        put_u16(&mut frame[tcp_at..], tcp::field::CHECKSUM, 0);
        let mut ip_sum = Sum::new();
        ip_sum.add_bytes(&frame[ip_at..tcp_at]);
        let mut tcp_sum = addresses.pseudo_header(Protocol::TCP, segment.len());
        tcp_sum.add_bytes(&frame[tcp_at..len]);
        Ok(Self {
            frame,
            len,
            ip_at,
            tcp_at,
            is_v4,
            ip_sum,
            tcp_sum,
        })
    }

    /// Bytes of a frame.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Writes the frame of one probe to the first [`len`](Self::len) bytes of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter, [`Error::MixedFamilies`] when `dst` is not
    /// of the path's family.
    pub fn fill(
        &self,
        buffer: &mut [u8],
        dst: IpAddr,
        dst_port: u16,
        src_port: u16,
        sequence: SeqNumber,
    ) -> Result<()> {
        if dst.is_ipv4() != self.is_v4 {
            return Err(Error::MixedFamilies);
        }
        let bytes = room("probe", buffer, self.len)?;
        bytes.copy_from_slice(&self.frame[..self.len]);
        let mut tcp_sum = self.tcp_sum;
        let ip = &mut bytes[self.ip_at..];
        match dst {
            IpAddr::V4(dst) => {
                let mut ip_sum = self.ip_sum;
                ip_sum.add_u32(dst.to_bits());
                tcp_sum.add_u32(dst.to_bits());
                put_u32(ip, field::V4_DESTINATION, dst.to_bits());
                put_u16(ip, field::V4_CHECKSUM, ip_sum.checksum());
            }
            IpAddr::V6(dst) => {
                let octets = dst.octets();
                tcp_sum.add_bytes(&octets);
                put(ip, field::V6_DESTINATION, &octets);
            }
        }
        tcp_sum.add_u16(dst_port);
        tcp_sum.add_u16(src_port);
        tcp_sum.add_u32(sequence.0);
        let segment = &mut bytes[self.tcp_at..];
        put_u16(segment, tcp::field::SOURCE_PORT, src_port);
        put_u16(segment, tcp::field::DESTINATION_PORT, dst_port);
        put_u32(segment, tcp::field::SEQUENCE_NUMBER, sequence.0);
        put_u16(segment, tcp::field::CHECKSUM, tcp_sum.checksum());
        Ok(())
    }
}
