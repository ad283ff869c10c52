//! Networks, probes and answers that the tests share.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_link::{Link, Options};
use portolan_scan::clock::{Clock, SystemClock};
use portolan_scan::device::{Batch, ChecksumStatus, Device, DeviceError, Heard, Received};
use portolan_testnet::{Namespace, connect};
use portolan_wire::tcp::{self, Flags};
use portolan_wire::{MacAddress, SeqNumber, SynPath, SynTemplate, ipv4, ipv6};

/// The source ports of all links.
pub(crate) const PORTS: RangeInclusive<u16> = 40_000..=40_999;

pub(crate) const SYN: Flags = Flags::SYN;

/// Nothing on one machine takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A packet that was heard.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) at: Duration,
    pub(crate) bytes: Vec<u8>,
    pub(crate) checksum: ChecksumStatus,
    pub(crate) link: Option<MacAddress>,
}

impl Packet {
    pub(crate) fn source(&self) -> IpAddr {
        if self.bytes[0] >> 4 == 4 {
            ipv4::Packet::new(&self.bytes).unwrap().source().into()
        } else {
            ipv6::Packet::new(&self.bytes).unwrap().source().into()
        }
    }

    fn segment(&self) -> &[u8] {
        let header = if self.bytes[0] >> 4 == 4 { 20 } else { 40 };
        &self.bytes[header..]
    }

    fn flags(&self) -> Option<(u16, Flags)> {
        let segment = tcp::Packet::new(self.segment()).ok()?;
        Some((segment.source_port(), segment.flags()))
    }

    pub(crate) fn is_syn(&self) -> bool {
        self.flags().is_some_and(|(_, flags)| flags == Flags::SYN)
    }

    pub(crate) fn source_port(&self) -> Option<u16> {
        self.flags().map(|(port, _)| port)
    }
}

/// Whether the packet says that the port is open; `None` when it is no answer of that port.
pub(crate) fn answer_to(packet: &Packet, port: u16) -> Option<bool> {
    let (from, flags) = packet.flags()?;
    if from != port {
        return None;
    }
    Some(flags == Flags::SYN_ACK)
}

/// Adds a SYN from the first source port.
pub(crate) fn syn(batch: &mut Batch, addresses: (IpAddr, IpAddr), port: u16, sequence: u32) {
    segment(batch, SYN, addresses, port, sequence);
}

/// Adds a segment from the first source port.
pub(crate) fn segment(
    batch: &mut Batch,
    flags: Flags,
    (src, dst): (IpAddr, IpAddr),
    port: u16,
    sequence: u32,
) {
    let path = SynPath {
        flags,
        ..SynPath::new(src)
    };
    let template = SynTemplate::new(&path).unwrap();
    let bytes = batch.push(template.len());
    let sequence = SeqNumber(sequence);
    template
        .fill(bytes, dst, port, *PORTS.start(), sequence)
        .unwrap();
}

pub(crate) fn open(namespace: &Namespace) -> Link<SystemClock> {
    open_with(namespace, &Options::new(PORTS))
}

pub(crate) fn open_with(namespace: &Namespace, options: &Options) -> Link<SystemClock> {
    namespace
        .enter(|| Link::open(SystemClock::start(), options))
        .unwrap()
        .unwrap()
}

/// A link that has sent to a host and heard from it.
pub(crate) fn open_after_scan(namespace: &Namespace, far: IpAddr) -> Link<SystemClock> {
    let mut link = open(namespace);
    assert_eq!(scan(&mut link, far, &[23]), [(23, false)]);
    link
}

/// Sends all, hearing nothing meanwhile.
pub(crate) fn send_all(link: &mut Link<SystemClock>, batch: &mut Batch) {
    for _ in 0..1_000 {
        let taken = link.send(batch).unwrap();
        batch.drop_front(taken);
        if batch.is_empty() {
            return;
        }
    }
    panic!("{} packets are not taken", batch.len());
}

/// Whether each port is open; waits for all of them.
pub(crate) fn scan(link: &mut Link<SystemClock>, far: IpAddr, ports: &[u16]) -> Vec<(u16, bool)> {
    let source = link.source(far).unwrap();
    let mut batch = Batch::new();
    for &port in ports {
        syn(&mut batch, (source, far), port, 1);
    }
    send_all(link, &mut batch);
    let mut found = Vec::new();
    hear_until(link, |packet| {
        for &port in ports {
            if packet.source() == far
                && let Some(is_open) = answer_to(packet, port)
            {
                found.push((port, is_open));
            }
        }
        found.len() == ports.len()
    });
    found.sort_unstable();
    found
}

/// Hears until something came, or time is up.
pub(crate) fn hear(link: &mut Link<SystemClock>) -> Vec<Packet> {
    let mut heard = Vec::new();
    receive(link, &mut |received| heard.extend(packet_of(&received))).unwrap();
    heard
}

