//! Many packets by one system call (sendmmsg(2), recvmmsg(2)).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use portolan_scan::device::ChecksumStatus;

use super::{LinkName, Name, checked, len_of};

/// Packets that one call sends. More gains nothing: the call is 0.1 % of their cost by then.
const SEND: usize = 128;

/// Packets that one call receives.
const RECEIVE: usize = 64;

/// Bytes of a received packet that are kept. Answers to probes are shorter; a path that takes
/// longer packets than Ethernet's does not make them longer.
const LEN: usize = 2048;

/// 8-byte words for what the kernel says of a packet: two headers of 16 bytes, a time of 16, an
/// auxiliary structure of 20, rounded up.
const CONTROL: usize = 16;

// `Details` reads control messages as they are where pointers have 8 bytes.
const _: () = assert!(size_of::<libc::cmsghdr>() == 16);

const NO_MESSAGE: libc::mmsghdr = {
    // SAFETY: an `mmsghdr` holds integers and pointers, for which zero is a valid value.
    unsafe { mem::zeroed() }
};

const NO_BYTES: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

/// Sends each packet to the name at the same place, in order; returns how many were sent, at
/// least one. Does not wait.
///
/// # Errors
/// The first packet's; those of later packets are seen when they are sent first.
pub(crate) fn send<'a, N: Name>(
    socket: BorrowedFd<'_>,
    names: &[N],
    packets: impl Iterator<Item = &'a [u8]>,
) -> io::Result<usize> {
    let mut vectors = [NO_BYTES; SEND];
    let mut messages = [NO_MESSAGE; SEND];
    let mut count: libc::c_uint = 0;
    for (((message, vector), name), packet) in messages
        .iter_mut()
        .zip(&mut vectors)
        .zip(names)
        .zip(packets)
    {
        // The kernel takes pointers to mutable memory here and only reads it.
        vector.iov_base = packet.as_ptr().cast_mut().cast();
        vector.iov_len = packet.len();
        message.msg_hdr.msg_name = ptr::from_ref(name).cast_mut().cast();
        message.msg_hdr.msg_namelen = name.len();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the first `count` messages point to names, vectors and packets that are borrowed
    // until after the call.
    let result = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, flags) };
    checked(result).map(|sent| usize::try_from(sent).unwrap_or(0))
}

/// Buffers for received packets, used again and again.
pub(crate) struct Inbox {
    packets: Box<[[u8; LEN]]>,
    controls: Box<[[u64; CONTROL]]>,
    names: Box<[LinkName]>,
    /// Of each message of the last call: bytes kept, bytes of control, flags.
    got: Box<[(usize, usize, libc::c_int)]>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// A received packet and what the kernel says of it.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// From the IP or ARP header on.
    pub(crate) bytes: &'a [u8],
    /// Where from.
    pub(crate) from: &'a LinkName,
    /// By the wall clock.
    pub(crate) stamp: Option<Duration>,
    /// What is known of its transport checksum.
    pub(crate) checksum: ChecksumStatus,
    /// Whether it was longer than the buffer.
    pub(crate) is_cut: bool,
}

impl Inbox {
    /// Packets that one call receives at the most.
    pub(crate) const ROOM: usize = RECEIVE;

    /// Empty buffers.
    pub(crate) fn new() -> Self {
        Self {
            packets: vec![[0; LEN]; RECEIVE].into_boxed_slice(),
            controls: vec![[0; CONTROL]; RECEIVE].into_boxed_slice(),
            names: vec![LinkName::NONE; RECEIVE].into_boxed_slice(),
            got: vec![(0, 0, 0); RECEIVE].into_boxed_slice(),
        }
    }

    /// Takes what has come, up to [`ROOM`](Self::ROOM) packets; returns how many. Does not wait.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut vectors = [NO_BYTES; RECEIVE];
        let mut messages = [NO_MESSAGE; RECEIVE];
        let parts = messages.iter_mut().zip(&mut vectors);
        let room = self.packets.iter_mut().zip(&mut self.controls);
        for (((message, vector), (packet, control)), name) in parts.zip(room).zip(&mut self.names) {
            vector.iov_base = packet.as_mut_ptr().cast();
            vector.iov_len = LEN;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = size_of::<[u64; CONTROL]>();
            message.msg_hdr.msg_name = ptr::from_mut(name).cast();
            message.msg_hdr.msg_namelen = len_of::<LinkName>();
        }
        let room = libc::c_uint::try_from(RECEIVE).expect("a small constant");
        // SAFETY: all messages point to buffers of the lengths that they name, which are borrowed
        // mutably until after the call and which any bytes are valid for; no time-out is passed.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                room,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(checked(result)?).unwrap_or(0);
        for (got, message) in self.got.iter_mut().zip(&messages).take(count) {
            let len = usize::try_from(message.msg_len).unwrap_or(0).min(LEN);
            let header = &message.msg_hdr;
            *got = (len, header.msg_controllen, header.msg_flags);
        }
        Ok(count)
    }

    /// The packet at `index` of those that the last call took.
    pub(crate) fn get(&self, index: usize) -> Option<Message<'_>> {
        let (len, control_len, flags) = *self.got.get(index)?;
        let mut details = Details::default();
        details.read(self.controls.get(index)?, control_len);
        Some(Message {
            bytes: self.packets.get(index)?.get(..len)?,
            from: self.names.get(index)?,
            stamp: details.stamp,
            checksum: details.checksum(),
            is_cut: flags & libc::MSG_TRUNC != 0,
        })
    }
}

