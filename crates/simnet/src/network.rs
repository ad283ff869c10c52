//! The network itself: a machine of discrete events that is driven by packets and by time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use portolan_wire::tcp::{self, Flags};
use portolan_wire::{Addresses, Protocol, SeqNumber, icmpv4, icmpv6, udp};

use crate::Medium;
use crate::answer::{self, Icmp};
use crate::connections::{Connections, Ends, Listener, Reaction};
use crate::counters::Counters;
use crate::element::{Bucket, Credit, Direction, Flow, Table, Wall};
use crate::opened::{Unopened, open, ports, quoted_flow};
use crate::rng::Rng;
use crate::scenario::{Closed, Hosts, Kind, Ping, Scenario};
use crate::truth::{Inhabitant, Truth};

/// Streams of chance, one for each element that needs its own.
mod stream {
    pub(super) const FORWARD: u64 = 1;
    pub(super) const BACK: u64 = 2;
    pub(super) const GARBAGE: u64 = 3;
    pub(super) const ICMP_CREDIT: u64 = 4;
}

/// A simulated network that speaks IP packets.
///
/// It does nothing by itself: [`inject`](Medium::inject) hands it a packet,
/// [`next_event`](Medium::next_event) says when something will happen, and
/// [`poll`](Medium::poll) lets everything happen that is due. Times are counted from any
/// beginning, and never go back.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    truth: Truth,
    firewall: Option<Wall>,
    nat: Option<Table>,
    forward: Direction,
    back: Direction,
    hosts: HashMap<IpAddr, HostState>,
    connections: Connections,
    events: BinaryHeap<Reverse<Event>>,
    /// Packets that are on their way, by slot.
    packets: Vec<Vec<u8>>,
    free: Vec<usize>,
    order: u64,
    now: u64,
    garbage: Rng,
    counters: Counters,
}

/// What a host remembers, if it limits or watches at all.
#[derive(Debug)]
struct HostState {
    rst: Option<Bucket>,
    /// Of each address that it sends errors to.
    icmp: HashMap<IpAddr, Bucket>,
    icmp_all: Option<Credit>,
    firewall: Option<Wall>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: u64,
    /// Events of one time happen in the order of their making.
    order: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The packet in this slot reaches its host.
    Arrive(usize),
    /// The packet in this slot reaches the scanner.
    Leave(usize),
    /// A connection is to be looked after.
    Timer(u64),
}

/// A packet that reached a host.
#[derive(Debug, Clone, Copy)]
struct Arrival<'a> {
    at: u64,
    /// Of the way back.
    addresses: Addresses,
    host: IpAddr,
    peer: IpAddr,
    group: usize,
    /// The whole packet.
    packet: &'a [u8],
    payload: &'a [u8],
}

