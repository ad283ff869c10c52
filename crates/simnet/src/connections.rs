//! The server's side of TCP: as much of it as scanners and their kernels talk to.
//!
//! Handshake, data that is acknowledged and thrown away, a banner, both ways to close. No window,
//! no congestion, no retransmission but that of the SYN/ACK: what is lost after the handshake
//! is the scanner's to send again.

use std::collections::HashMap;
use std::net::IpAddr;

use portolan_wire::SeqNumber;
use portolan_wire::tcp::{self, Flags, Options, TcpOption};

use crate::rng;
use crate::truth::number;

/// The most connections that are held; SYNs beyond it are dropped, as by a full backlog.
const MOST: usize = 1 << 20;
/// An established connection without a packet for this long is forgotten, in nanoseconds.
const IDLE: u64 = 60_000_000_000;
/// Before a SYN/ACK is first sent again, in nanoseconds (RFC 6298, 2.1).
const FIRST_RETRY: u64 = 1_000_000_000;
/// What hosts announce as their window.
const WINDOW: u16 = 64_240;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) host: (IpAddr, u16),
    pub(crate) peer: (IpAddr, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The SYN/ACK was sent, and will be sent again so often.
    SynReceived {
        retries: u8,
    },
    Established,
    /// Our FIN was sent in answer to theirs.
    LastAck,
}

#[derive(Debug)]
struct Connection {
    state: State,
    /// What we send next.
    next: SeqNumber,
    /// What we expect next.
    expected: SeqNumber,
    options: Options,
    /// Between retransmissions of the SYN/ACK.
    wait: u64,
    seen_at: u64,
    /// Tells a timer of this connection from one of its predecessor.
    generation: u64,
}

/// When a connection is to be looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) generation: u64,
    pub(crate) after: u64,
}

/// What a host does about a segment.
#[derive(Debug, Default)]
pub(crate) struct Reaction<'a> {
    /// What it sends, in order.
    pub(crate) segments: [Option<tcp::Repr<'a>>; 2],
    /// When to look after the connection.
    pub(crate) timer: Option<Timer>,
    /// Whether the handshake is now complete.
    pub(crate) has_established: bool,
}

/// Every connection of every host.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: HashMap<Ends, Connection>,
    /// Of which connection a timer is.
    timers: HashMap<u64, Ends>,
    generations: u64,
}

/// What a listening port says and does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener<'a> {
    pub(crate) banner: &'a str,
    pub(crate) retries: u8,
    pub(crate) seed: u64,
}

/// The options that answer those of a SYN, as a host that knows them all would.
fn answering(syn: &tcp::Packet<&[u8]>, host: IpAddr, now: u64) -> Options {
    let mut options = Options::new();
    let mss = if host.is_ipv4() { 1460 } else { 1440 };
    let mut push = |option| {
        options
            .push(option)
            .expect("4 + 2 + 10 + 1 + 3 bytes are below 40");
    };
    push(TcpOption::MaximumSegmentSize(mss));
    let offered = |wanted: fn(&TcpOption<'_>) -> bool| syn.options().find(wanted);
    if offered(|option| matches!(option, TcpOption::SackPermitted)).is_some() {
        push(TcpOption::SackPermitted);
    }
    if let Some(TcpOption::Timestamps { value, .. }) =
        offered(|option| matches!(option, TcpOption::Timestamps { .. }))
    {
        push(timestamps(now, value));
    }
    if offered(|option| matches!(option, TcpOption::WindowScale(_))).is_some() {
        push(TcpOption::NoOperation);
        push(TcpOption::WindowScale(7));
    }
    options
}

/// A timestamp in milliseconds of the network's time.
fn timestamps(now: u64, echo_reply: u32) -> TcpOption<'static> {
    TcpOption::Timestamps {
        value: ((now / 1_000_000) & 0xffff_ffff) as u32,
        echo_reply,
    }
}

impl Connection {
    fn segment(&self, ends: &Ends, flags: Flags) -> tcp::Repr<'static> {
        tcp::Repr {
            sequence: self.next,
            acknowledgment: self.expected,
            window: WINDOW,
            ..tcp::Repr::new(ends.host.1, ends.peer.1, flags)
        }
    }

    fn syn_ack(&self, ends: &Ends) -> tcp::Repr<'static> {
        tcp::Repr {
            options: self.options,
            ..self.segment(ends, Flags::SYN_ACK)
        }
    }
}

