//! What UDP scans send: each message is one of its protocol, as the protocol's documents say.

use std::collections::{BTreeMap, BTreeSet};

use portolan_detect::RuleSet;

/// Reads a message and says what it is, in a few words; `None` for one that is malformed.
type Reads = fn(&[u8]) -> Option<String>;

/// Every message of a scan, and what reads it.
const MESSAGES: &[(&str, &str, Reads)] = &[
    (
        "dns-root",
        "a question of type 2, class 1 for the root",
        dns,
    ),
    (
        "dns-version",
        "a question of type 16, class 3 for version.bind",
        dns,
    ),
    (
        "mdns-services",
        "a question of type 12, class 1 for _services._dns-sd._udp.local",
        dns,
    ),
    (
        "netbios-status",
        "a question of type 33, class 1 for CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        dns,
    ),
    ("snmp-get", "version 1, public, a get", snmp),
    ("snmp-v1-get", "version 0, public, a get", snmp),
    ("snmp-v3", "version 3, a search for the engine", snmp),
    ("cldap-root", "a search of the base for objectClass", ldap),
    ("kerberos", "an AS-REQ", kerberos),
    ("ntp-client", "mode 3, version 4", ntp),
    ("ntp-variables", "mode 6, version 2", ntp),
    ("rpc-dump", "a call of 100000, version 2, procedure 4", rpc),
    ("nfs-null", "a call of 100003, version 3, procedure 0", rpc),
    ("tftp-read", "a read of portolan-nowhere", tftp),
    ("slp-types", "a request for types in DEFAULT", slp),
    ("ike", "IKE 1.0, exchange 2", ike),
    ("ike-v2", "IKE 2.0, exchange 34", ike),
    (
        "ike-natt",
        "behind a marker: IKE 1.0, exchange 2",
        ike_behind_marker,
    ),
    ("openvpn-udp", "a hard reset of a client", openvpn),
    (
        "l2tp-start",
        "a start of a control connection, with 5 attributes",
        l2tp,
    ),
    ("wireguard", "the beginning of a handshake", wireguard),
    ("radius-status", "a Status-Server with 1 attribute", radius),
    ("quic-versions", "an unknown version, in 1200 bytes", quic),
    ("dtls-hello", "a ClientHello of 12 suites", dtls),
    ("rdp-udp", "a SYN in 1232 bytes", rdp),
    ("ms-sql-browser", "a request to one host", ms_sql),
    ("ipmi-auth", "command 0x38 of the application", ipmi),
    ("asf-ping", "a presence ping", asf),
    ("xdmcp-query", "a query with 0 names", xdmcp),
    ("syslog", "facility 23, severity 7", syslog),
    ("stun-binding", "a binding request", stun),
    ("coap", "GET /.well-known/core", coap),
    ("sip-options-udp", "OPTIONS", text),
    ("ssdp-search", "M-SEARCH", text),
    ("plex-search", "M-SEARCH", text),
    ("mgcp-audit", "AUEP", text),
    ("memcached-version-udp", "version, in 1 datagram", memcached),
    ("bacnet", "a read of property 75", bacnet),
    ("ws-discovery", "a Probe", ws_discovery),
    ("rip-v1", "version 1: the whole table", rip),
    ("rip-v2", "version 2: the whole table", rip),
    ("rip-ng", "version 1: the whole table", rip),
    ("nat-pmp", "version 0, opcode 0", nat_pmp),
    ("pcp-announce", "version 2, opcode 0", nat_pmp),
    ("gtp-echo", "GTP 1, message 1", gtp),
    ("gtp-v2-echo", "GTP 2, message 1", gtp),
    ("icp-query", "a query for http://portolan.test/", icp),
    ("db2-address", "DB2GETADDR of SQL08020", db2),
    ("iax2-poke", "frame 6, subclass 30", iax2),
    ("dht-ping", "a ping", dht),
    ("enip-identity", "command 0x63 with 0 bytes", enip),
    ("knx-describe", "service 0x0203", knx),
    ("doip-identify", "payload 1 of 0 bytes", doip),
    ("mqtt-sn-search", "message 1", mqtt_sn),
    ("lifx-service", "message 2", lifx),
    ("mumble-ping", "a ping", mumble),
    ("a2s-info", "a question for the server's rules", quake),
    ("a2s-games", "a question for the server's rules", quake),
    ("quake3-info", "getinfo", quake),
    ("quake-world", "status", quake),
    ("quake2-status", "status", quake),
    ("doom3-info", "getInfo", doom3),
    ("gamespy-status", "status", gamespy),
    ("gamespy-query", "type 9", gamespy),
    ("teeworlds-info", "gie3", teeworlds),
    ("teeworlds", "a request for a token", teeworlds_token),
    ("openttd-find", "packet 0 of 3 bytes", openttd),
    ("minecraft-bedrock", "an unconnected ping", raknet),
    ("minetest", "a reliable packet of peer 0", minetest),
    ("echo-udp", "portolan", plain),
    ("ubiquiti", "a discovery", ubiquiti),
    ("mikrotik", "a discovery", mikrotik),
    ("lantronix", "a query", lantronix),
];

