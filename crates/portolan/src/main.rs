//! The `portolan` command: arguments in, one function, an exit status out.

#![forbid(unsafe_code)]

mod accounts;
mod args;
mod argv;
mod checkpoint;
mod compare;
mod config;
mod data;
mod detect;
mod duration;
mod failure;
mod foreign;
mod history;
mod keys;
mod list;
mod man;
mod names;
mod order;
mod outputs;
mod places;
mod request;
mod rules;
mod runner;
mod scan;
mod search;
mod serve;
mod server_args;
mod signals;
mod sweep;
mod tags;
mod targets;
mod terminal;
mod unrouted;
mod zones;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{Cli, ColorChoice, Command, CommonArgs};
use argv::Asked;
use config::Config;
use failure::{Exit, Failure, io_reason, visible};
use portolan_model::hint::nearest;
use portolan_model::target::HostName;
use runner::Engine;
use terminal::Look;

/// The name of the program, as it stands in what it writes.
const NAME: &str = "portolan";

fn main() -> ExitCode {
    run(std::env::args_os().skip(1).collect(), runner::engine).into()
}

/// Does what `words` say, with `engine` as the engine.
fn run(words: Vec<OsString>, engine: Engine) -> Exit {
    let typed = typed(&words);
    let cli = match parse(words) {
        Ok(cli) => cli,
        Err(Refused::Help(text)) => return written(terminal::stdout(&text)),
        Err(Refused::Failure(failure)) => return not_started(&failure),
    };
    match cli.command {
        None => match mistyped(&cli.scan.targets.targets) {
            Some(failure) => not_started(&failure),
            None => scan_with(&cli.scan, &typed, engine),
        },
        Some(Command::Scan(args)) => scan_with(&args, &typed, engine),
        Some(Command::Sweep(args)) => sweep_with(&args, &typed, engine),
        Some(Command::List(args)) => {
            let listed = configured(&args.common)
                .and_then(|config| list::list(&args, &config, &mut io::stdin().lock()));
            match listed {
                Ok(text) => written(terminal::stdout(&text)),
                Err(failure) => not_started(&failure),
            }
        }
        Some(Command::Diff { old, new, data }) => {
            match compare::compare(&old, &new, &data, &mut io::stdin().lock()) {
                Ok(compared) => compared_end(&compared),
                Err(failure) => not_started(&failure),
            }
        }
        Some(Command::Detect(args)) => match configured(&args.common) {
            Ok(config) => detect::command::detect(&args, &config),
            Err(failure) => not_started(&failure),
        },
        Some(Command::Rules(command)) => match rules::rules(command) {
            Ok((text, is_fine)) => match written(terminal::stdout(&text)) {
                Exit::Done if !is_fine => Exit::LeftOut,
                exit => exit,
            },
            Err(failure) => not_started(&failure),
        },
        Some(Command::Serve(args)) => {
            ended(configured(&args.common).and_then(|config| serve::serve(&args, &config, engine)))
        }
        Some(Command::History(args)) => {
            printed(configured(&args.common).and_then(|_| history::history(&args)))
        }
        Some(Command::Show(args)) => {
            printed(configured(&args.common).and_then(|config| history::show(&args, &config)))
        }
        Some(Command::Export(args)) => {
            ended(configured(&args.what.common).and_then(|_| history::export(&args)))
        }
        Some(Command::Resume(args)) => match configured(&args.common) {
            Ok(config) => scan::resume(&args, &config, engine),
            Err(failure) => not_started(&failure),
        },
        Some(Command::Tag(with)) => {
            let (command, data, common) = with.apart();
            printed(configured(&common).and_then(|_| tags::tag(command, &data)))
        }
        Some(Command::User(with)) => {
            let (command, data, common) = with.apart();
            printed(configured(&common).and_then(|_| accounts::user(command, &data)))
        }
        Some(Command::Token(with)) => {
            let (command, data, common) = with.apart();
            printed(configured(&common).and_then(|_| accounts::token(command, &data)))
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), NAME, &mut script);
            written(terminal::stdout(&String::from_utf8_lossy(&script)))
        }
        Some(Command::Man { of }) => match man::page(of.as_deref()) {
            Ok(page) => written(terminal::stdout(&page)),
            Err(failure) => not_started(&failure),
        },
    }
}

fn scan_with(args: &args::ScanArgs, typed: &str, engine: Engine) -> Exit {
    match configured(&args.common) {
        Ok(config) => scan::scan(args, &config, typed, engine),
        Err(failure) => not_started(&failure),
    }
}

