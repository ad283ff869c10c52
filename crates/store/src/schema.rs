//! Bringing the tables up to date.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::error::{Error, Result};

/// The steps from an empty file to today's tables, in order; a step never changes again.
pub(crate) const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001-history.sql")),
    M::up(include_str!("migrations/0002-course-and-messages.sql")),
    M::up(include_str!("migrations/0003-mac.sql")),
    M::up(include_str!("migrations/0004-zones.sql")),
    M::up(include_str!("migrations/0005-parts.sql")),
    M::up(include_str!("migrations/0006-tags.sql")),
    M::up(include_str!("migrations/0007-cut-off.sql")),
    M::up(include_str!("migrations/0008-phase.sql")),
];

/// Which schema a database has: the number of steps taken.
pub(crate) fn version(connection: &Connection) -> Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_| Error::damaged("a schema version", version))
}

/// Takes the steps that are missing. A database that holds something is copied first, to
/// `NAME.schema-N.bak` beside it, where N is the schema it had.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    steps: &'static [M<'static>],
) -> Result<()> {
    let found = version(connection)?;
    let known = steps.len();
    if found > known {
        return Err(Error::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".schema-{found}.bak"));
        connection.backup("main", Path::new(&name), None)?;
    }
    Migrations::from_slice(steps).to_latest(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests;
