//! A scan that can be cut off at any moment and gone on with: the file of `--checkpoint`.
//!
//! It is a result in JSON lines that grows as the scan runs, with two more types of line, which
//! other readers pass over. The first line, `checkpoint`, says all that the scan was asked:
//! targets, ports, options, seed. A line `reached` stands after what was found before that place of
//! the scan's order. What follows the last of them counts for nothing, however it was cut off.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, Seek as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use portolan_model::event::{Outcome, Reached};
use portolan_model::{ScanEvent, ScanRecord, ScanSpec};
use portolan_report::JsonLines;
use portolan_scan::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result, io_reason, visible};

/// The version of the file. It changes when an earlier program would go on wrongly.
const VERSION: u64 = 2;

/// Between two places that are written at the least. That is all that it takes to outlive a process
/// that is killed, and costs next to nothing.
const SOONEST: Duration = Duration::from_millis(250);

/// The disk is waited for at the latest, so that a loss of power costs no more.
const LATEST: Duration = Duration::from_secs(3);

/// Keeping a place is to take so many times less than the time between two.
const SHARE: u32 = 200;

/// The first line is not longer: a million targets of 100 bytes.
const LONGEST_HEAD: u64 = 100 << 20;

/// What a scan was asked, as the first line has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    v: u64,
    #[serde(rename = "type")]
    kind: String,
    checkpoint: u64,
    args: String,
    seed: u64,
    spec: ScanSpec,
    /// Whether services are named.
    #[serde(default)]
    detect: bool,
}

/// A place, as its line has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Mark {
    #[serde(rename = "type")]
    kind: MarkKind,
    #[serde(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum MarkKind {
    #[serde(rename = "reached")]
    Reached,
}

/// [`Reached`] with its large number as text, which every reader keeps exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Place {
    #[serde(with = "as_text")]
    step: u128,
    pass: u32,
    position: u64,
}

mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes that wait to be written together.
#[derive(Debug, Clone, Default)]
struct Waiting(Rc<RefCell<Vec<u8>>>);

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a checkpoint as a scan runs.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    waiting: Waiting,
    lines: JsonLines<Waiting>,
    place: Reached,
    clock: SystemClock,
    /// When the next place is due, and when it is to be on the disk.
    due: Duration,
    safe_due: Duration,
    failed: Option<io::Error>,
}

