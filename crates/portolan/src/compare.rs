//! The `diff` command: two results, and what is different.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use portolan_model::ScanRecord;
use portolan_report::diff::diff;
use portolan_store::{Mode, ScanId};

use crate::data;
use crate::failure::{Failure, Result, io_reason, visible};
use crate::server_args::DataArgs;

/// What `diff` prints, and whether anything is different.
///
/// # Errors
/// When one of the files cannot be read as a result.
pub(crate) fn compare(old: &Path, new: &Path, data: &DataArgs) -> Result<(String, bool)> {
    let found = diff(&read(old, data)?, &read(new, data)?);
    Ok((found.text(), !found.is_empty()))
}

/// A result from a file, or from the history where a number names no file.
fn read(file: &Path, data: &DataArgs) -> Result<ScanRecord> {
    let number = file.to_str().and_then(|text| text.parse::<ScanId>().ok());
    if let Some(id) = number.filter(|_| !file.exists()) {
        let store = data::open(data, Mode::Read)?;
        return store.record(id).map_err(data::failure);
    }
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
