//! The `serve` command: the web app over the history, with this program's own runner.

use std::io::IsTerminal as _;
use std::sync::Arc;

use portolan_link::{Limit, Rights};
use portolan_model::event::Problem;
use portolan_model::front::Front;
use portolan_model::{AddressSet, ScanEvent, ScanSpec, Technique};
use portolan_scan::Control;
use portolan_server::serve::{Encryption, Options, Ready};
use portolan_server::{
    Abilities, CannotStart, HostNames, Job, Runner, ScanLimits, ServeError, Settings,
};
use portolan_store::{Mode, Retention};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::DetectionArgs;
use crate::config::Config;
use crate::failure::{Failure, Result, io_reason, visible};
use crate::runner::{self, Beside, Engine};
use crate::server_args::ServeArgs;
use crate::{data, detect, names, places, scan, terminal};

/// Serves until a signal ends it.
///
/// # Errors
/// When it cannot start.
pub(crate) fn serve(args: &ServeArgs, config: &Config, engine: Engine) -> Result<()> {
    // Each scan opens its own sockets, in a thread that then gives up the rest: what answers the
    // web may open raw sockets, and nothing else.
    portolan_link::limit_capabilities(Limit::Server)
        .map_err(|error| Failure::new(format!("cannot give rights up: {}", io_reason(&error))))?;
    let scope = data::scope(&args.scope, config)?;
    let store = data::open(&args.data, Mode::Serve)?;
    let dir = store
        .path()
        .parent()
        .map(std::path::Path::to_owned)
        .unwrap_or_default();
    let encryption = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Encryption::Files {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        _ if args.tls => Encryption::SelfSigned { dir },
        _ => Encryption::None,
    };
    let settings = Settings {
        hosts: HostNames::new(args.listen.ip(), &args.host),
        behind_proxy: args.behind_proxy,
        scope,
        scans: ScanLimits {
            running: args.scans.into(),
            ..ScanLimits::default()
        },
        ..Settings::new(args.listen, env!("CARGO_PKG_VERSION"))
    };
    let options = Options {
        settings,
        encryption,
        retention: Retention {
            keep: args.keep,
            max_size: args.max_size,
        },
    };
    let runner = Arc::new(Shell {
        engine,
        names: names::Settings {
            servers: config.dns_servers.clone(),
            front: Front::Page,
            ..names::Settings::default()
        },
    });
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot start: {}", io_reason(&error)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if std::io::stderr().is_terminal() {
                terminal::stderr("\nending: scans that run are paused, and can go on\n");
            }
        };
        portolan_server::serve::serve(store, runner, options, announce, stop)
            .await
            .map_err(|error| told(&error))
    })
}

fn announce(ready: &Ready) {
    let mut text = format!("Portolan is at {}\n", ready.url);
    if let Some(fingerprint) = &ready.fingerprint {
        text.push_str("its certificate was made here; its SHA-256 is ");
        text.push_str(fingerprint);
        text.push('\n');
    }
    if !ready.log_in {
        text.push_str("nobody has to log in: it answers to this machine alone\n");
    }
    text.push_str("Scan only hosts and networks that are yours or that you may scan.\n");
    terminal::stderr(&text);
}

fn told(error: &ServeError) -> Failure {
    let mut message = error.to_string();
    if let ServeError::Bind { source, .. } | ServeError::File { source, .. } = error {
        message = format!("{message}: {}", io_reason(source));
    }
    Failure {
        message: visible(&message),
        hint: error.hint(),
    }
}

/// Runs the server's scans as the shell runs its own.
#[derive(Debug)]
struct Shell {
    engine: Engine,
    names: names::Settings,
}

impl Runner for Shell {
    fn abilities(&self) -> Abilities {
        let syn = match portolan_link::rights() {
            Rights::Raw => None,
            Rights::Missing(missing) => Some(format!(
                "this process may not send packets of its own: {}",
                missing.to_string().replace(", or use `--connect`", "")
            )),
        };
        Abilities {
            techniques: vec![
                (Technique::Connect, None),
                (Technique::Syn, syn),
                (Technique::Udp, None),
            ],
            detect: None,
        }
    }

    fn refuses(&self, spec: &ScanSpec) -> Vec<CannotStart> {
        // Names are looked up when the scan starts; the rest is held against this machine's links.
        let nothing = names::Forward::new();
        let Ok(gathered) = places::gather(spec, &nothing, self.names.front) else {
            return Vec::new();
        };
        let groups = gathered
            .accepted
            .iter()
            .filter_map(|target| runner::of_a_link(target));
        let problems = gathered.problems.iter().cloned().chain(groups);
        let mut refused: Vec<CannotStart> = problems
            .map(|problem| CannotStart {
                message: problem.message,
                hint: problem.hint,
            })
            .collect();
        let excluded = places::excluded(spec, &nothing);
        let excluded =
            excluded.map_or_else(|_| AddressSet::default(), |all| all.over(&gathered.zones));
        if let Some(failure) = runner::too_large(spec, &gathered.all.without(&excluded)) {
            refused.push(CannotStart {
                message: failure.message,
                hint: failure.hint,
            });
        }
        refused
    }

    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> std::result::Result<(), CannotStart> {
        let prepared = runner::prepare(&job.spec, &self.names, &job.scope, job.seed, control);
        let mut prepared = prepared.map_err(|error| {
            if let runner::Error::Nothing { problems, .. } = &error {
                for problem in problems {
                    sink(ScanEvent::Problem(problem.clone()));
                }
            }
            let failure = scan::plain(&error);
            CannotStart {
                message: failure.message,
                hint: failure.hint,
            }
        })?;
        prepared.take_up(&job.spec, job.earlier.clone());
        if let Some(message) = prepared.note.take() {
            // Beside the results, where who watches in a browser reads what is to be known.
            prepared.problems.push(Problem {
                about: "technique".to_owned(),
                message,
                hint: None,
                left_out: false,
            });
        }
        let detector = if job.detect {
            let detector = detect::detector(&DetectionArgs::default());
            Some(detector.map_err(|failure| CannotStart {
                message: failure.message,
                hint: failure.hint,
            })?)
        } else {
            None
        };
        let beside = Beside {
            names: &self.names,
            detector: detector.as_ref(),
        };
        runner::run(self.engine, &prepared, beside, control, &mut |event| {
            sink(event.clone());
            if let ScanEvent::AnswersAll(found) = event {
                sink(ScanEvent::Problem(data::as_problem(found)));
            }
        })
        .map_err(|error| {
            let failure = scan::plain(&error);
            CannotStart {
                message: failure.message,
                hint: failure.hint,
            }
        })
    }
}