/// Nanoseconds of a time; the latest that can be told is 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Network {
    /// The network of a scenario, at rest.
    pub fn new(scenario: &Scenario) -> Self {
        let direction = |way, stream| Direction::new(&scenario.path, way, scenario.seed, stream);
        Self {
            seed: scenario.seed,
            truth: Truth::new(scenario),
            firewall: scenario.firewall.as_ref().map(Wall::new),
            nat: scenario.nat.as_ref().map(Table::new),
            forward: direction(&scenario.path.forward, stream::FORWARD),
            back: direction(&scenario.path.back, stream::BACK),
            hosts: HashMap::new(),
            connections: Connections::default(),
            events: BinaryHeap::new(),
            packets: Vec::new(),
            free: Vec::new(),
            order: 0,
            now: 0,
            garbage: Rng::new(scenario.seed, stream::GARBAGE),
            counters: Counters::default(),
        }
    }

    /// What is really there.
    pub const fn truth(&self) -> &Truth {
        &self.truth
    }

    /// What happened so far.
    pub const fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.forward = self.forward.counters;
        counters.back = self.back.counters;
        counters
    }

    /// How many connections hosts hold open or half open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn schedule(&mut self, at: u64, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event {
            at: at.max(self.now),
            order: self.order,
            what,
        }));
    }

    /// A slot that holds a copy of `packet`.
    fn store(&mut self, packet: &[u8]) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.packets.push(Vec::with_capacity(128));
            self.packets.len() - 1
        });
        let buffer = &mut self.packets[slot];
        buffer.clear();
        buffer.extend_from_slice(packet);
        slot
    }

    fn take_in(&mut self, now: u64, frame: &[u8]) {
        self.counters.received += 1;
        let opened = match open(frame) {
            Ok(opened) => opened,
            Err(Unopened::Malformed) => {
                self.counters.malformed += 1;
                return;
            }
            Err(Unopened::Fragment) => {
                self.counters.fragments += 1;
                return;
            }
        };
        let (src, dst) = (opened.addresses.src(), opened.addresses.dst());
        let Some(ports) = ports(opened.protocol, opened.payload) else {
            self.counters.malformed += 1;
            return;
        };
        if let Some(wall) = &mut self.firewall
            && !wall.passes(now)
        {
            self.counters.firewall_dropped += 1;
            return;
        }
        if let Some(table) = &mut self.nat {
            let flow = Flow {
                protocol: opened.protocol,
                inside: (src, ports.0),
                outside: (dst, ports.1),
            };
            if !table.outward(now, flow) {
                self.counters.nat_dropped += 1;
                return;
            }
        }
        let Some(fate) = self.forward.pass(now) else {
            return;
        };
        // What no host will read need not travel.
        let Inhabitant::Host(group) = self.truth.population().inhabitant(dst) else {
            self.counters.to_nobody += 1;
            return;
        };
        let extra = self.truth.population().groups[group].extra_rtt_ms;
        let extra = nanos(Duration::from_secs_f64(extra / 1000.0));
        for at in [Some(fate.at), fate.again_at].into_iter().flatten() {
            let slot = self.store(&frame[..opened.len]);
            self.schedule(at + extra, What::Arrive(slot));
        }
    }

    fn arrive(&mut self, at: u64, packet: &[u8]) {
        let Ok(opened) = open(packet) else {
            return;
        };
        let host = opened.addresses.dst();
        let Inhabitant::Host(group) = self.truth.population().inhabitant(host) else {
            return;
        };
        let arrival = Arrival {
            at,
            addresses: opened.addresses.reversed(),
            host,
            peer: opened.addresses.src(),
            group,
            packet,
            payload: opened.payload,
        };
        let truth = self.truth.clone();
        let hosts = &truth.population().groups[group];
        if hosts.kind == Kind::Silent {
            return;
        }
        if hosts.firewall.is_some()
            && let Some(wall) = &mut self.state(host, hosts).firewall
            && !wall.passes(at)
        {
            self.counters.host_firewall_dropped += 1;
            return;
        }
        match opened.protocol {
            Protocol::TCP => self.tcp(&arrival, hosts),
            Protocol::UDP => self.udp(&arrival, hosts),
            Protocol::ICMP => self.icmp(&arrival, hosts),
            Protocol::ICMPV6 => self.icmpv6(&arrival, hosts),
            _ => {}
        }
    }

    fn state(&mut self, host: IpAddr, hosts: &Hosts) -> &mut HostState {
        let seed = self.seed;
        self.hosts.entry(host).or_insert_with(|| HostState {
            rst: hosts.rst_limit.map(Bucket::new),
            icmp: HashMap::new(),
            icmp_all: hosts
                .icmp_limit_all
                .map(|limit| Credit::new(limit, Rng::new(seed, stream::ICMP_CREDIT))),
            firewall: hosts.firewall.as_ref().map(Wall::new),
        })
    }

    /// Sends what `write` writes on the way back.
    fn send(&mut self, at: u64, write: impl FnOnce(&mut Vec<u8>) -> portolan_wire::Result<()>) {
        let Some(fate) = self.back.pass(at) else {
            return;
        };
        let slot = self.store(&[]);
        // Only an answer above 65,535 bytes cannot be written, and none of ours is.
        if write(&mut self.packets[slot]).is_err() {
            self.free.push(slot);
            return;
        }
        if let Some(again_at) = fate.again_at {
            let copy = self.packets[slot].clone();
            let copy = self.store(&copy);
            self.schedule(again_at, What::Leave(copy));
        }
        self.schedule(fate.at, What::Leave(slot));
    }

    fn send_segment(&mut self, arrival: &Arrival<'_>, ttl: u8, segment: &tcp::Repr<'_>) {
        let addresses = arrival.addresses;
        self.send(arrival.at, |out| {
            answer::segment(out, &addresses, ttl, segment)
        });
    }

    fn tcp(&mut self, arrival: &Arrival<'_>, hosts: &Hosts) {
        let Ok(segment) = tcp::Packet::new(arrival.payload) else {
            self.counters.malformed += 1;
            return;
        };
        let flags = segment.flags();
        let is_syn = flags.contains(Flags::SYN) && !flags.contains(Flags::ACK);
        self.counters.syns += u64::from(is_syn);
        match hosts.kind {
            Kind::Silent => return,
            Kind::Proxy => {
                if is_syn {
                    self.proxy(arrival, hosts, &segment);
                }
                return;
            }
            Kind::Garbage => {
                if is_syn {
                    self.counters.garbage += 1;
                    self.send_garbage(arrival, hosts, &segment);
                }
                return;
            }
            Kind::Normal => {}
        }
        let port = segment.destination_port();
        if hosts.tcp.filtered.contains(port) {
            return;
        }
        let ends = Ends {
            host: (arrival.host, port),
            peer: (arrival.peer, segment.source_port()),
        };
        let listener = Listener {
            banner: &hosts.tcp.banner,
            retries: hosts.tcp.syn_ack_retries,
            seed: self.seed,
        };
        let population = self.truth.population();
        let listens = population.listens(arrival.group, arrival.host, port);
        if listens && is_syn {
            if !flags.contains(Flags::RST) {
                let reaction = self.connections.syn(arrival.at, ends, &segment, &listener);
                self.react(arrival, hosts.ttl, &reaction);
            }
            return;
        }
        let known = self
            .connections
            .segment(arrival.at, &ends, &segment, &listener);
        match known {
            Some(reaction) => self.react(arrival, hosts.ttl, &reaction),
            None => self.refuse(arrival, hosts, &segment, listens),
        }
    }

    fn react(&mut self, arrival: &Arrival<'_>, ttl: u8, reaction: &Reaction<'_>) {
        self.counters.established += u64::from(reaction.has_established);
        for segment in reaction.segments.iter().flatten() {
            if segment.flags == Flags::SYN_ACK {
                self.counters.syn_acks += 1;
            }
            self.send_segment(arrival, ttl, segment);
        }
        if let Some(timer) = reaction.timer {
            self.schedule(arrival.at + timer.after, What::Timer(timer.generation));
        }
    }

    /// A segment that belongs to no connection (RFC 9293, 3.10.7.1 and 3.10.7.2).
    fn refuse(
        &mut self,
        arrival: &Arrival<'_>,
        hosts: &Hosts,
        segment: &tcp::Packet<&[u8]>,
        listens: bool,
    ) {
        let flags = segment.flags();
        let has_ack = flags.contains(Flags::ACK);
        // A listening port has nothing to say to what is neither SYN nor ACK.
        if flags.contains(Flags::RST) || (listens && !has_ack) {
            return;
        }
        match hosts.tcp.closed {
            _ if listens => {}
            Closed::Reset => {}
            Closed::Silent => return,
            closed => {
                self.send_unreachable(arrival, hosts, closed);
                return;
            }
        }
        if hosts.rst_limit.is_some()
            && let Some(bucket) = &mut self.state(arrival.host, hosts).rst
            && !bucket.take(arrival.at)
        {
            self.counters.resets_limited += 1;
            return;
        }
        self.counters.resets += 1;
        let (ours, theirs) = (segment.destination_port(), segment.source_port());
        let reset = if has_ack {
            tcp::Repr {
                sequence: segment.acknowledgment_number(),
                ..tcp::Repr::new(ours, theirs, Flags::RST)
            }
        } else {
            tcp::Repr {
                acknowledgment: segment.sequence_number() + segment.sequence_len(),
                ..tcp::Repr::new(ours, theirs, Flags::RST_ACK)
            }
        };
        self.send_segment(arrival, hosts.ttl, &reset);
    }

    fn proxy(&mut self, arrival: &Arrival<'_>, hosts: &Hosts, syn: &tcp::Packet<&[u8]>) {
        self.counters.syn_acks += 1;
        let answer = tcp::Repr {
            sequence: SeqNumber(!syn.sequence_number().0),
            acknowledgment: syn.sequence_number() + 1,
            ..tcp::Repr::new(syn.destination_port(), syn.source_port(), Flags::SYN_ACK)
        };
        self.send_segment(arrival, hosts.ttl, &answer);
    }

    /// One of many answers that prove nothing.
    fn send_garbage(&mut self, arrival: &Arrival<'_>, hosts: &Hosts, syn: &tcp::Packet<&[u8]>) {
        let (ours, theirs) = (syn.destination_port(), syn.source_port());
        let chance = self.garbage.next();
        let number = (chance >> 32) as u32;
        let right = syn.sequence_number() + 1;
        // Never the number that would prove an answer.
        let wrong = if SeqNumber(number) == right {
            right + 1
        } else {
            SeqNumber(number)
        };
        let forged = tcp::Repr {
            sequence: SeqNumber(number),
            acknowledgment: wrong,
            window: 1024,
            ..tcp::Repr::new(ours, theirs, Flags::SYN_ACK)
        };
        let addresses = arrival.addresses;
        let ttl = hosts.ttl;
        match chance % 7 {
            0 => self.send_segment(arrival, ttl, &forged),
            // From another port than was asked.
            1 => {
                let other = tcp::Repr {
                    src_port: ours ^ 1,
                    ..forged
                };
                self.send_segment(arrival, ttl, &other);
            }
            // With the right number, and a wrong checksum.
            2 => self.send(arrival.at, |out| {
                let right = tcp::Repr {
                    acknowledgment: right,
                    ..forged
                };
                answer::segment(out, &addresses, ttl, &right)?;
                if let Some(last) = out.len().checked_sub(1) {
                    out[last] ^= 0xff;
                }
                Ok(())
            }),
            // Cut off in the TCP header, while the IP header says more.
            3 => self.send(arrival.at, |out| {
                answer::segment(out, &addresses, ttl, &forged)?;
                out.truncate(out.len() - 12);
                Ok(())
            }),
            // A RST for a connection that is none.
            4 => {
                let reset = tcp::Repr {
                    flags: Flags::RST_ACK,
                    ..forged
                };
                self.send_segment(arrival, ttl, &reset);
            }
            // An ICMP error about a packet that was never sent.
            5 => {
                let mut quoted = arrival.packet.to_vec();
                let at = quoted.len() - arrival.payload.len() + 4;
                for (byte, other) in quoted[at..].iter_mut().zip(wrong.0.to_be_bytes()) {
                    *byte = other;
                }
                let message = answer::unreachable(&quoted, arrival.host, Closed::PortUnreachable);
                self.send(arrival.at, |out| {
                    answer::icmp(out, &addresses, ttl, message)
                });
            }
            // Noise.
            _ => {
                let mut noise = [0; 64];
                for chunk in noise.chunks_mut(8) {
                    let random = self.garbage.next().to_be_bytes();
                    chunk.copy_from_slice(&random[..chunk.len()]);
                }
                let len = (chance >> 8) as usize % noise.len();
                self.send(arrival.at, |out| {
                    out.extend_from_slice(&noise[..len]);
                    Ok(())
                });
            }
        }
    }

    fn udp(&mut self, arrival: &Arrival<'_>, hosts: &Hosts) {
        let Ok(datagram) = udp::Packet::new(arrival.payload) else {
            self.counters.malformed += 1;
            return;
        };
        if hosts.kind != Kind::Normal {
            return;
        }
        let port = datagram.destination_port();
        if hosts.udp.open.contains(port) {
            let (addresses, ttl) = (arrival.addresses, hosts.ttl);
            let ports = (port, datagram.source_port());
            self.send(arrival.at, |out| {
                answer::datagram(out, &addresses, ttl, ports, hosts.udp.answer.as_bytes())
            });
        } else if !hosts.udp.open_silent.contains(port) && hosts.udp.closed != Closed::Silent {
            self.send_unreachable(arrival, hosts, hosts.udp.closed);
        }
    }

    fn send_unreachable(&mut self, arrival: &Arrival<'_>, hosts: &Hosts, closed: Closed) {
        if !self.may_send_error(arrival, hosts) {
            self.counters.icmp_errors_limited += 1;
            return;
        }
        self.counters.icmp_errors += 1;
        let message = answer::unreachable(arrival.packet, arrival.host, closed);
        let (addresses, ttl) = (arrival.addresses, hosts.ttl);
        self.send(arrival.at, |out| {
            answer::icmp(out, &addresses, ttl, message)
        });
    }

    /// Whether the limits of the host let an ICMP error out, which they then count: what one
    /// address may not be sent costs the others nothing.
    fn may_send_error(&mut self, arrival: &Arrival<'_>, hosts: &Hosts) -> bool {
        if hosts.icmp_limit.is_none() && hosts.icmp_limit_all.is_none() {
            return true;
        }
        let (at, peer) = (arrival.at, arrival.addresses.src());
        let state = self.state(arrival.host, hosts);
        if let Some(all) = &mut state.icmp_all
            && !all.allows(at)
        {
            return false;
        }
        if let Some(limit) = hosts.icmp_limit {
            let bucket = state.icmp.entry(peer);
            if !bucket.or_insert_with(|| Bucket::new(limit)).take(at) {
                return false;
            }
        }
        if let Some(all) = &mut state.icmp_all {
            all.spend();
        }
        true
    }

    fn icmp(&mut self, arrival: &Arrival<'_>, hosts: &Hosts) {
        let Ok(packet) = icmpv4::Packet::new(arrival.payload) else {
            self.counters.malformed += 1;
            return;
        };
        // Milliseconds since midnight; the network's day begins with it.
        let today = (arrival.at / 1_000_000 % 86_400_000) as u32;
        let reply = match (packet.message(), hosts.ping) {
            (_, Ping::Silent) => return,
            (
                icmpv4::Message::Echo {
                    identifier,
                    sequence,
                    data,
                },
                _,
            ) => icmpv4::Message::EchoReply {
                identifier,
                sequence,
                data,
            },
            (
                icmpv4::Message::Timestamp {
                    identifier,
                    sequence,
                    originate,
                },
                Ping::Answered,
            ) => icmpv4::Message::TimestampReply {
                identifier,
                sequence,
                originate,
                receive: today,
                transmit: today,
            },
            _ => return,
        };
        let (addresses, ttl) = (arrival.addresses, hosts.ttl);
        self.send(arrival.at, |out| {
            answer::icmp(out, &addresses, ttl, Icmp::V4(reply))
        });
    }

    fn icmpv6(&mut self, arrival: &Arrival<'_>, hosts: &Hosts) {
        let Ok(packet) = icmpv6::Packet::new(arrival.payload) else {
            self.counters.malformed += 1;
            return;
        };
        let icmpv6::Message::EchoRequest {
            identifier,
            sequence,
            data,
        } = packet.message()
        else {
            return;
        };
        if hosts.ping == Ping::Silent {
            return;
        }
        let reply = icmpv6::Message::EchoReply {
            identifier,
            sequence,
            data,
        };
        let (addresses, ttl) = (arrival.addresses, hosts.ttl);
        self.send(arrival.at, |out| {
            answer::icmp(out, &addresses, ttl, Icmp::V6(reply))
        });
    }

    fn look_after(&mut self, at: u64, generation: u64) {
        let Some((ends, again, timer)) = self.connections.timer(at, generation) else {
            return;
        };
        self.schedule(at + timer.after, What::Timer(timer.generation));
        let Inhabitant::Host(group) = self.truth.population().inhabitant(ends.host.0) else {
            return;
        };
        if let Some(segment) = again
            && let Ok(addresses) = Addresses::new(ends.host.0, ends.peer.0)
        {
            self.counters.syn_acks += 1;
            self.counters.syn_acks_again += 1;
            let ttl = self.truth.population().groups[group].ttl;
            self.send(at, |out| answer::segment(out, &addresses, ttl, &segment));
        }
    }

    /// Whether the table of the router still knows whom an answer is for.
    fn is_known_inside(&mut self, at: u64, packet: &[u8]) -> bool {
        let Some(table) = &mut self.nat else {
            return true;
        };
        // An error is about the flow that it quotes.
        let flow = match open(packet) {
            Ok(opened) => match quoted_flow(&opened) {
                Some(flow) => flow,
                None => match ports(opened.protocol, opened.payload) {
                    Some(ports) => Flow {
                        protocol: opened.protocol,
                        inside: (opened.addresses.dst(), ports.1),
                        outside: (opened.addresses.src(), ports.0),
                    },
                    None => return false,
                },
            },
            Err(_) => return false,
        };
        table.inward(at, &flow)
    }
}

