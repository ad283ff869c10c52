//! What is told to the user when something cannot be done, and with which status the program ends.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why the program cannot start, in one line, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is wrong, with the value and where it stands.
    pub(crate) message: String,
    /// What the user can do.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A result whose error keeps the program from starting.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: done with something left out; for `diff`, the two differ.
    LeftOut,
    /// 2: could not start.
    NotStarted,
    /// 130: interrupted, 128 and the number of SIGINT.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::LeftOut => 1,
            Exit::NotStarted => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// What an input or output error says, in the words of this program: lower case, without the
/// system's number.
pub(crate) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the device".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is no directory".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            let mut letters = text.chars();
            match letters.next() {
                Some(first) => first.to_lowercase().chain(letters).collect(),
                None => "unknown error".to_owned(),
            }
        }
    }
}

/// `text` with everything that would move a terminal's cursor, or hide, made visible: much of
/// what is printed comes from the network or from a file.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        let hidden = letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hidden {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_are_told_in_lower_case_without_their_number() {
        let error = io::Error::from_raw_os_error(16);
        let told = io_reason(&error);
        assert!(told.contains("busy"), "{told}");
        assert!(!told.contains("os error"), "{told}");
        assert!(!told.starts_with(char::is_uppercase), "{told}");
        assert_eq!(
            io_reason(&io::Error::from_raw_os_error(28)),
            "no space left on the device"
        );
    }

    #[test]
    fn escape_codes_and_hidden_letters_are_made_visible() {
        assert_eq!(visible("a\x1b[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(visible("\u{202e}txt"), "\\u{202e}txt");
        assert_eq!(visible("größe"), "größe");
    }
}
