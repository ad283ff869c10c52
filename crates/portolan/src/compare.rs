//! The `diff` command: two results, and what is different.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use portolan_model::{Reach, ScanRecord};
use portolan_report::diff::{self, has_end};
use portolan_store::{Mode, ScanId};

use crate::data;
use crate::failure::{Failure, Result, io_reason, visible};
use crate::server_args::DataArgs;

/// What `diff` has to say.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The changes, for standard output.
    pub(crate) text: String,
    /// Whether anything is different, or may be: a scan that did not finish proves nothing of
    /// what it did not come to.
    pub(crate) may_differ: bool,
    /// Which of the two did not finish, and why that is known.
    pub(crate) warnings: Vec<Failure>,
}

/// Compares two results.
///
/// # Errors
/// When one of the files cannot be read as a result.
pub(crate) fn compare(
    old: &Path,
    new: &Path,
    data: &DataArgs,
    stdin: &mut dyn BufRead,
) -> Result<Comparison> {
    if is_stdin(old) && is_stdin(new) {
        return Err(
            Failure::new("standard input cannot be both results").hint("give one of them a file")
        );
    }
    let (asked_before, before) = read(old, data, stdin)?;
    let (asked_after, after) = read(new, data, stdin)?;
    let found = diff::compare(
        (&before, asked_before.as_ref()),
        (&after, asked_after.as_ref()),
    );
    let warnings: Vec<Failure> = [(old, &before), (new, &after)]
        .into_iter()
        .filter(|(_, record)| !has_end(record))
        .map(|(file, record)| unfinished(file, record))
        .collect();
    Ok(Comparison {
        text: found.text(),
        may_differ: !found.is_empty() || !warnings.is_empty(),
        warnings,
    })
}

/// What is said of a result whose scan did not finish.
fn unfinished(file: &Path, record: &ScanRecord) -> Failure {
    let why = if record.finished.is_some() {
        "its scan was cancelled"
    } else {
        "its scan was interrupted, or is still running: there is no `scan.done` or `runstats` at its end"
    };
    Failure::new(format!("{} is incomplete: {why}", shown(file)))
        .hint("what it lacks is not compared; scan again to be sure")
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn shown(file: &Path) -> String {
    if is_stdin(file) {
        "standard input".to_owned()
    } else {
        format!("`{}`", visible(&file.display().to_string()))
    }
}

/// A result from a file, from standard input, or from the history where a number names no file.
/// The history also knows which hosts the scan was to ask.
fn read(
    file: &Path,
    data: &DataArgs,
    stdin: &mut dyn BufRead,
) -> Result<(Option<Reach>, ScanRecord)> {
    let number = file.to_str().and_then(|text| text.parse::<ScanId>().ok());
    if let Some(id) = number.filter(|_| !file.exists()) {
        let store = data::open(data, Mode::Read)?;
        let (reach, record) = store.asked_and_found(id).map_err(data::failure)?;
        return Ok((Some(reach), record));
    }
    let unread = |error: &io::Error| {
        Failure::new(format!("cannot read {}: {}", shown(file), io_reason(error)))
    };
    let result = if is_stdin(file) {
        portolan_report::read(stdin)
    } else {
        let opened = File::open(file).map_err(|error| unread(&error))?;
        portolan_report::read(&mut BufReader::new(opened))
    };
    let record = result.map_err(|error| {
        match &error {
            portolan_report::ReadError::Io(source) => unread(source),
            _ => Failure::new(format!(
                "cannot read {}: {}",
                shown(file),
                visible(&error.to_string())
            )),
        }
        .hint("give two results in XML (`-oX`) or JSON lines (`-oJ`)")
    })?;
    Ok((None, record))
}
