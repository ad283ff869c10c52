//! What can go wrong with the history, and what to do about it.

use std::path::PathBuf;

use crate::scan::ScanId;

/// Why the history could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither `XDG_DATA_HOME` nor `HOME` says where data belongs.
    #[error("no data directory: neither `XDG_DATA_HOME` nor `HOME` is set to an absolute path")]
    NoDataDir,
    /// A file or directory could not be made, read or locked.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server works on the same data.
    #[error("another server uses the data in `{}`", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no history yet, and reading makes none.
    #[error("there is no history in `{}`", path.display())]
    NoHistory {
        /// The data directory.
        path: PathBuf,
    },
    /// The history was written by a newer program.
    #[error("the history `{}` has schema {found}, this program knows schemas up to {known}", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The schema it has.
        found: usize,
        /// The newest schema that is known.
        known: usize,
    },
    /// The history was written by an older program, and was opened for reading only.
    #[error("the history `{}` has schema {found}, this program reads schema {known}", path.display())]
    OlderSchema {
        /// The database.
        path: PathBuf,
        /// The schema it has.
        found: usize,
        /// The schema that is read.
        known: usize,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the history's schema up to date")]
    Migration(#[source] rusqlite_migration::Error),
    /// The database refused.
    #[error("the history's database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// Something stored does not read as what it should be.
    #[error("the history holds {what} that cannot be read: {why}")]
    Damaged {
        /// Which part of the history.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No such scan.
    #[error("there is no scan {id}")]
    NoSuchScan {
        /// The number that was asked for.
        id: ScanId,
    },
    /// No scan ever found this host.
    #[error("no scan found the host {host}")]
    NoSuchHost {
        /// The host.
        host: portolan_model::Zoned,
    },
    /// More tags than one host or scan may have.
    #[error("a host or scan has at most {most} tags")]
    TooManyTags {
        /// How many there may be.
        most: usize,
    },
    /// The scan is not in a state in which this can be done.
    #[error("scan {id} is {state}: it cannot {action}")]
    WrongState {
        /// Which scan.
        id: ScanId,
        /// The state it is in.
        state: crate::scan::ScanState,
        /// What was to be done: `be deleted`, `go on`.
        action: &'static str,
    },
    /// A name that is taken.
    #[error("there is a user `{name}` already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A cursor that does not come from this list.
    #[error("`{text}` is no cursor of this list")]
    BadCursor {
        /// The cursor as given.
        text: String,
    },
    /// A store that was opened for reading was asked to write.
    #[error("the history was opened for reading only")]
    ReadOnly,
    /// The thread that writes has ended, after an error that was reported before.
    #[error("the history's writer has stopped")]
    WriterStopped,
    /// Results that were sent earlier could not be written; they are not in the history.
    #[error("results of scan {id} could not be written: {why}")]
    Lost {
        /// Which scan.
        id: ScanId,
        /// What the database said.
        why: String,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoDataDir => "name a directory with `--data DIR`",
            Self::File { .. } => {
                "check the directory's rights and space, or name another with `--data DIR`"
            }
            Self::InUse { .. } => "stop it, or give this one its own directory with `--data DIR`",
            Self::NoHistory { .. } => {
                "save a scan with `--save`, or name another directory with `--data DIR`"
            }
            Self::NewerSchema { .. } => {
                "run the newer program, or name another directory with `--data DIR`"
            }
            Self::OlderSchema { .. } => {
                "start the server once, or save a scan: that brings it up to date"
            }
            Self::NoSuchScan { .. } => "`portolan history` lists the scans",
            Self::NoSuchHost { .. } => "scan it first: what a scan found can be tagged",
            Self::TooManyTags { .. } => "take one off first",
            Self::WrongState {
                action: "be deleted",
                ..
            } => "cancel it first",
            Self::BadCursor { .. } => "start again without a cursor",
            Self::Lost { .. } => "check that the disk has space, and scan again",
            Self::Sqlite(rusqlite::Error::SqliteFailure(cause, _)) => match cause.code {
                rusqlite::ErrorCode::DiskFull => {
                    "make space on the disk, or name another directory with `--data DIR`"
                }
                rusqlite::ErrorCode::SystemIoFailure => {
                    "check that the disk has space, or name another directory with `--data DIR`"
                }
                rusqlite::ErrorCode::DatabaseBusy => "another process writes: try again",
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                    "put a backup in its place, or name another directory with `--data DIR`"
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(hint.to_owned())
    }

    pub(crate) fn damaged(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Damaged {
            what,
            why: why.to_string(),
        }
    }
}

impl From<rusqlite_migration::Error> for Error {
    /// What the database said of a step says more than which step it was.
    fn from(error: rusqlite_migration::Error) -> Self {
        match error {
            rusqlite_migration::Error::RusqliteError { err, .. } => Self::Sqlite(err),
            other => Self::Migration(other),
        }
    }
}

/// A result whose error says why the history could not be read or written.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_disk_that_is_full_at_the_first_step_is_told_as_such() {
        let full = ffi::Error::new(ffi::SQLITE_FULL);
        let said = Some("database or disk is full".to_owned());
        let error = Error::from(rusqlite_migration::Error::RusqliteError {
            query: String::new(),
            err: rusqlite::Error::SqliteFailure(full, said),
        });
        assert!(error.hint().unwrap().starts_with("make space on the disk"));
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "database or disk is full");
    }
}
