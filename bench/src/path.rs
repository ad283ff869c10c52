//! A path that is long and loses packets, between two namespaces.
//!
//! Each namespace has a TUN device; two threads a direction carry packets from one to the other:
//! one reads, decides what is lost and stamps the rest, one writes each when its time has come.
//! The delay is the same for all, so that a queue in order of arrival is one in order of
//! departure. What is lost follows from a seed.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portolan_testnet::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::clock::now;

const NAME: &str = "tun0";
const MTU_BYTES: usize = 1500;
/// Packets on their way in one direction; more are lost, as on a real path. At a delay of 30 ms
/// it is reached at a million packets a second, far beyond what a TUN device carries.
const MOST_IN_FLIGHT: usize = 32_768;
/// How often a thread that reads looks whether it is to stop.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How a path treats packets, in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quality {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// How many of 1,000 packets are lost.
    pub(crate) lost_per_mille: u64,
}

/// The path; cut when dropped.
pub(crate) struct Path {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

struct Packet {
    due: Instant,
    bytes: Vec<u8>,
}

impl Path {
    /// Joins two namespaces; each gets the address that is given with it, in a network of 24 bits.
    pub(crate) fn new(
        here: (&Namespace, Ipv4Addr),
        there: (&Namespace, Ipv4Addr),
        quality: Quality,
    ) -> Result<Self, String> {
        let (near, far) = (device(here.0, here.1)?, device(there.0, there.1)?);
        let stop = Arc::new(AtomicBool::new(false));
        let mut path = Self {
            stop: Arc::clone(&stop),
            threads: Vec::new(),
        };
        for (seed, from, to) in [(1, &near, &far), (2, &far, &near)] {
            let (sender, receiver) = sync_channel(MOST_IN_FLIGHT);
            let (from, to, stop) = (Arc::clone(from), Arc::clone(to), Arc::clone(&stop));
            path.threads.push(thread::spawn(move || {
                read(&from, &sender, quality, seed, &stop);
            }));
            path.threads
                .push(thread::spawn(move || write(&to, &receiver)));
        }
        Ok(path)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn device(namespace: &Namespace, address: Ipv4Addr) -> Result<Arc<SyncDevice>, String> {
    let open = || -> io::Result<SyncDevice> {
        let device = DeviceBuilder::new().name(NAME).build_sync()?;
        device.set_nonblocking(true)?;
        Ok(device)
    };
    let device = namespace
        .enter(open)
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("cannot open a TUN device: {error}"))?;
    let address = format!("{address}/24");
    for arguments in [
        &["address", "add", &address, "dev", NAME][..],
        &["link", "set", NAME, "up", "txqueuelen", "10000"],
    ] {
        namespace
            .run("ip", arguments)
            .map_err(|error| error.to_string())?;
    }
    Ok(Arc::new(device))
}

fn read(
    device: &SyncDevice,
    packets: &SyncSender<Packet>,
    quality: Quality,
    seed: u64,
    stop: &AtomicBool,
) {
    let mut chance = seed;
    let mut buffer = [0; MTU_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = device.recv(&mut buffer) else {
            // Nothing is there yet; an error of the device shows as a path that is silent.
            let _ = poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&PATIENCE));
            continue;
        };
        if next(&mut chance) % 1000 < quality.lost_per_mille {
            continue;
        }
        // A queue that is full loses the packet.
        let _ = packets.try_send(Packet {
            due: now() + quality.delay,
            bytes: buffer.iter().take(length).copied().collect(),
        });
    }
}

fn write(device: &SyncDevice, packets: &Receiver<Packet>) {
    for packet in packets {
        thread::sleep(packet.due.saturating_duration_since(now()));
        // What the device does not take is lost, as on a real path.
        let _ = device.send(&packet.bytes);
    }
}

/// The next of a sequence of numbers that look random (`SplitMix64`: Steele, Lea and Flood, 2014).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
