//! Datagrams and what the kernel heard of those that were sent (recvmsg(2), ip(7), `IP_RECVERR`).

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{checked, options};

/// Bytes of a datagram that are kept.
const LEN: usize = 2048;

/// 8-byte words for control messages: headers of 16 bytes, a TTL of 4, an error of 16 with an
/// address of 28 behind it, rounded up.
const CONTROL: usize = 16;

/// Bytes of the longest socket address of IP.
const NAME: usize = size_of::<libc::sockaddr_in6>();

/// Bytes of a `sock_extended_err` (`linux/errqueue.h`).
const EXTENDED: usize = 16;

/// Where an error comes from: an ICMP message of either version.
const FROM_ICMP: u8 = 2;
const FROM_ICMP6: u8 = 3;

// Control messages are read as they are where pointers have 8 bytes.
const _: () = assert!(size_of::<libc::cmsghdr>() == 16);

/// A datagram, or an error about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Who sent it; of an error, where the datagram went that it is about.
    pub(crate) peer: SocketAddr,
    /// Bytes kept in the buffer.
    pub(crate) len: usize,
    /// The TTL or hop limit that it came with.
    pub(crate) ttl: Option<u8>,
    /// Where it is an ICMP error.
    pub(crate) error: Option<IcmpError>,
}

/// What an ICMP error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IcmpError {
    /// Its type.
    pub(crate) kind: u8,
    /// Its code.
    pub(crate) code: u8,
    /// Who sent it.
    pub(crate) from: Option<IpAddr>,
}

/// Buffers for what is received, used again and again.
#[derive(Debug)]
pub(crate) struct Letter {
    bytes: Box<[u8; LEN]>,
    control: [u64; CONTROL],
    name: [u8; NAME],
}

impl Letter {
    /// Empty buffers.
    pub(crate) fn new() -> Self {
        Self {
            bytes: Box::new([0; LEN]),
            control: [0; CONTROL],
            name: [0; NAME],
        }
    }

    /// The datagram that was received last, as far as it is kept.
    pub(crate) fn bytes(&self, taken: &Taken) -> &[u8] {
        self.bytes.get(..taken.len).unwrap_or(&*self.bytes)
    }

    /// Takes one datagram, or with `errors` one error; `None` where there is none. Does not wait.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        errors: bool,
    ) -> io::Result<Option<Taken>> {
        let mut vector = libc::iovec {
            iov_base: self.bytes.as_mut_ptr().cast(),
            iov_len: LEN,
        };
        // SAFETY: a `msghdr` holds integers and pointers, for which zero is a valid value.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_name = self.name.as_mut_ptr().cast();
        message.msg_namelen = libc::socklen_t::try_from(NAME).expect("an address is short");
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = self.control.as_mut_ptr().cast();
        message.msg_controllen = size_of::<[u64; CONTROL]>();
        let queue = if errors { libc::MSG_ERRQUEUE } else { 0 };
        let flags = queue | libc::MSG_DONTWAIT;
        // SAFETY: the message points to buffers of the lengths that it names, which are borrowed
        // mutably until after the call and which any bytes are valid for.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
        let result = i32::try_from(result).unwrap_or(i32::MAX);
        let len = match checked(result) {
            Ok(len) => usize::try_from(len).unwrap_or(0).min(LEN),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let (ttl, error) = details(&self.control, message.msg_controllen);
        let name = self.name.get(..message.msg_namelen as usize);
        let Some(peer) = name.and_then(peer_of) else {
            return Ok(None);
        };
        Ok(Some(Taken {
            peer,
            len,
            ttl,
            error,
        }))
    }
}

/// Has the kernel keep the ICMP errors about what the socket sends, and say which TTL datagrams
/// came with.
pub(crate) fn hear_errors(socket: BorrowedFd<'_>, is_v4: bool) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, errors, ttl) = if is_v4 {
        (libc::IPPROTO_IP, libc::IP_RECVERR, libc::IP_RECVTTL)
    } else {
        (
            libc::IPPROTO_IPV6,
            libc::IPV6_RECVERR,
            libc::IPV6_RECVHOPLIMIT,
        )
    };
    options::set(socket, level, errors, &on)?;
    options::set(socket, level, ttl, &on)
}

