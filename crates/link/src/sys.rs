//! The system calls that have no safe wrapper elsewhere, behind safe types.
//!
//! Everything `unsafe` of the workspace is in the modules below this one.
#![expect(unsafe_code, reason = "this is where the workspace keeps it")]

mod datagram;
mod mmsg;
mod name;
mod options;

pub(crate) use datagram::{IcmpError, Letter, Taken, hear_errors};
pub(crate) use mmsg::{Inbox, Message, send};
pub(crate) use name::{HostName, LinkName, Name, Nameless, bind};
pub(crate) use options::{
    Instruction, attach_filter, bind_to_interface, hear_multicast, incoming_drops, mark,
    receive_details,
};

use std::io;

/// What a system call that returned `result` says: a negative number means "look at `errno`".
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The length of a `T`, as the socket calls take it.
fn len_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a socket structure is short")
}
