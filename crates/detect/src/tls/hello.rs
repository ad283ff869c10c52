//! A greeting of any version, and what a server answers in the clear (RFC 8446, RFC 5246,
//! RFC 6101).

use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};

/// The most bytes of handshake messages that are put together.
const HANDSHAKE_BYTES: usize = 64 * 1024;

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// SSL 3.0 (RFC 6101).
    Ssl3,
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// All, the oldest first.
    pub const ALL: [Self; 5] = [
        Self::Ssl3,
        Self::Tls10,
        Self::Tls11,
        Self::Tls12,
        Self::Tls13,
    ];

    /// Its number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.number() == number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssl3 => "SSLv3",
            Self::Tls10 => "TLSv1.0",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        })
    }
}

/// What a greeting says.
#[derive(Debug, Clone, Copy)]
pub struct Greeting<'a> {
    /// The server's name (RFC 6066, 3), where it has one.
    pub name: Option<&'a str>,
    /// The newest version that is offered.
    pub newest: Version,
    /// Whether no older one is offered. Below TLS 1.3 a server may still choose an older one.
    pub only: bool,
}

/// What a server said in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerWords {
    /// The version it chose; `None` where it only sent an alert.
    pub version: Option<Version>,
    /// The cipher suite it chose.
    pub cipher: Option<u16>,
    /// Its own certificate, in DER; in the clear below TLS 1.3 only.
    pub certificate: Option<Vec<u8>>,
    /// The alert it sent.
    pub alert: Option<u8>,
}