impl Journal {
    /// A new file for a scan. That of a scan that is complete is replaced at once and whole.
    ///
    /// # Errors
    /// When it cannot be written, holds something else than a checkpoint or a scan that is not
    /// complete, or when another process writes it.
    pub(crate) fn begin(
        path: &Path,
        spec: &ScanSpec,
        detect: bool,
        seed: u64,
        args: &str,
    ) -> Result<Self> {
        let failed = |error: io::Error| not_kept(path, &error);
        // Held until the new file stands in its place, locked as well.
        let old = if fs::symlink_metadata(path).is_ok() {
            let old = locked(path, failed)?;
            may_be_replaced(path, &old)?;
            Some(old)
        } else {
            None
        };
        let head = Head {
            v: 1,
            kind: "checkpoint".to_owned(),
            checkpoint: VERSION,
            args: args.to_owned(),
            seed,
            spec: ScanSpec {
                seed: Some(seed),
                ..spec.clone()
            },
            detect,
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        let mut new = builder
            .prefix(".portolan-")
            .tempfile_in(directory)
            .map_err(failed)?;
        let mut bytes = serde_json::to_vec(&head).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        new.write_all(&bytes).map_err(failed)?;
        new.as_file().sync_data().map_err(failed)?;
        // Nobody else knows its name: where files can be locked at all, this one is.
        let _ = new.as_file().try_lock();
        let placed = match old {
            Some(_) => new.persist(path),
            None => new.persist_noclobber(path),
        };
        let file = placed.map_err(|error| failed(error.error))?;
        Ok(Self::on(path, file, args, Reached::default()))
    }

    fn on(path: &Path, file: File, args: &str, place: Reached) -> Self {
        let waiting = Waiting::default();
        let version = env!("CARGO_PKG_VERSION");
        Self {
            path: path.to_owned(),
            file,
            lines: JsonLines::new(waiting.clone(), args, version, false),
            waiting,
            place,
            clock: SystemClock::start(),
            due: SOONEST,
            safe_due: 2 * SOONEST,
            failed: None,
        }
    }

    /// Takes in one more event.
    pub(crate) fn event(&mut self, event: &ScanEvent) {
        if self.failed.is_some() {
            return;
        }
        let taken = match event {
            ScanEvent::Reached(place) => {
                self.place = *place;
                Ok(())
            }
            ScanEvent::Progress(_) => Ok(()),
            event => self.lines.event(event),
        };
        let is_end = matches!(event, ScanEvent::Finished(_));
        let now = self.clock.now();
        let kept = match taken {
            Ok(()) if is_end || now >= self.due => self.keep(now, is_end),
            other => other,
        };
        self.failed = kept.err();
    }

    /// Writes what has been found, and the place; waits for the disk where that is due, or at the
    /// end.
    fn keep(&mut self, now: Duration, is_end: bool) -> io::Result<()> {
        self.lines.write_gathered()?;
        let mark = Mark {
            kind: MarkKind::Reached,
            place: Place {
                step: self.place.step,
                pass: self.place.pass,
                position: self.place.position,
            },
        };
        let mut bytes = std::mem::take(&mut *self.waiting.0.borrow_mut());
        serde_json::to_writer(&mut bytes, &mark)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)?;
        let is_safe = is_end || now >= self.safe_due;
        if is_safe {
            self.file.sync_data()?;
        }
        let took = self.clock.now().saturating_sub(now) * SHARE;
        self.due = now
            + if is_safe {
                SOONEST
            } else {
                took.clamp(SOONEST, LATEST)
            };
        if is_safe {
            self.safe_due = now + took.clamp(2 * SOONEST, LATEST);
        }
        Ok(())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When something could not be written.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let kept = match self.failed.take() {
            Some(error) => Err(error),
            None => self.keep(self.clock.now(), true),
        };
        kept.map_err(|error| not_kept(&self.path, &error))
    }
}

fn not_kept(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!(
        "cannot write the checkpoint `{}`: {}",
        visible(&path.display().to_string()),
        io_reason(error)
    ))
}

