//! The names of a NetBIOS node (RFC 1002, 4.2.18).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "netbios",
    reads: &["netbios-status"],
    fields: &["hostname", "info"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes);
    message.take(2)?;
    if message.be(2)? & 0x8000 == 0 {
        return None;
    }
    message.take(8)?;
    // The name in its coded form, then type NBSTAT, class IN.
    message.counted(1)?;
    if message.be(1)? != 0 || message.be(2)? != 0x21 {
        return None;
    }
    message.take(6)?;
    let mut data = Cursor(message.counted(2)?);
    let count = data.be(1)?;
    let mut reading = Reading::new("netbios-ns");
    let mut names = Vec::new();
    for _ in 0..count {
        let (Some(name), Some(suffix), Some(flags)) = (data.take(15), data.be(1), data.be(2))
        else {
            break;
        };
        let is_group = flags & 0x8000 != 0;
        let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
        if suffix == 0 && !is_group {
            reading.field("hostname", name.as_bytes());
        } else if suffix == 0 && is_group {
            reading.field("info", format!("workgroup {name}"));
        }
        names.push(format!("{name}<{suffix:02x}>"));
    }
    reading.fact("netbios.names", names.join(", ").as_bytes());
    if let Some(mac) = data.take(6).filter(|mac| mac.iter().any(|&byte| byte != 0)) {
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        reading.fact("netbios.mac", mac.join(":").as_bytes());
    }
    reading.hidden = true;
    Some(reading)
}