/// Cipher suites with their names (IANA, "TLS Cipher Suites"): those of TLS 1.3, then what
/// servers from 1996 to today may insist on.
const CIPHERS: &[(u16, &str)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0032, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA"),
    (0x0038, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x0004, "TLS_RSA_WITH_RC4_128_MD5"),
    (0x0009, "TLS_RSA_WITH_DES_CBC_SHA"),
    (0x0003, "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
    // Without a certificate: monitoring agents speak nothing else.
    (0x00a6, "TLS_DH_anon_WITH_AES_128_GCM_SHA256"),
    (0x00a7, "TLS_DH_anon_WITH_AES_256_GCM_SHA384"),
    (0x006c, "TLS_DH_anon_WITH_AES_128_CBC_SHA256"),
    (0x006d, "TLS_DH_anon_WITH_AES_256_CBC_SHA256"),
    (0x003a, "TLS_DH_anon_WITH_AES_256_CBC_SHA"),
    (0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA"),
    (0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA"),
    (0xc018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"),
];

/// The name of a cipher suite, or its number.
pub fn cipher_name(number: u16) -> String {
    CIPHERS
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}

/// Whether a cipher suite knows no certificate.
pub(crate) fn is_anonymous(number: u16) -> bool {
    matches!(
        number,
        0x0034 | 0x003a | 0x006c | 0x006d | 0x00a6 | 0x00a7 | 0xc018 | 0xc019
    )
}

/// The name of an alert (RFC 8446, 6), or its number.
pub fn alert_name(number: u8) -> String {
    match number {
        10 => "unexpected_message",
        40 => "handshake_failure",
        47 => "illegal_parameter",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        other => return other.to_string(),
    }
    .to_owned()
}

/// Bytes that grow, with lengths filled in afterwards.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// What `fill` writes, after its length in `width` bytes.
    fn counted(&mut self, width: usize, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        let length = (inner.0.len() as u64).to_be_bytes();
        self.0.extend(length.iter().skip(8 - width));
        self.bytes(&inner.0);
    }
}

pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Without chance the greeting is as good: nothing secret is said after it.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

/// The greeting in one record.
pub fn client_hello(greeting: &Greeting<'_>) -> Vec<u8> {
    let is_13 = greeting.newest == Version::Tls13;
    let only_13 = is_13 && greeting.only;
    let legacy = greeting.newest.min(Version::Tls12).number();
    let mut record = Writer::default();
    record.u8(22);
    record.u16(legacy.min(0x0301));
    record.counted(2, |message| {
        message.u8(1);
        message.counted(3, |hello| {
            hello.u16(legacy);
            hello.bytes(&random());
            hello.counted(1, |session| {
                if is_13 {
                    session.bytes(&random());
                }
            });
            hello.counted(2, |ciphers| {
                for &(number, _) in CIPHERS {
                    let of_13 = number >> 8 == 0x13;
                    if (of_13 && is_13) || (!of_13 && !only_13) {
                        ciphers.u16(number);
                    }
                }
                // Renegotiation is understood (RFC 5746, 3.3); SSL 3.0 knows no extension.
                ciphers.u16(0x00ff);
            });
            hello.counted(1, |compression| compression.u8(0));
            if greeting.newest > Version::Ssl3 {
                hello.counted(2, |all| extensions(all, greeting, is_13));
            }
        });
    });
    record.0
}

fn extensions(all: &mut Writer, greeting: &Greeting<'_>, is_13: bool) {
    if let Some(name) = greeting.name {
        all.u16(0);
        all.counted(2, |body| {
            body.counted(2, |list| {
                list.u8(0);
                list.counted(2, |text| text.bytes(name.as_bytes()));
            });
        });
    }
    // Groups: x25519, secp256r1, secp384r1, secp521r1, ffdhe2048.
    all.u16(10);
    all.counted(2, |body| {
        body.counted(2, |list| {
            for group in [0x001d, 0x0017, 0x0018, 0x0019, 0x0100] {
                list.u16(group);
            }
        });
    });
    all.u16(11);
    all.counted(2, |body| body.counted(1, |list| list.u8(0)));
    if greeting.newest >= Version::Tls12 {
        all.u16(13);
        all.counted(2, |body| {
            body.counted(2, |list| {
                for scheme in [
                    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501,
                    0x0601, 0x0203, 0x0201, 0x0202,
                ] {
                    list.u16(scheme);
                }
            });
        });
    }
    if is_13 {
        all.u16(43);
        all.counted(2, |body| {
            body.counted(1, |list| {
                for version in Version::ALL.into_iter().rev() {
                    if version == Version::Tls13 || (!greeting.only && version >= Version::Tls10) {
                        list.u16(version.number());
                    }
                }
            });
        });
        all.u16(45);
        all.counted(2, |body| body.counted(1, |list| list.u8(1)));
        all.u16(51);
        all.counted(2, |body| {
            body.counted(2, |list| {
                list.u16(0x001d);
                // Any 32 bytes are a point of the curve; the secret is never needed.
                list.counted(2, |key| key.bytes(&random()));
            });
        });
    }
}

/// Bytes that are read from the front; every read may fail and none can panic.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `width` bytes.
    fn number(&mut self, width: usize) -> Option<usize> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |all, &byte| all << 8 | usize::from(byte)),
        )
    }

    fn counted(&mut self, width: usize) -> Option<Self> {
        let length = self.number(width)?;
        self.take(length).map(Self)
    }
}

/// Reads what a server said; `None` where it does not speak TLS. Whatever lies about its length
/// ends the reading there.
pub fn read(bytes: &[u8]) -> Option<ServerWords> {
    let mut words = ServerWords::default();
    let mut handshake = Vec::new();
    let mut cursor = Cursor(bytes);
    let mut is_tls = false;
    while let Some(kind) = cursor.number(1) {
        let (Some(major), Some(_)) = (cursor.number(1), cursor.number(1)) else {
            break;
        };
        let Some(length) = cursor.number(2) else {
            break;
        };
        // RFC 8446, 5.2: a record holds no more.
        if major != 3 || length > (1 << 14) + 2048 || !(20..=24).contains(&kind) {
            break;
        }
        // A record that is cut off is read as far as it goes.
        let body = cursor.0.get(..length).unwrap_or(cursor.0);
        match kind {
            21 if length == 2 => {
                is_tls = true;
                words.alert = body.get(1).copied();
            }
            22 if handshake.len() + body.len() <= HANDSHAKE_BYTES => {
                handshake.extend_from_slice(body);
            }
            _ => {}
        }
        if cursor.take(length).is_none() {
            break;
        }
    }
    is_tls |= messages(&handshake, &mut words).is_some();
    is_tls.then_some(words)
}

