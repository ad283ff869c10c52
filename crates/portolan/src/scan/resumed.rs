//! Going on with a scan that was cut off: what its earlier parts have found is told with the rest.

use std::time::Duration;

use portolan_link::Limit;
use portolan_model::event::{Finished, Outcome, Reached};
use portolan_model::{
    HostRecord, PortState, Reason, ScanEvent, ScanRecord, ScanSpec, Scope, Technique,
};
use portolan_scan::Control;
use portolan_server::Earlier;
use portolan_store::{Mode, ScanId, ScanState, ScanSummary, Store};

use super::{Sinks, follow, limit_rights, seed, tell_note, told, watched};
use crate::args::DetectionArgs;
use crate::checkpoint::Kept;
use crate::config::Config;
use crate::data::Keeper;
use crate::failure::{Exit, Failure};
use crate::outputs::{self, Output};
use crate::runner::{self, Beside, Engine};
use crate::server_args::ResumeArgs;
use crate::terminal::{self, Look};
use crate::{data, detect, names, request};

/// How long a process that was killed may take to end: so many steps.
const ENDING_STEPS: u32 = 20;
const ENDING_STEP: Duration = Duration::from_millis(100);

/// Goes on with what the user names.
pub(super) fn go_on(
    args: &ResumeArgs,
    config: &Config,
    engine: Engine,
    look: Look,
) -> Result<Exit, Failure> {
    limit_rights(Limit::FilesAndPackets)?;
    let scope = data::scope(&args.scope, config)?;
    let outputs = outputs::plan(&args.output)?;
    outputs::check(&outputs)?;
    let settings = names::Settings {
        servers: config.dns_servers.clone(),
        waiting: super::waiting(&args.output, look),
        ..names::Settings::default()
    };
    let id = args.what.to_str().and_then(|text| text.parse().ok());
    let Some(id) = id else {
        return go_on_from_file(args, config, engine, look, &outputs, &settings, &scope);
    };
    let (store, scan) = scan_of_nobody(args, id)?;
    if scan.state == ScanState::Done {
        let record = store.record(id).map_err(data::failure)?;
        let mut sinks = Sinks::new(&args.output, config, &outputs, &scan.args, look);
        if scan.spec.sweep.is_some() {
            sinks.stream(&outputs);
        }
        return Ok(sinks.show_complete(record, &scan.spec, &outputs));
    }
    let control = watched()?;
    let seed = scan
        .started
        .as_ref()
        .map_or_else(seed, |started| started.seed);
    let mut prepared = match runner::prepare(&scan.spec, &settings, &scope, seed, &control) {
        Ok(prepared) => prepared,
        Err(runner::Error::Stopped) => return Ok(Exit::Interrupted),
        Err(error) => return Err(told(&error, look)),
    };
    let (writer, checkpoint) = store.resume(id).map_err(data::failure)?;
    let record = store.record(id).map_err(data::failure)?;
    let place = checkpoint.map_or_else(Reached::default, |kept| kept.place());
    prepared.take_up(&scan.spec, Earlier::of(&record, place));
    tell_note(&prepared, &args.output, look);
    let mut sinks = Sinks::new(&args.output, config, &outputs, &scan.args, look);
    if scan.spec.sweep.is_some() {
        sinks.stream(&outputs);
    }
    // What was found before belongs into the result too; what was left out is told anew.
    sinks.take_up(record);
    sinks.keeper = Some(Keeper::new(writer, prepared.request.from));
    let detector = if scan.detect {
        Some(detect::detector(&DetectionArgs::default())?)
    } else {
        None
    };
    let beside = Beside {
        names: &settings,
        detector: detector.as_ref(),
    };
    follow(engine, &prepared, beside, &control, sinks, &outputs)
}

/// The history and a scan of it; one that is kept by a process that was just killed is waited for,
/// since the system takes a moment to end that one.
fn scan_of_nobody(args: &ResumeArgs, id: ScanId) -> Result<(Store, ScanSummary), Failure> {
    for _ in 0..ENDING_STEPS {
        // Opened anew each time: that is when what nobody writes any more is found.
        let store = data::open(&args.data, Mode::Write)?;
        let scan = store.scan(id).map_err(data::failure)?;
        if !matches!(scan.state, ScanState::Running | ScanState::Paused) {
            return Ok((store, scan));
        }
        drop(store);
        std::thread::sleep(ENDING_STEP);
    }
    let store = data::open(&args.data, Mode::Write)?;
    let scan = store.scan(id).map_err(data::failure)?;
    Ok((store, scan))
}

