//! Socket options of packet and raw sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{checked, len_of};

/// `SO_BINDTOIFINDEX` (`asm-generic/socket.h`).
const BIND_TO_INDEX: libc::c_int = 62;

/// One instruction of a socket filter (bpf(4), `sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    /// Operation, width and addressing mode.
    pub(crate) code: u16,
    /// Instructions to skip when the comparison holds.
    pub(crate) jump_true: u8,
    /// Instructions to skip when it does not.
    pub(crate) jump_false: u8,
    /// Operand.
    pub(crate) k: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () = assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());

/// Lets only packets through that the program accepts. Nothing was queued before when the
/// socket is not bound yet.
pub(crate) fn attach_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len,
        // The kernel takes a pointer to mutable memory and only reads it.
        filter: program.as_ptr().cast_mut().cast(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Sends over this interface only (the kernel's socket option `SO_BINDTOIFINDEX`, since 5.1).
pub(crate) fn bind_to_interface(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, BIND_TO_INDEX, &index)
}

/// Marks what the socket sends (socket(7), `SO_MARK`).
pub(crate) fn mark(socket: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_MARK, &mark)
}

/// Has the kernel say of each packet when it came and whether its checksum is known
/// (socket(7), `SO_TIMESTAMPNS`; packet(7), `PACKET_AUXDATA`).
pub(crate) fn receive_details(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &on)?;
    set(socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &on)
}

/// Has an interface pass on what goes to any group, until the socket is closed (packet(7),
/// `PACKET_ADD_MEMBERSHIP`).
pub(crate) fn hear_multicast(socket: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: libc::c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?,
        mr_type: libc::c_ushort::try_from(libc::PACKET_MR_ALLMULTI)
            .map_err(|_| io::ErrorKind::InvalidInput)?,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(
        socket,
        libc::SOL_PACKET,
        libc::PACKET_ADD_MEMBERSHIP,
        &membership,
    )
}

/// Packets that came while the queue was full, since the last call (packet(7),
/// `PACKET_STATISTICS`).
pub(crate) fn incoming_drops(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut statistics = libc::tpacket_stats {
        tp_packets: 0,
        tp_drops: 0,
    };
    let mut len = len_of::<libc::tpacket_stats>();
    // SAFETY: the pointer is that of a whole `tpacket_stats`, which any bytes are valid for, and
    // `len` is its length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut len,
        )
    };
    checked(result)?;
    Ok(statistics.tp_drops.into())
}

/// Sets an option whose value is a `T`.
pub(super) fn set<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let pointer = std::ptr::from_ref(value).cast();
    // SAFETY: the pointer is that of a whole `T` and the length is its length; the callers above
    // name options whose value is that `T`, whose own pointers live as long as the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, len_of::<T>()) };
    checked(result).map(drop)
}
