//! The first method of AMQP 0-9-1, `connection.start`, and its server properties.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "amqp",
    reads: &["amqp-start"],
    fields: &["product", "version", "info", "os", "hostname", "server"],
    read,
};

/// The most properties that are read.
const PROPERTIES: usize = 50;

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut frame = Cursor(bytes);
    // A method frame on channel 0: class 10, method 10.
    if frame.be(1)? != 1 || frame.be(2)? != 0 {
        return None;
    }
    frame.be(4)?;
    if frame.be(4)? != 0x000a_000a {
        return None;
    }
    let revision = (frame.be(1)?, frame.be(1)?);
    let mut reading = Reading::new("amqp");
    reading.fact(
        "amqp.version",
        format!("{}-{}", revision.0, revision.1).as_bytes(),
    );
    let mut table = Cursor(frame.counted(4)?);
    let (mut product, mut version) = (&b""[..], &b""[..]);
    for _ in 0..PROPERTIES {
        let (Some(name), Some(kind)) = (table.counted(1), table.take(1)) else {
            break;
        };
        let value = match kind {
            b"S" | b"x" | b"A" | b"F" => table.counted(4),
            b"t" | b"b" | b"B" => table.take(1),
            b"s" | b"u" | b"U" => table.take(2),
            b"I" | b"i" | b"f" => table.take(4),
            b"l" | b"L" | b"d" | b"T" => table.take(8),
            b"D" => table.take(5),
            b"V" => Some(&[][..]),
            _ => None,
        };
        let Some(value) = value else { break };
        match (name, kind) {
            (b"product", b"S") => product = value,
            (b"version", b"S") => version = value,
            (b"cluster_name", b"S") => {
                reading.fact("amqp.cluster", value);
                if let Some(at) = value.iter().position(|&byte| byte == b'@') {
                    reading.field("hostname", value.get(at + 1..).unwrap_or_default());
                }
            }
            (b"platform", b"S") => {
                reading.fact("amqp.platform", value);
            }
            _ => {}
        }
    }
    reading.field("server", [product, version].join(&b' '));
    reading.field("product", product);
    reading.field("version", version);
    if let Some(mechanisms) = frame.counted(4) {
        reading.fact("amqp.mechanisms", mechanisms);
    }
    Some(reading)
}
