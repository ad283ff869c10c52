//! The limit: a bare loop of non-blocking connects on two threads.
//!
//! A socket, a connect, a wait, a close for each port, and nothing else: no pacing, no retry, no
//! output but the open ports. A scanner that connects cannot be faster on the same kernel by
//! more than it saves in system calls.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with, sockopt,
};

use crate::table;

const THREADS: u16 = 2;
/// How long an answer is waited for: on loopback it is there at once.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Ports of one address, from the first to the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) address: Ipv4Addr,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// Connects to every port and prints those that are open, one a line.
pub(crate) fn run(job: Job) -> Result<(), String> {
    let open = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || open_ports(job, number)))
            .collect();
        let mut open = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(ports) => open.extend(ports?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, Errno>(open)
    });
    let open = open.map_err(|error| format!("cannot connect: {error}"))?;
    for port in open {
        table::print(&port.to_string());
    }
    Ok(())
}

/// The open ones of every second port, beginning with the one of that number.
fn open_ports(job: Job, number: u16) -> rustix::io::Result<Vec<u16>> {
    let ports = (job.first..=job.last).skip(number.into());
    let mut open = Vec::new();
    for port in ports.step_by(THREADS.into()) {
        if is_open(SocketAddrV4::new(job.address, port))? {
            open.push(port);
        }
    }
    Ok(open)
}

fn is_open(address: SocketAddrV4) -> rustix::io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let connected = match connect(&socket, &SocketAddr::V4(address)) {
        Ok(()) => true,
        Err(Errno::INPROGRESS) => {
            let mut waiting = [PollFd::new(&socket, PollFlags::OUT)];
            poll(&mut waiting, Some(&PATIENCE))? > 0 && sockopt::socket_error(&socket)?.is_ok()
        }
        Err(_) => false,
    };
    // A socket whose own port is the one it asks for connects to itself (RFC 9293, 3.5,
    // "simultaneous open").
    Ok(connected && Some(getsockname(&socket)?) != getpeername(&socket)?)
}
