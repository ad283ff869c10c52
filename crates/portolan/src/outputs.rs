//! Results for files and other programs: which are asked for, whether they can be written, and
//! the writing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use portolan_model::ScanRecord;
use portolan_report::{Format, WriteOptions};

use crate::args::OutputArgs;
use crate::failure::{Failure, Result, io_reason, visible};

/// One result to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// In which form.
    pub(crate) format: Format,
    /// Where to.
    pub(crate) to: Destination,
}

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output, in place of the table.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// What the options ask for, in the order in which they are listed in the help.
///
/// # Errors
/// When two would go to standard output or into one file.
pub(crate) fn plan(args: &OutputArgs) -> Result<Vec<Output>> {
    let mut outputs: Vec<Output> = Vec::new();
    if args.json {
        outputs.push(Output {
            format: Format::JsonLines,
            to: Destination::Stdout,
        });
    }
    for (format, files) in [
        (Format::Xml, &args.xml),
        (Format::JsonLines, &args.jsonl),
        (Format::Grepable, &args.grepable),
        (Format::Normal, &args.normal),
        (Format::Csv, &args.csv),
        (Format::Markdown, &args.markdown),
        (Format::Html, &args.html),
    ] {
        outputs.extend(files.iter().map(|file| Output {
            format,
            to: destination(file),
        }));
    }
    for base in &args.all_formats {
        if base.as_os_str() == "-" {
            return Err(
                Failure::new("`-oA -` would put four results on standard output")
                    .hint("give `-oA` the beginning of a file name"),
            );
        }
        if base.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let base = shown(base);
            return Err(Failure::new(format!(
                "`-oA {base}` names a directory, not the beginning of a file name"
            ))
            .hint(format!(
                "write `-oA {base}scan` for `{base}scan.xml` and others"
            )));
        }
        for format in [
            Format::Xml,
            Format::JsonLines,
            Format::Grepable,
            Format::Normal,
        ] {
            let mut name = base.as_os_str().to_owned();
            name.push(".");
            name.push(format.extension());
            outputs.push(Output {
                format,
                to: Destination::File(name.into()),
            });
        }
    }
    for (index, output) in outputs.iter().enumerate() {
        let again = outputs.iter().skip(index + 1);
        if !again.clone().any(|other| is_same(&other.to, &output.to)) {
            continue;
        }
        return Err(match &output.to {
            Destination::Stdout => Failure::new("two results cannot both go to standard output")
                .hint("give one of them a file"),
            Destination::File(file) => {
                Failure::new(format!("two results cannot both go to `{}`", shown(file)))
            }
        });
    }
    Ok(outputs)
}

fn destination(file: &Path) -> Destination {
    if file.as_os_str() == "-" {
        Destination::Stdout
    } else {
        Destination::File(file.to_owned())
    }
}

/// Whether two results would go to one place, however the files are written.
fn is_same(one: &Destination, other: &Destination) -> bool {
    let place = |file: &Path| {
        let whole = followed(file);
        let directory = followed(&directory(&whole));
        whole.file_name().map(|name| directory.join(name))
    };
    match (one, other) {
        (Destination::File(one), Destination::File(other)) => {
            one == other || place(one).is_some_and(|one| Some(one) == place(other))
        }
        _ => one == other,
    }
}

fn shown(file: &Path) -> String {
    visible(&file.display().to_string())
}

/// Finds out before a scan whether its results can be written after it.
///
/// # Errors
/// For the first file that cannot.
pub(crate) fn check(outputs: &[Output]) -> Result<()> {
    for output in outputs {
        if let Destination::File(file) = &output.to {
            check_file(file).map_err(|error| {
                let failure = Failure::new(format!(
                    "cannot write `{}`: {}",
                    shown(file),
                    io_reason(&error)
                ));
                match file.parent() {
                    Some(parent)
                        if error.kind() == io::ErrorKind::NotFound
                            && !parent.as_os_str().is_empty()
                            && !parent.exists() =>
                    {
                        failure.hint(format!("make the directory `{}` first", shown(parent)))
                    }
                    _ => failure,
                }
            })?;
        }
    }
    Ok(())
}