#[test]
fn every_message_of_a_scan_is_one_of_its_protocol() {
    let rules = RuleSet::embedded();
    let readers: BTreeMap<&str, (&str, Reads)> = MESSAGES
        .iter()
        .map(|&(name, what, reads)| (name, (what, reads)))
        .collect();
    let (mut met, mut wrong) = (BTreeSet::new(), Vec::new());
    for probe in rules.scanned() {
        let name = probe.name.as_str();
        let (what, reads) = readers
            .get(name)
            .unwrap_or_else(|| panic!("nothing reads `{name}`"));
        let message = probe.send.first().unwrap();
        let read = reads(message);
        if read.as_deref() != Some(*what) {
            wrong.push((name, read));
        }
        // It fits into one packet on any path (RFC 8200, 5).
        assert!(message.len() <= 1232, "`{name}`: {} bytes", message.len());
        met.insert(name);
    }
    assert_eq!(wrong, []);
    let named: BTreeSet<&str> = readers.keys().copied().collect();
    assert_eq!(met, named);
}

#[test]
fn no_message_is_a_beginning_of_nothing_when_it_is_cut_short() {
    // What reads them must not be content with less: then it would prove nothing.
    let rules = RuleSet::embedded();
    let loose = [
        "syslog",
        "echo-udp",
        "ms-sql-browser",
        "sip-options-udp",
        "ssdp-search",
    ];
    for &(name, what, reads) in MESSAGES.iter().filter(|(name, ..)| !loose.contains(name)) {
        let probe = rules
            .probes()
            .iter()
            .find(|probe| probe.name == name)
            .unwrap();
        let message = &probe.send[0];
        let half = &message[..message.len() / 2];
        assert_ne!(reads(half).as_deref(), Some(what), "`{name}`");
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*field))
}

/// The value of what has this tag, and what follows it (X.690, 8.1).
fn ber(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16_at(rest, 0)?), rest.get(2..)?),
        short => (usize::from(short), rest),
    };
    (found == tag).then(|| rest.split_at_checked(len)).flatten()
}

fn all<'a>((value, rest): (&'a [u8], &'a [u8])) -> Option<&'a [u8]> {
    rest.is_empty().then_some(value)
}

