//! The `diff` command: two results, and what is different.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use portolan_model::ScanRecord;
use portolan_report::diff::diff;

use crate::failure::{Failure, Result, io_reason, visible};

/// What `diff` prints, and whether anything is different.
///
/// # Errors
/// When one of the files cannot be read as a result.
pub(crate) fn compare(old: &Path, new: &Path) -> Result<(String, bool)> {
    let found = diff(&read(old)?, &read(new)?);
    Ok((found.text(), !found.is_empty()))
}

fn read(file: &Path) -> Result<ScanRecord> {
    let shown = visible(&file.display().to_string());
    let opened = File::open(file)
        .map_err(|error| Failure::new(format!("cannot read `{shown}`: {}", io_reason(&error))))?;
    portolan_report::read(&mut BufReader::new(opened)).map_err(|error| {
        let mut message = format!("cannot read `{shown}`: {}", visible(&error.to_string()));
        if let portolan_report::ReadError::Io(source) = &error {
            message = format!("cannot read `{shown}`: {}", io_reason(source));
        }
        Failure::new(message).hint("give two results in XML (`-oX`) or JSON lines (`-oJ`)")
    })
}
