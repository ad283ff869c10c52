//! Clients that follow a scan: many at once as cheaply as can be, or one that looks at the clock.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Between two looks whether it is time to end.
const GLANCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// Many event streams of one scan, read and thrown away on one thread.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Seen>>,
}

/// What the streams brought.
pub(crate) struct Seen {
    /// Time on a processor of the thread that read them.
    pub(crate) cpu: Duration,
    /// Bytes of the stream that brought least.
    pub(crate) least_bytes: u64,
    /// Bytes of the stream that brought most.
    pub(crate) most_bytes: u64,
}

/// Opens a stream of a scan that may not have begun.
fn follow(address: SocketAddr, scan: i64) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    let request =
        format!("GET /api/v1/events?topics=scan:{scan} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // The head of the answer and the greeting: from now on it is listened to.
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    if &start != b"HTTP/1.1 200" {
        let start = String::from_utf8_lossy(&start).into_owned();
        return Err(io::Error::other(format!("no stream: `{start}`")));
    }
    Ok(stream)
}

impl Watch {
    /// Opens `count` streams of a scan that has not begun.
    pub(crate) fn start(address: SocketAddr, scan: i64, count: usize) -> io::Result<Self> {
        let streams: Vec<TcpStream> = (0..count)
            .map(|_| follow(address, scan))
            .collect::<io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || read_all(&streams, &stopped));
        Ok(Self { stop, thread })
    }

    /// Ends them, once nothing more comes.
    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(Ok(seen)) => seen,
            _ => Seen {
                cpu: Duration::ZERO,
                least_bytes: 0,
                most_bytes: 0,
            },
        }
    }
}

fn read_all(streams: &[TcpStream], stopped: &AtomicBool) -> io::Result<Seen> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (number, stream) in (0u64..).zip(streams) {
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(number);
        epoll::add(&poll, stream, data, epoll::EventFlags::IN)?;
    }
    let mut bytes = vec![0u64; streams.len()];
    let mut buffer = vec![0; CHUNK];
    let mut events = Vec::with_capacity(streams.len().max(1));
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&GLANCE))?;
        if events.is_empty() && stopped.load(Ordering::Relaxed) {
            break;
        }
        for event in &events {
            let Ok(number) = usize::try_from(event.data.u64()) else {
                continue;
            };
            let (Some(mut stream), Some(count)) = (streams.get(number), bytes.get_mut(number))
            else {
                continue;
            };
            match stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => *count += length as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Seen {
        cpu: Duration::new(
            cpu.tv_sec.unsigned_abs(),
            u32::try_from(cpu.tv_nsec).unwrap_or(0),
        ),
        least_bytes: bytes.iter().min().copied().unwrap_or(0),
        most_bytes: bytes.iter().max().copied().unwrap_or(0),
    })
}

/// How long each open port of a scan took from being found to being read here. `scan` runs it.
pub(crate) fn latencies(
    address: SocketAddr,
    scan: i64,
    run: impl FnOnce() -> io::Result<()>,
) -> io::Result<Vec<Duration>> {
    let stream = follow(address, scan)?;
    let reader = thread::spawn(move || {
        let mut heard = Vec::new();
        for line in BufReader::with_capacity(CHUNK, stream).lines() {
            let Some(data) = line?.strip_prefix("data: ").map(str::to_owned) else {
                continue;
            };
            let now = Timestamp::now();
            let update: Value = serde_json::from_str(&data)?;
            for port in update["ports"].as_array().into_iter().flatten() {
                if let Some(at) = port["at"].as_str().and_then(|at| at.parse().ok()) {
                    let since: jiff::SignedDuration = now.duration_since(at);
                    heard.push(since.unsigned_abs());
                }
            }
            if update["scan"]["state"] == "done" {
                break;
            }
        }
        Ok(heard)
    });
    run()?;
    reader
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the reader failed")))
}