/// Opens a checkpoint that no other process writes, and keeps others from it as long as it is open.
fn locked(path: &Path, failed: impl Fn(io::Error) -> Failure) -> Result<File> {
    loop {
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(&failed)?;
        match file.try_lock() {
            // Where files cannot be locked, as on some network's, users take care themselves.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                let name = visible(&path.display().to_string());
                return Err(Failure::new(format!(
                    "the checkpoint `{name}` is in use: a scan that runs writes it"
                ))
                .hint(format!(
                    "wait for that scan or end it, and go on with it by `portolan resume {name}`"
                )));
            }
        }
        let this = file.metadata().map_err(&failed)?;
        let named = fs::metadata(path).map_err(&failed)?;
        // Another process may have put a new file in its place in the meantime.
        if (this.dev(), this.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}

/// Whether nothing is lost with what stands in a file: it is empty, or holds a whole scan.
fn may_be_replaced(path: &Path, file: &File) -> Result<()> {
    let name = visible(&path.display().to_string());
    let found = file.metadata().map_err(|error| not_kept(path, &error))?;
    if !found.is_file() {
        return Err(Failure::new(format!("`{name}` is no file"))
            .hint("give `--checkpoint` the name of a new file"));
    }
    if found.len() == 0 {
        return Ok(());
    }
    if head_of(path).is_err() {
        return Err(Failure::new(format!(
            "`{name}` is there and no checkpoint: it would be lost"
        ))
        .hint("give `--checkpoint` the name of a new file"));
    }
    let (record, ..) = read(path)?;
    if record.outcome() == Outcome::Complete {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{name}` holds a scan that is not complete: it would be lost"
    ))
    .hint(format!(
        "go on with it by `portolan resume {name}`, or delete the file to begin anew"
    )))
}

/// A scan that was cut off.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What it was asked, its seed with it.
    pub(crate) spec: ScanSpec,
    /// Whether services are named.
    pub(crate) detect: bool,
    /// Its seed.
    pub(crate) seed: u64,
    /// Its command line.
    pub(crate) args: String,
    /// What it has found.
    pub(crate) record: ScanRecord,
    /// How far it has come.
    pub(crate) place: Reached,
    /// The bytes of the file that count.
    len: u64,
    /// The file, which no other process writes meanwhile.
    file: File,
}

impl Kept {
    /// Reads a checkpoint up to its last whole place.
    ///
    /// # Errors
    /// For a file that cannot be read, that is none, of a later version, or in use.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        // What is read is what is gone on with: nobody writes it in between.
        let file = locked(path, |error| cannot_read(path, &io_reason(&error)))?;
        let head = head_of(path)?;
        let (record, place, len) = read(path)?;
        Ok(Self {
            spec: head.spec,
            detect: head.detect,
            seed: head.seed,
            args: head.args,
            record,
            place,
            len,
            file,
        })
    }

    /// Goes on in the same file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn journal(&self, path: &Path) -> Result<Journal> {
        let open = || -> io::Result<File> {
            let mut file = self.file.try_clone()?;
            // What was cut off in writing goes, so that whole lines follow whole lines.
            file.set_len(self.len)?;
            file.seek(io::SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|error| not_kept(path, &error))?;
        Ok(Journal::on(path, file, &self.args, self.place))
    }
}

/// What a checkpoint holds up to its last whole place, that place, and how many bytes that are.
fn read(path: &Path) -> Result<(ScanRecord, Reached, u64)> {
    let failed = |error: io::Error| cannot_read(path, &io_reason(&error));
    let mut file = io::BufReader::new(File::open(path).map_err(failed)?);
    let (mut at, mut len, mut place) = (0, 0, Reached::default());
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 || !line.ends_with(b"\n") {
            break;
        }
        if at == 0 {
            len = read as u64;
        }
        at += read as u64;
        // Most lines are of ports; to read each twice would take twice as long.
        if line.starts_with(br#"{"type":"reached""#)
            && let Ok(mark) = serde_json::from_slice::<Mark>(&line)
        {
            len = at;
            place = Reached {
                step: mark.place.step,
                pass: mark.place.pass,
                position: mark.place.position,
            };
        }
    }
    let file = File::open(path).map_err(failed)?;
    let mut whole = io::BufReader::new(io::Read::take(file, len));
    let record =
        portolan_report::read(&mut whole).map_err(|error| cannot_read(path, &error.to_string()))?;
    Ok((record, place, len))
}

fn cannot_read(path: &Path, why: &str) -> Failure {
    Failure::new(format!(
        "cannot read the checkpoint `{}`: {}",
        visible(&path.display().to_string()),
        visible(why)
    ))
}

/// The first line of a checkpoint.
fn head_of(path: &Path) -> Result<Head> {
    let file = File::open(path).map_err(|error| cannot_read(path, &io_reason(&error)))?;
    let mut line = Vec::new();
    io::BufReader::new(io::Read::take(file, LONGEST_HEAD))
        .read_until(b'\n', &mut line)
        .map_err(|error| cannot_read(path, &io_reason(&error)))?;
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
    match value.get("checkpoint").and_then(serde_json::Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(cannot_read(
                path,
                &format!("it is of version {other}, and this program knows {VERSION}"),
            )
            .hint("go on with it by the version that wrote it"));
        }
        None => {
            return Err(
                cannot_read(path, "it does not begin as a checkpoint does").hint(
                    "name a file that `--checkpoint` wrote, or the number of a scan in the history",
                ),
            );
        }
    }
    serde_json::from_value(value).map_err(|error| cannot_read(path, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use jiff::Timestamp;
    use portolan_model::event::{Endpoint, Finished, PortFact};
    use portolan_model::{PortSpec, PortState, Protocol, Reason};

    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn spec() -> ScanSpec {
        let targets = vec!["192.0.2.0/24".parse().unwrap()];
        ScanSpec::new(targets, "1-100".parse::<PortSpec>().unwrap())
    }

    fn port(port: u16, state: PortState) -> ScanEvent {
        ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: IpAddr::from([192, 0, 2, 1]),
                protocol: Protocol::Tcp,
                port,
            },
            state,
            reason: if state == PortState::Open {
                Reason::SynAck
            } else {
                Reason::Reset
            },
            rtt: None,
            ttl: None,
            at: AT,
        })
    }

    /// A file of 100 ports, with a place after each ten.
    fn written(directory: &Path) -> PathBuf {
        let path = directory.join("scan.jsonl");
        let mut journal =
            Journal::begin(&path, &spec(), false, 7, "portolan 192.0.2.0/24").unwrap();
        // However slow the machine is, places are kept where this test says.
        journal.due = Duration::MAX;
        for number in 1..=100_u16 {
            let state = if number.is_multiple_of(3) {
                PortState::Open
            } else {
                PortState::Closed
            };
            journal.event(&port(number, state));
            if number.is_multiple_of(10) {
                journal.event(&ScanEvent::Reached(Reached {
                    step: u128::MAX - 100 + u128::from(number),
                    ..Reached::default()
                }));
                journal.keep(Duration::ZERO, false).unwrap();
            }
        }
        path
    }

    fn ports(record: &ScanRecord) -> usize {
        record.count(PortState::Open) + record.count(PortState::Closed)
    }

    /// A process that another test starts holds all open files, and their locks, until it has become
    /// another program.
    fn read_alone(path: &Path) -> Kept {
        let mut tries = (0..10_000).map(|_| {
            std::thread::yield_now();
            Kept::read(path)
        });
        let is_in_use = |failure: &Failure| failure.message.contains("is in use");
        let read = tries.find(|read| !read.as_ref().is_err_and(is_in_use));
        read.expect("nobody has it for long").unwrap()
    }

    #[test]
    fn a_file_that_is_cut_off_at_any_byte_holds_all_up_to_its_last_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let whole = fs::read(&path).unwrap();
        let head = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut last = 0;
        for len in head..=whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let kept = read_alone(&path);
            assert_eq!((kept.seed, kept.spec.seed), (7, Some(7)));
            assert_eq!(kept.spec.targets, spec().targets);
            let found = ports(&kept.record);
            let expected = if found == 0 {
                0
            } else {
                u128::MAX - 100 + found as u128
            };
            assert_eq!(kept.place.step, expected, "cut off at {len}");
            assert!(
                found.is_multiple_of(10) && found >= last,
                "cut off at {len}"
            );
            last = found;
        }
        assert_eq!(last, 100);
    }

    #[test]
    fn what_goes_on_follows_the_last_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 20);
        fs::write(&path, bytes).unwrap();
        let kept = Kept::read(&path).unwrap();
        assert_eq!(ports(&kept.record), 90);
        let mut journal = kept.journal(&path).unwrap();
        for number in 91..=95 {
            journal.event(&port(number, PortState::Open));
        }
        journal.finish().unwrap();
        drop((journal, kept));
        let kept = Kept::read(&path).unwrap();
        assert_eq!(ports(&kept.record), 95);
        assert_eq!(kept.place.step, u128::MAX - 10);
        assert_eq!(kept.args, "portolan 192.0.2.0/24");
    }

    #[test]
    fn a_file_that_is_something_else_is_neither_read_nor_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "{\"v\":1}\n").unwrap();
        let refused = Kept::read(&path).unwrap_err().message;
        assert!(
            refused.ends_with("precious`: it does not begin as a checkpoint does"),
            "{refused}"
        );
        let refused = Journal::begin(&path, &spec(), false, 7, "")
            .unwrap_err()
            .message;
        assert!(refused.contains("is there and no checkpoint"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"v\":1}\n");
    }

    fn begun(path: &Path) -> Result<Journal> {
        Journal::begin(path, &spec(), false, 7, "")
    }

    fn end(outcome: Outcome) -> ScanEvent {
        ScanEvent::Finished(Finished {
            at: AT,
            outcome,
            elapsed: Duration::from_secs(1),
            hosts_up: 1,
            hosts_down: 0,
            sent: 100,
            loss: None,
            expected_missed: 0.0,
        })
    }

    #[test]
    fn a_scan_that_is_not_complete_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        for outcome in [None, Some(Outcome::Interrupted), Some(Outcome::Incomplete)] {
            let kept = Kept::read(&path).unwrap();
            let mut journal = kept.journal(&path).unwrap();
            drop(kept);
            if let Some(outcome) = outcome {
                journal.event(&end(outcome));
            }
            drop(journal);
            let before = fs::read(&path).unwrap();
            let refused = begun(&path).unwrap_err();
            assert!(
                refused
                    .message
                    .ends_with("holds a scan that is not complete: it would be lost"),
                "{outcome:?}: {refused}"
            );
            let name = path.display();
            assert_eq!(
                refused.hint.unwrap(),
                format!(
                    "go on with it by `portolan resume {name}`, or delete the file to begin anew"
                )
            );
            assert_eq!(fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_whole_scan_and_an_empty_file_are_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let kept = Kept::read(&path).unwrap();
        let mut journal = kept.journal(&path).unwrap();
        journal.event(&end(Outcome::Complete));
        drop((journal, kept));
        drop(begun(&path).unwrap());
        assert_eq!(ports(&Kept::read(&path).unwrap().record), 0);
        fs::write(&path, "").unwrap();
        drop(begun(&path).unwrap());
    }

    #[test]
    fn a_file_that_a_scan_writes_is_refused_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scan.jsonl");
        let refused = |path: &Path| {
            let failures = [begun(path).unwrap_err(), Kept::read(path).unwrap_err()];
            for failure in failures {
                assert!(
                    failure
                        .message
                        .ends_with("is in use: a scan that runs writes it"),
                    "{failure}"
                );
            }
        };
        let journal = begun(&path).unwrap();
        refused(&path);
        drop(journal);
        let kept = Kept::read(&path).unwrap();
        let journal = kept.journal(&path).unwrap();
        drop(kept);
        refused(&path);
        drop(journal);
        Kept::read(&path).unwrap();
    }

    #[test]
    fn a_device_is_not_replaced_by_a_file() {
        let refused = begun(Path::new("/dev/null")).unwrap_err();
        assert_eq!(refused.message, "`/dev/null` is no file");
    }

    #[test]
    fn a_file_of_an_earlier_or_a_later_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let text = fs::read_to_string(&path).unwrap();
        for other in [VERSION - 1, VERSION + 1] {
            let ours = format!("\"checkpoint\":{VERSION}");
            let theirs = format!("\"checkpoint\":{other}");
            fs::write(&path, text.replacen(&ours, &theirs, 1)).unwrap();
            let refused = Kept::read(&path).unwrap_err().message;
            let expected = format!("it is of version {other}, and this program knows {VERSION}");
            assert!(refused.ends_with(&expected), "{refused}");
        }
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let failure = Journal::begin(Path::new("/dev/full/x"), &spec(), false, 7, "").unwrap_err();
        assert!(
            failure
                .message
                .starts_with("cannot write the checkpoint `/dev/full/x`")
        );
    }
}
