//! TLS that is asked for in the middle of a conversation: the certificate behind it.

use std::collections::BTreeMap;

use portolan_model::Protocol;

use crate::explore::Endpoint;
use crate::readers::rdp;
use crate::rules::Answer;
use crate::talk::{Limited, Stream, hear, say};
use crate::tls;
use crate::tls::hello::{Greeting, ServerWords, Version};

/// The words of one protocol.
struct Words {
    /// Whether the server speaks first.
    greets: bool,
    /// Whether TLS is offered, by what the server has said so far.
    offered: fn(&[u8]) -> bool,
    /// What is said before, and its answer read.
    before: &'static [u8],
    /// The request for TLS.
    ask: &'static [u8],
    /// Whether the answer to that is yes.
    granted: fn(&[u8]) -> bool,
}

const LDAP: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// A TLS request of MySQL ("SSLRequest"): 4.1 protocol, TLS, secure connection.
const MYSQL: &[u8] =
    b"\x20\0\0\x01\x00\x8a\x08\x00\0\0\0\x01\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

fn words(service: &str) -> Option<Words> {
    let always = |_: &[u8]| true;
    Some(match service {
        "smtp" | "lmtp" => Words {
            greets: true,
            before: if service == "smtp" {
                b"EHLO portolan.invalid\r\n"
            } else {
                b"LHLO portolan.invalid\r\n"
            },
            offered: |said| has(said, b"STARTTLS"),
            ask: b"STARTTLS\r\n",
            granted: |said| said.starts_with(b"220"),
        },
        "imap" => Words {
            greets: true,
            before: b"",
            offered: always,
            ask: b"a1 STARTTLS\r\n",
            granted: |said| has(said, b"a1 OK"),
        },
        "pop3" => Words {
            greets: true,
            before: b"",
            offered: always,
            ask: b"STLS\r\n",
            granted: |said| said.starts_with(b"+OK"),
        },
        "ftp" => Words {
            greets: true,
            before: b"",
            offered: always,
            ask: b"AUTH TLS\r\n",
            granted: |said| said.starts_with(b"234"),
        },
        "nntp" => Words {
            greets: true,
            before: b"",
            offered: always,
            ask: b"STARTTLS\r\n",
            granted: |said| said.starts_with(b"382"),
        },
        "sieve" | "managesieve" => Words {
            greets: true,
            before: b"",
            offered: |said| has(said, b"\"STARTTLS\""),
            ask: b"STARTTLS\r\n",
            granted: |said| said.starts_with(b"OK"),
        },
        "xmpp" | "xmpp-client" | "xmpp-server" | "jabber" => Words {
            greets: false,
            before: b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>",
            offered: |said| has(said, b"xmpp-tls"),
            ask: b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            granted: |said| has(said, b"<proceed"),
        },
        // The request that names TLS; the answer names what was chosen (MS-RDPBCGR, 2.2.1.2).
        "ms-wbt-server" => Words {
            greets: false,
            before: b"",
            offered: always,
            ask: b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x0b\0\0\0",
            granted: |said| said.get(11) == Some(&2) && said.get(15).is_some_and(|way| *way > 0),
        },
        "ldap" => Words {
            greets: false,
            before: b"",
            offered: always,
            ask: LDAP,
            // An ExtendedResponse with resultCode success (RFC 4511, 4.14).
            granted: |said| has(said, b"\x0a\x01\x00"),
        },
        "postgresql" => Words {
            greets: false,
            before: b"",
            offered: always,
            ask: b"\0\0\0\x08\x04\xd2\x16\x2f",
            granted: |said| said.first() == Some(&b'S'),
        },
        "mysql" | "mariadb" => Words {
            greets: true,
            before: b"",
            offered: mysql_offers,
            ask: MYSQL,
            granted: always,
        },
        _ => return None,
    })
}

/// Whether a handshake of MySQL has the flag `CLIENT_SSL` (2048) among its capabilities.
fn mysql_offers(said: &[u8]) -> bool {
    let Some(body) = said.get(5..) else {
        return false;
    };
    let Some(end) = body.iter().position(|&byte| byte == 0) else {
        return false;
    };
    // Thread id, salt, filler; then the lower half of the capabilities.
    body.get(end + 1 + 4 + 8 + 1 + 1)
        .is_some_and(|high| high & 0x08 != 0)
}

