//! What the standard streams are, and how to write to them.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use rustix::termios::{Winsize, tcgetwinsize};

use crate::args::ColorChoice;

/// Columns of a stream that is no terminal, and of one that does not say.
const WIDTH: usize = 80;
/// Rows of a terminal that does not say.
const HEIGHT: usize = 24;

/// How to write to the standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "two facts of two streams")]
pub(crate) struct Look {
    /// Whether standard output is a terminal that takes escape sequences.
    pub(crate) out_is_terminal: bool,
    /// Whether standard error is one.
    pub(crate) err_is_terminal: bool,
    /// Whether standard output is coloured.
    pub(crate) out_color: bool,
    /// Whether standard error is.
    pub(crate) err_color: bool,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Rows of the terminal.
    pub(crate) height: usize,
}

impl Look {
    /// Looks at the streams and the environment.
    pub(crate) fn detect(choice: ColorChoice) -> Self {
        let env = |name: &str| std::env::var_os(name);
        // One that takes no escape sequences is written to like a file.
        let is_dumb = env("TERM").is_some_and(|term| term == "dumb");
        let out = io::stdout().is_terminal() && !is_dumb;
        let err = io::stderr().is_terminal() && !is_dumb;
        let size = size();
        let extent = |said: Option<u16>, name: &str, fallback: usize| {
            said.map(usize::from)
                .filter(|&said| said > 0)
                .or_else(|| env(name)?.to_str()?.parse().ok().filter(|&said| said > 0))
                .unwrap_or(fallback)
        };
        Self {
            out_is_terminal: out,
            err_is_terminal: err,
            out_color: colored(choice, out, env),
            err_color: colored(choice, err, env),
            width: extent(size.map(|size| size.ws_col), "COLUMNS", WIDTH),
            height: extent(size.map(|size| size.ws_row), "LINES", HEIGHT),
        }
    }
}

impl Look {
    /// The same with the terminal's size of now: windows are drawn larger and smaller.
    pub(crate) fn again(self) -> Self {
        match size() {
            Some(size) if size.ws_col > 0 && size.ws_row > 0 => Self {
                width: size.ws_col.into(),
                height: size.ws_row.into(),
                ..self
            },
            _ => self,
        }
    }
}

/// Columns of the terminal as it is now.
pub(super) fn columns() -> usize {
    size().map_or(WIDTH, |size| size.ws_col.into())
}

/// What the terminal says of its size.
fn size() -> Option<Winsize> {
    tcgetwinsize(io::stdout())
        .or_else(|_| tcgetwinsize(io::stderr()))
        .ok()
}

/// Whether a stream is coloured: the user's choice, then `NO_COLOR` (no-color.org), then
/// `CLICOLOR_FORCE` (bixense.com/clicolors), then whether it is a terminal that can.
fn colored(choice: ColorChoice, is_terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set("NO_COLOR") => false,
        ColorChoice::Auto if is_set("CLICOLOR_FORCE") => {
            env("CLICOLOR_FORCE").is_some_and(|value| value != "0")
        }
        ColorChoice::Auto => is_terminal && env("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use ColorChoice::{Always, Auto, Never};

    use super::*;

    #[test]
    fn the_choice_wins_then_no_color_then_force_then_the_terminal() {
        let with = |choice, terminal, pairs: &[(&str, &str)]| {
            colored(choice, terminal, |name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(*value))
            })
        };
        assert!(with(Auto, true, &[]));
        assert!(!with(Auto, false, &[]));
        assert!(!with(Auto, true, &[("NO_COLOR", "1")]));
        assert!(with(Auto, true, &[("NO_COLOR", "")]));
        assert!(with(Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!with(Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!with(
            Auto,
            false,
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]
        ));
        assert!(!with(Auto, true, &[("TERM", "dumb")]));
        assert!(with(Always, false, &[("NO_COLOR", "1")]));
        assert!(!with(Never, true, &[("CLICOLOR_FORCE", "1")]));
    }
}
