//! What fuzzing runs: bodies that hold for any bytes, so that tests can run them too.

use portolan_model::ScanRecord;

use crate::escape::is_hidden;
use crate::{Format, WriteOptions, read, write};

/// Reads bytes as XML. What is read is written and read again, and is then the same.
///
/// # Panics
/// When that does not hold.
pub fn xml(bytes: &[u8]) {
    again(bytes, Format::Xml);
}

/// Reads bytes as JSON lines. What is read is written and read again, and is then the same.
///
/// # Panics
/// When that does not hold.
pub fn json_lines(bytes: &[u8]) {
    again(bytes, Format::JsonLines);
}

fn again(mut bytes: &[u8], format: Format) {
    let Ok(record) = read(&mut bytes) else {
        return;
    };
    let once = through(&record, format);
    let twice = through(&once, format);
    assert_eq!(once, twice, "what was read once reads the same again");
}

/// The record, written and read back.
fn through(record: &ScanRecord, format: Format) -> ScanRecord {
    let mut written = Vec::new();
    write(format, record, &WriteOptions::default(), &mut written).expect("memory takes all bytes");
    let text = std::str::from_utf8(&written).expect("what is written is UTF-8");
    assert!(
        !text.contains(|character| character != '\n' && is_hidden(character)),
        "nothing hidden is written"
    );
    if written.is_empty() {
        // Of a scan that never began and found nothing, there is nothing to say.
        return ScanRecord::default();
    }
    read(&mut written.as_slice()).expect("what is written can be read")
}
