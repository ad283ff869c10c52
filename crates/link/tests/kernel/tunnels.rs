//! Devices whose other end is the test: tun, which has no Ethernet, and TAP, which has.

use std::net::IpAddr;
use std::thread;

use crate::common::{self, PORTS, address, answer_to, hear_until, syn};
use portolan_link::Options;
use portolan_scan::device::{Batch, Device, Reach};
use portolan_testnet::Namespace;
use portolan_wire::ethernet::{self, VlanTag};
use portolan_wire::tcp::{self, Flags};
use portolan_wire::{Addresses, EtherType, MacAddress, Protocol, SeqNumber, arp, ipv4, ipv6};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// Opens a device in the namespace, gives it addresses and starts it.
fn device(namespace: &Namespace, layer: Layer, addresses: &[&str]) -> SyncDevice {
    let build = || DeviceBuilder::new().name("t0").layer(layer).build_sync();
    let device = namespace.enter(build).unwrap().unwrap();
    for &address in addresses {
        let mut add = vec!["address", "add", address, "dev", "t0"];
        if address.contains(':') {
            add.push("nodad");
        }
        namespace.run("ip", &add).unwrap();
    }
    namespace.run("ip", &["link", "set", "t0", "up"]).unwrap();
    device
}

/// The SYN/ACK to a SYN in an IP packet; `None` for any other packet.
fn syn_ack_to(packet: &[u8]) -> Option<Vec<u8>> {
    let (addresses, payload) = if packet.first()? >> 4 == 4 {
        let packet = ipv4::Packet::new(packet).ok()?;
        (packet.addresses(), packet.payload().to_vec())
    } else {
        let packet = ipv6::Packet::new(packet).ok()?;
        (packet.addresses(), packet.payload().to_vec())
    };
    let asked = tcp::Packet::new(&payload[..]).ok()?;
    if asked.flags() != Flags::SYN {
        return None;
    }
    let segment = tcp::Repr {
        sequence: SeqNumber(7),
        acknowledgment: asked.sequence_number() + 1,
        ..tcp::Repr::new(
            asked.destination_port(),
            asked.source_port(),
            Flags::SYN_ACK,
        )
    };
    let back = addresses.reversed();
    let mut bytes = Vec::new();
    match back {
        Addresses::V4 { src, dst } => {
            let header = ipv4::Repr::new(src, dst, Protocol::TCP, segment.len());
            bytes.resize(header.len() + segment.len(), 0);
            header.emit(&mut bytes).unwrap();
        }
        Addresses::V6 { src, dst } => {
            let header = ipv6::Repr::new(src, dst, Protocol::TCP, segment.len());
            bytes.resize(header.len() + segment.len(), 0);
            header.emit(&mut bytes).unwrap();
        }
    }
    let at = bytes.len() - segment.len();
    segment.emit(&back, &mut bytes[at..]).unwrap();
    Some(bytes)
}

