//! `cargo xtask detect-lab`: real daemons in a network namespace, and how well they are recognised.

mod compare;
mod daemon;
mod roots;
mod running;
mod score;
mod truth;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use portolan_testnet::Namespace;

use crate::process::{complain, root, say, target_dir};
use daemon::Daemon;
use running::Running;

const HELP: &str = "\
cargo xtask detect-lab [OPTIONS]

Starts real daemons of Debian 12 and 13 in a network namespace, says what is true of each, and keeps them until Enter is
pressed. Needs root. The first call downloads about 2 GB of packages into target/lab, which takes 12 GB there; nothing is installed elsewhere.

  --score          let Portolan and nmap say what runs there, and compare
  --judge          only judge again what --score left in target/lab, by what was true then
  --write          with --score or --judge: put the figures into docs/performance.md
  --portolan FILE  with --score: this program and not the one that it would build
  --only A,B       these daemons only
  --run COMMAND    run this in the namespace (by sh -c) in place of waiting";

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    score: bool,
    judge: bool,
    write: bool,
    portolan: Option<PathBuf>,
    only: Vec<String>,
    run: Option<String>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .map(|value| (*value).to_owned())
                    .ok_or_else(|| format!("{word} needs a value\n\n{HELP}"))
            };
            match *word {
                "--score" => options.score = true,
                "--judge" => options.judge = true,
                "--write" => options.write = true,
                "--portolan" => options.portolan = Some(value()?.into()),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--run" => options.run = Some(value()?),
                _ => return Err(format!("there is no option `{word}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(words: &[&str]) -> Result<ExitCode, String> {
    if words.contains(&"--help") {
        say(HELP);
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(words)?;
    if options.judge {
        let lab = target_dir().join("lab");
        return score::judge_last(
            &truth::read_last(&lab.join("truth.json"))?,
            &lab,
            options.write,
        )
        .map(|()| ExitCode::SUCCESS);
    }
    if let Some(reason) = portolan_testnet::missing() {
        return Err(format!("cannot make the lab: {reason}"));
    }
    let daemons = chosen(daemon::read(&root().join("xtask/lab"))?, &options.only)?;
    // Before anything runs: a lab of a hundred daemons leaves a compiler little room.
    let program = match &options.portolan {
        Some(program) => Some(program.clone()),
        None if options.score => Some(score::build()?),
        None => None,
    };
    let lab = target_dir().join("lab");
    let roots = roots::prepare(&root().join("xtask/lab/roots.toml"), &lab)?;
    let truth = truth::of(&daemons, &roots)?;

    let namespace = Namespace::new().map_err(|error| error.to_string())?;
    let running = Running::start(&namespace, &daemons, &roots, &lab.join("logs"))?;
    let truth: Vec<_> = truth
        .into_iter()
        .filter(|endpoint| running.listens(endpoint))
        .collect();
    truth::write(&truth, &lab.join("truth.json"))?;
    let (tcp, udp) = truth::count(&truth);
    say(&format!(
        "{} daemons run in the namespace {}: {tcp} TCP ports, {udp} UDP ports",
        running.len(),
        namespace.name(),
    ));
    for failed in running.failed() {
        complain(&format!("failed: {failed}"));
    }

    if let Some(program) = program.filter(|_| options.score) {
        score::run(&namespace, &truth, &lab, &program, options.write)?;
    } else if let Some(command) = &options.run {
        let status = namespace
            .command("sh")
            .args(["-c", command])
            .status()
            .map_err(|error| format!("cannot run `{command}`: {error}"))?;
        return Ok(ExitCode::from(u8::from(!status.success())));
    } else {
        for endpoint in &truth {
            say(&endpoint.to_string());
        }
        say(&format!(
            "look around by `ip netns exec {} …`; Enter ends the lab",
            namespace.name()
        ));
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .map_err(|error| format!("cannot wait for Enter: {error}"))?;
    }
    Ok(ExitCode::from(u8::from(running.failed().next().is_some())))
}

fn chosen(daemons: Vec<Daemon>, only: &[String]) -> Result<Vec<Daemon>, String> {
    for name in only {
        if !daemons.iter().any(|daemon| daemon.name == *name) {
            return Err(format!("there is no daemon `{name}` in xtask/lab"));
        }
    }
    Ok(daemons
        .into_iter()
        .filter(|daemon| only.is_empty() || only.contains(&daemon.name))
        .collect())
}
