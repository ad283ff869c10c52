//! The `scan` command: the runner, and who reads what it says.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use portolan_link::Limit;
use portolan_model::event::{Outcome, PathSeen, Reached};
use portolan_model::front::Front;
use portolan_model::{PortState, ScanEvent, ScanRecord, ScanSpec, Technique};
use portolan_report::{Format, JsonLines, WriteOptions, table};
use portolan_scan::Control;
use portolan_store::{Mode, NewScan};
use rustix::io::Errno;

use crate::args::{ColorChoice, CommonArgs, DetectionArgs, OutputArgs, ScanArgs, SweepArgs};
use crate::checkpoint::Journal;
use crate::config::Config;
use crate::data::Keeper;
use crate::failure::{Exit, Failure, io_reason};
use crate::keys::{Key, Keys};
use crate::outputs::{self, Destination, Output};
use crate::runner::{self, Beside, Engine, Prepared, SilentHosts};
use crate::server_args::{KeepArgs, ResumeArgs};
use crate::terminal::{self, Live, Look, Shown};
use crate::{data, detect, names, request, signals};

mod resumed;

/// How long a signal may come after the end of a reader that the same key ended: so many steps.
const GRACE_STEPS: u32 = 20;
const GRACE_STEP: Duration = Duration::from_millis(10);

/// The version, as results carry it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs a scan from its options to its results, with `engine` as the engine; `typed` is the
/// command line.
pub(crate) fn scan(args: &ScanArgs, config: &Config, typed: &str, engine: Engine) -> Exit {
    let look = look(&args.common, config);
    let asked = || -> Result<Asked<'_>, Failure> {
        Ok(Asked {
            spec: request::scan(args, config, &mut io::stdin().lock())?,
            dns_servers: &args.reverse.dns_servers,
            output: &args.output,
            keep: &args.keep,
            detection: args.technique.detect.then_some(&args.technique.detection),
            rules: Some(&args.technique.detection).filter(|detection| detection.rules.is_some()),
            listens: !args
                .targets
                .input
                .iter()
                .any(|file| file.as_os_str() == "-"),
            typed,
        })
    };
    ended(
        asked().and_then(|asked| start(asked, config, engine, look)),
        look,
    )
}

/// Runs a sweep from its options to its results, with `engine` as the engine.
pub(crate) fn sweep(args: &SweepArgs, config: &Config, typed: &str, engine: Engine) -> Exit {
    let look = look(&args.common, config);
    let asked = || -> Result<Asked<'_>, Failure> {
        Ok(Asked {
            spec: request::sweep(args, config, &mut io::stdin().lock())?,
            dns_servers: &args.reverse.dns_servers,
            output: &args.output,
            keep: &args.keep,
            detection: args.how.detect.then_some(&args.how.detection),
            rules: None,
            listens: !args
                .targets
                .input
                .iter()
                .any(|file| file.as_os_str() == "-"),
            typed,
        })
    };
    ended(
        asked().and_then(|asked| start(asked, config, engine, look)),
        look,
    )
}

/// Goes on with a scan of the history or of a checkpoint, with `engine` as the engine.
pub(crate) fn resume(args: &ResumeArgs, config: &Config, engine: Engine) -> Exit {
    let look = look(&args.common, config);
    ended(resumed::go_on(args, config, engine, look), look)
}

fn look(args: &CommonArgs, config: &Config) -> Look {
    Look::detect(args.color.or(config.color).unwrap_or(ColorChoice::Auto))
}

/// The end of a scan, or why it did not begin.
fn ended(result: Result<Exit, Failure>, look: Look) -> Exit {
    result.unwrap_or_else(|failure| {
        terminal::stderr(&terminal::error_lines(&failure, look.err_color));
        Exit::NotStarted
    })
}

/// What a command line asks for.
struct Asked<'a> {
    spec: ScanSpec,
    dns_servers: &'a [SocketAddr],
    output: &'a OutputArgs,
    keep: &'a KeepArgs,
    /// How services are named, if they are.
    detection: Option<&'a DetectionArgs>,
    /// Which rules say what UDP ports are asked, where these are not the program's.
    rules: Option<&'a DetectionArgs>,
    /// Whether standard input is free for keys.
    listens: bool,
    typed: &'a str,
}

