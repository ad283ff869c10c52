//! The `version` message of Bitcoin and its kin.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "bitcoin",
    reads: &["bitcoin-version"],
    fields: &["agent"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes);
    message.take(4)?;
    if message.take(12)? != b"version\0\0\0\0\0" {
        return None;
    }
    message.take(8)?;
    let protocol = message.le(4)?;
    // Services, time, two addresses, nonce.
    message.take(8 + 8 + 26 + 26 + 8)?;
    let agent = message.counted(1)?;
    let height = message.le(4)?;
    let mut reading = Reading::new("bitcoin");
    reading.field("agent", agent);
    reading.fact("bitcoin.agent", agent);
    reading.fact("bitcoin.protocol", protocol.to_string().as_bytes());
    reading.fact("bitcoin.height", height.to_string().as_bytes());
    Some(reading)
}
