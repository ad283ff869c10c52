//! Opening the history: where it is, who may write, and connections for readers.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::error::{Error, Result};
use crate::scan::ScanId;
use crate::{ingest, schema, writer};

/// The database in the data directory.
const DATABASE: &str = "history.db";

/// Held by the one server of a data directory.
const SERVER_LOCK: &str = "server.lock";

/// How long to wait for another process's write.
const BUSY: Duration = Duration::from_secs(10);

/// How many idle connections are kept for readers.
const IDLE_READERS: usize = 4;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For reading only: works beside anything else.
    Read,
    /// To keep scans too: works beside one server and other writers.
    Write,
    /// As the one server of this data directory: refused while there is another.
    Serve,
}

/// The history in a data directory. Copies share it; the last one closes it.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Option<writer::Handle>,
    readers: Mutex<Vec<Connection>>,
    // Locks are given back when their files close, after the writer has ended.
    _locks: Vec<File>,
}

impl Store {
    /// Opens the history in `dir`. For writing, the directory and the file are made where they
    /// are missing, and scans that a process left running when it was cut off are marked as
    /// interrupted.
    ///
    /// # Errors
    /// [`Error::InUse`] beside another server; [`Error::NewerSchema`] for a history that a newer
    /// program wrote; [`Error::NoHistory`] and [`Error::OlderSchema`] when opened for reading.
    pub fn open(dir: &Path, mode: Mode) -> Result<Self> {
        let path = dir.join(DATABASE);
        if mode == Mode::Read {
            return Self::open_to_read(dir, path);
        }
        make_dir(dir)?;
        let mut locks = Vec::new();
        if mode == Mode::Serve {
            let lock = try_lock(&dir.join(SERVER_LOCK))?;
            locks.push(lock.ok_or_else(|| Error::InUse {
                path: dir.to_owned(),
            })?);
        }
        let (owner, lock) = claim(dir)?;
        locks.push(lock);
        let mut connection = Connection::open(&path)?;
        configure(&connection)?;
        schema::migrate(&mut connection, &path, schema::STEPS)?;
        let abandoned = abandoned(&connection, dir, &owner)?;
        let store = Self {
            inner: Arc::new(Inner {
                path,
                writer: Some(writer::Handle::spawn(connection, owner)?),
                readers: Mutex::default(),
                _locks: locks,
            }),
        };
        for scan in abandoned {
            store.write(move |writer| ingest::interrupt(writer, scan))?;
        }
        Ok(store)
    }

    fn open_to_read(dir: &Path, path: PathBuf) -> Result<Self> {
        if !path.exists() {
            return Err(Error::NoHistory {
                path: dir.to_owned(),
            });
        }
        let connection = open_reader(&path)?;
        let found = schema::version(&connection)?;
        let known = schema::STEPS.len();
        match found.cmp(&known) {
            std::cmp::Ordering::Less => Err(Error::OlderSchema { path, found, known }),
            std::cmp::Ordering::Greater => Err(Error::NewerSchema { path, found, known }),
            std::cmp::Ordering::Equal => Ok(Self {
                inner: Arc::new(Inner {
                    path,
                    writer: None,
                    readers: Mutex::new(vec![connection]),
                    _locks: Vec::new(),
                }),
            }),
        }
    }

    /// Where data belongs when nothing else is said: `$XDG_DATA_HOME/portolan`, or
    /// `~/.local/share/portolan` (XDG Base Directory Specification).
    ///
    /// # Errors
    /// [`Error::NoDataDir`] where the environment names neither.
    pub fn default_dir() -> Result<PathBuf> {
        data_dir(
            std::env::var_os("XDG_DATA_HOME").map(PathBuf::from),
            std::env::var_os("HOME").map(PathBuf::from),
        )
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How many bytes the history takes on disk, its write-ahead log included.
    pub fn size_bytes(&self) -> u64 {
        ["", "-wal"]
            .iter()
            .map(|end| {
                let mut name = self.inner.path.as_os_str().to_owned();
                name.push(end);
                std::fs::metadata(name).map_or(0, |data| data.len())
            })
            .sum()
    }

    /// Runs `work` on the thread that writes, in a transaction of its own.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.run(work)
    }