fn start(asked: Asked<'_>, config: &Config, engine: Engine, look: Look) -> Result<Exit, Failure> {
    let Asked {
        spec,
        dns_servers,
        output,
        keep,
        detection,
        rules,
        listens,
        typed,
    } = asked;
    limit_rights(Limit::FilesAndPackets)?;
    let scope = data::scope(&keep.scope, config)?;
    let detector = detection.map(detect::detector).transpose()?;
    let outputs = outputs::plan(output)?;
    outputs::check(&outputs)?;
    let store = if keep.save {
        Some(data::open(&keep.data, Mode::Write)?)
    } else {
        None
    };
    let settings = names::Settings {
        servers: if dns_servers.is_empty() {
            config.dns_servers.clone()
        } else {
            dns_servers.to_vec()
        },
        waiting: waiting(output, look),
        ..names::Settings::default()
    };
    let control = watched()?;
    let mut prepared = match runner::prepare(&spec, &settings, &scope, seed(), &control) {
        Ok(prepared) => prepared,
        Err(runner::Error::Stopped) => return Ok(Exit::Interrupted),
        Err(error) => return Err(told(&error, look)),
    };
    if let Some(rules) = rules
        && prepared.request.techniques.contains(&Technique::Udp)
    {
        prepared.request.payloads = detect::payloads(&detect::rule_set(rules)?);
    }
    tell_note(&prepared, output, look);
    let mut sinks = Sinks::new(output, config, &outputs, typed, look);
    sinks.listens = listens;
    if spec.sweep.is_some() {
        sinks.stream(&outputs);
    }
    if let Some(path) = &keep.checkpoint {
        let seed = prepared.request.seed;
        sinks.journal = Some(Journal::begin(
            path,
            &spec,
            detector.is_some(),
            seed,
            typed,
        )?);
    }
    if let Some(store) = store {
        let new = NewScan {
            args: typed.to_owned(),
            version: VERSION.to_owned(),
            detect: detector.is_some(),
            ..NewScan::new(spec, jiff::Timestamp::now())
        };
        let writer = store.begin(new).map_err(data::failure)?;
        sinks.keeper = Some(Keeper::new(writer, Reached::default()));
    }
    let beside = Beside {
        names: &settings,
        detector: detector.as_ref(),
    };
    follow(engine, &prepared, beside, &control, sinks, &outputs)
}

/// How is said what is waited for before the scan begins: in a line that is taken away.
fn waiting(output: &OutputArgs, look: Look) -> fn(&str) {
    if look.err_is_terminal && !output.quiet {
        terminal::status
    } else {
        |_| {}
    }
}

/// What may be done to a scan, tied to the signals.
fn watched() -> Result<Control, Failure> {
    let control = Control::new();
    signals::watch(control.clone(), terminal::leave_line).map_err(|error| {
        Failure::new(format!("cannot watch for signals: {}", io_reason(&error)))
    })?;
    Ok(control)
}

/// Runs a scan that is prepared, and writes its results.
fn follow(
    engine: Engine,
    prepared: &Prepared,
    beside: Beside<'_>,
    control: &Control,
    mut sinks: Sinks<'_>,
    outputs: &[Output],
) -> Result<Exit, Failure> {
    let look = sinks.look;
    sinks.is_sweep = prepared.request.sweep.is_some();
    sinks.silent_hosts = prepared.silent_hosts();
    if sinks.listens {
        sinks.keys = Keys::listen();
    }
    let run = runner::run(engine, prepared, beside, control, &mut |event| {
        sinks.event(event, control);
    });
    drop(sinks.keys.take());
    match run {
        Ok(()) => Ok(sinks.finish(outputs, control)),
        Err(error) => {
            sinks.live.clear();
            if let Some(keeper) = sinks.keeper.take() {
                keeper.give_up();
            }
            // What the names of the targets led to would be said after the start.
            for problem in &prepared.problems {
                terminal::stderr(&terminal::problem_lines(problem, look.err_color));
            }
            Err(told(&error, look))
        }
    }
}

/// Gives up what this process may do beyond the limit, before it starts a thread.
fn limit_rights(limit: Limit) -> Result<(), Failure> {
    portolan_link::limit_capabilities(limit)
        .map_err(|error| Failure::new(format!("cannot give rights up: {}", io_reason(&error))))
}

/// Says how ports are asked, where another way would be better.
fn tell_note(prepared: &Prepared, output: &OutputArgs, look: Look) {
    if let Some(note) = prepared.note.as_ref().filter(|_| !output.quiet) {
        terminal::stderr(&terminal::note_line(note, look.err_color));
    }
}

/// An error of the runner as a failure; names that led nowhere are said before it.
fn told(error: &runner::Error, look: Look) -> Failure {
    if let runner::Error::Nothing { problems, .. } = error {
        for problem in problems {
            terminal::stderr(&terminal::problem_lines(problem, look.err_color));
        }
    }
    plain(error)
}

