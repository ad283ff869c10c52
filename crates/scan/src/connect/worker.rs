//! One thread that makes connections.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use portolan_model::{PortState, Reason, Zones};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::BATCH;
use super::errors::{Icmp, Meaning, at_once, is_ours, later, words};
use crate::clock::{Clock, SystemClock};
use crate::transport::{Answer, Finding, Job, Seen};

/// The number that stands for the bell among the events of sockets.
const BELL: u64 = u64::MAX;

/// A socket is kept this long for a late answer, if there is room: a little less than the
/// system waits before it sends the SYN again by itself.
const LINGER: Duration = Duration::from_millis(950);

/// So many senders of ICMP errors are remembered.
const SENDERS: usize = 32;

/// When the system has no room, how long until the next try.
const STALL: Duration = Duration::from_millis(5);

/// When the system has had no room for this long, with nothing of ours in the way, it is an
/// error.
const STALLED_FOR_GOOD: Duration = Duration::from_secs(10);

/// How often a connection to oneself is tried again.
const SELF_CONNECTIONS: usize = 8;

/// Wakes a worker that waits.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    pub(super) fn ring(&self) {
        // It fails only when it has rung 2^64 times without being heard.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// A socket and the job that it is on; without one it is ready for the next.
#[derive(Debug)]
struct Slot {
    socket: OwnedFd,
    job: Option<Job>,
    is_watched: bool,
    is_v6: bool,
}

/// A thread's sockets and jobs.
#[derive(Debug)]
pub(super) struct Worker {
    clock: SystemClock,
    queue: Receiver<Vec<Job>>,
    /// The answers are not waited for any more.
    is_over: Arc<AtomicBool>,
    report: Sender<Vec<Answer>>,
    zones: Arc<Zones>,
    answers: Vec<Answer>,
    pending: VecDeque<Job>,
    epoll: OwnedFd,
    bell: Bell,
    slots: Vec<Option<Slot>>,
    /// Slots without a socket.
    empty: Vec<usize>,
    /// Slots whose socket is ready for the next job: IPv4, IPv6.
    ready: [Vec<usize>; 2],
    /// Slots in the order of their jobs, with the time to give them up. A slot that has moved on
    /// to another job since is told by that time.
    order: VecDeque<(Duration, usize, Duration)>,
    busy: usize,
    capacity: usize,
    /// The system has no room until then; since when.
    stalled: Option<(Duration, Duration)>,
    /// The last address asked, and whether it answers within the system call, as one's own do.
    instant: Option<(IpAddr, bool)>,
    /// The ports that the system gives to outgoing connections.
    ephemeral: (u16, u16),
    /// Senders of ICMP errors, and whether they are this machine.
    ours: Vec<((IpAddr, u32), bool)>,
}