    pub(crate) fn writer(&self) -> Result<&writer::Handle> {
        self.inner.writer.as_ref().ok_or(Error::ReadOnly)
    }

    /// Runs `work` on a connection of a reader, on one state of the history.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.inner.path)?,
        };
        let snapshot = connection.transaction()?;
        let result = work(&snapshot);
        snapshot.finish()?;
        let mut readers = self.readers();
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A list of connections cannot be left half changed.
        self.inner
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn data_dir(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    let usable = |path: Option<PathBuf>| path.filter(|path| path.is_absolute());
    usable(xdg)
        .or_else(|| usable(home).map(|home| home.join(".local/share")))
        .map(|base| base.join("portolan"))
        .ok_or(Error::NoDataDir)
}

/// Makes the data directory, for its owner alone: it holds what is known of networks.
fn make_dir(dir: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| Error::File {
        action: "make the directory",
        path: dir.to_owned(),
        source,
    })
}

/// The lock on a file, or `None` when another process holds it.
fn try_lock(path: &Path) -> Result<Option<File>> {
    let failed = |action| {
        move |source| Error::File {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(failed("make"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed("lock")(source)),
    }
}

/// Makes and locks a file that shows, as long as it is locked, that this writer lives.
fn claim(dir: &Path) -> Result<(String, File)> {
    // Process numbers come again, also within one directory shared by containers: what is
    // taken is passed over, what was left behind is taken.
    for number in 0..1000u32 {
        let name = format!("writer-{}-{number}.lock", std::process::id());
        if let Some(lock) = try_lock(&dir.join(&name))? {
            return Ok((name, lock));
        }
    }
    Err(Error::InUse {
        path: dir.to_owned(),
    })
}

/// The scans whose writers live no more; removes the files those left behind.
fn abandoned(connection: &Connection, dir: &Path, own: &str) -> Result<Vec<ScanId>> {
    let mut scans = connection.prepare(
        "SELECT id, owner FROM scan WHERE state IN ('running', 'paused') AND owner IS NOT NULL",
    )?;
    let scans = scans.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut dead = Vec::new();
    for scan in scans {
        let (id, owner): (ScanId, String) = scan?;
        // Numbers of processes come again, in containers always: a scan under this one's own
        // name is that of one before it. A name that is no plain file name is nobody's.
        if owner == own || owner.contains(['/', '\\']) || try_lock(&dir.join(&owner))?.is_some() {
            dead.push(id);
        }
    }
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("writer-")
                && name.ends_with(".lock")
                && let Ok(Some(_lock)) = try_lock(&entry.path())
            {
                // It is empty, and nobody's: whether it can be removed changes nothing.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    Ok(dead)
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY)?;
    // Takes effect in a new file only, before its first table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // 16 MiB: the inner pages of the largest indexes stay in memory.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn open_reader(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        // Not READ_ONLY: a reader must be able to make the shared memory file of the
        // write-ahead log. `query_only` keeps it from writing anything else.
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Whether there is a scan with this number.
pub(crate) fn must_exist(connection: &Connection, id: ScanId) -> Result<()> {
    connection
        .prepare_cached("SELECT 1 FROM scan WHERE id = ?1")?
        .query_row([id], |_| Ok(()))
        .optional()?
        .ok_or(Error::NoSuchScan { id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_belongs_where_xdg_says() {
        let dir = |xdg: Option<&str>, home: Option<&str>| {
            data_dir(xdg.map(PathBuf::from), home.map(PathBuf::from))
        };
        assert_eq!(
            dir(Some("/data"), Some("/home/a")).unwrap(),
            Path::new("/data/portolan")
        );
        let at_home = Path::new("/home/a/.local/share/portolan");
        assert_eq!(dir(None, Some("/home/a")).unwrap(), at_home);
        // "All paths set in these environment variables must be absolute."
        assert_eq!(dir(Some("data"), Some("/home/a")).unwrap(), at_home);
        assert!(matches!(dir(Some(""), None), Err(Error::NoDataDir)));
    }
}