/// An error of the runner as a failure alone.
pub(crate) fn plain(error: &runner::Error) -> Failure {
    let failure = Failure::new(chain(error));
    match error {
        runner::Error::Engine(portolan_scan::Error::Sockets { source })
            if matches!(
                Errno::from_io_error(source),
                Some(Errno::MFILE | Errno::NFILE)
            ) =>
        {
            failure.hint(
                "a scan needs some dozens of descriptors: allow more, as with `ulimit -n 1024`",
            )
        }
        runner::Error::Exclude { source, .. } => failure.hint(source.hint(Front::Shell)),
        runner::Error::TwoLinks { .. } => {
            failure.hint("one scan asks an address over one interface: scan them one by one")
        }
        runner::Error::Engine(portolan_scan::Error::TooLarge { .. }) => failure.hint(
            "name fewer addresses; of a large network of IPv6 the hosts are found only where it \
             is on a link of this machine",
        ),
        runner::Error::OutOfScope(_) => {
            failure.hint("the scope stands in `--scope` and in the configuration file")
        }
        _ => failure,
    }
}

/// What an error says, and what the errors that caused it say that is not said yet.
fn chain(error: &runner::Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let told = match error.downcast_ref::<io::Error>() {
            Some(error) => io_reason(error),
            None => error.to_string(),
        };
        if !message.contains(&told) {
            message = format!("{message}: {told}");
        }
        cause = error.source();
    }
    message
}

/// Decides the order where the user does not: other at each run.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's hasher is keyed by the system's random numbers.
    std::hash::RandomState::new().build_hasher().finish()
}

/// JSON lines that are written as the scan runs.
struct Stream {
    /// `None` for standard output.
    file: Option<PathBuf>,
    /// `None` once it can no longer be written.
    lines: Option<JsonLines<Box<dyn Write>>>,
    error: Option<io::Error>,
}

impl Stream {
    fn open(to: &Destination, typed: &str, open_only: bool) -> Self {
        let (file, out): (_, io::Result<Box<dyn Write>>) = match to {
            Destination::Stdout => (None, Ok(Box::new(io::stdout()))),
            Destination::File(path) => (
                Some(path.clone()),
                File::create(path).map(|file| Box::new(io::BufWriter::new(file)) as _),
            ),
        };
        match out {
            Ok(out) => Self {
                file,
                lines: Some(JsonLines::new(out, typed, VERSION, open_only)),
                error: None,
            },
            Err(error) => Self {
                file,
                lines: None,
                error: Some(error),
            },
        }
    }

    fn event(&mut self, event: &ScanEvent) {
        if let Some(lines) = &mut self.lines
            && let Err(error) = lines.event(event)
        {
            self.lines = None;
            self.error = Some(error);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(lines) = self.lines.take() {
            lines.into_inner()?.flush()?;
        }
        self.error.take().map_or(Ok(()), Err)
    }
}

/// Everyone who reads the events of a scan.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
struct Sinks<'a> {
    output: &'a OutputArgs,
    look: Look,
    options: WriteOptions,
    typed: String,
    planned: Vec<Destination>,
    record: ScanRecord,
    live: Live<io::Stdout, io::Stderr>,
    streams: Vec<Stream>,
    /// Whether standard output takes the table.
    table: bool,
    /// Set once standard output cannot be written.
    stdout_error: Option<io::Error>,
    /// Set where that, and not the user, ended the scan.
    reader_has_gone: bool,
    /// Where the scan is kept.
    keeper: Option<Keeper>,
    /// Where it is kept how far the scan is.
    journal: Option<Journal>,
    /// Whether the record takes what is found: no result at the end needs it otherwise.
    records: bool,
    /// Whether an earlier part of the scan has found something.
    goes_on: bool,
    /// What that was, until it is told, where the record does not take it.
    earlier: Option<ScanRecord>,
    /// Hosts that it found, and of which it is not said yet that they are done.
    undone: BTreeSet<IpAddr>,
    /// Open ports that the record does not hold.
    unrecorded: u64,
    /// What is typed while the scan runs.
    keys: Option<Keys>,
    /// Whether keys are for us: standard input may be the list of targets.
    listens: bool,
    is_sweep: bool,
    /// Whether hosts that do not answer are not scanned.
    silent_hosts: SilentHosts,
    /// What each technique has learnt of its path.
    paths: Vec<PathSeen>,
}

