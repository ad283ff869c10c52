//! What a certificate says (RFC 5280), as facts by name.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use ring::digest;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::escape;
use crate::found::FIELD_CHARS;

/// The largest certificate that is read, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The most alternative names that are kept.
const MOST_NAMES: usize = 50;

/// The facts of a certificate in DER, at a time in seconds since 1970.
pub(crate) fn facts(der: &[u8], now: i64) -> Vec<(&'static str, String)> {
    let mut out = vec![
        ("sha256", hex(&digest::SHA256, der)),
        ("sha1", hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, der)),
    ];
    if der.len() > MOST_BYTES {
        out.push(("problem", format!("it has {} bytes", der.len())));
        return out;
    }
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        out.push(("problem", "it cannot be read".to_owned()));
        return out;
    };
    let text = |text: &str| escape::field(text.as_bytes(), FIELD_CHARS);
    let common = |name: &x509_parser::x509::X509Name<'_>| {
        name.iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(text)
    };
    out.push(("subject", text(&certificate.subject().to_string())));
    out.push(("issuer", text(&certificate.issuer().to_string())));
    out.extend(common(certificate.subject()).map(|name| ("subject.cn", name)));
    out.extend(common(certificate.issuer()).map(|name| ("issuer.cn", name)));
    let names = alternative_names(&certificate);
    if !names.is_empty() {
        out.push(("names", names.join(", ")));
    }
    let validity = certificate.validity();
    out.push(("not-before", date(validity.not_before.timestamp())));
    out.push(("not-after", date(validity.not_after.timestamp())));
    if validity.not_after.timestamp() < now {
        out.push(("expired", "yes".to_owned()));
    } else if validity.not_before.timestamp() > now {
        out.push(("expired", "not yet valid".to_owned()));
    }
    if certificate.subject() == certificate.issuer() {
        out.push(("self-signed", "yes".to_owned()));
    }
    out.push(("serial", text(&certificate.raw_serial_as_string())));
    if let Some(key) = key(&certificate) {
        out.push(("key", key));
    }
    let algorithm = &certificate.signature_algorithm.algorithm;
    let signature = match algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption".to_owned(),
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption".to_owned(),
        "1.2.840.113549.1.1.10" => "rsassaPss".to_owned(),
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption".to_owned(),
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption".to_owned(),
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption".to_owned(),
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1".to_owned(),
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256".to_owned(),
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384".to_owned(),
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512".to_owned(),
        "1.3.101.112" => "ed25519".to_owned(),
        other => text(other),
    };
    out.push(("signature", signature));
    out
}

fn hex(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in digest::digest(algorithm, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |kind: &str, text: &[u8]| format!("{kind}:{}", escape::field(text, FIELD_CHARS));
    names
        .value
        .general_names
        .iter()
        .take(MOST_NAMES)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(text("DNS", name.as_bytes())),
            GeneralName::RFC822Name(name) => Some(text("email", name.as_bytes())),
            GeneralName::URI(name) => Some(text("URI", name.as_bytes())),
            GeneralName::IPAddress(bytes) => {
                let address = match <[u8; 4]>::try_from(*bytes) {
                    Ok(four) => std::net::IpAddr::from(four),
                    Err(_) => std::net::IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
                };
                Some(format!("IP:{address}"))
            }
            _ => None,
        })
        .collect()
}

/// `2026-11-23T12:00:00Z`; years that no calendar here knows as seconds since 1970. The last
/// second of 9999 stands for no end at all (RFC 5280, 4.1.2.5), and is shown as it is.
fn date(seconds: i64) -> String {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(SignedDuration::from_secs(seconds))
        .map_or_else(|_| seconds.to_string(), |at| format!("{at}Z"))
}

/// `rsa 2048`, `ec 256`.
fn key(certificate: &X509Certificate<'_>) -> Option<String> {
    let key = certificate.public_key();
    Some(match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("rsa {}", rsa.key_size()),
        Ok(PublicKey::EC(point)) => format!("ec {}", point.key_size()),
        Ok(PublicKey::DSA(_)) => "dsa".to_owned(),
        _ => match key.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "ed25519".to_owned(),
            "1.3.101.113" => "ed448".to_owned(),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate() -> Vec<u8> {
        let names = vec!["box.example".to_owned(), "192.0.2.1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "box\x1b[2J");
        parameters.not_after = rcgen::date_time_ymd(4096, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_names_dates_and_key() {
        let facts = facts(&certificate(), 1_800_000_000);
        let fact = |name: &str| {
            let found = facts.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(fact("subject.cn"), Some(r"box\x1b[2J"));
        assert_eq!(fact("names"), Some("DNS:box.example, IP:192.0.2.1"));
        assert_eq!(fact("not-after"), Some("4096-01-01T00:00:00Z"));
        assert_eq!(fact("self-signed"), Some("yes"));
        assert_eq!(fact("key"), Some("ec 256"));
        assert_eq!(fact("expired"), None);
        assert_eq!(fact("sha256").map(str::len), Some(64));
    }

    #[test]
    fn a_certificate_of_megabytes_is_not_read() {
        let facts = facts(&vec![0x30; 2 << 20], 0);
        assert!(facts.contains(&("problem", "it has 2097152 bytes".to_owned())));
    }

    #[test]
    fn absurd_dates_are_shown_or_said_to_be_none() {
        let usual = certificate();
        let at = usual
            .windows(15)
            .position(|time| time == b"40960101000000Z")
            .unwrap();
        for (time, shown) in [
            (b"99991231235959Z", Some("9999-12-31T23:59:59Z")),
            (b"00010101000000Z", Some("0001-01-01T00:00:00Z")),
            (b"99999999999999Z", None),
            (b"20261332000000Z", None),
            (b"-0010101000000Z", None),
            (b"+1000001010000Z", None),
            (b"\xff\xff\xff\xff0101000000Z", None),
            (b"4096\x1b[2J000000Z", None),
        ] {
            let mut der = usual.clone();
            der[at..at + 15].copy_from_slice(time);
            let facts = facts(&der, 1_800_000_000);
            let fact = |name: &str| {
                let found = facts.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!(fact("not-after"), shown, "{time:?}");
            let problem = shown.is_none().then_some("it cannot be read");
            assert_eq!(fact("problem"), problem, "{time:?}");
            assert_eq!(fact("sha256").map(str::len), Some(64));
        }
        // Years that no calendar here knows are shown as they were counted.
        assert_eq!(date(253_402_300_800_000), "253402300800000");
        assert_eq!(date(i64::MIN), i64::MIN.to_string());
        assert_eq!(date(-1), "1969-12-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_makes_nothing_panic(at in 0_usize..500, byte: u8) {
            let mut der = certificate();
            let at = at % der.len();
            der[at] = byte;
            facts(&der, 0);
        }
    }
}
