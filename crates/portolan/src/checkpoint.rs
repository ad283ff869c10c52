//! A scan that can be cut off at any moment and gone on with: the file of `--checkpoint`.
//!
//! It is a result in JSON lines that grows as the scan runs, with two more types of line, which
//! other readers pass over. The first line, `checkpoint`, says all that the scan was asked:
//! targets, ports, options, seed. A line `reached` stands after what was found before that place of
//! the scan's order. What follows the last of them counts for nothing, however it was cut off.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufRead, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use portolan_model::event::Reached;
use portolan_model::{ScanEvent, ScanRecord, ScanSpec};
use portolan_report::JsonLines;
use portolan_scan::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result, io_reason, visible};

/// The version of the file. It changes when an earlier program would go on wrongly.
const VERSION: u64 = 2;

/// Between two places that are kept at the least, and at the most.
const SOONEST: Duration = Duration::from_millis(500);
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
    /// When a place was kept last, and when the next one is due.
    due: Duration,
    failed: Option<io::Error>,
}

impl Journal {
    /// A new file for a scan. One that is there is replaced at once and whole.
    ///
    /// # Errors
    /// When it cannot be written, or holds something else than a checkpoint.
    pub(crate) fn begin(
        path: &Path,
        spec: &ScanSpec,
        detect: bool,
        seed: u64,
        args: &str,
    ) -> Result<Self> {
        let failed = |error: io::Error| not_kept(path, &error);
        let is_there = fs::metadata(path).is_ok_and(|found| found.len() > 0);
        if is_there && head_of(path).is_err() {
            return Err(Failure::new(format!(
                "`{}` is there and no checkpoint: it would be lost",
                visible(&path.display().to_string())
            ))
            .hint("give `--checkpoint` the name of a new file"));
        }
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
        let file = new.persist(path).map_err(|error| failed(error.error))?;
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
            Ok(()) if is_end || now >= self.due => self.keep(now),
            other => other,
        };
        self.failed = kept.err();
    }

    /// Writes what has been found, and the place.
    fn keep(&mut self, now: Duration) -> io::Result<()> {
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
        self.file.sync_data()?;
        let took = self.clock.now().saturating_sub(now);
        self.due = now + (took * SHARE).clamp(SOONEST, LATEST);
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
            None => self.keep(self.clock.now()),
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
}

impl Kept {
    /// Reads a checkpoint up to its last whole place.
    ///
    /// # Errors
    /// For a file that cannot be read, that is none, or of a later version.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let head = head_of(path)?;
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
        let record = portolan_report::read(&mut whole)
            .map_err(|error| cannot_read(path, &error.to_string()))?;
        Ok(Self {
            spec: head.spec,
            detect: head.detect,
            seed: head.seed,
            args: head.args,
            record,
            place,
            len,
        })
    }

    /// Goes on in the same file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn journal(&self, path: &Path) -> Result<Journal> {
        let open = || -> io::Result<File> {
            let mut file = File::options().write(true).open(path)?;
            // What was cut off in writing goes, so that whole lines follow whole lines.
            file.set_len(self.len)?;
            file.seek(io::SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|error| not_kept(path, &error))?;
        Ok(Journal::on(path, file, &self.args, self.place))
    }
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
    use portolan_model::event::{Endpoint, PortFact};
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
                journal.keep(Duration::ZERO).unwrap();
            }
        }
        path
    }

    fn ports(record: &ScanRecord) -> usize {
        record.count(PortState::Open) + record.count(PortState::Closed)
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
            let kept = Kept::read(&path).unwrap();
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
