//! The algorithms and host keys of an SSH server (RFC 4253, RFC 8731).
//!
//! The host key comes with the server's answer to the first message of the key exchange, before
//! anything is proved; nobody logs in.

use std::collections::BTreeMap;

use ring::agreement::{ECDH_P256, EphemeralPrivateKey};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::escape;
use crate::explore::Endpoint;
use crate::found::FIELD_CHARS;
use crate::talk::{hear, say};

/// What this program calls itself.
const SOFTWARE: &[u8] = b"SSH-2.0-Portolan\r\n";

/// The longest packet that a server may send (RFC 4253, 6.1).
const PACKET_BYTES: usize = 35_000;

/// `SSH_MSG_KEXINIT`.
const KEXINIT: u8 = 20;

/// The first message of most key exchanges, and its answer.
const KEX_FIRST: u8 = 30;
const KEX_ANSWER: u8 = 31;

/// Kinds of host keys: the name of the fact, and the algorithms that use it.
const KINDS: [(&str, &[&str]); 5] = [
    ("ed25519", &["ssh-ed25519"]),
    ("ecdsa-256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-521", &["ecdsa-sha2-nistp521", "ecdsa-sha2-nistp384"]),
    ("rsa", &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]),
    ("dsa", &["ssh-dss"]),
];

/// Key exchanges whose first message is made here, the preferred first.
const EXCHANGES: [&str; 8] = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group1-sha1",
];

/// The ten lists of a `KEXINIT` (RFC 4253, 7.1), by the names of their facts.
const LISTS: [&str; 10] = [
    "ssh.kex",
    "ssh.host-key-algorithms",
    "",
    "ssh.ciphers",
    "",
    "ssh.macs",
    "",
    "ssh.compression",
    "",
    "",
];

/// Asks for algorithms and host keys.
pub(crate) async fn facts(endpoint: &Endpoint<'_>) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let Some((lists, _)) = exchange(endpoint, None).await else {
        return facts;
    };
    for (name, list) in LISTS.iter().zip(&lists) {
        if !name.is_empty() {
            let list = escape::field(list.as_bytes(), FIELD_CHARS * 5);
            facts.insert((*name).to_owned(), list.replace(',', ", "));
        }
    }
    let offered: Vec<&str> = lists
        .get(1)
        .map(|list| list.split(',').collect())
        .unwrap_or_default();
    let kinds = KINDS.iter().filter_map(|(kind, algorithms)| {
        let algorithm = algorithms.iter().find(|name| offered.contains(name))?;
        Some((*kind, *algorithm))
    });
    // One after the other: servers refuse many strangers at once.
    for (kind, algorithm) in kinds.take(3) {
        if let Some((_, Some(key))) = exchange(endpoint, Some(algorithm)).await {
            facts.insert(format!("ssh.host-key.{kind}"), fingerprint(&key));
        }
    }
    facts
}

/// `SHA256:…`, as OpenSSH shows it.
fn fingerprint(key: &[u8]) -> String {
    format!(
        "SHA256:{}",
        base64(digest::digest(&digest::SHA256, key).as_ref())
    )
}

/// Base 64 without padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .chain(std::iter::repeat(&0))
            .take(3)
            .fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        for place in 0..=three.len() {
            let letter = LETTERS.get(bits >> (18 - 6 * place) & 63);
            out.extend(letter.map(|&letter| char::from(letter)));
        }
    }
    out
}

/// The server's lists; with an algorithm, also its key for that.
async fn exchange(
    endpoint: &Endpoint<'_>,
    algorithm: Option<&str>,
) -> Option<(Vec<String>, Option<Vec<u8>>)> {
    let (waits, options) = (endpoint.waits, endpoint.options);
    let mut stream = endpoint.connect().await.ok()?;
    let mut said = Vec::new();
    hear(&mut stream, &mut said, options.patience, waits, options).await;
    let end = |said: &[u8]| said.iter().position(|&byte| byte == b'\n');
    let version_end = end(&said)? + 1;
    say(&mut stream, SOFTWARE, waits.answer).await;
    if packet(said.get(version_end..)?).is_none() {
        hear(&mut stream, &mut said, waits.answer, waits, options).await;
    }
    let (payload, used) = packet(said.get(version_end..)?)?;
    let lists = lists(payload)?;
    let Some(algorithm) = algorithm else {
        return Some((lists, None));
    };
    let theirs: Vec<&str> = lists.first()?.split(',').collect();
    let exchange = EXCHANGES.iter().find(|name| theirs.contains(name))?;
    let mut message = framed(&own_lists(exchange, algorithm, &lists));
    message.extend(framed(&first_message(exchange)?));
    say(&mut stream, &message, waits.answer).await;
    let mut answer = said.get(version_end + used..)?.to_vec();
    hear(&mut stream, &mut answer, waits.answer, waits, options).await;
    Some((lists, host_key(&answer)))
}

