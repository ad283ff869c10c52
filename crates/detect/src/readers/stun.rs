//! STUN (RFC 8489): the answer to a binding request, and the software that it names.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "stun",
    reads: &["stun-binding", "stun-binding-tcp"],
    fields: &["software"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes);
    // A success or an error of the method "binding", with the magic cookie.
    if !matches!(message.be(2)?, 0x0101 | 0x0111) {
        return None;
    }
    let length = message.be(2)?;
    if message.be(4)? != 0x2112_a442 {
        return None;
    }
    message.take(12)?;
    let mut attributes = Cursor(message.0.get(..length)?);
    let mut reading = Reading::new("stun");
    while let (Some(kind), Some(value)) = (attributes.be(2), attributes.counted(2)) {
        if kind == 0x8022 {
            reading.field("software", value);
            reading.fact("stun.software", value);
        }
        // Each is padded to four bytes.
        let padding = value.len().wrapping_neg() % 4;
        if attributes.take(padding).is_none() {
            break;
        }
    }
    reading.hidden = reading.fields.is_empty();
    Some(reading)
}