/// RFC 1035, 4.1.
fn dns(bytes: &[u8]) -> Option<String> {
    let counts = [4, 6, 8, 10].map(|at| u16_at(bytes, at));
    (counts == [Some(1), Some(0), Some(0), Some(0)]).then_some(())?;
    // No answer, opcode 0.
    (bytes.get(2)? & 0xf8 == 0).then_some(())?;
    let mut rest = bytes.get(12..)?;
    let mut labels = Vec::new();
    loop {
        let (&len, after) = rest.split_first()?;
        let (label, after) = after.split_at_checked(len.into())?;
        rest = after;
        if label.is_empty() {
            break;
        }
        labels.push(std::str::from_utf8(label).ok()?);
    }
    (rest.len() == 4).then_some(())?;
    let name = if labels.is_empty() {
        "the root".to_owned()
    } else {
        labels.join(".")
    };
    let (kind, class) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
    Some(format!(
        "a question of type {kind}, class {class} for {name}"
    ))
}

/// RFC 1157, 4.1; RFC 3412, 6.
fn snmp(bytes: &[u8]) -> Option<String> {
    let message = all(ber(bytes, 0x30)?)?;
    let (version, rest) = ber(message, 2)?;
    if version == [3] {
        let (header, rest) = ber(rest, 0x30)?;
        let (security, scoped) = ber(rest, 4)?;
        let (_, flags) = ber(ber(header, 2)?.1, 2)?;
        // It asks for a report, and neither authenticates nor hides.
        (ber(flags, 4)?.0 == [4]).then_some(())?;
        ber(all((security, &[]))?, 0x30)?;
        let scoped = all(ber(scoped, 0x30)?)?;
        let pdu = ber(ber(scoped, 4)?.1, 4)?.1;
        ber(pdu, 0xa0)?;
        return Some("version 3, a search for the engine".to_owned());
    }
    let (community, pdu) = ber(rest, 4)?;
    let pdu = all(ber(pdu, 0xa0)?)?;
    let bindings = (0..3).try_fold(pdu, |rest, _| Some(ber(rest, 2)?.1))?;
    let mut bindings = all(ber(bindings, 0x30)?)?;
    while !bindings.is_empty() {
        let (binding, rest) = ber(bindings, 0x30)?;
        all(ber(ber(binding, 6)?.1, 5)?)?;
        bindings = rest;
    }
    let community = std::str::from_utf8(community).ok()?;
    Some(format!("version {}, {community}, a get", version.first()?))
}

/// RFC 4511, 4.5.1.
fn ldap(bytes: &[u8]) -> Option<String> {
    let message = all(ber(bytes, 0x30)?)?;
    let request = all(ber(ber(message, 2)?.1, 0x63)?)?;
    let (base, rest) = ber(request, 4)?;
    let (scope, rest) = ber(rest, 10)?;
    let rest = ber(ber(ber(ber(rest, 10)?.1, 2)?.1, 2)?.1, 1)?.1;
    let (filter, attributes) = ber(rest, 0x87)?;
    all(ber(attributes, 0x30)?)?;
    (base.is_empty() && scope == [0]).then_some(())?;
    Some(format!(
        "a search of the base for {}",
        std::str::from_utf8(filter).ok()?
    ))
}

/// RFC 4120, 5.4.1.
fn kerberos(bytes: &[u8]) -> Option<String> {
    let request = all(ber(all(ber(bytes, 0x6a)?)?, 0x30)?)?;
    let (version, rest) = ber(request, 0xa1)?;
    let (kind, rest) = ber(rest, 0xa2)?;
    (ber(version, 2)?.0 == [5] && ber(kind, 2)?.0 == [10]).then_some(())?;
    all(ber(all(ber(rest, 0xa4)?)?, 0x30)?)?;
    Some("an AS-REQ".to_owned())
}

/// RFC 5905, 7.3; RFC 9327, 2.
fn ntp(bytes: &[u8]) -> Option<String> {
    let first = *bytes.first()?;
    let (mode, version) = (first & 7, first >> 3 & 7);
    (bytes.len() == if mode == 6 { 12 } else { 48 }).then_some(())?;
    Some(format!("mode {mode}, version {version}"))
}

