//! Mumble: the answer to a ping over UDP, with version and users.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "mumble",
    reads: &["mumble-ping"],
    fields: &["product", "version", "info"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut answer = Cursor(bytes);
    let (zero, major, minor, patch) = (answer.be(1)?, answer.be(1)?, answer.be(1)?, answer.be(1)?);
    // The identifier that was sent comes back.
    if zero != 0 || answer.take(8)? != b"portolan" || bytes.len() != 24 {
        return None;
    }
    let (users, most) = (answer.be(4)?, answer.be(4)?);
    let mut reading = Reading::new("mumble");
    reading.field("product", "Mumble server");
    reading.field("version", format!("{major}.{minor}.{patch}"));
    reading.field("info", format!("{users} of {most} users"));
    Some(reading)
}