fn sweep_with(args: &args::SweepArgs, typed: &str, engine: Engine) -> Exit {
    let config = match configured(&args.common) {
        Ok(config) => config,
        Err(failure) => return not_started(&failure),
    };
    if !args.how.dry_run {
        return scan::sweep(args, &config, typed, engine);
    }
    match sweep::dry_run(args, &config, &mut io::stdin().lock()) {
        Ok(text) => written(terminal::stdout(&text)),
        Err(failure) => not_started(&failure),
    }
}

fn configured(args: &CommonArgs) -> failure::Result<Config> {
    let source = config::Source::new(args.config.as_deref(), args.no_config, |name| {
        std::env::var_os(name)
    });
    let (config, warning) = config::load(&source)?;
    if let Some(warning) = warning {
        let look = Look::detect(ColorChoice::Auto);
        terminal::stderr(&terminal::warning_lines(&warning, look.err_color));
    }
    Ok(config)
}

/// What is said where the first target is a command's name, or nearly: before anyone is asked
/// for the address of such a host. `portolan scan WORD` scans it all the same.
fn mistyped(targets: &[String]) -> Option<Failure> {
    let word = targets.first()?;
    let host: HostName = word.parse().ok()?;
    if word.contains('.') || names::is_known_here(&host) {
        return None;
    }
    let command = args::command();
    let known = || {
        let names = command.get_subcommands().map(clap::Command::get_name);
        names.chain([argv::HELP])
    };
    let on_its_own = format!("a host of this name is scanned by `portolan scan {word}`");
    if ["delete", "remove", "rm"].contains(&word.as_str()) {
        return Some(
            Failure::new(format!("`{word}` is no command")).hint(format!(
                "a scan is deleted on its page, see `portolan serve`; {on_its_own}"
            )),
        );
    }
    let begun = known().find(|name| word.len() > 2 && name.starts_with(word.as_str()));
    let meant = begun.or_else(|| nearest(word, known()))?;
    if meant != word {
        return Some(
            Failure::new(format!("`{word}` is no command")).hint(format!(
                "did you mean the command `{meant}`? A host of this name is scanned by \
             `portolan scan {word}`"
            )),
        );
    }
    let words: Vec<String> = targets.iter().map(|word| visible(word)).collect();
    Some(
        Failure::new(format!("the command `{meant}` must be the first word")).hint(format!(
            "write `portolan {}`, with its options behind; {on_its_own}",
            words.join(" ")
        )),
    )
}

/// The end of a command that prints one text.
fn printed(text: failure::Result<String>) -> Exit {
    match text {
        Ok(text) => written(terminal::stdout(&text)),
        Err(failure) => not_started(&failure),
    }
}

/// The end of a command that has said all it has to say.
fn ended(result: failure::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(failure) => not_started(&failure),
    }
}

fn not_started(failure: &Failure) -> Exit {
    let look = Look::detect(ColorChoice::Auto);
    terminal::stderr(&terminal::error_lines(failure, look.err_color));
    Exit::NotStarted
}

/// The end of `diff`: what it found on standard output, what it cannot know beside it.
fn compared_end(compared: &compare::Comparison) -> Exit {
    let exit = written(terminal::stdout(&compared.text));
    let look = Look::detect(ColorChoice::Auto);
    for warning in &compared.warnings {
        terminal::stderr(&terminal::warning_lines(warning, look.err_color));
    }
    match exit {
        Exit::Done if compared.may_differ => Exit::LeftOut,
        exit => exit,
    }
}

/// The end of a command that only writes: a reader that has gone has had enough.
fn written(result: io::Result<()>) -> Exit {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => not_started(&Failure::new(
            format!("cannot write to standard output: {}", io_reason(&error)),
        )),
        _ => Exit::Done,
    }
}

/// Why there are no arguments to go by.
enum Refused {
    /// Help or the version was asked for.
    Help(String),
    /// They cannot be understood.
    Failure(Failure),
}

fn parse(words: Vec<OsString>) -> Result<Cli, Refused> {
    let words = match argv::help(words).map_err(Refused::Failure)? {
        Asked::Words(words) => argv::rewrite(words).map_err(Refused::Failure)?,
        Asked::Text(text) => return Err(Refused::Help(text.to_owned())),
    };
    let words = std::iter::once(OsString::from(NAME)).chain(words);
    let look = Look::detect(ColorChoice::Auto);
    let words: Vec<_> = words.collect();
    // Whose help says more.
    let whole = args::command();
    let called = words
        .get(1)
        .and_then(|word| whole.find_subcommand(word))
        .unwrap_or(&whole);
    let is_brief = words.iter().any(|word| word == "-h");
    let command = if is_brief {
        args::brief()
    } else {
        args::command()
    };
    command
        .term_width(look.width.min(100))
        .try_get_matches_from(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let text = error.render();
                Refused::Help(if look.out_color {
                    text.ansi().to_string()
                } else {
                    text.to_string()
                })
            }
            _ => Refused::Failure(explain(&error, called, &words)),
        })
}