/// RFC 5531, 9.
fn rpc(bytes: &[u8]) -> Option<String> {
    // A call of version 2, without credentials.
    (u32_at(bytes, 4)? == 0 && u32_at(bytes, 8)? == 2).then_some(())?;
    (bytes.len() == 40 && bytes[24..].iter().all(|&byte| byte == 0)).then_some(())?;
    let [program, version, procedure] = [12, 16, 20].map(|at| u32_at(bytes, at));
    let (program, version, procedure) = (program?, version?, procedure?);
    Some(format!(
        "a call of {program}, version {version}, procedure {procedure}"
    ))
}

/// RFC 1350, 5.
fn tftp(bytes: &[u8]) -> Option<String> {
    let words: Vec<&[u8]> = bytes
        .strip_prefix(&[0, 1])?
        .split(|&byte| byte == 0)
        .collect();
    let [file, b"octet", b""] = words[..] else {
        return None;
    };
    Some(format!("a read of {}", std::str::from_utf8(file).ok()?))
}

/// RFC 2608, 8 and 10.1.
fn slp(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(&[2, 9])
        && u32_at(bytes, 1)? & 0xff_ffff == u32::try_from(bytes.len()).ok()?)
    .then_some(())?;
    let language = usize::from(u16_at(bytes, 12)?);
    let body = bytes.get(14 + language..)?;
    let responders = usize::from(u16_at(body, 0)?);
    let rest = body.get(2 + responders..)?;
    (u16_at(rest, 0)? == 0xffff).then_some(())?;
    let scopes = rest.get(4..)?;
    (usize::from(u16_at(rest, 2)?) == scopes.len()).then_some(())?;
    Some(format!(
        "a request for types in {}",
        std::str::from_utf8(scopes).ok()?
    ))
}

/// RFC 2408, 3.1; RFC 7296, 3.1 and 3.2.
fn ike(bytes: &[u8]) -> Option<String> {
    (usize::try_from(u32_at(bytes, 24)?).ok()? == bytes.len()).then_some(())?;
    (u32_at(bytes, 8)? == 0 && u32_at(bytes, 12)? == 0).then_some(())?;
    let mut next = *bytes.get(16)?;
    let mut rest = bytes.get(28..)?;
    while next != 0 {
        let len = usize::from(u16_at(rest, 2)?);
        (len >= 4).then_some(())?;
        next = *rest.first()?;
        rest = rest.get(len..)?;
    }
    rest.is_empty().then_some(())?;
    let version = bytes.get(17)?;
    let exchange = bytes.get(18)?;
    Some(format!(
        "IKE {}.{}, exchange {exchange}",
        version >> 4,
        version & 15
    ))
}

/// RFC 3948, 2.2.
fn ike_behind_marker(bytes: &[u8]) -> Option<String> {
    let message = bytes.strip_prefix(&[0; 4])?;
    Some(format!("behind a marker: {}", ike(message)?))
}

/// The opcode, a session, no acknowledgments, the first packet.
fn openvpn(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 14 && bytes[0] >> 3 == 7 && bytes[9] == 0 && u32_at(bytes, 10)? == 0)
        .then(|| "a hard reset of a client".to_owned())
}

/// RFC 2661, 3.1, 4.1 and 6.1.
fn l2tp(bytes: &[u8]) -> Option<String> {
    (u16_at(bytes, 0)? == 0xc802 && usize::from(u16_at(bytes, 2)?) == bytes.len()).then_some(())?;
    let mut rest = bytes.get(12..)?;
    (u16_at(rest, 4)? == 0 && u16_at(rest, 6)? == 1).then_some(())?;
    let mut count = 0;
    while !rest.is_empty() {
        rest = rest.get(usize::from(u16_at(rest, 0)? & 0x3ff).max(6)..)?;
        count += 1;
    }
    Some(format!(
        "a start of a control connection, with {count} attributes"
    ))
}

/// A type of one byte, three reserved ones, 148 in all.
fn wireguard(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 148 && bytes.starts_with(&[1, 0, 0, 0]))
        .then(|| "the beginning of a handshake".to_owned())
}