impl<'a> Sinks<'a> {
    fn new(
        output: &'a OutputArgs,
        config: &Config,
        outputs: &[Output],
        typed: &str,
        look: Look,
    ) -> Self {
        let table = !outputs
            .iter()
            .any(|output| output.to == Destination::Stdout);
        let shown = Shown {
            rows: table && look.out_is_terminal,
            progress: look.err_is_terminal && !output.quiet,
            notes: !output.quiet,
            details: output.verbose > 0,
            hosts: output.verbose > 1,
        };
        let options = WriteOptions {
            open_only: output.open || config.open,
            xml_scanner: output
                .xml_scanner
                .clone()
                .or_else(|| config.xml_scanner.clone())
                .unwrap_or_else(|| "nmap".to_owned()),
            time_zone: TimeZone::system(),
        };
        Self {
            output,
            look,
            options,
            typed: typed.to_owned(),
            planned: outputs
                .iter()
                .filter(|output| output.format == Format::JsonLines)
                .map(|output| output.to.clone())
                .collect(),
            record: ScanRecord::new(typed, VERSION),
            live: Live::new(look, shown, io::stdout(), io::stderr()),
            streams: Vec::new(),
            table,
            stdout_error: None,
            reader_has_gone: false,
            keeper: None,
            journal: None,
            records: true,
            goes_on: false,
            earlier: None,
            undone: BTreeSet::new(),
            unrecorded: 0,
            keys: None,
            listens: true,
            is_sweep: false,
            silent_hosts: SilentHosts::AsAsked,
            paths: Vec::new(),
        }
    }

    /// Writes open ports as they are found and nothing else, as befits a sweep: what is found is
    /// kept in memory only where a result that is written at the end needs it.
    fn stream(&mut self, outputs: &[Output]) {
        self.options.open_only = true;
        self.records = outputs
            .iter()
            .any(|output| output.format != Format::JsonLines);
        self.live.show_rows(self.table);
        self.table = false;
    }

