//! The answer of MongoDB to `buildInfo` (`OP_MSG`, BSON).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "mongodb",
    reads: &["mongodb-build"],
    fields: &["version", "error", "modules", "product"],
    read,
};

/// Codes of messages that answer: `OP_MSG`, and `OP_REPLY` of servers before 3.6.
const OP_MSG: usize = 2013;
const OP_REPLY: usize = 1;

/// The most elements of a document that are read.
const ELEMENTS: usize = 200;

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes);
    let length = message.le(4)?;
    if !(21..=1 << 20).contains(&length) {
        return None;
    }
    message.take(8)?;
    match message.le(4)? {
        OP_MSG => message.take(5)?,
        OP_REPLY => message.take(20)?,
        _ => return None,
    };
    let mut document = message;
    document.take(4)?;
    let mut reading = Reading::new("mongodb");
    for _ in 0..ELEMENTS {
        let Some(kind @ 1..) = document.le(1) else {
            break;
        };
        let Some(name) = document.until_zero() else {
            break;
        };
        let value = match kind {
            // A string: its length, with the zero at its end.
            2 => document.le(4).and_then(|length| document.take(length)),
            1 | 9 | 17 | 18 => document.take(8),
            3 | 4 => {
                let size = Cursor(document.0).le(4);
                size.and_then(|size| document.take(size))
            }
            7 => document.take(12),
            8 => document.take(1),
            10 => Some(&[][..]),
            16 => document.take(4),
            _ => None,
        };
        let Some(value) = value else { break };
        if kind == 2 {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            match name {
                b"version" => reading.field("version", text),
                b"errmsg" => reading.field("error", text),
                _ => {}
            }
        }
    }
    if reading.fields.is_empty() {
        return None;
    }
    Some(reading)
}