impl Worker {
    pub(super) fn new(
        clock: SystemClock,
        queue: Receiver<Vec<Job>>,
        is_over: Arc<AtomicBool>,
        report: Sender<Vec<Answer>>,
        capacity: usize,
        zones: Arc<Zones>,
    ) -> io::Result<(Self, Bell)> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Bell(Arc::new(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?));
        epoll::add(&epoll, &*bell.0, EventData::new_u64(BELL), EventFlags::IN)?;
        let worker = Self {
            clock,
            queue,
            is_over,
            report,
            zones,
            answers: Vec::new(),
            pending: VecDeque::new(),
            epoll,
            bell: bell.clone(),
            slots: Vec::new(),
            empty: Vec::new(),
            ready: [Vec::new(), Vec::new()],
            order: VecDeque::new(),
            busy: 0,
            capacity,
            stalled: None,
            instant: None,
            ephemeral: ephemeral_ports(),
            ours: Vec::new(),
        };
        Ok((worker, bell))
    }

    /// Works until it is told that it is over, or the queue is closed.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        while !self.is_over.load(Ordering::Relaxed) && self.take_jobs() {
            // A bell that rang is not heard twice: only a thread that found nothing to do may
            // wait for the next.
            let is_idle = self.pending.is_empty();
            self.start_pending();
            self.flush();
            let timeout = if is_idle || self.stalled.is_some() {
                self.timeout()
            } else {
                Some(Timespec::default())
            };
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    self.fail_all(error);
                    return;
                }
            }
            for event in &events {
                match event.data.u64() {
                    BELL => {
                        let _ = rustix::io::read(&*self.bell.0, &mut [0; 8]);
                    }
                    place => self.look_at(usize::try_from(place).unwrap_or(usize::MAX)),
                }
            }
            self.give_up();
            self.flush();
        }
    }

    /// Takes what waits in the queue, while there is little at hand; `false` when it is closed.
    fn take_jobs(&mut self) -> bool {
        while self.pending.len() < BATCH {
            match self.queue.try_recv() {
                Ok(batch) => self.pending.extend(batch),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn timeout(&self) -> Option<Timespec> {
        let wait = if let Some((until, _)) = self.stalled {
            until.saturating_sub(self.clock.now())
        } else if self.pending.is_empty() {
            let (give_up, ..) = self.order.front()?;
            give_up.saturating_sub(self.clock.now())
        } else {
            Duration::ZERO
        };
        Some(Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        })
    }

    fn flush(&mut self) {
        if !self.answers.is_empty() {
            // The engine hangs up when it needs no more.
            let _ = self.report.send(std::mem::take(&mut self.answers));
        }
    }

    fn start_pending(&mut self) {
        let now = self.clock.now();
        if self.stalled.is_some_and(|(until, _)| now < until) {
            return;
        }
        for _ in 0..BATCH {
            let Some(job) = self.pending.pop_front() else {
                break;
            };
            if let Err(error) = self.start(job) {
                self.stall(job, error);
                return;
            }
            self.stalled = None;
        }
    }

    /// The system has no room for `job`: it waits, and what lingers makes room.
    fn stall(&mut self, job: Job, error: Errno) {
        let now = self.clock.now();
        let since = self.stalled.map_or(now, |(_, since)| since);
        if matches!(error, Errno::MFILE | Errno::NFILE) {
            self.capacity = self.busy.max(8).min(self.capacity);
        }
        if self.busy == 0 && now >= since + STALLED_FOR_GOOD {
            self.stalled = None;
            self.answer(job, Finding::Failed(words(error)));
            return;
        }
        self.give_up_oldest();
        self.pending.push_front(job);
        self.stalled = Some((now + STALL, since));
    }

    /// Asks; an error says that the system has no room for it now.
    fn start(&mut self, job: Job) -> Result<(), Errno> {
        let place = self.slot(job.endpoint.address.is_ipv6())?;
        let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return Err(Errno::NOMEM);
        };
        let address = socket_address(&self.zones, &job);
        match rustix::net::connect(&slot.socket, &address) {
            Ok(()) => {
                slot.job = Some(job);
                self.busy += 1;
                self.opened(place);
                return Ok(());
            }
            Err(Errno::INPROGRESS) => {}
            Err(error) => {
                return match at_once(error, job.endpoint.address) {
                    Meaning::Answer(finding) => {
                        self.ready[usize::from(job.endpoint.address.is_ipv6())].push(place);
                        self.answer(job, finding);
                        Ok(())
                    }
                    Meaning::Wait => {
                        self.ready[usize::from(job.endpoint.address.is_ipv6())].push(place);
                        Err(error)
                    }
                    Meaning::Silence => {
                        self.ready[usize::from(job.endpoint.address.is_ipv6())].push(place);
                        Ok(())
                    }
                };
            }
        }
        slot.job = Some(job);
        self.busy += 1;
        let known = self.instant.filter(|(of, _)| *of == job.endpoint.address);
        if known.is_none_or(|(_, instant)| instant) {
            self.look_at(place);
            let was_instant = self.slots[place]
                .as_ref()
                .is_none_or(|slot| slot.job.is_none());
            if known.is_none() || !was_instant {
                self.instant = Some((job.endpoint.address, was_instant));
            }
            if was_instant {
                return Ok(());
            }
        }
        self.watch(place)?;
        let linger = job.patience.max(LINGER);
        self.order.push_back((job.at + linger, place, job.at));
        Ok(())
    }

    /// Has the kernel say when something happens to the socket.
    fn watch(&mut self, place: usize) -> Result<(), Errno> {
        let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return Ok(());
        };
        if !slot.is_watched {
            let data = EventData::new_u64(place as u64);
            let flags = EventFlags::OUT | EventFlags::ERR | EventFlags::HUP | EventFlags::ET;
            epoll::add(&self.epoll, &slot.socket, data, flags)?;
            slot.is_watched = true;
        }
        Ok(())
    }

    /// A slot with a socket that is on no job.
    fn slot(&mut self, is_v6: bool) -> Result<usize, Errno> {
        if let Some(place) = self.ready[usize::from(is_v6)].pop() {
            return Ok(place);
        }
        if self.busy >= self.capacity {
            self.give_up_oldest();
        }
        let socket = open_socket(is_v6)?;
        let slot = Some(Slot {
            socket,
            job: None,
            is_watched: false,
            is_v6,
        });
        if let Some(place) = self.empty.pop() {
            self.slots[place] = slot;
            Ok(place)
        } else {
            self.slots.push(slot);
            Ok(self.slots.len() - 1)
        }
    }

    /// Sees what became of the connection in a slot, if anything has.
    fn look_at(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let Some(job) = slot.job else { return };
        let address = socket_address(&self.zones, &job);
        // A second `connect` says how the first went (connect(2)), and readies the socket for
        // the next if it failed.
        let error = match rustix::net::connect(&slot.socket, &address) {
            Ok(()) | Err(Errno::ISCONN) => {
                self.opened(place);
                return;
            }
            Err(error) => error,
        };
        let icmp = Icmp::of(&slot.socket);
        let by_host = icmp.is_some_and(|icmp| icmp.from == Some(job.endpoint.address));
        let scope = self.zones.index_of(job.endpoint.address).unwrap_or(0);
        let icmp = icmp.and_then(|icmp| {
            icmp.finding(job.endpoint.address, |from| {
                is_known_as_ours(&mut self.ours, (from, scope))
            })
        });
        let is_going_on = matches!(error, Errno::ALREADY | Errno::INPROGRESS);
        let meaning = match icmp {
            Some(finding) => Meaning::Answer(finding),
            None if is_going_on => return,
            None => later(error),
        };
        match meaning {
            Meaning::Answer(finding) => {
                let is_reusable = error == Errno::CONNREFUSED;
                self.release(place, is_reusable);
                self.answer_by(job, finding, by_host);
            }
            Meaning::Silence => self.release(place, false),
            Meaning::Wait => {
                self.release(place, false);
                self.pending.push_back(job);
            }
        }
    }

    /// The slot's job is over. Its socket serves again, or is closed.
    fn release(&mut self, place: usize, is_reusable: bool) {
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if let Some(held) = slot {
            self.busy -= usize::from(held.job.take().is_some());
            if is_reusable {
                self.ready[usize::from(held.is_v6)].push(place);
            } else {
                *slot = None;
                self.empty.push(place);
            }
        }
    }

    /// A connection stands: to a listener, unless it is to itself.
    fn opened(&mut self, place: usize) {
        let Some(slot) = self.slots.get(place).and_then(Option::as_ref) else {
            return;
        };
        let Some(job) = slot.job else { return };
        let asked = socket_address(&self.zones, &job);
        let local = local_address(&slot.socket);
        let is_own = local.is_some_and(|local| local.ip() == asked.ip());
        let (first, last) = self.ephemeral;
        let may_be_ours = is_own && (first..=last).contains(&asked.port());
        let is_open = !may_be_ours || confirm(asked, local == Some(asked));
        self.release(place, false);
        self.answer(
            job,
            if is_open {
                Finding::Port(PortState::Open, Reason::SynAck)
            } else {
                Finding::Port(PortState::Closed, Reason::ConnRefused)
            },
        );
    }

    fn answer(&mut self, job: Job, finding: Finding) {
        self.answer_by(job, finding, false);
    }

    /// `by_host`: an ICMP error came from the host itself, and not from where the packet could not
    /// go on.
    fn answer_by(&mut self, job: Job, finding: Finding, by_host: bool) {
        let now = self.clock.now();
        let is_refusal = matches!(finding, Finding::Port(PortState::Filtered, _));
        self.answers.push(Answer {
            endpoint: job.endpoint,
            round: job.round,
            kind: job.kind,
            rtt: Some(now.saturating_sub(job.at)),
            ttl: None,
            seen: Seen::by(by_host || !is_refusal),
            at: now,
            finding,
            said: Vec::new(),
        });
    }

    /// Closes what has waited long enough.
    fn give_up(&mut self) {
        let now = self.clock.now();
        while let Some(&(until, place, since)) = self.order.front() {
            if now < until && self.is_on(place, since) {
                break;
            }
            self.order.pop_front();
            if self.is_on(place, since) {
                self.release(place, false);
            }
        }
    }

    /// Closes the socket that has waited longest.
    fn give_up_oldest(&mut self) {
        while let Some((_, place, since)) = self.order.pop_front() {
            if self.is_on(place, since) {
                self.release(place, false);
                return;
            }
        }
    }

    /// Whether the slot is still on the job that was handed over at `since`.
    fn is_on(&self, place: usize, since: Duration) -> bool {
        let slot = self.slots.get(place).and_then(Option::as_ref);
        slot.and_then(|slot| slot.job)
            .is_some_and(|job| job.at == since)
    }

    /// The kernel's queue of events failed: nothing can be heard any more.
    fn fail_all(&mut self, error: Errno) {
        let jobs: Vec<Job> = self
            .slots
            .iter()
            .flatten()
            .filter_map(|slot| slot.job)
            .chain(self.pending.drain(..))
            .collect();
        for job in jobs {
            self.answer(job, Finding::Failed(words(error)));
        }
        self.flush();
        while let Ok(batch) = self.queue.recv() {
            for job in batch {
                self.answer(job, Finding::Failed(words(error)));
            }
            self.flush();
        }
    }
}

