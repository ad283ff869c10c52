//! Listeners inside a namespace: open ports that a scan can find.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Result};
use crate::namespace::Namespace;

/// TCP listeners that accept every connection and close it; they end when dropped.
///
/// One thread serves them all: sockets that were opened inside a namespace stay in it, so that
/// no helper process is needed.
#[derive(Debug)]
pub struct Listeners {
    addresses: Vec<SocketAddr>,
    /// A byte, or its end, tells the thread to stop.
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Listeners {
    /// Starts to listen on each of the addresses; with port 0 the kernel chooses one.
    ///
    /// # Errors
    /// [`Error::Listen`] for the first address that cannot be bound.
    pub fn start(
        namespace: &Namespace,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self> {
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        let bound = namespace.enter(|| {
            let bind = |address: &SocketAddr| {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            };
            let bind = |address| bind(address).map_err(|source: io::Error| (*address, source));
            addresses
                .iter()
                .map(bind)
                .collect::<std::result::Result<Vec<_>, _>>()
        })?;
        let bound = bound.map_err(|(address, source)| Error::Listen {
            address,
            name: namespace.name().to_owned(),
            source,
        })?;
        let (listeners, addresses): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
        let (stop, stopped) = UnixStream::pair().map_err(Error::Accept)?;
        let thread = thread::Builder::new()
            .name("listeners".to_owned())
            .spawn(move || serve(&listeners, &stopped))
            .map_err(Error::Accept)?;
        Ok(Self {
            addresses,
            stop,
            thread: Some(thread),
        })
    }

    /// Where they listen, in the order in which they were asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts and closes until told to stop.
///
/// A queue of connections that nobody accepts fills up, and the kernel then drops what comes:
/// the port would look filtered.
fn serve(listeners: &[TcpListener], stopped: &UnixStream) {
    let mut waiting: Vec<PollFd<'_>> = listeners
        .iter()
        .map(|listener| PollFd::new(listener, PollFlags::IN))
        .collect();
    waiting.push(PollFd::new(stopped, PollFlags::IN));
    loop {
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if waiting
            .last()
            .is_some_and(|stop| !stop.revents().is_empty())
        {
            let _ = (&*stopped).read(&mut [0]);
            return;
        }
        for (listener, polled) in listeners.iter().zip(&waiting) {
            if !polled.revents().is_empty() {
                while listener.accept().is_ok() {}
            }
        }
    }
}