impl Connections {
    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// A listening port gets a SYN.
    pub(crate) fn syn(
        &mut self,
        now: u64,
        ends: Ends,
        syn: &tcp::Packet<&[u8]>,
        listener: &Listener<'_>,
    ) -> Reaction<'static> {
        let expected = syn.sequence_number() + 1;
        match self.open.get(&ends) {
            // The same SYN again: its answer was lost.
            Some(known)
                if known.expected == expected
                    && matches!(known.state, State::SynReceived { .. }) =>
            {
                return Reaction {
                    segments: [Some(known.syn_ack(&ends)), None],
                    ..Reaction::default()
                };
            }
            // A challenge, so that the peer resets what it does not know (RFC 5961, 4).
            Some(known) if known.state == State::Established => {
                return Reaction {
                    segments: [Some(known.segment(&ends, Flags::ACK)), None],
                    ..Reaction::default()
                };
            }
            None if self.open.len() >= MOST => return Reaction::default(),
            _ => {}
        }
        self.forget(&ends);
        self.generations += 1;
        let key = u64::from(ends.host.1) << 48 | u64::from(ends.peer.1) << 32;
        let seed = rng::hash(listener.seed, number(ends.peer.0), 0);
        let hash = rng::hash(seed, number(ends.host.0), key | u64::from(expected.0));
        let connection = Connection {
            state: State::SynReceived {
                retries: listener.retries,
            },
            next: SeqNumber((hash & 0xffff_ffff) as u32),
            expected,
            options: answering(syn, ends.host.0, now),
            wait: FIRST_RETRY,
            seen_at: now,
            generation: self.generations,
        };
        let reaction = Reaction {
            segments: [Some(connection.syn_ack(&ends)), None],
            timer: Some(Timer {
                generation: connection.generation,
                after: connection.wait,
            }),
            has_established: false,
        };
        self.timers.insert(connection.generation, ends);
        self.open.insert(ends, connection);
        reaction
    }

    /// A host gets a segment other than a SYN; `None` when it is of no connection.
    pub(crate) fn segment<'a>(
        &mut self,
        now: u64,
        ends: &Ends,
        segment: &tcp::Packet<&[u8]>,
        listener: &Listener<'a>,
    ) -> Option<Reaction<'a>> {
        let connection = self.open.get_mut(ends)?;
        let mut reaction = Reaction::default();
        let flags = segment.flags();
        if flags.contains(Flags::RST) {
            self.forget(ends);
            return Some(reaction);
        }
        if !flags.contains(Flags::ACK) {
            return Some(reaction);
        }
        connection.seen_at = now;
        match connection.state {
            State::SynReceived { .. } => {
                if segment.acknowledgment_number() != connection.next + 1 {
                    let reset = tcp::Repr {
                        sequence: segment.acknowledgment_number(),
                        ..tcp::Repr::new(ends.host.1, ends.peer.1, Flags::RST)
                    };
                    reaction.segments[0] = Some(reset);
                    return Some(reaction);
                }
                connection.state = State::Established;
                connection.next = connection.next + 1;
                reaction.has_established = true;
                if !listener.banner.is_empty() {
                    reaction.segments[0] = Some(tcp::Repr {
                        payload: listener.banner.as_bytes(),
                        ..connection.segment(ends, Flags::PSH | Flags::ACK)
                    });
                    let len = u32::try_from(listener.banner.len()).unwrap_or(0);
                    connection.next = connection.next + len;
                }
            }
            State::LastAck if segment.acknowledgment_number() == connection.next => {
                self.forget(ends);
                return Some(reaction);
            }
            State::Established | State::LastAck => {}
        }
        let len = segment.sequence_len();
        if len > 0 {
            let is_next = segment.sequence_number() == connection.expected;
            if is_next {
                connection.expected = connection.expected + len;
            }
            let is_fin = flags.contains(Flags::FIN);
            if connection.state == State::LastAck && is_fin && !is_next {
                // Their FIN again: ours was lost.
                let sequence = SeqNumber(connection.next.0.wrapping_sub(1));
                reaction.segments[1] = Some(tcp::Repr {
                    sequence,
                    ..connection.segment(ends, Flags::FIN | Flags::ACK)
                });
                return Some(reaction);
            }
            let mut flags_back = Flags::ACK;
            if is_next && is_fin {
                flags_back = flags_back | Flags::FIN;
                connection.state = State::LastAck;
            }
            reaction.segments[1] = Some(connection.segment(ends, flags_back));
            if connection.state == State::LastAck && is_next {
                connection.next = connection.next + 1;
            }
        }
        Some(reaction)
    }

    /// A timer runs out: what is sent again, to whom, and the next timer.
    pub(crate) fn timer(
        &mut self,
        now: u64,
        generation: u64,
    ) -> Option<(Ends, Option<tcp::Repr<'static>>, Timer)> {
        let ends = *self.timers.get(&generation)?;
        let connection = self.open.get_mut(&ends)?;
        let (again, after) = match &mut connection.state {
            State::SynReceived { retries: 0 } => {
                self.forget(&ends);
                return None;
            }
            State::SynReceived { retries } => {
                *retries -= 1;
                connection.wait *= 2;
                (Some(connection.syn_ack(&ends)), connection.wait)
            }
            State::Established | State::LastAck => {
                if now.saturating_sub(connection.seen_at) >= IDLE {
                    self.forget(&ends);
                    return None;
                }
                (None, IDLE)
            }
        };
        Some((ends, again, Timer { generation, after }))
    }

    fn forget(&mut self, ends: &Ends) {
        if let Some(connection) = self.open.remove(ends) {
            self.timers.remove(&connection.generation);
        }
    }
}
