//! The listener of Oracle's databases: its version from the number `VSNNUM` (TNS).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "tns",
    reads: &["tns-version"],
    fields: &["product", "version", "error"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut packet = Cursor(bytes);
    let length = packet.be(2)?;
    packet.take(2)?;
    let kind = packet.be(1)?;
    // Accept, refuse, redirect, data, resend.
    if !(8..=4096).contains(&length) || !matches!(kind, 2 | 4 | 5 | 6 | 11) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let after = |key: &str| {
        let rest = text.split(key).nth(1)?;
        Some(
            rest.split(|character: char| !character.is_ascii_digit())
                .next()?
                .to_owned(),
        )
    };
    let number: Option<u32> = after("VSNNUM=").and_then(|digits| digits.parse().ok());
    if number.is_none() && !text.contains("DESCRIPTION") && kind != 11 {
        return None;
    }
    let mut reading = Reading::new("oracle-tns");
    if let Some(number) = number {
        reading.field("product", "Oracle TNS listener");
        // Eight bits, four, eight, four, eight.
        let version = format!(
            "{}.{}.{}.{}.{}",
            number >> 24,
            number >> 20 & 15,
            number >> 12 & 255,
            number >> 8 & 15,
            number & 255
        );
        if number > 0 {
            reading.field("version", version);
        }
    }
    if let Some(error) = after("ERR=") {
        reading.fact("tns.error", error.as_bytes());
        reading.field("error", error);
    }
    Some(reading)
}
