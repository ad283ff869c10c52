//! Closing packet sockets without waiting for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use crate::rights::drop_capabilities;

/// A packet socket, whose last moments nobody waits for.
///
/// When one is closed, the kernel waits until no processor can still be handing it a packet
/// (`packet_release`): 8 to 16 ms each, and a link has five. That is as long as the scan of a few
/// ports takes, so that threads of their own wait, all at once.
#[derive(Debug)]
pub(crate) struct PacketSocket(Option<OwnedFd>);

impl PacketSocket {
    pub(crate) const fn new(socket: OwnedFd) -> Self {
        Self(Some(socket))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let socket = self.0.as_ref();
        socket.expect("it is there until it is dropped").as_fd()
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        let socket = self.0.take();
        // Where there is no thread to be had, it is closed here.
        let closer = thread::Builder::new().name("closing".to_owned());
        drop(closer.spawn(move || {
            // Rights are no use to it.
            let _ = drop_capabilities();
            drop(socket);
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn it_is_closed_though_nobody_waits_for_it() {
        let (one, mut other) = UnixStream::pair().unwrap();
        drop(PacketSocket::new(one.into()));
        // The other end hears of it.
        let mut end = Vec::new();
        std::io::Read::read_to_end(&mut other, &mut end).unwrap();
        assert_eq!(end, []);
    }
}
