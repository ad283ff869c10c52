//! Finding the hosts of a network of IPv6 that is too large to ask each address: a network on a
//! link of this machine, where everyone can be asked at once.

mod dns;
mod gathering;
mod reports;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use portolan_scan::clock::Clock;
use portolan_wire::{EtherType, MacAddress};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use crate::inlets::capture;
use crate::kernel::Kernel;
use crate::local::Interface;
use crate::outlets::packet_socket;
use crate::solicit::{Asker, question, read_arp};
use crate::{filter, sys};
use gathering::{ALL_NODES, Gathering, Outgoing, Own};
pub(crate) use reports::REPORTS;

/// Whoever waits looks this often whether the user has had enough.
const ATTENTION: Duration = Duration::from_millis(50);

/// When multicast DNS is asked.
const ASK_DNS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(700)];

/// Answers of multicast DNS that are read, and neighbours of IPv4 that are asked for, at the most.
const MOST_ANSWERS: usize = 512;
const MOST_ARP: usize = 4_096;

/// When neighbours of IPv4 are asked for.
const ASK_ARP: [Duration; 2] = [Duration::ZERO, Duration::from_millis(400)];

/// Echo requests to everyone through a socket of the system's.
const PINGS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(800),
];

/// A datagram here makes the system look for a neighbour (RFC 863: nobody minds it).
const DISCARD: u16 = 9;

/// How long the system is given to find neighbours.
const SYSTEM_PATIENCE: Duration = Duration::from_millis(1_500);

/// What is looked for on a link.
pub struct Wanted<'a> {
    /// Whether an address is.
    pub has: &'a dyn Fn(Ipv6Addr) -> bool,
    /// An address of each network of 64 bits that is.
    pub networks: Vec<Ipv6Addr>,
    /// Addresses of IPv4 that are asked anyway: neighbours of theirs show their MAC addresses.
    pub ipv4: Vec<Ipv4Addr>,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted")
            .field("networks", &self.networks)
            .field("ipv4", &self.ipv4.len())
            .finish_non_exhaustive()
    }
}

/// Who was found, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Searched {
    /// The addresses, in order.
    pub found: Vec<Ipv6Addr>,
    /// Whether packets of our own could be sent. Without, fewer are found.
    pub by_packets: bool,
    /// Whether the system sent an echo request to everyone instead.
    pub by_echo: bool,
}

/// Looks for hosts on the link of an interface, for about two seconds, or until `is_stopped`.
///
/// With the right to raw sockets everyone is asked at once and neighbours one by one; without it,
/// what the system does for everyone must do: its table of neighbours, multicast DNS, datagrams
/// that make it look for neighbours, and echo requests where it allows them.
///
/// # Errors
/// When the kernel cannot be asked for what it knows.
pub fn search(
    interface: &Interface,
    wanted: &Wanted<'_>,
    clock: &impl Clock,
    token: u64,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<Searched> {
    let begun = clock.now();
    let now = || clock.now().saturating_sub(begun);
    let own: Vec<Ipv6Addr> = interface
        .addresses
        .iter()
        .filter_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
        .collect();
    // Those that reach none of what is wanted ask in vain.
    let is_useful = |own: &Ipv6Addr| {
        wanted.networks.iter().any(|network| {
            network.is_unicast_link_local() == own.is_unicast_link_local()
                || own.is_unicast_link_local()
        })
    };
    let asking = Own {
        mac: interface.mac.unwrap_or(MacAddress([0; 6])),
        addresses: own.iter().copied().filter(is_useful).collect(),
    };
    let mut gathering = Gathering::new(wanted.has, asking, &wanted.networks, token);
    for address in &own {
        // This machine is on its links too.
        gathering.is_there(*address, now());
    }
    let mut kernel = Kernel::open()?;
    kernel.neighbours(interface.index, |address, mac| {
        gathering.has_mac(mac, Duration::ZERO);
        if let IpAddr::V6(address) = address {
            gathering.may_be_there(address, Duration::ZERO);
        }
    })?;
    let dns = Dns::open(interface.index);
    let packets = match interface.mac {
        Some(mac) => Packets::open(interface, mac, wanted),
        None => None,
    };
    if let Some(mut packets) = packets {
        packets.run(&mut gathering, dns, &now, is_stopped)?;
        return Ok(Searched {
            found: gathering.found().collect(),
            by_packets: true,
            by_echo: true,
        });
    }
    let by_echo = ordinary(
        interface,
        &own,
        &mut gathering,
        dns,
        token,
        &now,
        is_stopped,
    )?;
    kernel.neighbours(interface.index, |address, _| {
        if let IpAddr::V6(address) = address {
            gathering.is_there(address, now());
        }
    })?;
    Ok(Searched {
        found: gathering.found().collect(),
        by_packets: false,
        by_echo,
    })
}

/// Asks multicast DNS through an ordinary socket.
struct Dns {
    socket: UdpSocket,
    interface: u32,
    asked: usize,
    answers: usize,
}

impl Dns {
    /// `None` where the system has no IPv6, say: the other ways remain.
    fn open(interface: u32) -> Option<Self> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            interface,
            asked: 0,
            answers: 0,
        })
    }

    fn ask(&mut self, now: Duration) {
        if ASK_DNS.get(self.asked).is_some_and(|at| now >= *at) {
            self.asked += 1;
            let to = SocketAddrV6::new(dns::GROUP, dns::PORT, 0, self.interface);
            // One that cannot be asked is as one that does not answer.
            let _ = self.socket.send_to(&dns::question(), to);
        }
    }

    fn hear(&mut self, gathering: &mut Gathering<'_>, now: Duration) {
        let mut buffer = [0; 4_096];
        while self.answers < MOST_ANSWERS
            && let Ok((len, SocketAddr::V6(from))) = self.socket.recv_from(&mut buffer)
        {
            self.answers += 1;
            let is_here = from.scope_id() == 0 || from.scope_id() == self.interface;
            let bytes = buffer.get(..len).unwrap_or_default();
            if let Some(addresses) = dns::addresses(bytes).filter(|_| is_here) {
                gathering.may_be_there(*from.ip(), now);
                for address in addresses {
                    gathering.may_be_there(address, now);
                }
            }
        }
    }
}

