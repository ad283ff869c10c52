//! The little of multicast DNS that finds hosts (RFC 6762): a question that most responders
//! answer, and the addresses in what they say. What they are called does not matter.

use std::net::Ipv6Addr;

/// The group and the port of multicast DNS (RFC 6762, 3).
pub(crate) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
pub(crate) const PORT: u16 = 5353;

/// What is asked: which services are there (RFC 6763, 9), and two that say of a machine that it
/// is there.
const NAMES: [&[&str]; 3] = [
    &["_services", "_dns-sd", "_udp", "local"],
    &["_workstation", "_tcp", "local"],
    &["_device-info", "_tcp", "local"],
];

/// Types of records (RFC 1035, 3.2.2; RFC 3596, 2.1).
const PTR: u16 = 12;
const AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// Records of an answer that are looked at, labels of a name, and addresses that are taken.
const MOST_RECORDS: usize = 128;
const MOST_LABELS: usize = 128;
const MOST_ADDRESSES: usize = 32;

const HEADER_LEN: usize = 12;

/// The question.
pub(crate) fn question() -> Vec<u8> {
    let count = u8::try_from(NAMES.len()).expect("a short list");
    let mut bytes = vec![0, 0, 0, 0, 0, count, 0, 0, 0, 0, 0, 0];
    for name in NAMES {
        for label in name {
            bytes.push(u8::try_from(label.len()).expect("a short label"));
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(PTR.to_be_bytes());
        bytes.extend(CLASS_IN.to_be_bytes());
    }
    bytes
}

/// The addresses of IPv6 that an answer names, some of them; `None` for what is no answer. A
/// cut or senseless rest counts as not there.
pub(crate) fn addresses(bytes: &[u8]) -> Option<Vec<Ipv6Addr>> {
    let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let is_answer = header[2] & 0x80 != 0;
    is_answer.then_some(())?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let mut found = Vec::new();
    let mut rest = bytes.get(HEADER_LEN..)?;
    for _ in 0..count(4).min(MOST_RECORDS) {
        let Some(after) = past_name(rest).and_then(|rest| rest.get(4..)) else {
            return Some(found);
        };
        rest = after;
    }
    let records = count(6) + count(8) + count(10);
    for _ in 0..records.min(MOST_RECORDS) {
        let Some((kind, data, after)) = record(rest) else {
            break;
        };
        if kind == AAAA
            && let Ok(octets) = <[u8; 16]>::try_from(data)
            && found.len() < MOST_ADDRESSES
        {
            found.push(Ipv6Addr::from(octets));
        }
        rest = after;
    }
    Some(found)
}

/// The type and the data of the record at the front, and what follows it.
fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let rest = past_name(bytes)?;
    let fixed: &[u8; 10] = rest.first_chunk()?;
    let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
    let len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = rest.get(10..10 + len)?;
    Some((kind, data, rest.get(10 + len..)?))
}

/// What follows the name at the front (RFC 1035, 4.1.4): pointers are not followed.
fn past_name(mut bytes: &[u8]) -> Option<&[u8]> {
    for _ in 0..MOST_LABELS {
        let (&len, rest) = bytes.split_first()?;
        match len {
            0 => return Some(rest),
            1..0x40 => bytes = rest.get(usize::from(len)..)?,
            0xc0.. => return rest.get(1..),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_tells_the_addresses_in_it() {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let mut answer = question();
        answer[2] = 0x84;
        answer[7] = 1;
        answer[11] = 1;
        // A pointer to the first name, PTR, class, TTL, and a pointer as the data.
        answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend([1, b'a', 0, 0, 28, 0x80, 1, 0, 0, 0, 9, 0, 16]);
        answer.extend(address.octets());
        assert_eq!(addresses(&answer), Some(vec![address]));
        assert_eq!(addresses(&answer[..answer.len() - 1]), Some(vec![]));
    }

    #[test]
    fn a_question_is_no_answer() {
        assert_eq!(addresses(&question()), None);
    }

    #[test]
    fn an_answer_that_claims_thousands_of_records_is_read_in_part() {
        let mut answer = vec![0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        for _ in 0..5000 {
            answer.extend([0, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16]);
            answer.extend([7; 16]);
        }
        assert_eq!(addresses(&answer).unwrap().len(), MOST_ADDRESSES);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = addresses(&bytes);
            if bytes.len() > 2 {
                bytes[2] |= 0x80;
            }
            let _ = addresses(&bytes);
        }
    }
}