fn check_file(file: &Path) -> io::Result<()> {
    if file.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // A device or a pipe is written as it is; opening a pipe here could wait for ever.
        Ok(found) if !found.is_file() => return access(file),
        Ok(_) => access(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // A full or read-only file system, or a directory without the right, shows now.
    tempfile::Builder::new()
        .prefix(".portolan-")
        .tempfile_in(directory(&followed(file)))
        .map(drop)
        .map_err(|error| {
            // Such is the answer of file systems in which nobody can make a file, as of /proc.
            let is_there = directory(&followed(file)).is_dir();
            if error.kind() == io::ErrorKind::NotFound && is_there {
                io::Error::other("no file can be made in this directory")
            } else {
                error
            }
        })
}

/// As many links in a row as Linux follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

fn access(file: &Path) -> io::Result<()> {
    rustix::fs::access(file, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
}

/// The file that a link leads to, so that the link stays one, also where that file is not there
/// yet.
fn followed(file: &Path) -> PathBuf {
    let mut file = file.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(whole) = fs::canonicalize(&file) {
            return whole;
        }
        let Ok(to) = fs::read_link(&file) else { break };
        // A relative one begins where the link lies.
        file = directory(&file).join(to);
    }
    file
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes a result to a file: whole or not at all, so that no reader sees half of it.
///
/// # Errors
/// When it cannot be written; then what was there before is still there.
pub(crate) fn write_file(
    file: &Path,
    format: Format,
    record: &ScanRecord,
    options: &WriteOptions,
) -> io::Result<()> {
    let file = followed(file);
    let before = fs::metadata(&file).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(&file)?);
        portolan_report::write(format, record, options, &mut out)?;
        return out.flush();
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".portolan-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = before.as_ref().map_or_else(
            || fs::Permissions::from_mode(0o666),
            fs::Metadata::permissions,
        );
        builder.permissions(mode);
    }
    let temporary = builder.tempfile_in(directory(&file))?;
    let mut out = BufWriter::new(temporary);
    portolan_report::write(format, record, options, &mut out)?;
    let temporary = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    #[cfg(unix)]
    if let Some(before) = before {
        use std::os::unix::fs::MetadataExt as _;
        // Root's scan leaves the file to whose it was; others may give nothing away.
        let owner = (Some(before.uid()), Some(before.gid()));
        let _ = std::os::unix::fs::fchown(temporary.as_file(), owner.0, owner.1);
    }
    temporary.as_file().sync_data()?;
    temporary.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

/// The error line for a result that was not written.
pub(crate) fn not_written(file: &Path, error: &io::Error) -> Failure {
    Failure::new(format!(
        "cannot write `{}`: {}",
        shown(file),
        io_reason(error)
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn record() -> ScanRecord {
        ScanRecord::new("portolan 192.0.2.1", "0")
    }

    fn write(file: &Path) -> io::Result<()> {
        write_file(file, Format::Xml, &record(), &WriteOptions::default())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_result_replaces_the_file_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scan.xml");
        fs::write(&file, "old").unwrap();
        write(&file).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("</nmaprun>"));
        assert_eq!(names(directory.path()), ["scan.xml"]);
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&file).unwrap().contains("</nmaprun>"));
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        symlink("real", &link).unwrap();
        write(&link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let file = directory.path().join("real");
        assert!(fs::read_to_string(&file).unwrap().contains("</nmaprun>"));
    }

    #[test]
    fn a_device_is_written_and_not_replaced() {
        check_file(Path::new("/dev/null")).unwrap();
        write(Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let error = write(Path::new("/dev/full")).unwrap_err();
        assert_eq!(
            not_written(Path::new("/dev/full"), &error).message,
            "cannot write `/dev/full`: no space left on the device"
        );
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        check_file(&directory.path().join("scan.xml")).unwrap();
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn what_cannot_be_written_is_found_before() {
        let checked = |file: &str| {
            let output = Output {
                format: Format::Xml,
                to: Destination::File(file.into()),
            };
            let failure = check(&[output]).unwrap_err();
            (failure.message, failure.hint)
        };
        assert_eq!(
            checked("/nonexistent/scan.xml"),
            (
                "cannot write `/nonexistent/scan.xml`: no such file or directory".to_owned(),
                Some("make the directory `/nonexistent` first".to_owned())
            )
        );
        assert_eq!(
            checked("/proc/scan.xml"),
            (
                "cannot write `/proc/scan.xml`: no file can be made in this directory".to_owned(),
                None
            )
        );
        assert_eq!(checked("/tmp").0, "cannot write `/tmp`: it is a directory");
        assert_eq!(
            checked("/dev/null/scan.xml").0,
            "cannot write `/dev/null/scan.xml`: a part of its path is no directory"
        );
    }
}
