//! What people see: rows as they are found, progress, summary, errors. All writing to the
//! standard streams is here.

mod live;
mod look;
mod progress;
mod summary;

use std::fmt::Write as _;
use std::io::{self, Write};

pub(crate) use live::{Live, Shown};
pub(crate) use look::Look;
pub(crate) use progress::grouped;
pub(crate) use summary::{silent_hosts, summary};

use crate::failure::{Failure, visible};

/// Writes `text` to standard output.
///
/// # Errors
/// When it cannot be written; a closed pipe among them.
pub(crate) fn stdout(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes `text` to standard error. Where even that fails, there is nobody left to tell.
pub(crate) fn stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says in a line that is written over what is waited for.
pub(crate) fn status(text: &str) {
    let text: String = visible(text)
        .chars()
        .take(look::columns().saturating_sub(1))
        .collect();
    stderr(&format!("\r\x1b[K{text}"));
}

/// Takes a line of progress away before the program leaves without ending its scan.
pub(crate) fn leave_line() {
    crate::keys::restore();
    if io::IsTerminal::is_terminal(&io::stderr()) {
        stderr("\r\x1b[K");
    }
}

/// A failure as the user sees it.
pub(crate) fn error_lines(failure: &Failure, color: bool) -> String {
    lines(
        "error",
        RED,
        &failure.message,
        failure.hint.as_deref(),
        color,
    )
}

/// What does not keep the program from going on, as the user sees it.
pub(crate) fn warning_lines(warning: &Failure, color: bool) -> String {
    lines(
        "warning",
        YELLOW,
        &warning.message,
        warning.hint.as_deref(),
        color,
    )
}

/// Something that is left out, or advice, as the user sees it.
pub(crate) fn problem_lines(problem: &portolan_model::event::Problem, color: bool) -> String {
    let message = visible(&problem.line());
    let hint = problem.hint.as_deref().map(visible);
    let (word, style) = if problem.left_out {
        ("error", RED)
    } else {
        ("note", CYAN)
    };
    lines(word, style, &message, hint.as_deref(), color)
}

/// Something that the user may want to know.
pub(crate) fn note_line(note: &str, color: bool) -> String {
    lines("note", CYAN, &visible(note), None, color)
}

/// What can be done, or what something means.
fn hint_line(hint: &str, color: bool) -> String {
    lines("hint", CYAN, hint, None, color)
}

const RED: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const YELLOW: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();
const CYAN: anstyle::Style = anstyle::AnsiColor::Cyan.on_default().bold();

fn lines(
    word: &str,
    style: anstyle::Style,
    message: &str,
    hint: Option<&str>,
    color: bool,
) -> String {
    let paint = |word: &str, style: anstyle::Style| {
        if color {
            format!("{style}{word}:{style:#}")
        } else {
            format!("{word}:")
        }
    };
    let mut text = format!("{} {message}\n", paint(word, style));
    if let Some(hint) = hint {
        let _ = writeln!(text, "{} {hint}", paint("hint", CYAN));
    }
    text
}
