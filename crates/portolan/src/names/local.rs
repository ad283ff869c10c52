//! What is known without asking a name server.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use portolan_model::target::HostName;

/// The largest hosts file that is read. Lists of blocked hosts run to some MB.
const MOST_BYTES: u64 = 64 << 20;

/// The hosts file (hosts(5)), and the names that RFC 6761 settles.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    forward: HashMap<HostName, Vec<IpAddr>>,
    reverse: BTreeMap<IpAddr, HostName>,
}

/// What is known here of the name of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Its name.
    Name(String),
    /// No name server is to be asked about it.
    Nameless,
    /// A name server may know.
    Ask,
}

impl Hosts {
    /// Reads the file; one that is missing or cannot be read knows nothing.
    pub(super) fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let read =
            fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self::parse(&String::from_utf8_lossy(&bytes)),
            Err(_) => Self::default(),
        }
    }

    /// Lines of an address and its names; what is neither is skipped, as the system does.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or(line).split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words.filter_map(|word| word.parse::<HostName>().ok()) {
                hosts.reverse.entry(address).or_insert_with(|| name.clone());
                let addresses = hosts.forward.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The addresses of a name, where they are settled here: none for a name that by
    /// definition does not exist, `None` for one that is to be asked for.
    pub(super) fn addresses(&self, name: &HostName) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.forward.get(name) {
            let mut addresses = addresses.clone();
            // A hosts file often gives `localhost` one family alone.
            if is_in(name, "localhost") {
                addresses.extend(loopback());
            }
            return Some(addresses);
        }
        if is_in(name, "localhost") {
            return Some(loopback().to_vec());
        }
        // RFC 6761, 6.4: `invalid` never exists. RFC 7686, 2: `onion` is never asked in the
        // DNS, where the question would betray itself.
        (is_in(name, "invalid") || is_in(name, "onion")).then(Vec::new)
    }

    /// What is known of the name of an address.
    pub(super) fn name(&self, address: IpAddr) -> Known {
        let address = address.to_canonical();
        if let Some(name) = self.reverse.get(&address) {
            return Known::Name(name.as_str().to_owned());
        }
        if address.is_loopback() {
            return Known::Name("localhost".to_owned());
        }
        if is_local_only(address) {
            Known::Nameless
        } else {
            Known::Ask
        }
    }
}

/// RFC 6761, 6.3: `localhost` and every name under it.
const fn loopback() -> [IpAddr; 2] {
    [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ]
}

fn is_in(name: &HostName, domain: &str) -> bool {
    name.as_str()
        .strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether an address means nothing outside this link or this machine, so that its reverse
/// zone is answered locally (RFC 6303, 4.2 to 4.6).
///
/// Private networks (RFC 1918, RFC 4193) are asked about: their administrator's own server
/// knows them.
fn is_local_only(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.octets()[0] == 0 || v4.is_link_local() || v4.is_documentation() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_unicast_link_local()
                // 2001:db8::/32 (RFC 3849).
                || (v6.segments()[0] == 0x2001 && v6.segments()[1] == 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_hosts_file_answers_in_both_directions() {
        let hosts = Hosts::parse(
            "# mine\n198.18.0.1 nas.home nas # the box\n198.18.0.2\tNAS.home\nbroken line\n",
        );
        assert_eq!(
            hosts.addresses(&name("nas.home")),
            Some(vec![address("198.18.0.1"), address("198.18.0.2")])
        );
        assert_eq!(
            hosts.addresses(&name("nas")),
            Some(vec![address("198.18.0.1")])
        );
        assert_eq!(hosts.addresses(&name("other.home")), None);
        assert_eq!(
            hosts.name(address("198.18.0.1")),
            Known::Name("nas.home".to_owned())
        );
        assert_eq!(hosts.name(address("198.18.0.3")), Known::Ask);
    }

    #[test]
    fn localhost_needs_no_file() {
        let hosts = Hosts::default();
        let loopback = Some(vec![address("127.0.0.1"), address("::1")]);
        assert_eq!(hosts.addresses(&name("localhost")), loopback);
        assert_eq!(hosts.addresses(&name("a.localhost")), loopback);
        assert_eq!(hosts.addresses(&name("notlocalhost")), None);
        assert_eq!(
            hosts.name(address("127.9.9.9")),
            Known::Name("localhost".to_owned())
        );
        assert_eq!(
            hosts.name(address("::ffff:127.0.0.1")),
            Known::Name("localhost".to_owned())
        );
    }

    #[test]
    fn names_that_never_exist_are_not_asked_for() {
        let hosts = Hosts::default();
        assert_eq!(hosts.addresses(&name("a.invalid")), Some(vec![]));
        assert_eq!(hosts.addresses(&name("abc.onion")), Some(vec![]));
    }

    #[test]
    fn addresses_of_local_meaning_are_not_asked_about_and_private_ones_are() {
        let hosts = Hosts::default();
        for local in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.1.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "2001:db8::1",
        ] {
            assert_eq!(hosts.name(address(local)), Known::Nameless, "{local}");
        }
        for asked in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "fd00::1",
            "198.18.0.1",
        ] {
            assert_eq!(hosts.name(address(asked)), Known::Ask, "{asked}");
        }
    }
}