/// The payload of the first packet, and how many bytes the packet takes.
fn packet(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    if !(2..=PACKET_BYTES).contains(&length) {
        return None;
    }
    let body = bytes.get(4..4 + length)?;
    let (&padding, rest) = body.split_first()?;
    let payload = rest.get(..rest.len().checked_sub(usize::from(padding))?)?;
    Some((payload, 4 + length))
}

/// A packet without encryption.
fn framed(payload: &[u8]) -> Vec<u8> {
    // The whole is a multiple of eight bytes, with four of padding at the least.
    let padding = 8 - (payload.len() + 5) % 8 + if (payload.len() + 5) % 8 > 4 { 8 } else { 0 };
    let mut out = Vec::new();
    put_u32(&mut out, payload.len() + 1 + padding);
    out.push(u8::try_from(padding).unwrap_or(8));
    out.extend_from_slice(payload);
    out.resize(out.len() + padding, 0);
    out
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    put_u32(out, text.len());
    out.extend_from_slice(text);
}

/// A string with its length before it, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    bytes
        .get(4..)?
        .split_at_checked(usize::try_from(length).ok()?)
}

/// The ten lists of names of a `KEXINIT`.
fn lists(payload: &[u8]) -> Option<Vec<String>> {
    let rest = payload.strip_prefix(&[KEXINIT])?;
    let mut rest = rest.get(16..)?;
    let mut lists = Vec::new();
    for _ in LISTS {
        let (list, after) = string(rest)?;
        lists.push(escape::text(list));
        rest = after;
    }
    Some(lists)
}

/// A `KEXINIT` that agrees with the server in everything, and wants one kind of key.
fn own_lists(exchange: &str, algorithm: &str, theirs: &[String]) -> Vec<u8> {
    let mut out = vec![KEXINIT];
    out.extend_from_slice(&chance::<16>());
    put(&mut out, exchange.as_bytes());
    put(&mut out, algorithm.as_bytes());
    for list in theirs.iter().skip(2).take(6) {
        put(&mut out, list.as_bytes());
    }
    put(&mut out, b"");
    put(&mut out, b"");
    out.push(0);
    put_u32(&mut out, 0);
    out
}

fn chance<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Nothing secret follows; without chance it is as good.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

/// The first message of a key exchange.
fn first_message(exchange: &str) -> Option<Vec<u8>> {
    let mut out = vec![KEX_FIRST];
    if exchange.starts_with("curve25519") {
        put(&mut out, &chance::<32>());
    } else if exchange.starts_with("ecdh") {
        let key = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).ok()?;
        put(&mut out, key.compute_public_key().ok()?.as_ref());
    } else {
        // A number with enough bits set, far below the modulus of any group; positive.
        let mut number = chance::<64>();
        number[0] = 0x55;
        put(&mut out, &number);
    }
    Some(out)
}

/// The host key in the answer to the first message.
fn host_key(answer: &[u8]) -> Option<Vec<u8>> {
    let mut rest = answer;
    // What is said for debugging may come before it (RFC 4253, 11).
    for _ in 0..8 {
        let (payload, used) = packet(rest)?;
        if let Some(body) = payload.strip_prefix(&[KEX_ANSWER]) {
            let (key, _) = string(body)?;
            let (kind, _) = string(key)?;
            return (!kind.is_empty() && kind.len() < 64).then(|| key.to_vec());
        }
        rest = rest.get(used..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_comes_back_from_its_frame() {
        for length in 0..40 {
            let payload = vec![KEXINIT; length + 1];
            let framed = framed(&payload);
            assert_eq!(framed.len() % 8, 0);
            assert!(framed[4] >= 4);
            assert_eq!(packet(&framed), Some((&payload[..], framed.len())));
        }
    }

    #[test]
    fn a_fingerprint_is_what_openssh_shows() {
        assert_eq!(
            fingerprint(b""),
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
        );
        assert_eq!(base64(b"ab"), "YWI");
    }

    #[test]
    fn own_lists_agree_with_theirs() {
        let theirs: Vec<String> = (0..10).map(|list| format!("list{list}")).collect();
        let own = lists(&own_lists("kex", "key", &theirs)).unwrap();
        assert_eq!(own[..4], ["kex", "key", "list2", "list3"]);
        assert_eq!(own[7], "list7");
    }

    #[test]
    fn the_key_is_found_after_other_packets() {
        let mut body = vec![KEX_ANSWER];
        let mut key = Vec::new();
        put(&mut key, b"ssh-ed25519");
        put(&mut body, &key);
        let mut answer = framed(&[4, 0]);
        answer.extend(framed(&body));
        assert_eq!(host_key(&answer), Some(key));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            host_key(&bytes);
            lists(&bytes);
            packet(&bytes);
        }
    }
}