/// What control messages say.
#[derive(Debug, Default, PartialEq)]
struct Details {
    stamp: Option<Duration>,
    status: u32,
}

impl Details {
    /// Reads control messages: each a header of three fields (cmsg(3): a length that counts the
    /// header, level, type) and data, padded to 8 bytes.
    fn read(&mut self, words: &[u64; CONTROL], len: usize) {
        let mut words = words.get(..len.div_ceil(8)).unwrap_or(words);
        while let [header_len, level_and_kind, data @ ..] = words {
            let [level, kind] = halves(*level_and_kind);
            let Ok(whole) = usize::try_from(*header_len) else {
                return;
            };
            let (Some(data_len), Some(next)) =
                (whole.checked_sub(16), words.get(whole.div_ceil(8)..))
            else {
                return;
            };
            match (level.cast_signed(), kind.cast_signed(), data) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, [seconds, nanos, ..])
                    if data_len >= 16 =>
                {
                    let nanos = u32::try_from(*nanos)
                        .ok()
                        .filter(|nanos| *nanos < 1_000_000_000);
                    self.stamp = nanos.map(|nanos| Duration::new(*seconds, nanos));
                }
                (libc::SOL_PACKET, libc::PACKET_AUXDATA, [first, ..]) if data_len >= 8 => {
                    [self.status, _] = halves(*first);
                }
                _ => {}
            }
            words = next;
        }
    }

    const fn checksum(&self) -> ChecksumStatus {
        if self.status & libc::TP_STATUS_CSUMNOTREADY != 0 {
            ChecksumStatus::Unfinished
        } else if self.status & libc::TP_STATUS_CSUM_VALID != 0 {
            ChecksumStatus::Valid
        } else {
            ChecksumStatus::Unchecked
        }
    }
}

/// The two fields of 4 bytes that share a word, in the order of memory.
fn halves(word: u64) -> [u32; 2] {
    let bytes = word.to_ne_bytes();
    let (halves, _) = bytes.as_chunks::<4>();
    [0, 1].map(|half| halves.get(half).copied().map_or(0, u32::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A word of two fields.
    fn word(first: u32, second: u32) -> u64 {
        let bytes = [first.to_ne_bytes(), second.to_ne_bytes()].concat();
        u64::from_ne_bytes(bytes.try_into().unwrap())
    }

    fn kind(level: libc::c_int, kind: libc::c_int) -> u64 {
        word(level.cast_unsigned(), kind.cast_unsigned())
    }

    #[test]
    fn time_and_checksum_are_read_from_what_the_kernel_adds() {
        let mut words = [0; CONTROL];
        words[..4].copy_from_slice(&[
            32,
            kind(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS),
            1_700_000_000,
            5,
        ]);
        words[4..7].copy_from_slice(&[
            36,
            kind(libc::SOL_PACKET, libc::PACKET_AUXDATA),
            word(libc::TP_STATUS_CSUMNOTREADY, 60),
        ]);
        let mut details = Details::default();
        details.read(&words, 72);
        assert_eq!(details.stamp, Some(Duration::new(1_700_000_000, 5)));
        assert_eq!(details.checksum(), ChecksumStatus::Unfinished);
    }

    #[test]
    fn a_header_that_claims_more_than_there_is_ends_the_reading() {
        let mut words = [0; CONTROL];
        words[0] = u64::MAX;
        words[1] = kind(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        let mut details = Details::default();
        details.read(&words, 128);
        assert_eq!(details, Details::default());
    }

    proptest! {
        #[test]
        fn no_control_bytes_make_it_panic(words: [u64; CONTROL], len in 0_usize..200) {
            Details::default().read(&words, len);
        }

        #[test]
        fn no_short_lengths_make_it_panic(lens in proptest::array::uniform16(0_u64..40)) {
            Details::default().read(&lens, 128);
        }
    }
}