/// Packet sockets on one link.
struct Packets {
    out: OwnedFd,
    ipv6: OwnedFd,
    arp: OwnedFd,
    /// Hears what goes to groups that this machine is not in; `None` where the system has no
    /// such socket: the other ways remain.
    reports: Option<OwnedFd>,
    interface: u32,
    inbox: sys::Inbox,
    /// Questions for neighbours of IPv4, and how often they were asked.
    questions: Vec<Outgoing>,
    asked: usize,
}

impl Packets {
    /// `None` without the rights.
    fn open(interface: &Interface, mac: MacAddress, wanted: &Wanted<'_>) -> Option<Self> {
        let source = interface.addresses.iter().find(|(own, _)| own.is_ipv4());
        let questions = wanted.ipv4.iter().take(MOST_ARP).filter_map(|address| {
            let asker = Asker {
                mac,
                address: source?.0,
            };
            let question = question(asker, IpAddr::V4(*address)).ok()?;
            Some(Outgoing {
                to: question.to,
                bytes: question.bytes,
            })
        });
        Some(Self {
            out: packet_socket().ok()?,
            ipv6: capture(EtherType::IPV6, &filter::found()).ok()?,
            arp: capture(EtherType::ARP, &filter::arp()).ok()?,
            reports: hear_reports(interface.index),
            interface: interface.index,
            inbox: sys::Inbox::new(),
            questions: questions.collect(),
            asked: 0,
        })
    }

    fn run(
        &mut self,
        gathering: &mut Gathering<'_>,
        mut dns: Option<Dns>,
        now: &dyn Fn() -> Duration,
        is_stopped: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        while !gathering.is_over(now()) && !is_stopped() {
            if ASK_ARP.get(self.asked).is_some_and(|at| now() >= *at) {
                self.asked += 1;
                for question in &self.questions {
                    self.send(question, EtherType::ARP)?;
                }
            }
            for packet in gathering.due(now()) {
                self.send(&packet, EtherType::IPV6)?;
            }
            if let Some(dns) = &mut dns {
                dns.ask(now());
            }
            let next = gathering.next_due().min(now() + ATTENTION);
            let dns_socket = dns.as_ref().map(|dns| dns.socket.as_fd());
            let sockets = [
                Some(self.ipv6.as_fd()),
                Some(self.arp.as_fd()),
                self.reports.as_ref().map(AsFd::as_fd),
                dns_socket,
            ];
            wait(&sockets, next.saturating_sub(now()))?;
            self.hear(gathering, now())?;
            if let Some(dns) = &mut dns {
                dns.hear(gathering, now());
            }
        }
        Ok(())
    }

    fn send(&self, packet: &Outgoing, kind: EtherType) -> io::Result<()> {
        let name = sys::LinkName::new(self.interface, packet.to, kind);
        match sys::send(
            self.out.as_fd(),
            &[name],
            std::iter::once(&packet.bytes[..]),
        ) {
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => Err(error),
            // A full queue, or one packet that the system does not let out: it is as if lost.
            _ => Ok(()),
        }
    }