/// Where a job's port is; a link-local address needs its interface (RFC 3493, 3.3).
fn socket_address(zones: &Zones, job: &Job) -> SocketAddr {
    let (address, port) = (job.endpoint.address, job.endpoint.port);
    match (address, zones.index_of(address)) {
        (IpAddr::V6(address), Some(scope)) => SocketAddrV6::new(address, port, 0, scope).into(),
        _ => SocketAddr::new(address, port),
    }
}

fn open_socket(is_v6: bool) -> Result<OwnedFd, Errno> {
    let family = if is_v6 {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Closing resets, so that neither side keeps state (RFC 9293, 3.9.1.5 ABORT).
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    // Without it an ICMP error comes without its code. It is not to be had everywhere.
    let _ = if is_v6 {
        setsockopt(&socket, Ipv6RecvErr, &true)
    } else {
        setsockopt(&socket, Ipv4RecvErr, &true)
    };
    Ok(socket)
}

/// Whether an address is one of this machine's, from what is known already.
fn is_known_as_ours(known: &mut Vec<((IpAddr, u32), bool)>, address: (IpAddr, u32)) -> bool {
    if let Some((_, ours)) = known.iter().find(|(of, _)| *of == address) {
        return *ours;
    }
    if known.len() >= SENDERS {
        known.clear();
    }
    let ours = is_ours(address.0, address.1);
    known.push((address, ours));
    ours
}

fn local_address(socket: &OwnedFd) -> Option<SocketAddr> {
    rustix::net::getsockname(socket).ok()?.try_into().ok()
}

/// Whether something listens on a port of our own, which a connection was made to.
///
/// A connection to a port of one's own host may be to no listener at all: the system may have
/// given the connection that very port as its own, so that its SYN met itself, or two of our
/// own connections may have met (simultaneous open, RFC 9293, 3.5). Neither happens twice to a
/// port that is held meanwhile.
fn confirm(asked: SocketAddr, met_itself: bool) -> bool {
    let mut held = Vec::new();
    let tries = if met_itself { SELF_CONNECTIONS } else { 2 };
    for _ in 0..tries {
        let Ok(socket) = open_socket(asked.is_ipv6()) else {
            return !met_itself;
        };
        let _ = rustix::net::connect(&socket, &asked);
        match rustix::net::connect(&socket, &asked) {
            Ok(()) | Err(Errno::ISCONN) => {
                if local_address(&socket) != Some(asked) {
                    return true;
                }
                held.push(socket);
            }
            Err(Errno::ALREADY | Errno::INPROGRESS) => return !met_itself,
            Err(_) => return false,
        }
    }
    false
}

/// The range that the system takes the ports of outgoing connections from (ip(7)).
fn ephemeral_ports() -> (u16, u16) {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| {
            let mut ends = text.split_whitespace().map(str::parse::<u16>);
            Some((ends.next()?.ok()?, ends.next()?.ok()?))
        })
        .unwrap_or((1024, u16::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_confirmed_and_a_free_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(confirm(address, false));
        assert!(confirm(address, true));
        drop(listener);
        assert!(!confirm(address, true));
        assert!(!confirm(address, false));
    }

    #[test]
    fn a_connection_to_itself_is_seen_as_one() {
        // Bound to the port that it connects to, a socket meets itself.
        let socket = open_socket(false).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let own = local_address(&socket).unwrap();
        let _ = rustix::net::connect(&socket, &own);
        assert!(matches!(
            rustix::net::connect(&socket, &own),
            Ok(()) | Err(Errno::ISCONN)
        ));
        assert_eq!(local_address(&socket), Some(own));
        drop(socket);
        assert!(!confirm(own, true));
    }
}
