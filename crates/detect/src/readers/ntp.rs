//! NTP: an answer to a client (RFC 5905, 7.3), or to the question for its variables (RFC 9327).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "ntp",
    reads: &["ntp-variables", "ntp-client"],
    fields: &["variables"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut cursor = Cursor(bytes);
    let first = cursor.be(1)?;
    let mut reading = Reading::new("ntp");
    match first & 7 {
        // A server's answer.
        4 if bytes.len() >= 48 => {
            let stratum = cursor.be(1)?;
            if stratum > 16 {
                return None;
            }
            reading.fact("ntp.version", (first >> 3 & 7).to_string().as_bytes());
            reading.fact("ntp.stratum", stratum.to_string().as_bytes());
            // An answer to a client says nothing of the program.
            reading.hidden = true;
            reading.priority = 25;
        }
        // A control message: response bit, read variables.
        6 => {
            let operation = cursor.be(1)?;
            if operation & 0x9f != 0x82 {
                return None;
            }
            cursor.take(8)?;
            let length = cursor.be(2)?;
            let text = cursor.0.get(..length).unwrap_or(cursor.0);
            reading.field("variables", text);
        }
        _ => return None,
    }
    Some(reading)
}
