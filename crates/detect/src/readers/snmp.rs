//! SNMP: the system's description (RFC 1157, RFC 3418), and the engine of version 3 (RFC 3414).

use std::fmt::Write as _;

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "snmp",
    reads: &["snmp-get", "snmp-v3"],
    fields: &["description", "name", "enterprise", "hostname"],
    read,
};

/// Enterprise numbers (IANA) of agents that are a product of their own.
const ENTERPRISES: [(usize, &str); 12] = [
    (9, "Cisco"),
    (11, "HP"),
    (171, "D-Link"),
    (311, "Microsoft"),
    (674, "Dell"),
    (2011, "Huawei"),
    (2021, "UCD-SNMP"),
    (2636, "Juniper"),
    (4526, "Netgear"),
    (6527, "Nokia"),
    (8072, "net-snmp"),
    (14988, "MikroTik"),
];

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut message = Cursor(bytes).tagged(0x30)?;
    let version = message.tagged(2)?.0;
    let mut reading = Reading::new("snmp");
    match version {
        [0 | 1] => {
            let name: &[u8] = if version == [0] { b"1" } else { b"2c" };
            reading.fact("snmp.version", name);
            message.tagged(4)?;
            let mut response = message.tagged(0xa2)?;
            response.tagged(2)?;
            response.tagged(2)?;
            response.tagged(2)?;
            let mut bindings = response.tagged(0x30)?;
            for (field, fact) in [("description", "snmp.description"), ("name", "snmp.name")] {
                let Some(mut binding) = bindings.tagged(0x30) else {
                    break;
                };
                binding.tagged(6)?;
                if let Some(value) = binding.tagged(4) {
                    reading.field(field, value.0);
                    reading.fact(fact, value.0);
                    if field == "name" {
                        reading.field("hostname", value.0);
                    }
                }
            }
        }
        [3] => {
            reading.fact("snmp.version", b"3");
            message.tagged(0x30)?;
            let mut security = message.tagged(4)?.tagged(0x30)?;
            let engine = security.tagged(4)?.0;
            let hex = engine.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            reading.fact("snmp.engine", hex.as_bytes());
            // RFC 3411, 5, SnmpEngineID: the first bit set, then the enterprise's number.
            let number = Cursor(engine).be(4)?;
            let number = number & 0x7fff_ffff;
            let known = ENTERPRISES.iter().find(|(known, _)| *known == number);
            if let Some((_, name)) = known {
                reading.field("enterprise", *name);
                reading.fact("snmp.enterprise", name.as_bytes());
            }
            reading.hidden = true;
        }
        _ => return None,
    }
    Some(reading)
}
