//! Datagrams over the loopback of this machine.

use std::net::UdpSocket;

use portolan_scan::clock::SystemClock;

use super::*;

/// A datagram from a source port, as the engine writes it.
fn asking(device: &mut Datagrams<SystemClock>, to: SocketAddr, own: u16, payload: &[u8]) -> Batch {
    let source = device.source(to.ip()).unwrap();
    let addresses = Addresses::new(source, to.ip()).unwrap();
    let datagram = udp::Repr {
        src_port: own,
        dst_port: to.port(),
        checksum: Checksum::Correct,
        payload,
    };
    let mut packet = Vec::new();
    written(
        &mut packet,
        &addresses,
        Protocol::UDP,
        Some(64),
        datagram.len(),
        |bytes| datagram.emit(&addresses, bytes),
    )
    .unwrap();
    let mut batch = Batch::new();
    batch.push(packet.len()).copy_from_slice(&packet);
    batch
}

/// The packets that come until one does.
fn heard(device: &mut Datagrams<SystemClock>, clock: SystemClock) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let end = clock.now() + Duration::from_secs(5);
    while packets.is_empty() && clock.now() < end {
        let each = &mut |received: Received<'_>| {
            if let Heard::Packet { bytes, .. } = received.heard {
                packets.push(bytes.to_vec());
            }
        };
        device.receive(end, each).unwrap();
    }
    packets
}

fn device() -> (Datagrams<SystemClock>, SystemClock) {
    let clock = SystemClock::start();
    (Datagrams::open(clock, 64).unwrap(), clock)
}

#[test]
fn an_answer_comes_as_the_packet_that_it_came_in() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let server = UdpSocket::bind(any).unwrap();
        let (mut device, clock) = device();
        let to = server.local_addr().unwrap();
        let batch = asking(&mut device, to, 61_007, b"who?");
        assert_eq!(device.send(&batch).unwrap(), 1);
        let mut buffer = [0; 64];
        let (len, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"who?");
        server.send_to(b"me", from).unwrap();
        let packets = heard(&mut device, clock);
        let sent = datagram_in(&packets[0]).unwrap();
        assert_eq!((sent.source, sent.payload), (to, &b"me"[..]));
        assert_eq!(sent.to.port(), 61_007);
    }
}

#[test]
fn a_closed_port_comes_as_the_icmp_error_that_quotes_the_question() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (mut device, clock) = device();
        // It was free a moment ago.
        let to = UdpSocket::bind(any).unwrap().local_addr().unwrap();
        let batch = asking(&mut device, to, 61_123, b"who?");
        assert_eq!(device.send(&batch).unwrap(), 1);
        let packets = heard(&mut device, clock);
        let quoted = match to {
            SocketAddr::V4(_) => {
                let view = ipv4::Packet::new(&packets[0][..]).unwrap();
                let payload = view.payload().to_vec();
                let icmp = icmpv4::Packet::new(&payload[..]).unwrap();
                let icmpv4::Message::DestinationUnreachable {
                    code: 3, quoted, ..
                } = icmp.message()
                else {
                    panic!("{:?}", icmp.message());
                };
                quoted.to_vec()
            }
            SocketAddr::V6(_) => {
                let view = ipv6::Packet::new(&packets[0][..]).unwrap();
                let payload = view.payload().to_vec();
                let icmp = icmpv6::Packet::new(&payload[..]).unwrap();
                let icmpv6::Message::DestinationUnreachable { code: 4, quoted } = icmp.message()
                else {
                    panic!("{:?}", icmp.message());
                };
                quoted.to_vec()
            }
        };
        let quoted = portolan_wire::Quoted::parse(&quoted).unwrap();
        assert_eq!(quoted.addresses.dst(), to.ip());
        let ports = portolan_wire::quoted::Transport::Udp {
            src_port: 61_123,
            dst_port: to.port(),
        };
        assert_eq!(quoted.transport, ports);
        // The socket is as good as new.
        let again = asking(&mut device, to, 61_123, b"who?");
        assert_eq!(device.send(&again).unwrap(), 1);
        assert!(!heard(&mut device, clock).is_empty());
    }
}

#[test]
fn what_is_no_host_has_no_route() {
    let (mut device, _) = device();
    for address in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1"] {
        let destination = address.parse().unwrap();
        let refused = device.route(destination).unwrap_err();
        assert_eq!(refused, RouteError::NotAHost { destination });
    }
}

#[test]
fn what_is_no_datagram_is_refused() {
    let (mut device, _) = device();
    let mut batch = Batch::new();
    batch.push(3).copy_from_slice(&[0x45, 0, 0]);
    let refused = device.send(&batch).unwrap_err();
    assert!(
        matches!(refused, DeviceError::BadPacket { len: 3, .. }),
        "{refused}"
    );
}

#[test]
fn a_socket_of_our_own_is_no_service() {
    let (mut device, clock) = device();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let first = asking(&mut device, server.local_addr().unwrap(), 61_001, b"who?");
    assert_eq!(device.send(&first).unwrap(), 1);
    let own = server.recv_from(&mut [0; 64]).unwrap().1;
    let second = asking(&mut device, own, 61_002, b"who?");
    assert_eq!(device.send(&second).unwrap(), 1);
    let packets = heard(&mut device, clock);
    let view = ipv4::Packet::new(&packets[0][..]).unwrap();
    assert_eq!(view.protocol(), Protocol::ICMP);
}