/// Handshake messages; `None` where the first is no `ServerHello`.
fn messages(bytes: &[u8], words: &mut ServerWords) -> Option<()> {
    let mut cursor = Cursor(bytes);
    if cursor.number(1)? != 2 {
        return None;
    }
    server_hello(cursor.counted(3)?, words)?;
    while let Some(kind) = cursor.number(1) {
        let Some(mut body) = cursor.counted(3) else {
            break;
        };
        if kind == 11 && words.certificate.is_none() {
            let first = body
                .counted(3)
                .and_then(|mut list| list.counted(3))
                .map(|first| first.0.to_vec());
            words.certificate = first;
        }
    }
    Some(())
}

fn server_hello(mut hello: Cursor<'_>, words: &mut ServerWords) -> Option<()> {
    let mut version = Version::from_number(u16::try_from(hello.number(2)?).ok()?)?;
    hello.take(32)?;
    hello.counted(1)?;
    let cipher = u16::try_from(hello.number(2)?).ok()?;
    hello.number(1)?;
    if let Some(mut extensions) = hello.counted(2) {
        while let Some(kind) = extensions.number(2) {
            let Some(mut body) = extensions.counted(2) else {
                break;
            };
            if kind == 43 {
                let number = body.number(2).and_then(|number| u16::try_from(number).ok());
                version = number.and_then(Version::from_number).unwrap_or(version);
            }
        }
    }
    words.version = Some(version);
    words.cipher = Some(cipher);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A `ServerHello` of TLS 1.2 and a certificate message with the bytes `cert`.
    fn flight() -> Vec<u8> {
        let mut record = Writer::default();
        record.u8(22);
        record.u16(0x0303);
        record.counted(2, |body| {
            body.u8(2);
            body.counted(3, |hello| {
                hello.u16(0x0303);
                hello.bytes(&[7; 32]);
                hello.u8(0);
                hello.u16(0xc02f);
                hello.u8(0);
            });
            body.u8(11);
            body.counted(3, |message| {
                message.counted(3, |list| list.counted(3, |first| first.bytes(b"cert")));
            });
        });
        record.0
    }

    #[test]
    fn a_flight_tells_version_cipher_and_certificate() {
        let words = read(&flight()).unwrap();
        assert_eq!(words.version, Some(Version::Tls12));
        assert_eq!(words.certificate.as_deref(), Some(&b"cert"[..]));
        assert_eq!(
            cipher_name(words.cipher.unwrap()),
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        );
    }

    #[test]
    fn suites_without_a_certificate_are_known_as_such() {
        for &(number, name) in CIPHERS {
            assert_eq!(is_anonymous(number), name.contains("_anon_"), "{name}");
        }
    }

    #[test]
    fn an_alert_is_tls_and_text_is_not() {
        let words = read(&[21, 3, 1, 0, 2, 2, 40]).unwrap();
        assert_eq!(
            words.alert.map(alert_name).as_deref(),
            Some("handshake_failure")
        );
        assert_eq!(read(b"HTTP/1.1 400 Bad Request\r\n"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        let mut lying = flight();
        // The record claims more than there is; what came is read all the same.
        lying[3..5].copy_from_slice(&[0x40, 0]);
        assert_eq!(read(&lying).unwrap().version, Some(Version::Tls12));
        // A certificate that claims sixteen megabytes is none.
        let at = lying.len() - 7;
        lying[at..at + 3].copy_from_slice(&[0xff; 3]);
        assert_eq!(read(&lying).unwrap().certificate, None);
    }

    #[test]
    fn a_greeting_holds_what_its_lengths_say() {
        for newest in Version::ALL {
            let bytes = client_hello(&Greeting {
                name: Some("host.example"),
                newest,
                only: false,
            });
            let length = usize::from(bytes[3]) << 8 | usize::from(bytes[4]);
            assert_eq!(bytes.len(), 5 + length);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read(&bytes);
        }
    }
}
