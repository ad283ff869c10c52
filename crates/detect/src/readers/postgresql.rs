//! What PostgreSQL says to a version of its protocol that never was.
//!
//! The error names the versions that it supports, which tell releases apart as far as they
//! changed; the release itself is hidden from whoever has not logged in.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "postgresql",
    reads: &["postgresql-version"],
    fields: &["message", "routine", "product", "info"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut cursor = Cursor(bytes);
    if cursor.take(1)? != b"E" {
        return None;
    }
    let length = cursor.be(4)?.checked_sub(4)?;
    if length > 4096 {
        return None;
    }
    let mut body = Cursor(cursor.0.get(..length)?);
    let mut message = None;
    let mut routine = None;
    while let Some(kind @ 1..) = body.be(1) {
        let value = body.until_zero()?;
        match u8::try_from(kind) {
            Ok(b'M') => message = Some(value),
            Ok(b'R') => routine = Some(value),
            _ => {}
        }
    }
    let message = message?;
    let mut reading = Reading::new("postgresql");
    reading.field("message", message);
    // Relatives leave out where in the source they are; its own says so.
    if routine == Some(b"ProcessStartupPacket") {
        reading.field("product", "PostgreSQL");
        reading.priority = 40;
        let text = String::from_utf8_lossy(message);
        let range = text.rsplit("supports ").next().unwrap_or_default();
        let info = match range {
            "1.0 to 3.0" => "release 9.6 or older",
            "2.0 to 3.0" => "release 10 to 13",
            "3.0 to 3.0" => "release 14 to 17",
            "3.0 to 3.2" => "release 18 or newer",
            _ => "",
        };
        if !info.is_empty() {
            reading.field("info", info);
        }
    }
    if let Some(routine) = routine {
        reading.field("routine", routine);
    }
    reading.hidden = true;
    Some(reading)
}