/// clap's error as one line and a hint, without the usage that it adds; `called` is the command
/// that refuses these words.
fn explain(error: &clap::Error, called: &clap::Command, words: &[OsString]) -> Failure {
    if let Some(failure) = command_behind(error, called, words) {
        return failure;
    }
    if let Some(failure) = unknown_option(error, called) {
        return failure;
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or(&text);
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = by_typed_names(message, called, words);
    let failure = Failure::new(visible(&message));
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        let message = message
            .split(" [possible values")
            .next()
            .unwrap_or(&message);
        return Failure::new(visible(message)).hint(format!("write one of {}", values.join(", ")));
    }
    let meant = match error.get(ContextKind::SuggestedValue) {
        Some(ContextValue::String(text)) => Some(text),
        Some(ContextValue::Strings(texts)) => texts.first(),
        _ => None,
    };
    match meant {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None if message.starts_with("the argument '--ports")
            && message.contains("multiple times") =>
        {
            failure.hint("join them by a comma, as in `-p 22,80`")
        }
        None => failure.hint(see_help(called)),
    }
}

/// What is said of options that stand before the command that they are meant for.
fn command_behind(
    error: &clap::Error,
    called: &clap::Command,
    words: &[OsString],
) -> Option<Failure> {
    let is_conflict = matches!(
        error.kind(),
        // What follows the command may be an option of its own.
        ErrorKind::ArgumentConflict | ErrorKind::UnknownArgument
    );
    let typed = words.get(1..)?;
    let begins_with_option = typed.first()?.as_encoded_bytes().starts_with(b"-");
    if !is_conflict || called.get_name() != NAME || !begins_with_option {
        return None;
    }
    let place = typed
        .iter()
        .position(|word| called.find_subcommand(word).is_some())?;
    let command = typed.get(place)?.to_string_lossy();
    let others = typed.iter().enumerate().filter(|(at, _)| *at != place);
    let others: Vec<_> = others.map(|(_, word)| word.to_string_lossy()).collect();
    Some(
        Failure::new(format!("the command `{command}` must be the first word")).hint(visible(
            &format!("write `{NAME} {command} {}`", others.join(" ")),
        )),
    )
}

/// A message that calls options what they were called where an alias was typed.
fn by_typed_names(message: String, called: &clap::Command, words: &[OsString]) -> String {
    let is_typed = |option: &str| {
        words.iter().any(|word| {
            let word = word.to_string_lossy();
            let rest = word
                .strip_prefix("--")
                .and_then(|word| word.strip_prefix(option));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let renamed = called.get_arguments().find_map(|known| {
        let long = known.get_long().filter(|long| !is_typed(long))?;
        let named = format!("'--{long} ");
        let aliases = known.get_all_aliases().unwrap_or_default();
        let alias = aliases.into_iter().find(|alias| is_typed(alias))?;
        let renamed = message.replace(&named, &format!("'--{alias} "));
        (renamed != message).then_some(renamed)
    });
    renamed.unwrap_or(message)
}

/// What is said of an option that is not known: one of nmap's by what it asks for, any other by
/// the option that is written nearly so.
fn unknown_option(error: &clap::Error, called: &clap::Command) -> Option<Failure> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let option = option.split('=').next().unwrap_or(option);
    let scans = [NAME, "scan", "list"].contains(&called.get_name());
    if let Some(failure) = foreign::refusal(option).filter(|_| scans) {
        return Some(failure);
    }
    let failure = Failure::new(format!("unexpected argument '{}' found", visible(option)));
    let known = called
        .get_arguments()
        .filter(|known| !known.is_hide_set())
        .flat_map(|known| {
            let aliases = known.get_all_aliases().unwrap_or_default();
            known.get_long().into_iter().chain(aliases)
        });
    let meant = option
        .strip_prefix("--")
        .and_then(|option| nearest(option, known));
    Some(match meant {
        Some(meant) => failure.hint(format!("did you mean `--{meant}`?")),
        None => failure.hint(see_help(called)),
    })
}

fn see_help(called: &clap::Command) -> String {
    match called.get_name() {
        NAME => format!("see `{NAME} --help`"),
        command => format!("see `{NAME} {command} --help`"),
    }
}

/// The command line as it was typed, as a shell would take it again.
fn typed(words: &[OsString]) -> String {
    let mut line = NAME.to_owned();
    for word in words {
        let word = word.to_string_lossy();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:=@%+".contains(&byte);
        line.push(' ');
        if !word.is_empty() && word.bytes().all(is_plain) {
            line.push_str(&word);
        } else {
            line.push('\'');
            line.push_str(&word.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    line
}
