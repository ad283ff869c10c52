//! What a certificate says (RFC 5280), as facts by name.

use jiff::Timestamp;
use ring::digest;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

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
    out.push(("not-before", date(validity.not_before)));
    out.push(("not-after", date(validity.not_after)));
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

/// `2026-11-23T12:00:00Z`; years that no clock knows as seconds since 1970.
fn date(time: ASN1Time) -> String {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
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