impl Medium for Network {
    fn inject(&mut self, now: Duration, frame: &[u8]) {
        let now = nanos(now).max(self.now);
        self.take_in(now, frame);
    }

    fn next_event(&self) -> Option<Duration> {
        let Reverse(event) = self.events.peek()?;
        Some(Duration::from_nanos(event.at))
    }

    fn poll(&mut self, now: Duration, out: &mut dyn FnMut(Duration, &[u8])) {
        let now = nanos(now);
        while let Some(Reverse(event)) = self.events.peek().copied() {
            if event.at > now {
                break;
            }
            self.events.pop();
            self.now = event.at;
            match event.what {
                What::Arrive(slot) => {
                    let packet = std::mem::take(&mut self.packets[slot]);
                    self.arrive(event.at, &packet);
                    self.packets[slot] = packet;
                    self.free.push(slot);
                }
                What::Leave(slot) => {
                    let packet = std::mem::take(&mut self.packets[slot]);
                    if self.is_known_inside(event.at, &packet) {
                        self.counters.emitted += 1;
                        out(Duration::from_nanos(event.at), &packet);
                    } else {
                        self.counters.nat_dropped_back += 1;
                    }
                    self.packets[slot] = packet;
                    self.free.push(slot);
                }
                What::Timer(generation) => self.look_after(event.at, generation),
            }
        }
    }
}
