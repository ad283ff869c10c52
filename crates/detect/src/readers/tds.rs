//! Microsoft SQL Server's answer to PRELOGIN (MS-TDS, 2.2.6.5): its version and encryption.

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "tds",
    reads: &["tds-prelogin"],
    fields: &["product", "version", "server"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut packet = Cursor(bytes);
    // A tabular result, whole.
    if packet.be(1)? != 4 || packet.be(1)? != 1 {
        return None;
    }
    let length = packet.be(2)?.checked_sub(8)?;
    packet.take(4)?;
    let body = packet.0.get(..length)?;
    let mut reading = Reading::new("ms-sql-s");
    let mut options = Cursor(body);
    for _ in 0..16 {
        let token = options.be(1)?;
        if token == 0xff {
            break;
        }
        let (offset, length) = (options.be(2)?, options.be(2)?);
        let value = body.get(offset..offset.checked_add(length)?)?;
        let mut value = Cursor(value);
        match token {
            0 => {
                let (major, minor, build) = (value.be(1)?, value.be(1)?, value.be(2)?);
                reading.field("version", format!("{major}.{minor}.{build}"));
                let release = match (major, minor) {
                    (8, _) => " 2000",
                    (9, _) => " 2005",
                    (10, 0) => " 2008",
                    (10, _) => " 2008 R2",
                    (11, _) => " 2012",
                    (12, _) => " 2014",
                    (13, _) => " 2016",
                    (14, _) => " 2017",
                    (15, _) => " 2019",
                    (16, _) => " 2022",
                    _ => "",
                };
                let product = format!("Microsoft SQL Server{release}");
                reading.field("server", format!("{product} {major}.{minor}.{build}"));
                reading.field("product", product);
            }
            1 => {
                let name: &[u8] = match value.be(1)? {
                    0 => b"off",
                    1 => b"on",
                    2 => b"not supported",
                    _ => b"required",
                };
                reading.fact("tds.encryption", name);
            }
            _ => {}
        }
    }
    (!reading.fields.is_empty()).then_some(reading)
}
