//! Ports whose silence is their way: what answers nobody who does not hold its key, and printers,
//! which are not asked.

use portolan_model::Protocol;

/// What the silence of a port may mean, as the end of a sentence; `None` where it means nothing.
pub const fn meaning(protocol: Protocol, port: u16) -> Option<&'static str> {
    match (protocol, port) {
        // WireGuard: Next Generation Kernel Network Tunnel, 5.1.
        (Protocol::Udp, 51820) => {
            Some("WireGuard, which is usual here, answers nobody without its key")
        }
        (Protocol::Udp, 1194) => {
            Some("OpenVPN, which is usual here, answers nobody without its key where it has one")
        }
        (Protocol::Udp, 500 | 4500) => {
            Some("IKE, which is usual here, may answer none but the peers that it knows")
        }
        (Protocol::Tcp, 9100..=9107) => Some(
            "printers, which are usual here, print what they are sent and were only listened to",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_says_something_of_a_few_ports_and_nothing_of_others() {
        let wireguard = meaning(Protocol::Udp, 51820).unwrap();
        assert!(wireguard.starts_with("WireGuard"));
        let printer = meaning(Protocol::Tcp, 9100).unwrap();
        assert!(printer.ends_with("only listened to"));
        assert_eq!(meaning(Protocol::Tcp, 51820), None);
        assert_eq!(meaning(Protocol::Udp, 53), None);
    }
}
