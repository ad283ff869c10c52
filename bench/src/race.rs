//! The race: scanners that send packets of their own, over simulated networks whose truth is
//! known, one after another and each on a fresh one.
//!
//! A network is `simnet` behind a TAP device in a namespace of its own, so that nothing leaves
//! this machine. It also counts the packets that each scanner sends.

mod chart;
mod course;
mod network;
mod runner;
mod standing;

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::machine;
use crate::measure;
use crate::stage::Stage;
use crate::table::{self, Format};
use course::{COURSES, Course};
use network::Network;
use runner::Runner;
use standing::Standing;

/// What the user asks for.
pub(crate) struct Options {
    courses: Vec<&'static Course>,
    runs: usize,
    time_limit: Duration,
    tools: Option<Vec<String>>,
    charts: Option<PathBuf>,
    format: Format,
    portolan: Option<PathBuf>,
}

/// Reads what follows `race` on the command line.
pub(crate) fn read(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        courses: Vec::new(),
        runs: 3,
        time_limit: Duration::from_mins(2),
        tools: None,
        charts: None,
        format: Format::Terminal,
        portolan: None,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("runs") => options.runs = parser.value()?.parse::<usize>()?.max(1),
            Long("time-limit") => {
                options.time_limit = Duration::from_secs(parser.value()?.parse()?);
            }
            Long("tools") => {
                let names = parser.value()?.string()?;
                options.tools = Some(names.split(',').map(str::to_owned).collect());
            }
            Long("charts") => options.charts = Some(parser.value()?.into()),
            Long("portolan") => options.portolan = Some(parser.value()?.into()),
            Long("markdown") => options.format = Format::Markdown,
            Value(word) => {
                let word = word.string()?;
                let course = COURSES.iter().find(|course| course.name == word);
                let names: Vec<&str> = COURSES.iter().map(|course| course.name).collect();
                options.courses.push(course.ok_or_else(|| {
                    format!(
                        "there is no network `{word}`; there are {}",
                        names.join(", ")
                    )
                })?);
            }
            Long(_) | Short(_) => return Err(argument.unexpected()),
        }
    }
    if options.courses.is_empty() {
        options.courses = COURSES.iter().collect();
    }
    Ok(options)
}

/// Runs it, prints a table for each network, and draws the charts.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
    let portolan = options
        .portolan
        .clone()
        .unwrap_or_else(|| ourselves.with_file_name("portolan"));
    let simnet = ourselves.with_file_name("simnet");
    for program in [&portolan, &simnet] {
        if !program.is_file() {
            return Err(format!("there is no {}", program.display()));
        }
    }
    let stage = Stage::empty()?;
    let mut runners = runner::all(&portolan);
    if let Some(names) = &options.tools {
        runners.retain(|runner| names.iter().any(|name| name == runner.name));
    }
    let versions: Vec<String> = runners.iter().filter_map(Runner::version).collect();
    table::print(&machine::about(&versions, options.format));
    for course in &options.courses {
        let runners: Vec<&Runner> = runners
            .iter()
            .filter(|runner| runner.takes_part(course))
            .collect();
        let mut standings: Vec<Standing> = runners
            .iter()
            .map(|runner| Standing::new(runner.name))
            .collect();
        for round in 1..=options.runs {
            for (runner, standing) in runners.iter().zip(&mut standings) {
                table::progress(course.name, round, options.runs, runner.name);
                let network = Network::start(&simnet, course, &stage, options.time_limit)?;
                let mut command = network.command(runner, course);
                let run = measure::run(&mut command, options.time_limit)
                    .map_err(|error| format!("cannot run {}: {error}", runner.name))?;
                let outcome = network.end()?;
                let found = (runner.parse)(&run.stdout);
                standing.add(&run, &found, &outcome);
            }
        }
        table::progress_done();
        table::print(&standing::render(course, &standings, options.format));
        if let Some(directory) = &options.charts {
            let path = directory.join(format!("race-{}.svg", course.name));
            std::fs::write(&path, chart::draw(course, &standings))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}
