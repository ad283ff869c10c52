//! What a file server of Apple's protocol says before a log-in (AFP, `FPGetSrvrInfo`).

use super::{Reader, Reading};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "afp",
    reads: &["afp-status"],
    fields: &["machine", "hostname", "versions"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut packet = Cursor(bytes);
    // A reply to DSIGetStatus.
    if packet.be(2)? != 0x0103 {
        return None;
    }
    packet.take(6)?;
    let length = packet.be(4)?;
    packet.take(4)?;
    let block = packet.0.get(..length)?;
    let at = |offset: usize| {
        let mut cursor = Cursor(block.get(offset..)?);
        cursor.counted(1)
    };
    let mut head = Cursor(block);
    let (machine, versions) = (head.be(2)?, head.be(2)?);
    let mut reading = Reading::new("afp");
    let machine = at(machine)?;
    reading.field("machine", machine);
    reading.fact("afp.machine", machine);
    let name = at(10)?;
    reading.field("hostname", name);
    let mut list = Cursor(block.get(versions..)?);
    let mut names = Vec::new();
    for _ in 0..list.be(1)? {
        let Some(name) = list.counted(1) else { break };
        names.push(name);
    }
    let names = names.join(&b", "[..]);
    reading.fact("afp.versions", &names);
    reading.field("versions", names);
    Some(reading)
}
