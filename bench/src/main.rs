//! Measures Portolan next to other scanners, on networks made for it.
//!
//! Every network is made of namespaces on this machine, so that nothing leaves it and what is
//! there to be found is known. Tools take turns, run by run, so that a slow moment of the machine
//! meets them all; none has rights that a user has not.
#![forbid(unsafe_code)]

mod clock;
mod limit;
mod machine;
mod measure;
mod options;
mod parse;
mod path;
mod scenario;
mod stage;
mod table;
mod tools;
mod web;

use std::process::ExitCode;

use options::{Options, Request};

/// Status of a process that a signal ended, as a shell tells it: 128 and SIGINT.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let result = match options::read(lexopt::Parser::from_env()) {
        Ok(Request::Help) => {
            table::print(options::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Request::Limit(job)) => limit::run(job),
        Ok(Request::Web(options)) => web::run(&options),
        Ok(Request::Measure(options)) => measure_all(&options),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            table::complain(&format!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

fn measure_all(options: &Options) -> Result<(), String> {
    if let Some(reason) = portolan_testnet::missing() {
        return Err(reason);
    }
    let stage = stage::Stage::new(options)?;
    clean_up_on_signals()?;
    let tools = tools::all(&stage, options);
    table::print(&machine::describe(&tools, options.format));
    for scenario in &options.scenarios {
        scenario::run(*scenario, &tools, &stage, options)?;
    }
    Ok(())
}

/// Removes namespaces and files when the user, or a service manager, ends the process. What it
/// measures ends with it (`setpriv --pdeathsig`).
#[expect(
    clippy::exit,
    reason = "the thread that measures waits for a process and cannot be told to return"
)]
fn clean_up_on_signals() -> Result<(), String> {
    ctrlc::set_handler(|| {
        portolan_testnet::remove_all();
        stage::remove();
        std::process::exit(INTERRUPTED);
    })
    .map_err(|error| format!("cannot handle signals: {error}"))
}