/// RFC 2865, 3; RFC 5997, 3.
fn radius(bytes: &[u8]) -> Option<String> {
    (bytes.first()? == &12 && usize::from(u16_at(bytes, 2)?) == bytes.len()).then_some(())?;
    let mut rest = bytes.get(20..)?;
    let mut count = 0;
    while !rest.is_empty() {
        rest = rest.get(usize::from(*rest.get(1)?).max(2)..)?;
        count += 1;
    }
    Some(format!("a Status-Server with {count} attribute"))
}

/// RFC 9000, 15 and 17.2.
fn quic(bytes: &[u8]) -> Option<String> {
    (bytes.first()? & 0xc0 == 0xc0 && u32_at(bytes, 1)? & 0x0f0f_0f0f == 0x0a0a_0a0a)
        .then_some(())?;
    let mut rest = bytes.get(5..)?;
    for _ in 0..2 {
        let (&len, after) = rest.split_first()?;
        rest = after.get(usize::from(len)..)?;
    }
    // No token, and a length that reaches to the end.
    (rest.first()? == &0 && u16_at(rest, 1)? & 0x3fff == u16::try_from(rest.len() - 3).ok()?)
        .then_some(())?;
    Some(format!("an unknown version, in {} bytes", bytes.len()))
}

/// RFC 6347, 4.1 and 4.2; RFC 5246, 7.4.1.2.
fn dtls(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(&[22, 0xfe, 0xff]) && usize::from(u16_at(bytes, 11)?) == bytes.len() - 13)
        .then_some(())?;
    let handshake = bytes.get(13..)?;
    let len = u32_at(handshake, 0)? & 0xff_ffff;
    let fragment = u32_at(handshake, 8)? & 0xff_ffff;
    let hello = handshake.get(12..)?;
    (handshake[0] == 1 && len == fragment && usize::try_from(len).ok()? == hello.len())
        .then_some(())?;
    // Version, random, no session, no cookie.
    (hello.starts_with(&[0xfe, 0xfd]) && hello.get(34..36)? == [0, 0]).then_some(())?;
    let suites = usize::from(u16_at(hello, 36)?);
    let rest = hello.get(38 + suites..)?;
    let rest = rest.strip_prefix(&[1, 0])?;
    let mut extensions = rest.get(2..)?;
    (usize::from(u16_at(rest, 0)?) == extensions.len()).then_some(())?;
    while !extensions.is_empty() {
        extensions = extensions.get(4 + usize::from(u16_at(extensions, 2)?)..)?;
    }
    Some(format!("a ClientHello of {} suites", suites / 2))
}

/// MS-RDPEUDP, 2.2.2.1 and 3.1.5.1.1.
fn rdp(bytes: &[u8]) -> Option<String> {
    (u32_at(bytes, 0)? == u32::MAX && u16_at(bytes, 6)? == 1).then_some(())?;
    let sizes = 1132..=1232;
    (sizes.contains(&u16_at(bytes, 12)?) && sizes.contains(&u16_at(bytes, 14)?)).then_some(())?;
    Some(format!("a SYN in {} bytes", bytes.len()))
}

/// MC-SQLR, 2.2.2.
fn ms_sql(bytes: &[u8]) -> Option<String> {
    (bytes == [3]).then(|| "a request to one host".to_owned())
}

/// IPMI 2.0, 13.6 and 13.8: two checksums of two's complement.
fn ipmi(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(&[6, 0, 0xff, 7])?;
    // Without authentication, in no session.
    let rest = rest.strip_prefix(&[0; 9])?;
    let (&len, message) = rest.split_first()?;
    let sum = |part: &[u8]| part.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let (header, body) = message.split_at_checked(3)?;
    (usize::from(len) == message.len() && sum(header) == 0 && sum(body) == 0).then_some(())?;
    let application = header[1] >> 2 == 6;
    application.then(|| format!("command {:#x} of the application", body[2]))
}

