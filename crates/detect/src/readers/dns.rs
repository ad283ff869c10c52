//! DNS (RFC 1035): what a server says of its version in class CHAOS (RFC 4892).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "dns",
    reads: &["dns-version", "dns-version-tcp"],
    fields: &["version-bind", "rcode"],
    read,
};

/// The type of texts.
const TXT: usize = 16;

fn read(bytes: &[u8]) -> Option<Reading> {
    // Over TCP the length comes first; the identifier that was sent tells which it is.
    let message = match bytes {
        [_, _, 0x50, 0x6f, ..] => bytes.get(2..)?,
        [0x50, 0x6f, ..] => bytes,
        _ => return None,
    };
    let mut header = Cursor(message);
    header.take(2)?;
    let flags = header.be(2)?;
    // An answer to a query, of opcode 0.
    if flags & 0xf800 != 0x8000 {
        return None;
    }
    let (questions, answers) = (header.be(2)?, header.be(2)?);
    header.take(4)?;
    let mut reading = Reading::new("domain");
    let rcode = flags & 15;
    reading.field("rcode", rcode.to_string());
    reading.fact(
        "dns.recursion",
        if flags & 0x80 == 0 { b"no" } else { b"yes" },
    );
    let mut text = None;
    if questions <= 1 {
        text = version(header, questions, answers);
    }
    match text {
        Some(text) if !text.is_empty() => {
            reading.fact("dns.version-bind", &text);
            reading.field("version-bind", text);
        }
        // It was asked and does not say.
        _ => reading.hidden = true,
    }
    Some(reading)
}

/// The first text among the answers.
fn version(mut cursor: Cursor<'_>, questions: usize, answers: usize) -> Option<Vec<u8>> {
    for _ in 0..questions {
        skip_name(&mut cursor)?;
        cursor.take(4)?;
    }
    for _ in 0..answers.min(8) {
        skip_name(&mut cursor)?;
        let kind = cursor.be(2)?;
        cursor.take(6)?;
        let data = cursor.counted(2)?;
        if kind == TXT {
            let mut texts = Cursor(data);
            let mut all = Vec::new();
            while let Some(text) = texts.counted(1) {
                all.extend_from_slice(text);
            }
            return Some(all);
        }
    }
    None
}

/// Passes over a name; a pointer ends it (RFC 1035, 4.1.4).
fn skip_name(cursor: &mut Cursor<'_>) -> Option<()> {
    for _ in 0..128 {
        match cursor.be(1)? {
            0 => return Some(()),
            length @ 1..=63 => cursor.take(length).map(drop)?,
            192..=255 => return cursor.take(1).map(drop),
            _ => return None,
        }
    }
    None
}
