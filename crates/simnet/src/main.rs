//! `simnet`: a simulated network behind a TUN or TAP device, for any scanner.

#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use simnet::scenario::LinkKind;
use simnet::tap::{self, Settings, Stdin, TruthSummary};
use simnet::{Error, Result, Scenario, Truth};

const USAGE: &str = "\
usage: simnet --scenario FILE --netns NAME [options]
       simnet --scenario FILE --truth

Runs a simulated network behind a device in a new network namespace. Prints
`ready` when it can be scanned (`ip netns exec NAME ...`), and at its end, as
JSON, what happened and what is really there. It ends at SIGTERM, at SIGINT,
when standard input ends, or after --limit.

  --scenario FILE    the network, as TOML
  --netns NAME       the namespace to make; it must not exist
  --device NAME      the device to make in it (default: sim0)
  --link tun|tap     IP packets or Ethernet frames, whatever the scenario says
  --limit SECONDS    end after this long
  --ignore-stdin     do not end with standard input
  --truth            print what is really there, and run nothing
";

/// What the command line says.
#[derive(Default)]
struct Arguments {
    scenario: Option<PathBuf>,
    netns: Option<String>,
    device: Option<String>,
    link: Option<LinkKind>,
    limit: Option<Duration>,
    ignores_stdin: bool,
    shows_truth: bool,
    asks_help: bool,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || {
            let value = words.next();
            value.ok_or_else(|| Error::Usage(format!("`{word}` needs a value")))
        };
        match word.as_str() {
            "--scenario" => arguments.scenario = Some(value()?.into()),
            "--netns" => arguments.netns = Some(value()?),
            "--device" => arguments.device = Some(value()?),
            "--link" => {
                arguments.link = Some(match value()?.as_str() {
                    "tun" => LinkKind::Tun,
                    "tap" => LinkKind::Tap,
                    other => {
                        let message = format!("`--link` is `{other}`, expected `tun` or `tap`");
                        return Err(Error::Usage(message));
                    }
                });
            }
            "--limit" => {
                let text = value()?;
                let seconds = text.parse::<f64>().ok();
                let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                arguments.limit = Some(limit.ok_or_else(|| {
                    Error::Usage(format!("`--limit` is `{text}`, expected seconds"))
                })?);
            }
            "--ignore-stdin" => arguments.ignores_stdin = true,
            "--truth" => arguments.shows_truth = true,
            "-h" | "--help" => arguments.asks_help = true,
            _ => return Err(Error::Usage(format!("`{word}` is no option of simnet"))),
        }
    }
    Ok(arguments)
}

/// Prints a line at once: whoever waits for it reads from a pipe.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|source| Error::System {
            what: "write to standard output",
            source,
        })
}

fn say_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::System {
        what: "write JSON",
        source: error.into(),
    })?;
    say(&text)
}

fn run() -> Result<()> {
    let arguments = parse(std::env::args().skip(1))?;
    if arguments.asks_help {
        return say(USAGE);
    }
    let path = arguments
        .scenario
        .ok_or_else(|| Error::Usage("`--scenario FILE` is missing".to_owned()))?;
    let mut scenario = Scenario::read(&path)?;
    if arguments.shows_truth {
        return say_json(&TruthSummary::new(&Truth::new(&scenario)));
    }
    if let Some(kind) = arguments.link {
        scenario.link.kind = kind;
    }
    let settings = Settings {
        namespace: arguments
            .netns
            .ok_or_else(|| Error::Usage("`--netns NAME` is missing".to_owned()))?,
        device: arguments.device.unwrap_or_else(|| "sim0".to_owned()),
        limit: arguments.limit,
        stdin: if arguments.ignores_stdin {
            Stdin::Ignored
        } else {
            Stdin::Watched
        },
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|source| Error::System {
            what: "listen to signals",
            source,
        })?;
    }
    let mut said = Ok(());
    let outcome = tap::run(&scenario, &settings, &stop, || {
        said = say(&format!("ready {} {}", settings.namespace, settings.device));
    })?;
    said?;
    say_json(&outcome)
}

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    let mut message = format!("error: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    if matches!(error, Error::Usage(_)) {
        message.push_str("\nhint: `simnet --help` lists what it understands");
    }
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(2)
}
