//! The words of the command line and of target files, read into targets.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use portolan_model::Target;
use portolan_model::target::{self, TargetError};

use crate::failure::{Failure, Result, io_reason, visible};

/// Reads the targets of words and of files, in this order; `-` as a file is `stdin`.
///
/// # Errors
/// For the first word that is no target, with its file and line, and for a file that cannot be
/// read.
pub(crate) fn gather(
    words: &[String],
    files: &[PathBuf],
    stdin: &mut dyn Read,
) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for word in words {
        into(word, None, &mut targets)?;
    }
    let mut stdin_is_read = false;
    for file in files {
        let is_stdin = file.as_os_str() == "-";
        if is_stdin && stdin_is_read {
            return Err(Failure::new("standard input cannot be read twice")
                .hint("give `-` once, and other files by their names"));
        }
        stdin_is_read |= is_stdin;
        let shown = Origin::new(file);
        let bytes = if is_stdin {
            let mut bytes = Vec::new();
            stdin.read_to_end(&mut bytes).map(|_| bytes)
        } else {
            read(file)
        };
        let bytes = bytes.map_err(|error| {
            Failure::new(format!(
                "cannot read targets from {shown}: {}",
                io_reason(&error)
            ))
        })?;
        from_file(&bytes, &shown, &mut targets)?;
    }
    Ok(targets)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What to leave out: each word is a target, or targets with commas between them.
///
/// # Errors
/// As [`gather`].
pub(crate) fn exclusions(words: &[String], files: &[PathBuf]) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for word in words {
        match Target::from_str(word) {
            Ok(target) => targets.push(target),
            // `10.0.0.1,5` is one target: octets may hold commas. What is none as a whole is a
            // list.
            Err(whole) if !word.contains(',') => return Err(refused(&whole, None)),
            Err(_) => {
                for part in word.split(',') {
                    let target = Target::from_str(part).map_err(|error| refused(&error, None))?;
                    targets.push(target);
                }
            }
        }
    }
    if files.iter().any(|file| file.as_os_str() == "-") {
        return Err(
            Failure::new("exclusions cannot be read from standard input")
                .hint("name a file after `--exclude-file`"),
        );
    }
    targets.extend(gather(&[], files, &mut io::empty())?);
    Ok(targets)
}

/// The name of a file as it stands in messages.
struct Origin(String);

impl Origin {
    fn new(file: &Path) -> Self {
        Self(match file.as_os_str().to_str() {
            Some("-") => "standard input".to_owned(),
            _ => format!("`{}`", visible(&file.display().to_string())),
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn from_file(bytes: &[u8], origin: &Origin, into: &mut Vec<Target>) -> Result<()> {
    // Files that were written on Windows may begin with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or(bytes);
        let line = good.split(|&byte| byte == b'\n').count();
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        Failure::new(format!(
            "{origin} is not UTF-8 text: line {line} holds the byte 0x{byte:02x}"
        ))
        .hint("save it as UTF-8, one target a line")
    })?;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or(line);
        for word in line.split_whitespace() {
            self::into(word, Some((origin, index + 1)), into)?;
        }
    }
    Ok(())
}

/// Adds the targets of a word: one, or several with commas after them.
fn into(word: &str, place: Option<(&Origin, usize)>, into: &mut Vec<Target>) -> Result<()> {
    let parts = target::words(word);
    if parts.is_empty() {
        // The error says what belongs there.
        into.push(Target::from_str(word).map_err(|error| refused(&error, place))?);
    }
    for part in parts {
        into.push(Target::from_str(&part).map_err(|error| refused(&error, place))?);
    }
    Ok(())
}

fn refused(error: &TargetError, place: Option<(&Origin, usize)>) -> Failure {
    let error_text = visible(&error.to_string());
    Failure {
        message: match place {
            Some((origin, line)) => format!("{origin}, line {line}: {error_text}"),
            None => error_text,
        },
        hint: error.hint().map(|hint| visible(&hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_stdin(bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
        gather(&[], &["-".into()], &mut &*bytes)
            .map(|targets| targets.iter().map(ToString::to_string).collect())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn targets_may_stand_between_commas() {
        let words = ["127.0.0.1,127.0.0.2".to_owned(), "::1,".to_owned()];
        let targets = gather(&words, &[], &mut io::empty()).unwrap();
        let shown: Vec<_> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1", "127.0.0.2", "::1"]);
        let read = from_stdin(b"127.0.0.1, 127.0.0.2\n10.0.0-3.1,5,9\n");
        assert_eq!(read.unwrap(), ["127.0.0.1", "127.0.0.2", "10.0.0-3.1,5,9"]);
        assert!(gather(&[String::new()], &[], &mut io::empty()).is_err());
    }

    #[test]
    fn words_stand_between_white_space_and_comments_are_skipped() {
        let text =
            b"\xef\xbb\xbf192.0.2.1 192.0.2.2\t192.0.2.3\r\n# all of it\n\nexample.com # mine\n";
        assert_eq!(
            from_stdin(text).unwrap(),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "example.com"]
        );
        assert_eq!(from_stdin(b"# nothing\n").unwrap(), [""; 0]);
    }

    #[test]
    fn a_bad_word_names_its_file_and_line() {
        assert_eq!(
            from_stdin(b"192.0.2.1\n192.0.2.0/33\n").unwrap_err(),
            "standard input, line 2: `192.0.2.0/33` has a prefix of 33: IPv4 has prefixes of 0 to 32"
        );
    }

    #[test]
    fn what_is_not_utf_8_is_said_with_its_line() {
        assert_eq!(
            from_stdin(b"192.0.2.1\ncaf\xe9\n").unwrap_err(),
            "standard input is not UTF-8 text: line 2 holds the byte 0xe9"
        );
    }

    #[test]
    fn standard_input_is_read_once() {
        let twice = gather(&[], &["-".into(), "-".into()], &mut io::empty());
        assert_eq!(
            twice.unwrap_err().message,
            "standard input cannot be read twice"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = gather(&[], &["/nonexistent/hosts".into()], &mut io::empty());
        assert_eq!(
            missing.unwrap_err().message,
            "cannot read targets from `/nonexistent/hosts`: no such file or directory"
        );
    }

    #[test]
    fn exclusions_are_lists_and_octets_keep_their_commas() {
        let read = |word: &str| {
            let targets = exclusions(&[word.to_owned()], &[]).unwrap();
            targets.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(read("192.0.2.1,192.0.2.9"), ["192.0.2.1", "192.0.2.9"]);
        assert_eq!(read("192.0.2.1,9"), ["192.0.2.1,9"]);
        assert_eq!(
            read("192.0.2.0/28,a.example"),
            ["192.0.2.0/28", "a.example"]
        );
        let failure = exclusions(&["192.0.2.1,,".to_owned()], &[]).unwrap_err();
        assert_eq!(failure.message, "the target is empty");
    }

    #[test]
    fn escape_codes_in_a_file_do_not_reach_the_terminal() {
        let message = from_stdin(b"\x1b[2Jx\n").unwrap_err();
        assert!(!message.contains('\x1b'), "{message:?}");
    }
}
