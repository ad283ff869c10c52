//! The answer of an X server to a connection without authorization (X11, 8, "Connection Setup").

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "x11",
    reads: &["x11-setup"],
    fields: &["server", "release", "reason", "version", "info"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut reply = Cursor(bytes);
    let kind = reply.le(1)?;
    let reason_length = reply.le(1)?;
    let (major, minor, words) = (reply.le(2)?, reply.le(2)?, reply.le(2)?);
    if major != 11 || minor > 10 {
        return None;
    }
    let mut reading = Reading::new("x11");
    match kind {
        // Refused, with a reason.
        0 => {
            let reason = reply.take(reason_length)?;
            reading.field("reason", reason);
            reading.field("info", "access denied");
            reading.fact("x11.reason", reason);
            reading.hidden = true;
        }
        1 => {
            if words < 8 {
                return None;
            }
            let release = reply.le(4)?;
            reply.take(12)?;
            let vendor = reply.le(2)?;
            reply.take(14)?;
            let vendor = reply.take(vendor)?;
            reading.field("release", release.to_string());
            reading.field("info", "open to everybody");
            reading.fact("x11.vendor", vendor);
            // X.Org writes 1.20.11 as 12011000 and 21.1.7 as 12101007.
            if vendor == b"The X.Org Foundation" {
                let version = if release >= 12_100_000 {
                    let rest = release - 12_000_000;
                    format!(
                        "{}.{}.{}",
                        rest / 100_000 + 20,
                        rest / 1000 % 100,
                        rest % 1000
                    )
                } else {
                    format!(
                        "{}.{}.{}",
                        release / 10_000_000,
                        release / 100_000 % 100,
                        release / 1000 % 100
                    )
                };
                let server = format!("The X.Org Foundation {version}");
                reading.field("server", server);
                reading.field("version", version);
            }
        }
        _ => return None,
    }
    Some(reading)
}