/// Hears packets until one is what is waited for.
pub(crate) fn hear_until(
    link: &mut Link<SystemClock>,
    is_it: impl FnMut(&Packet) -> bool,
) -> Vec<Packet> {
    hear_all(link, &mut None, is_it)
}

/// The same, and notes which neighbour was heard of.
pub(crate) fn hear_all(
    link: &mut Link<SystemClock>,
    neighbour: &mut Option<(IpAddr, MacAddress)>,
    mut is_it: impl FnMut(&Packet) -> bool,
) -> Vec<Packet> {
    let clock = SystemClock::start();
    let (mut heard, mut is_found) = (Vec::new(), false);
    while !is_found {
        assert!(clock.now() < PATIENCE, "nothing of the kind: {heard:?}");
        let each = &mut |received: Received<'_>| {
            if let Heard::Neighbour { address, link } = received.heard {
                *neighbour = Some((address, link));
            }
            if let Some(packet) = packet_of(&received) {
                is_found |= is_it(&packet);
                heard.push(packet);
            }
        };
        receive(link, each).unwrap();
    }
    heard
}

/// Where a neighbour is, once the link tells; `None` when it tells that it is silent.
pub(crate) fn neighbour_of(link: &mut Link<SystemClock>, wanted: IpAddr) -> Option<MacAddress> {
    let clock = SystemClock::start();
    let mut told = None;
    while told.is_none() {
        assert!(clock.now() < PATIENCE, "nothing is told of {wanted}");
        let each = &mut |received: Received<'_>| match received.heard {
            Heard::Neighbour { address, link } if address == wanted => told = Some(Some(link)),
            Heard::NoNeighbour { address } if address == wanted => told = Some(None),
            _ => {}
        };
        receive(link, each).unwrap();
    }
    told.flatten()
}

/// The error that ends hearing.
pub(crate) fn error_of(link: &mut Link<SystemClock>) -> DeviceError {
    let clock = SystemClock::start();
    while clock.now() < PATIENCE {
        if let Err(error) = receive(link, &mut |_| {}) {
            return error;
        }
    }
    panic!("no error came");
}

/// One call that waits a tenth of a second at the most.
fn receive(
    link: &mut Link<SystemClock>,
    each: &mut dyn FnMut(Received<'_>),
) -> Result<(), DeviceError> {
    let until = link.clock().now() + Duration::from_millis(100);
    link.receive(until, each)
}

fn packet_of(received: &Received<'_>) -> Option<Packet> {
    let Heard::Packet {
        bytes,
        checksum,
        link,
    } = received.heard
    else {
        return None;
    };
    Some(Packet {
        at: received.at,
        bytes: bytes.to_vec(),
        checksum,
        link,
    })
}

/// Two hosts with a link for each family.
pub(crate) fn pair() -> (Namespace, Namespace) {
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    connect((&here, "192.0.2.1/24"), (&there, "192.0.2.2/24")).unwrap();
    connect((&here, "2001:db8::1/64"), (&there, "2001:db8::2/64")).unwrap();
    settle(&[&here, &there]);
    (here, there)
}

/// Waits until all addresses can be used. The kernel takes up to a second to notice that a
/// link is up, and a host does not answer for its IPv6 addresses before.
fn settle(namespaces: &[&Namespace]) {
    let clock = SystemClock::start();
    let show = ["-6", "address", "show", "tentative"];
    for namespace in namespaces {
        while !namespace.run("ip", &show).unwrap().is_empty() {
            assert!(clock.now() < PATIENCE, "addresses stay tentative");
        }
    }
}

/// A host, a router, and a host behind it; the first has a second, unused interface.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) here: Namespace,
    pub(crate) far: Namespace,
    _router: Namespace,
}

impl Ground {
    pub(crate) fn routed() -> Self {
        let [here, router, far] = [(); 3].map(|()| Namespace::new().unwrap());
        connect((&here, "192.0.2.1/24"), (&router, "192.0.2.254/24")).unwrap();
        connect((&router, "198.51.100.254/24"), (&far, "198.51.100.2/24")).unwrap();
        for (namespace, link, six) in [
            (&here, "eth0", "2001:db8::1/64"),
            (&router, "eth0", "2001:db8::fe/64"),
            (&router, "eth1", "2001:db8:1::fe/64"),
            (&far, "eth0", "2001:db8:1::2/64"),
        ] {
            let add = ["address", "add", six, "dev", link, "nodad"];
            namespace.run("ip", &add).unwrap();
        }
        for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
            router.run("sysctl", &["-qw", setting]).unwrap();
        }
        for (namespace, gateway) in [
            (&here, "192.0.2.254"),
            (&here, "2001:db8::fe"),
            (&far, "198.51.100.254"),
            (&far, "2001:db8:1::fe"),
        ] {
            let add = ["route", "add", "default", "via", gateway];
            namespace.run("ip", &add).unwrap();
        }
        connect((&here, "203.0.113.129/25"), (&router, "203.0.113.130/25")).unwrap();
        settle(&[&here, &router, &far]);
        Self {
            here,
            far,
            _router: router,
        }
    }
}