    fn hear(&mut self, gathering: &mut Gathering<'_>, now: Duration) -> io::Result<()> {
        let reports = self.reports.iter().map(|socket| (socket, false));
        let others = [(&self.ipv6, false), (&self.arp, true)];
        for (socket, is_arp) in others.into_iter().chain(reports) {
            let count = match self.inbox.receive(socket.as_fd()) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for message in (0..count).filter_map(|index| self.inbox.get(index)) {
                if message.from.interface() != self.interface {
                    continue;
                }
                if !is_arp {
                    gathering.hear(message.bytes, message.from.mac(), now);
                } else if let Some((_, mac)) = read_arp(message.bytes) {
                    gathering.has_mac(mac, now);
                }
            }
        }
        Ok(())
    }
}

/// A socket that hears reports on an interface: it has the card pass all multicast on, since
/// they go to groups of their own.
fn hear_reports(interface: u32) -> Option<OwnedFd> {
    let socket = capture(EtherType::IPV6, &filter::reports()).ok()?;
    sys::hear_multicast(socket.as_fd(), interface).ok()?;
    Some(socket)
}

/// The same without rights; whether an echo request to everyone could be sent.
fn ordinary(
    interface: &Interface,
    own: &[Ipv6Addr],
    gathering: &mut Gathering<'_>,
    mut dns: Option<Dns>,
    token: u64,
    now: &dyn Fn() -> Duration,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let pings: Vec<OwnedFd> = own.iter().filter_map(|own| ping(*own, interface)).collect();
    let knocker = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok();
    if let Some(knocker) = &knocker {
        knocker.set_nonblocking(true)?;
    }
    let mut asked = 0;
    while now() < SYSTEM_PATIENCE && !is_stopped() {
        if PINGS.get(asked).is_some_and(|at| now() >= *at) {
            asked += 1;
            for socket in &pings {
                // Type, code, a sum and an identifier that the system fills in, a number.
                let mut request = vec![128, 0, 0, 0, 0, 0, 0, u8::try_from(asked).unwrap_or(0)];
                request.extend(token.to_be_bytes());
                let to = SocketAddrV6::new(ALL_NODES, 0, 0, interface.index);
                let _ = rustix::net::sendto(socket, &request, SendFlags::empty(), &to);
            }
        }
        if let (Some(knocker), true) = (&knocker, !is_stopped()) {
            for address in gathering.thought_of(now()) {
                let scope = if address.is_unicast_link_local() {
                    interface.index
                } else {
                    0
                };
                let _ = knocker.send_to(&[], SocketAddrV6::new(address, DISCARD, 0, scope));
            }
        }
        if let Some(dns) = &mut dns {
            dns.ask(now());
        }
        let mut sockets: Vec<_> = pings.iter().map(|socket| Some(socket.as_fd())).collect();
        sockets.push(dns.as_ref().map(|dns| dns.socket.as_fd()));
        wait(&sockets, ATTENTION)?;
        for socket in &pings {
            hear_pings(socket, token, gathering, now());
        }
        if let Some(dns) = &mut dns {
            dns.hear(gathering, now());
        }
    }
    Ok(!pings.is_empty())
}

/// A socket for echo requests from one address, where the system allows everyone such
/// (icmp(7), `ping_group_range`).
fn ping(own: Ipv6Addr, interface: &Interface) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(ipproto::ICMPV6);
    let socket =
        rustix::net::socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, protocol).ok()?;
    let scope = if own.is_unicast_link_local() {
        interface.index
    } else {
        0
    };
    rustix::net::bind(&socket, &SocketAddrV6::new(own, 0, 0, scope)).ok()?;
    Some(socket)
}

fn hear_pings(socket: &OwnedFd, token: u64, gathering: &mut Gathering<'_>, now: Duration) {
    let mut buffer = [0; 256];
    for _ in 0..MOST_ANSWERS {
        let received = rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::empty());
        let Ok((_, len, Some(from))) = received else {
            return;
        };
        let proves = buffer.get(8..len) == Some(&token.to_be_bytes()[..]);
        if let (true, Ok(SocketAddr::V6(from))) = (proves, SocketAddr::try_from(from)) {
            gathering.is_there(*from.ip(), now);
        }
    }
}

/// Waits until one of the sockets has something, or for so long.
fn wait(sockets: &[Option<BorrowedFd<'_>>], longest: Duration) -> io::Result<()> {
    let mut waiting: Vec<PollFd<'_>> = sockets
        .iter()
        .flatten()
        .map(|socket| PollFd::from_borrowed_fd(*socket, PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    match poll(&mut waiting, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