/// ASF 2.0, 3.2.2.1 to 3.2.4.2.
fn asf(bytes: &[u8]) -> Option<String> {
    let message = bytes.strip_prefix(&[6, 0, 0xff, 6])?;
    (message.len() == 8 && u32_at(message, 0)? == 4542 && message[4] == 0x80 && message[7] == 0)
        .then(|| "a presence ping".to_owned())
}

/// XDMCP 1.1, 4.
fn xdmcp(bytes: &[u8]) -> Option<String> {
    (u16_at(bytes, 0)? == 1 && u16_at(bytes, 2)? == 2).then_some(())?;
    let body = bytes.get(6..)?;
    (usize::from(u16_at(bytes, 4)?) == body.len()).then_some(())?;
    Some(format!("a query with {} names", body.first()?))
}

/// RFC 5424, 6.2.1.
fn syslog(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: u8 = text.strip_prefix('<')?.strip_suffix('>')?.parse().ok()?;
    Some(format!("facility {}, severity {}", number / 8, number % 8))
}

/// RFC 8489, 5.
fn stun(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 20 && u16_at(bytes, 0)? == 1 && u16_at(bytes, 2)? == 0).then_some(())?;
    (u32_at(bytes, 4)? == 0x2112_a442).then(|| "a binding request".to_owned())
}

/// RFC 7252, 3.
fn coap(bytes: &[u8]) -> Option<String> {
    let first = *bytes.first()?;
    (first >> 6 == 1 && bytes.get(1)? == &1).then_some(())?;
    let mut rest = bytes.get(4 + usize::from(first & 15)..)?;
    let (mut number, mut path) = (0, String::new());
    while let Some((&head, after)) = rest.split_first() {
        number += head >> 4;
        let (value, after) = after.split_at_checked(usize::from(head & 15))?;
        (number == 11).then_some(())?;
        path = format!("{path}/{}", std::str::from_utf8(value).ok()?);
        rest = after;
    }
    Some(format!("GET {path}"))
}

/// A first line of three words or more and an empty line at the end.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let first = text.strip_suffix("\r\n\r\n")?.lines().next()?;
    let words: Vec<&str> = first.split(' ').collect();
    (words.len() >= 3).then(|| words[0].to_owned())
}

/// memcached's protocol.txt, "UDP protocol".
fn memcached(bytes: &[u8]) -> Option<String> {
    (u16_at(bytes, 2)? == 0 && u16_at(bytes, 6)? == 0).then_some(())?;
    let command = std::str::from_utf8(bytes.get(8..)?)
        .ok()?
        .strip_suffix("\r\n")?;
    Some(format!("{command}, in {} datagram", u16_at(bytes, 4)?))
}

/// ASHRAE 135, J.2 and 20.1.2: a confirmed request for a property of the device itself.
fn bacnet(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(&[0x81, 0x0a]) && usize::from(u16_at(bytes, 2)?) == bytes.len())
        .then_some(())?;
    let request = bytes.get(6..)?;
    (request.first()? >> 4 == 0 && request.get(3)? == &12).then_some(())?;
    let [.., 0x19, property] = request else {
        return None;
    };
    Some(format!("a read of property {property}"))
}

/// WS-Discovery 1.0, 5.2: elements in their order, each closed.
fn ws_discovery(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut open = Vec::new();
    for tag in text
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap_or_default())
    {
        let name = tag.split([' ', '/']).next()?;
        match tag {
            _ if tag.starts_with('?') || tag.ends_with('/') => {}
            _ if tag.starts_with('/') => (open.pop() == tag.strip_prefix('/')).then_some(())?,
            _ => open.push(name),
        }
    }
    (open.is_empty() && text.ends_with("</e:Envelope>") && text.contains("<d:Probe/>"))
        .then(|| "a Probe".to_owned())
}

