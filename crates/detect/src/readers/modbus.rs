//! The identification of a Modbus device (MODBUS Application Protocol 1.1b3, 6.21).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "modbus",
    reads: &["modbus-identification"],
    fields: &["vendor", "product", "version"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes);
    // The transaction that was sent, protocol 0.
    if message.be(4)? != 0x506f_0000 {
        return None;
    }
    let mut body = Cursor(message.counted(2)?);
    body.take(1)?;
    let mut reading = Reading::new("modbus");
    reading.hidden = true;
    match body.be(1)? {
        0x2b => {
            if body.be(1)? != 0x0e {
                return None;
            }
            body.take(4)?;
            let (mut vendor, mut code): (&[u8], &[u8]) = (&[], &[]);
            for _ in 0..body.be(1)? {
                let (Some(id), Some(value)) = (body.be(1), body.counted(1)) else {
                    break;
                };
                match id {
                    0 => {
                        vendor = value;
                        reading.field("vendor", value);
                        reading.fact("modbus.vendor", value);
                    }
                    1 => code = value,
                    2 => reading.field("version", value),
                    _ => {}
                }
            }
            // A product's code says little without who made it.
            if code.starts_with(vendor) {
                reading.field("product", code);
            } else {
                reading.field("product", [vendor, b" ", code].concat());
            }
        }
        // An exception: it speaks Modbus and does not know the question.
        0xab => {}
        _ => return None,
    }
    Some(reading)
}