/// Reads packets until one is answered by `answer`.
fn answer_one(device: &SyncDevice, mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 2048];
    for _ in 0..100 {
        let len = device.recv(&mut buffer).unwrap();
        let answers = answer(&buffer[..len]);
        for bytes in &answers {
            device.send(bytes).unwrap();
        }
        if !answers.is_empty() {
            return;
        }
    }
    panic!("nothing to answer to came");
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn a_tun_device_carries_both_families() {
    let here = Namespace::new().unwrap();
    let device = device(&here, Layer::L3, &["192.0.2.1/24", "2001:db8::1/64"]);
    let mut link = common::open(&here);
    for far in ["192.0.2.2", "2001:db8::2"] {
        let far: IpAddr = address(far);
        let route = link.route(far).unwrap();
        assert_eq!(route.reach, Reach::Beyond);
        let mut batch = Batch::new();
        syn(&mut batch, (route.source, far), 22, 1);
        assert_eq!(link.send(&batch).unwrap(), 1);
        answer_one(&device, |packet| syn_ack_to(packet).into_iter().collect());
        let heard = hear_until(&mut link, |packet| answer_to(packet, 22) == Some(true));
        assert_eq!(heard[0].link, None);
        assert_eq!(heard[0].source(), far);
    }
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn over_a_tunnel_too_source_and_interface_can_be_chosen() {
    let here = Namespace::new().unwrap();
    let device = device(&here, Layer::L3, &["192.0.2.1/24", "192.0.2.9/24"]);
    let elsewhere = ["route", "add", "unreachable", "198.51.100.0/24"];
    here.run("ip", &elsewhere).unwrap();
    let rule = ["rule", "add", "from", "192.0.2.9", "lookup", "77"];
    here.run("ip", &rule).unwrap();
    let table = ["route", "add", "default", "dev", "t0", "table", "77"];
    here.run("ip", &table).unwrap();
    let far = address("198.51.100.2");
    let options = Options {
        interface: Some("t0".to_owned()),
        source: Some(address("192.0.2.9")),
        ..Options::new(PORTS)
    };
    let mut link = common::open_with(&here, &options);
    let source = link.source(far).unwrap();
    assert_eq!(source, address("192.0.2.9"));
    let mut batch = Batch::new();
    syn(&mut batch, (source, far), 22, 1);
    assert_eq!(link.send(&batch).unwrap(), 1);
    answer_one(&device, |packet| syn_ack_to(packet).into_iter().collect());
    hear_until(&mut link, |packet| answer_to(packet, 22) == Some(true));
    // A change elsewhere makes it look again, and the question is still the same.
    here.run("ip", &["address", "add", "203.0.113.1/32", "dev", "lo"])
        .unwrap();
    syn(&mut batch, (source, far), 23, 1);
    common::send_all(&mut link, &mut batch);
    answer_one(&device, |packet| {
        let answers = syn_ack_to(packet);
        let is_right = |bytes: &Vec<u8>| bytes[20..22] == 23_u16.to_be_bytes();
        answers.filter(is_right).into_iter().collect()
    });
    hear_until(&mut link, |packet| answer_to(packet, 23) == Some(true));
}

const FAR_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

/// A frame to `to` with a tag, if any.
fn frame(to: MacAddress, ether_type: EtherType, vlan: Option<VlanTag>, payload: &[u8]) -> Vec<u8> {
    let header = ethernet::Repr {
        destination: to,
        source: FAR_MAC,
        ether_type,
        vlan,
    };
    let mut bytes = vec![0; header.len()];
    header.emit(&mut bytes).unwrap();
    bytes.extend(payload);
    bytes
}

#[test]
#[ignore = "needs CAP_NET_ADMIN"]
fn frames_with_a_tag_are_heard_as_the_kernel_takes_them() {
    let here = Namespace::new().unwrap();
    let device = device(&here, Layer::L2, &["192.0.2.1/24"]);
    let far = address("192.0.2.2");
    let mut link = common::open(&here);
    let source = link.source(far).unwrap();
    let mut batch = Batch::new();
    for port in [22, 23] {
        syn(&mut batch, (source, far), port, 1);
    }
    assert_eq!(link.send(&batch).unwrap(), 2);
    let other = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut answered = 0;
            while answered < 2 {
                answer_one(&device, |bytes| {
                    let asked = ethernet::Packet::new(bytes).unwrap();
                    let answers = answers_to(&asked);
                    // The question for the neighbour may come more than once.
                    answered +=
                        usize::from(asked.ether_type() == EtherType::IPV4 && !answers.is_empty());
                    answers
                });
            }
        });
        let heard = hear_until(&mut link, |packet| answer_to(packet, 23) == Some(true));
        other.join().unwrap();
        heard
    });
    // The one of another VLAN came first, and was for nobody here.
    let ports: Vec<_> = other
        .iter()
        .filter_map(common::Packet::source_port)
        .collect();
    assert_eq!(ports, [22, 23]);
    assert!(other.iter().all(|packet| packet.link == Some(FAR_MAC)));
    assert!(other.iter().all(|packet| packet.bytes[0] == 0x45));
}

/// To an ARP request its reply. To a SYN two answers: of a port that was not asked, with the tag
/// of a VLAN that nobody here has; and the right one, with a tag that tells only a priority
/// (IEEE 802.1Q, 9.6).
fn answers_to(asked: &ethernet::Packet<&[u8]>) -> Vec<Vec<u8>> {
    let back = asked.source();
    match asked.ether_type() {
        EtherType::ARP => {
            let request = arp::Packet::new(asked.payload()).unwrap();
            let reply = arp::Repr {
                operation: arp::Operation::REPLY,
                sender_hardware: FAR_MAC,
                sender_protocol: request.target_protocol(),
                target_hardware: back,
                target_protocol: request.sender_protocol(),
            };
            let mut bytes = vec![0; reply.len()];
            reply.emit(&mut bytes).unwrap();
            vec![frame(back, EtherType::ARP, None, &bytes)]
        }
        EtherType::IPV4 => {
            let Some(right) = syn_ack_to(asked.payload()) else {
                return Vec::new();
            };
            let mut wrong = right.clone();
            // The source port: 79 says that it is not the one that was asked.
            wrong[20..22].copy_from_slice(&79_u16.to_be_bytes());
            let [other, priority] = [VlanTag(5), VlanTag(0x6000)];
            vec![
                frame(back, EtherType::IPV4, Some(other), &wrong),
                frame(back, EtherType::IPV4, Some(priority), &right),
            ]
        }
        _ => Vec::new(),
    }
}