/// What control messages say: the TTL, and the error.
fn details(words: &[u64; CONTROL], len: usize) -> (Option<u8>, Option<IcmpError>) {
    let (mut ttl, mut error) = (None, None);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut rest = bytes.get(..len).unwrap_or(&bytes);
    while let Some((header, data)) = rest.split_first_chunk::<16>() {
        let (Some(whole), Some(level), Some(kind)) = (
            header
                .first_chunk::<8>()
                .map(|field| u64::from_ne_bytes(*field)),
            int_at(header, 8),
            int_at(header, 12),
        ) else {
            break;
        };
        let Some(data) = usize::try_from(whole)
            .ok()
            .and_then(|whole| data.get(..whole.checked_sub(16)?))
        else {
            break;
        };
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                ttl = int_at(data, 0).and_then(|ttl| u8::try_from(ttl).ok());
            }
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                error = icmp_error(data);
            }
            _ => {}
        }
        // Each is padded to 8 bytes.
        let next = (16 + data.len()).next_multiple_of(8);
        rest = rest.get(next..).unwrap_or_default();
    }
    (ttl, error)
}

/// A `sock_extended_err`: number, origin, type, code, and the address of who sent it behind.
fn icmp_error(data: &[u8]) -> Option<IcmpError> {
    let (error, from) = data.split_at_checked(EXTENDED)?;
    let (origin, kind, code) = (*error.get(4)?, *error.get(5)?, *error.get(6)?);
    matches!(origin, FROM_ICMP | FROM_ICMP6).then(|| IcmpError {
        kind,
        code,
        from: peer_of(from).map(|peer| peer.ip()),
    })
}

fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_ne_bytes(*field))
}

/// A socket address of IP as its bytes are: family, port, address (ip(7), ipv6(7)).
fn peer_of(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let address: IpAddr = match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => Ipv4Addr::from(*rest.first_chunk::<4>()?).into(),
        // Behind the flow's information.
        libc::AF_INET6 => Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes of an IPv4 socket address.
    fn name(port: u16, address: [u8; 4]) -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
        let mut bytes = [&family[..], &port.to_be_bytes(), &address, &[0; 8]].concat();
        bytes.truncate(size_of::<libc::sockaddr_in>());
        bytes
    }

    fn words(messages: &[(libc::c_int, libc::c_int, Vec<u8>)]) -> ([u64; CONTROL], usize) {
        let mut bytes = Vec::new();
        for (level, kind, data) in messages {
            bytes.extend((16 + data.len() as u64).to_ne_bytes());
            bytes.extend(level.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let len = bytes.len();
        bytes.resize(CONTROL * 8, 0);
        let (chunks, _) = bytes.as_chunks::<8>();
        let all: Vec<u64> = chunks
            .iter()
            .map(|chunk| u64::from_ne_bytes(*chunk))
            .collect();
        (all.try_into().unwrap(), len)
    }

    #[test]
    fn the_ttl_and_the_error_are_read_with_who_sent_it() {
        let mut error = vec![111, 0, 0, 0, FROM_ICMP, 3, 3, 0];
        error.extend([0; 8]);
        error.extend(name(0, [192, 0, 2, 9]));
        let (control, len) = words(&[
            (
                libc::IPPROTO_IP,
                libc::IP_TTL,
                57_i32.to_ne_bytes().to_vec(),
            ),
            (libc::IPPROTO_IP, libc::IP_RECVERR, error),
        ]);
        let said = IcmpError {
            kind: 3,
            code: 3,
            from: Some("192.0.2.9".parse().unwrap()),
        };
        assert_eq!(details(&control, len), (Some(57), Some(said)));
    }

    #[test]
    fn an_error_of_this_machine_is_no_icmp() {
        let mut error = vec![0; 16];
        error[4] = 1;
        assert_eq!(icmp_error(&error), None);
    }

    #[test]
    fn an_address_is_read_from_its_bytes() {
        let read = peer_of(&name(53, [192, 0, 2, 1]));
        assert_eq!(read, Some("192.0.2.1:53".parse().unwrap()));
        assert_eq!(peer_of(&[0; 28]), None);
    }

    proptest! {
        #[test]
        fn no_control_bytes_make_it_panic(words: [u64; CONTROL], len in 0_usize..200) {
            let _ = details(&words, len);
        }
    }
}