    fn event(&mut self, event: &ScanEvent, control: &Control) {
        let whole = match event {
            ScanEvent::Finished(finished) if self.goes_on => {
                self.tell_undone(finished);
                (self.records && !self.is_sweep)
                    .then(|| ScanEvent::Finished(self.of_whole(finished)))
            }
            _ => None,
        };
        let event = whole.as_ref().unwrap_or(event);
        if let ScanEvent::HostDone { address, .. } = event {
            self.undone.remove(address);
        }
        while let Some(key) = self.keys.as_ref().and_then(Keys::pressed) {
            self.key(key, control);
        }
        if matches!(event, ScanEvent::Started(_)) {
            // The sockets are open: from here on files are all that this thread needs. Where the
            // right to packets cannot be given up, it does no harm here either.
            let _ = portolan_link::limit_capabilities(Limit::Files);
            // Files of an earlier scan are overwritten only now that this one has begun.
            for to in std::mem::take(&mut self.planned) {
                let stream = Stream::open(&to, &self.typed, self.options.open_only);
                self.streams.push(stream);
            }
        }
        if matches!(event, ScanEvent::Progress(_)) && self.look.err_is_terminal {
            self.look = self.look.again();
            self.live.resize(self.look);
        }
        if let ScanEvent::Path(path) = event {
            self.paths.push(*path);
        }
        if self.records {
            self.record.apply(event);
        } else {
            match event {
                ScanEvent::Port(fact) => {
                    self.unrecorded += u64::from(fact.state == PortState::Open);
                }
                ScanEvent::HostUp(_) | ScanEvent::HostName(_) => {}
                event => self.record.apply(event),
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.event(event);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.event(event);
        }
        let is_shared =
            self.look.out_is_terminal && self.streams.iter().any(|stream| stream.file.is_none());
        if is_shared {
            // Its lines would stand behind that of progress.
            self.live.clear();
        }
        for stream in &mut self.streams {
            stream.event(event);
            if stream.file.is_none() && self.stdout_error.is_none() {
                self.stdout_error = stream.error.take();
            }
        }
        if matches!(event, ScanEvent::Started(_)) && self.goes_on {
            self.tell_earlier();
        }
        if self.stdout_error.is_none()
            && let Err(error) = self.live.event(event)
        {
            self.stdout_error = Some(error);
        }
        if self.stdout_error.is_some() && self.keeper.is_none() && !self.writes_files() {
            // Nobody is left to read what would be found. Ctrl-C ends all programs of a pipe, in
            // any order: it may have ended the reader first.
            for _ in 0..GRACE_STEPS {
                if control.is_stopped() {
                    break;
                }
                std::thread::sleep(GRACE_STEP);
            }
            self.reader_has_gone |= !control.is_stopped();
            control.stop();
        }
    }

    /// Does what a key asks for.
    fn key(&mut self, key: Key, control: &Control) {
        match key {
            Key::Pause if control.is_paused() => {
                control.resume();
                self.live.pause(false);
            }
            Key::Pause => {
                control.pause();
                self.live.pause(true);
            }
            Key::Skip if self.is_sweep => self.live.say("a sweep waits for no host"),
            Key::Skip => control.skip_host(),
            Key::Quit => control.stop(),
            Key::Where => self.live.say_where(self.is_sweep),
        }
    }

    fn writes_files(&self) -> bool {
        self.output.xml.iter().any(|file| file.as_os_str() != "-")
            || self.streams.iter().any(|stream| stream.file.is_some())
            || !self.output.all_formats.is_empty()
            || [
                &self.output.grepable,
                &self.output.normal,
                &self.output.csv,
                &self.output.markdown,
                &self.output.html,
            ]
            .into_iter()
            .flatten()
            .any(|file| file.as_os_str() != "-")
    }

    /// Writes every result that is still to be written.
    fn finish(mut self, outputs: &[Output], control: &Control) -> Exit {
        let mut failures = Vec::new();
        if self.stdout_error.is_none() {
            self.stdout_error = self.print(outputs).err();
        }
        self.live.clear();
        for stream in &mut self.streams {
            if let Err(error) = stream.finish() {
                match &stream.file {
                    Some(file) => failures.push(outputs::not_written(file, &error)),
                    None => self.stdout_error = Some(error),
                }
            }
        }
        for output in outputs {
            let Destination::File(file) = &output.to else {
                continue;
            };
            if output.format == Format::JsonLines {
                continue;
            }
            let written = outputs::write_file(file, output.format, &self.record, &self.options);
            if let Err(error) = written {
                failures.push(outputs::not_written(file, &error));
            }
        }
        let mut kept = None;
        if let Some(keeper) = &mut self.keeper {
            match keeper.finish() {
                Ok(()) => kept = Some(keeper.id()),
                Err(failure) => failures.push(failure),
            }
        }
        let mut checkpoint = None;
        if let Some(journal) = &mut self.journal {
            match journal.finish() {
                Ok(()) => checkpoint = Some(journal.path().to_owned()),
                Err(failure) => failures.push(failure),
            }
        }
        let stdout_failed = self
            .stdout_error
            .as_ref()
            .is_some_and(|error| error.kind() != ErrorKind::BrokenPipe);
        let pipe_closed = match &self.stdout_error {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => true,
            Some(error) => {
                failures.push(Failure::new(format!(
                    "cannot write to standard output: {}",
                    io_reason(error)
                )));
                false
            }
            None => false,
        };
        // Ctrl-C ends the other programs of a pipe too, and its user is still there.
        let by_user = control.is_stopped() && !self.reader_has_gone;
        let is_quiet_end = pipe_closed && !by_user;
        if !self.output.quiet && !is_quiet_end {
            let verbose = self.output.verbose > 0;
            let text = terminal::summary(&self.record, self.unrecorded, &self.paths, verbose);
            terminal::stderr(&text);
            if let Some(note) = terminal::silent_hosts(&self.record, self.silent_hosts) {
                terminal::stderr(&terminal::note_line(&note, self.look.err_color));
            }
            if let Some(path) = checkpoint
                && self.record.outcome() != Outcome::Complete
            {
                let path = crate::failure::visible(&path.display().to_string());
                terminal::stderr(&format!("to go on: portolan resume {path}\n"));
            }
            if let Some(id) = kept {
                terminal::stderr(&format!("kept as scan {id}: see `portolan show {id}`\n"));
            }
        }
        for failure in &failures {
            terminal::stderr(&terminal::error_lines(failure, self.look.err_color));
        }
        match self.record.outcome() {
            // What cannot be written stops a scan too, and nobody interrupted it.
            _ if !failures.is_empty() && (!control.is_stopped() || stdout_failed) => Exit::LeftOut,
            // It was stopped because its reader has gone, and that is its reader's right.
            _ if is_quiet_end => Exit::Done,
            Outcome::Interrupted => Exit::Interrupted,
            Outcome::Incomplete => Exit::LeftOut,
            Outcome::Complete => Exit::Done,
        }
    }

    /// Writes to standard output what belongs there at the end.
    fn print(&mut self, outputs: &[Output]) -> io::Result<()> {
        self.live.make_room()?;
        let mut out = io::BufWriter::new(io::stdout());
        if self.table {
            let options = table::TableOptions {
                width: self.look.width,
                color: self.look.out_color,
                open_only: self.options.open_only,
            };
            table::write(&self.record, &options, &mut out)?;
        }
        for output in outputs {
            if output.to == Destination::Stdout && output.format != Format::JsonLines {
                portolan_report::write(output.format, &self.record, &self.options, &mut out)?;
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests;
