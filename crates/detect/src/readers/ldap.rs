//! The root of an LDAP server (RFC 4512, 5.1): its entry, or the result alone.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "ldap",
    reads: &["ldap-root"],
    fields: &[
        "vendor",
        "vendor-version",
        "class",
        "hostname",
        "functionality",
        "context",
    ],
    read,
};

/// Attributes that become fields or facts: the attribute, the field, the fact.
const ATTRIBUTES: [(&[u8], &str, &str); 7] = [
    (b"vendorName", "vendor", "ldap.vendor"),
    (b"vendorVersion", "vendor-version", "ldap.vendor-version"),
    (b"structuralObjectClass", "class", ""),
    (b"objectClass", "class", ""),
    (b"dnsHostName", "hostname", "ldap.dns-host-name"),
    (
        b"domainControllerFunctionality",
        "functionality",
        "ldap.domain-controller-functionality",
    ),
    (b"namingContexts", "context", "ldap.naming-contexts"),
];

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut all = Cursor(bytes);
    let mut message = all.tagged(0x30)?;
    message.tagged(2)?;
    let (tag, body) = message.element()?;
    let mut reading = Reading::new("ldap");
    match tag {
        // SearchResultEntry (RFC 4511, 4.5.2).
        0x64 => {
            let mut entry = Cursor(body);
            entry.tagged(4)?;
            let mut attributes = entry.tagged(0x30)?;
            while let Some(mut attribute) = attributes.tagged(0x30) {
                let name = attribute.tagged(4)?.0;
                let mut values = Vec::new();
                let mut set = attribute.tagged(0x31)?;
                while let Some(value) = set.tagged(4) {
                    values.push(value.0);
                }
                let known = ATTRIBUTES
                    .iter()
                    .find(|(known, _, _)| known.eq_ignore_ascii_case(name));
                if let Some((_, field, fact)) = known {
                    let value = values.join(&b", "[..]);
                    if !fact.is_empty() {
                        reading.fact(fact, &value);
                    }
                    reading.field(field, value);
                }
            }
        }
        // SearchResultDone, an extended response (a notice of disconnection), a bind response.
        0x65 | 0x78 | 0x61 => {
            let code = Cursor(body).tagged(0x0a)?.0;
            let code = code.iter().fold(0, |all, &byte| all << 8 | u32::from(byte));
            reading.fact("ldap.result", code.to_string().as_bytes());
        }
        _ => return None,
    }
    Some(reading)
}
