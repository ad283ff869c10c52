//! Questions for neighbours and their answers as bytes: ARP (RFC 826) and neighbour discovery
//! (RFC 4861).

use std::net::{IpAddr, Ipv6Addr};

use portolan_wire::ndp::{self, NdpOption, NdpOptions};
use portolan_wire::{
    Addresses, EtherType, MacAddress, Protocol, Result, Ttl, Verified, arp, icmpv6, ipv6,
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) mac: MacAddress,
    pub(crate) address: IpAddr,
}

/// A question, without link header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ether_type: EtherType,
    /// Whom it goes to on the link.
    pub(crate) to: MacAddress,
}

/// The question for the MAC address of `wanted`.
///
/// # Errors
/// When the two addresses are of different families.
pub(crate) fn question(asker: Asker, wanted: IpAddr) -> Result<Question> {
    match (asker.address, wanted) {
        (IpAddr::V4(sender), IpAddr::V4(target)) => {
            let packet = arp::Repr {
                operation: arp::Operation::REQUEST,
                sender_hardware: asker.mac,
                sender_protocol: sender,
                target_hardware: MacAddress([0; 6]),
                target_protocol: target,
            };
            let mut bytes = vec![0; packet.len()];
            packet.emit(&mut bytes)?;
            Ok(Question {
                bytes,
                ether_type: EtherType::ARP,
                to: MacAddress::BROADCAST,
            })
        }
        (IpAddr::V6(sender), IpAddr::V6(target)) => solicitation(asker.mac, sender, target),
        _ => Err(portolan_wire::Error::MixedFamilies),
    }
}

/// RFC 4861, 4.3.
fn solicitation(mac: MacAddress, src: Ipv6Addr, target: Ipv6Addr) -> Result<Question> {
    let own = NdpOption::SourceLinkLayerAddress(mac);
    let mut options = vec![0; own.len()];
    own.emit(&mut options)?;
    let options = NdpOptions::new(&options)?;
    let message = icmpv6::Repr::new(icmpv6::Message::Ndp(ndp::Message::NeighborSolicitation {
        target,
        options,
    }));
    let group = ndp::solicited_node(target);
    let header = ipv6::Repr {
        hop_limit: Ttl::MAX,
        ..ipv6::Repr::new(src, group, Protocol::ICMPV6, message.len())
    };
    let mut bytes = vec![0; header.len() + message.len()];
    header.emit(&mut bytes)?;
    let addresses = Addresses::V6 { src, dst: group };
    message.emit(&addresses, &mut bytes[header.len()..])?;
    Ok(Question {
        bytes,
        ether_type: EtherType::IPV6,
        to: MacAddress::ipv6_multicast(group),
    })
}

/// Whose MAC address an ARP reply tells.
pub(crate) fn read_arp(bytes: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let packet = arp::Packet::new(bytes).ok()?;
    let is_reply = packet.operation() == arp::Operation::REPLY;
    is_reply.then(|| (packet.sender_protocol().into(), packet.sender_hardware()))
}

/// Whose MAC address a neighbour advertisement tells; `from` is who sent the frame, which
/// counts where the message itself does not say.
pub(crate) fn read_advertisement(
    bytes: &[u8],
    from: Option<MacAddress>,
) -> Option<(IpAddr, MacAddress)> {
    let packet = ipv6::Packet::new(bytes).ok()?;
    let upper = packet.upper().ok()?;
    if packet.hop_limit() != Ttl::MAX || upper.protocol != Protocol::ICMPV6 {
        return None;
    }
    let message = icmpv6::Packet::new(upper.payload).ok()?;
    if message.verify(&packet.addresses()) != Verified::Yes {
        return None;
    }
    let icmpv6::Message::Ndp(ndp::Message::NeighborAdvertisement {
        target, options, ..
    }) = message.message()
    else {
        return None;
    };
    let told = options.iter().find_map(|option| match option {
        NdpOption::TargetLinkLayerAddress(mac) => Some(mac),
        _ => None,
    });
    Some((target.into(), told.or(from)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    fn asker(address: &str) -> Asker {
        Asker {
            mac: MAC,
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn an_arp_request_goes_to_everyone() {
        let asked = question(asker("192.0.2.1"), "192.0.2.9".parse().unwrap()).unwrap();
        assert_eq!(asked.to, MacAddress::BROADCAST);
        let packet = arp::Packet::new(&asked.bytes).unwrap();
        assert_eq!(packet.operation(), arp::Operation::REQUEST);
        assert_eq!(packet.target_protocol().to_string(), "192.0.2.9");
        assert_eq!(packet.sender_hardware(), MAC);
        assert_eq!(read_arp(&asked.bytes), None);
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_the_address() {
        let asked = question(asker("2001:db8::1"), "2001:db8::9".parse().unwrap()).unwrap();
        assert_eq!(asked.to.to_string(), "33:33:ff:00:00:09");
        let packet = ipv6::Packet::new(&asked.bytes).unwrap();
        assert_eq!(packet.destination().to_string(), "ff02::1:ff00:9");
        let message = icmpv6::Packet::new(packet.payload()).unwrap();
        assert_eq!(message.verify(&packet.addresses()), Verified::Yes);
    }

    #[test]
    fn two_families_do_not_mix() {
        assert!(question(asker("192.0.2.1"), "2001:db8::9".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = (read_arp(&bytes), read_advertisement(&bytes, None));
            if let [first, .., _] = &mut bytes[..] {
                *first = 0x60;
            }
            let _ = read_advertisement(&bytes, Some(MAC));
        }
    }
}