/// RFC 2453, 3.9.1; RFC 2080, 2.4.1: one entry, of family 0 or prefix `::/0`, with metric 16.
fn rip(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 24 && bytes[0] == 1 && bytes[23] == 16).then_some(())?;
    bytes[2..23].iter().all(|&byte| byte == 0).then_some(())?;
    Some(format!("version {}: the whole table", bytes[1]))
}

/// RFC 6886, 3.2; RFC 6887, 7.1.
fn nat_pmp(bytes: &[u8]) -> Option<String> {
    let (version, opcode) = (*bytes.first()?, *bytes.get(1)?);
    (bytes.len() == if version == 0 { 2 } else { 24 }).then_some(())?;
    Some(format!("version {version}, opcode {opcode}"))
}

/// 3GPP TS 29.060, 6; TS 29.274, 5.1.
fn gtp(bytes: &[u8]) -> Option<String> {
    let version = bytes.first()? >> 5;
    let header = if version == 1 { 8 } else { 4 };
    (usize::from(u16_at(bytes, 2)?) == bytes.len().checked_sub(header)?).then_some(())?;
    Some(format!("GTP {version}, message {}", bytes[1]))
}

/// RFC 2186, "ICP Message Format".
fn icp(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(&[1, 2]) && usize::from(u16_at(bytes, 2)?) == bytes.len()).then_some(())?;
    let url = bytes.get(24..)?.strip_suffix(&[0])?;
    Some(format!("a query for {}", std::str::from_utf8(url).ok()?))
}

fn db2(bytes: &[u8]) -> Option<String> {
    let words: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    let [command, version, b""] = words[..] else {
        return None;
    };
    let (command, version) = (
        std::str::from_utf8(command).ok()?,
        std::str::from_utf8(version).ok()?,
    );
    Some(format!("{command} of {version}"))
}

/// RFC 5456, 8.1.1.
fn iax2(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 12 && bytes[0] & 0x80 != 0)
        .then(|| format!("frame {}, subclass {}", bytes[10], bytes[11]))
}

/// BEP 5, "ping": keys in their order, strings as long as they say.
fn dht(bytes: &[u8]) -> Option<String> {
    fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let colon = bytes.iter().position(|&byte| byte == b':')?;
        let len: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
        bytes[colon + 1..].split_at_checked(len)
    }
    let (key, rest) = string(bytes.strip_prefix(b"d")?)?;
    let (id, rest) = string(rest.strip_prefix(b"d")?)?;
    let (own, rest) = string(rest)?;
    (key == b"a" && id == b"id" && own.len() == 20).then_some(())?;
    let mut rest = rest.strip_prefix(b"e")?;
    let mut words = Vec::new();
    while rest != b"e" {
        let (word, after) = string(rest)?;
        words.push(word);
        rest = after;
    }
    (words == [&b"q"[..], b"ping", b"t", b"Po", b"y", b"q"]).then(|| "a ping".to_owned())
}

/// CIP Volume 2, 2-3.1: little-endian.
fn enip(bytes: &[u8]) -> Option<String> {
    let [command, _, len, _] = *bytes.first_chunk::<4>()?;
    (bytes.len() == 24).then(|| format!("command {command:#x} with {len} bytes"))
}

/// ISO 22510, 5.2: header, and where to answer.
fn knx(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(&[6, 0x10]) && usize::from(u16_at(bytes, 4)?) == bytes.len())
        .then_some(())?;
    (bytes.get(6..8)? == [8, 1]).then_some(())?;
    Some(format!("service {:#06x}", u16_at(bytes, 2)?))
}

/// ISO 13400-2, 7.1.2.
fn doip(bytes: &[u8]) -> Option<String> {
    let (version, inverse) = (*bytes.first()?, *bytes.get(1)?);
    (version == !inverse && bytes.len() == 8).then_some(())?;
    Some(format!(
        "payload {} of {} bytes",
        u16_at(bytes, 2)?,
        u32_at(bytes, 4)?
    ))
}