/// Goes on with the scan of a checkpoint, and keeps on writing it.
fn go_on_from_file(
    args: &ResumeArgs,
    config: &Config,
    engine: Engine,
    look: Look,
    outputs: &[Output],
    settings: &names::Settings,
    scope: &Scope,
) -> Result<Exit, Failure> {
    let kept = Kept::read(&args.what)?;
    let mut sinks = Sinks::new(&args.output, config, outputs, &kept.args, look);
    if kept.spec.sweep.is_some() {
        sinks.stream(outputs);
    }
    if kept.record.outcome() == Outcome::Complete {
        return Ok(sinks.show_complete(kept.record, &kept.spec, outputs));
    }
    if kept.spec.techniques.contains(&Technique::Syn) {
        request::may_send_packets()?;
    }
    let control = watched()?;
    let mut prepared = match runner::prepare(&kept.spec, settings, scope, kept.seed, &control) {
        Ok(prepared) => prepared,
        Err(runner::Error::Stopped) => return Ok(Exit::Interrupted),
        Err(error) => return Err(told(&error, look)),
    };
    prepared.take_up(&kept.spec, Earlier::of(&kept.record, kept.place));
    sinks.journal = Some(kept.journal(&args.what)?);
    sinks.take_up(kept.record);
    let detector = if kept.detect {
        Some(detect::detector(&DetectionArgs::default())?)
    } else {
        None
    };
    let beside = Beside {
        names: settings,
        detector: detector.as_ref(),
    };
    follow(engine, &prepared, beside, &control, sinks, outputs)
}

impl Sinks<'_> {
    /// Takes up what an earlier part of the scan has found.
    pub(super) fn take_up(&mut self, record: ScanRecord) {
        self.goes_on = true;
        if self.records {
            self.record.hosts = record.hosts;
        } else {
            self.unrecorded = record.count(PortState::Open) as u64;
            self.earlier = Some(record);
        }
    }

    /// Tells those who are told of facts one by one what an earlier part of the scan has found.
    pub(super) fn tell_earlier(&mut self) {
        let apart = self.earlier.take();
        let record = apart.as_ref().unwrap_or(&self.record);
        if !self.is_sweep && !self.streams.is_empty() {
            self.undone = record.hosts.keys().copied().collect();
        }
        for event in portolan_report::facts(record) {
            for stream in &mut self.streams {
                stream.event(&event);
            }
            let is_row = matches!(event, ScanEvent::Port(_) | ScanEvent::Service(_));
            if self.is_sweep
                && is_row
                && self.stdout_error.is_none()
                && let Err(error) = self.live.event(&event)
            {
                self.stdout_error = Some(error);
            }
        }
    }

    /// Says of hosts of which only an earlier part told that they are done, as they are where the
    /// scan is complete.
    pub(super) fn tell_undone(&mut self, finished: &Finished) {
        let undone = std::mem::take(&mut self.undone);
        if finished.outcome == Outcome::Complete {
            for address in undone {
                let at = finished.at;
                let done = ScanEvent::HostDone { address, at };
                for stream in &mut self.streams {
                    stream.event(&done);
                }
            }
        }
    }

    /// The end of the last part of a scan, with the hosts of all parts.
    pub(super) fn of_whole(&self, finished: &Finished) -> Finished {
        let answered = |host: &&HostRecord| host.is_up() && host.reason != Reason::UserSet;
        let up = self.record.hosts.values().filter(answered).count() as u64;
        let all = self
            .record
            .started
            .as_ref()
            .map(|started| started.addresses);
        let is_complete = finished.outcome == Outcome::Complete;
        Finished {
            hosts_up: up,
            hosts_down: all
                .filter(|_| is_complete)
                .map_or(finished.hosts_down, |all| all.saturating_sub(up.into())),
            ..finished.clone()
        }
    }

    /// Shows the results of a scan that has nothing left to ask.
    pub(super) fn show_complete(
        mut self,
        record: ScanRecord,
        spec: &ScanSpec,
        outputs: &[Output],
    ) -> Exit {
        if !self.output.quiet {
            let note = "the scan is complete: nothing is left to ask";
            terminal::stderr(&terminal::note_line(note, self.look.err_color));
        }
        self.is_sweep = spec.sweep.is_some();
        let started = record.started.clone();
        let problems = record.problems.clone();
        let finished = record.finished.clone();
        self.take_up(record);
        let events = started.map(ScanEvent::Started).into_iter();
        let events = events.chain(problems.into_iter().map(ScanEvent::Problem));
        let control = Control::new();
        for event in events.chain(finished.map(ScanEvent::Finished)) {
            self.event(&event, &control);
        }
        self.finish(outputs, &control)
    }
}
