//! The first packet of MySQL and its kin: a handshake of version 10, or why there is none.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "mysql",
    reads: &[],
    fields: &["version", "error", "plugin"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut packet = Cursor(bytes);
    let (length, sequence) = (packet.le(3)?, packet.le(1)?);
    if !(5..=2048).contains(&length) || sequence > 1 {
        return None;
    }
    let mut body = Cursor(packet.0.get(..length)?);
    let mut reading = Reading::new("mysql");
    match body.le(1)? {
        10 => {
            let version = body.until_zero()?;
            if version.is_empty() || version.len() > 100 || !version.is_ascii() {
                return None;
            }
            reading.field("version", version);
            // Thread, salt, filler, capabilities, character set, status, capabilities.
            body.take(4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10)?;
            body.take(12)?;
            if body.take(1) == Some(&[0])
                && let Some(plugin) = body.until_zero()
            {
                reading.field("plugin", plugin);
                reading.fact("mysql.plugin", plugin);
            }
        }
        0xff => {
            let code = body.le(2)?;
            let text = body.0.strip_prefix(b"#").and_then(|rest| rest.get(5..));
            let text = text.unwrap_or(body.0);
            // 1000 to 1999 are errors of the server; these say that a stranger is refused.
            if !(1000..2000).contains(&code) || !text.is_ascii() || text.len() < 8 {
                return None;
            }
            reading.field("error", text);
            reading.fact("mysql.error", text);
        }
        _ => return None,
    }
    Some(reading)
}