/// Asks for TLS where the service knows how, and tells what is behind it.
pub(crate) async fn facts(endpoint: &Endpoint<'_>, service: &str) -> BTreeMap<String, String> {
    let Some(words) = words(service) else {
        return BTreeMap::new();
    };
    let Some((stream, answer)) = begin(endpoint, &words).await else {
        return BTreeMap::new();
    };
    let (target, waits, options) = (endpoint.target, endpoint.waits, endpoint.options);
    let through = tls::through(stream, target, waits, options, &[]).await;
    let mut facts = if let Ok((mut stream, handshake)) = through {
        if service == "ms-wbt-server" && chose_credssp(&answer) {
            names(endpoint, &mut stream).await;
        }
        tls::describe(&ServerWords::default(), Some(&handshake), &[], options)
    } else {
        // Too old for that: once more, in the clear.
        let Some((mut stream, _)) = begin(endpoint, &words).await else {
            return BTreeMap::new();
        };
        let greeting = Greeting {
            name: target.name.as_deref(),
            newest: Version::Tls12,
            only: false,
        };
        match tls::greet(&mut stream, &greeting, waits, options).await {
            Some((said, _)) => tls::describe(&said, None, &[], options),
            None => return BTreeMap::new(),
        }
    };
    facts.insert("tls.starttls".to_owned(), "yes".to_owned());
    facts
}

/// Whether a server of remote desktops has chosen `CredSSP`, with or without early authorization
/// (MS-RDPBCGR, 2.2.1.2.1).
fn chose_credssp(answer: &[u8]) -> bool {
    matches!(answer.get(15), Some(2 | 8))
}

/// Asks a server of remote desktops for the challenge that holds its names; it is not answered.
async fn names(endpoint: &Endpoint<'_>, stream: &mut impl Stream) {
    let (waits, options) = (endpoint.waits, endpoint.options);
    say(stream, rdp::REQUEST, waits.answer).await;
    let mut bytes = Vec::new();
    hear(stream, &mut bytes, waits.answer, waits, options).await;
    let answer = Answer {
        to: rdp::PROBE,
        protocol: Protocol::Tcp,
        bytes: &bytes,
    };
    endpoint.notes().answer(endpoint.rules, answer);
}

/// A connection on which the server waits for a greeting of TLS, and how it agreed to it.
async fn begin(endpoint: &Endpoint<'_>, words: &Words) -> Option<(Limited, Vec<u8>)> {
    let (waits, options) = (endpoint.waits, endpoint.options);
    let mut stream = endpoint.connect().await.ok()?;
    let mut said = Vec::new();
    if words.greets {
        hear(&mut stream, &mut said, options.patience, waits, options).await;
    }
    if !words.before.is_empty() {
        say(&mut stream, words.before, waits.answer).await;
        hear(&mut stream, &mut said, waits.answer, waits, options).await;
    }
    if !(words.offered)(&said) {
        return None;
    }
    say(&mut stream, words.ask, waits.answer).await;
    let mut answer = Vec::new();
    // MySQL goes on without an answer.
    if words.ask != MYSQL {
        hear(&mut stream, &mut answer, waits.answer, waits, options).await;
    }
    (words.granted)(&answer).then_some((stream, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_says_by_a_flag_whether_it_speaks_tls() {
        let mut hello = b"\x4a\0\0\0\x0a8.0.36\0".to_vec();
        hello.extend_from_slice(&[1, 0, 0, 0]);
        hello.extend_from_slice(b"saltsalt\0");
        let flags = hello.len();
        hello.extend_from_slice(&[0xff, 0xf7]);
        assert!(!mysql_offers(&hello));
        hello[flags + 1] |= 0x08;
        assert!(mysql_offers(&hello));
        assert!(!mysql_offers(b"\x4a\0\0\0\x0a8"));
    }

    #[test]
    fn a_request_for_tls_is_as_long_as_it_says() {
        assert_eq!(MYSQL.len(), 4 + 32);
        assert_eq!(LDAP.len(), 2 + 0x1d);
    }
}