/// MQTT-SN 1.2, 5.2.
fn mqtt_sn(bytes: &[u8]) -> Option<String> {
    (usize::from(*bytes.first()?) == bytes.len()).then_some(())?;
    Some(format!("message {}", bytes.get(1)?))
}

/// LIFX LAN protocol, "Header": little-endian, with its size.
fn lifx(bytes: &[u8]) -> Option<String> {
    let [low, high, flags, protocol] = *bytes.first_chunk::<4>()?;
    let size = usize::from(u16::from_le_bytes([low, high]));
    let number = u16::from_le_bytes([flags, protocol]) & 0xfff;
    (size == bytes.len() && number == 1024).then(|| format!("message {}", bytes[32]))
}

fn mumble(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 12 && u32_at(bytes, 0)? == 0).then(|| "a ping".to_owned())
}

/// Four bytes of ones, and a command.
fn quake(bytes: &[u8]) -> Option<String> {
    let command = std::str::from_utf8(bytes.strip_prefix(&[0xff; 4])?).ok()?;
    match command {
        "TSource Engine Query\0" => Some("a question for the server's rules".to_owned()),
        "getinfo portolan" => Some("getinfo".to_owned()),
        "status\n" => Some("status".to_owned()),
        _ => None,
    }
}

fn doom3(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(&[0xff; 2])?.strip_prefix(b"getInfo\0")?;
    (rest.len() == 4).then(|| "getInfo".to_owned())
}

fn gamespy(bytes: &[u8]) -> Option<String> {
    if let Some(query) = bytes.strip_prefix(&[0xfe, 0xfd]) {
        return (query.len() == 5).then(|| format!("type {}", query[0]));
    }
    (bytes == b"\\status\\").then(|| "status".to_owned())
}

fn teeworlds(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 15 && bytes.starts_with(&[0xff; 10]) && &bytes[10..14] == b"gie3")
        .then(|| "gie3".to_owned())
}

/// A control packet of 0.7: no token of the other side's, message 5, our own token, and padding, so
/// that the answer is shorter than the question.
fn teeworlds_token(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(&[4, 0, 0, 0xff, 0xff, 0xff, 0xff, 5])?;
    let (_, padding) = rest.split_first_chunk::<4>()?;
    (padding.len() == 512 && padding.iter().all(|&byte| byte == 0))
        .then(|| "a request for a token".to_owned())
}

fn openttd(bytes: &[u8]) -> Option<String> {
    let [low, high, kind] = *bytes else {
        return None;
    };
    Some(format!(
        "packet {kind} of {} bytes",
        u16::from_le_bytes([low, high])
    ))
}

/// A type, a time, the magic of `RakNet`, a number of the client.
fn raknet(bytes: &[u8]) -> Option<String> {
    let magic = [
        0, 255, 255, 0, 254, 254, 254, 254, 253, 253, 253, 253, 18, 52, 86, 120,
    ];
    (bytes.len() == 33 && bytes[0] == 1 && bytes[9..25] == magic)
        .then(|| "an unconnected ping".to_owned())
}

fn minetest(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 8 && u32_at(bytes, 0)? == 0x4f45_7403 && bytes[4..7] == [0, 0, 0])
        .then(|| "a reliable packet of peer 0".to_owned())
}

fn plain(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.trim_end().to_owned())
}

fn ubiquiti(bytes: &[u8]) -> Option<String> {
    (bytes == [1, 0, 0, 0]).then(|| "a discovery".to_owned())
}

fn mikrotik(bytes: &[u8]) -> Option<String> {
    (bytes == [0; 4]).then(|| "a discovery".to_owned())
}

fn lantronix(bytes: &[u8]) -> Option<String> {
    (bytes == [0, 0, 0, 0xf6]).then(|| "a query".to_owned())
}
