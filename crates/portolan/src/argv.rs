//! The short forms that nmap's users know, turned into this program's own options.
//!
//! Only words that clap cannot read by itself are touched: nmap writes several letters after
//! one dash (`-sT`, `-oX`, `-iL`, `-Pn`). Everything else, and everything after `--`, passes
//! as it is.

use std::ffi::{OsStr, OsString};

use portolan_model::hint::nearest;

use crate::failure::{Failure, Result, visible};
use crate::{args, foreign};

/// The word that asks for help.
pub(crate) const HELP: &str = "help";

/// What `help help` says.
const OF_HELP: &str = "\
Shows every option of the program, or of one of its commands

Usage: portolan help [COMMAND]

`portolan help list` is `portolan list --help`; `portolan -h` shows the options
that matter most. A host named `help` is scanned by `portolan scan help`.
";

/// What the first words ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// What these words say.
    Words(Vec<OsString>),
    /// This text.
    Text(&'static str),
}

/// Rewrites the arguments, the program's name not among them.
///
/// # Errors
/// For nmap's options of these families that this program does not have.
pub(crate) fn rewrite(words: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut rewritten = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        // What is not UTF-8 can be a file's name, but none of these options.
        let Some(text) = word.to_str() else {
            rewritten.push(word);
            continue;
        };
        if text == "--" {
            rewritten.push(word);
            rewritten.extend(words);
            break;
        }
        match text.as_bytes() {
            [b'-', b's', _, ..] => rewritten.extend(techniques(text)?),
            [b'-', b'P', _, ..] => rewritten.push(discovery(text)?),
            [b'-', b'o', ..] => {
                let (option, file) = output(text)?;
                push_with_value(&mut rewritten, option, file, &mut words);
            }
            [b'-', b'i', ..] => {
                let (option, file) = input(text)?;
                push_with_value(&mut rewritten, option, file, &mut words);
            }
            b"-p" => push_ports(&mut rewritten, words.next()),
            _ => rewritten.push(word),
        }
    }
    Ok(rewritten)
}

/// `help` and `help COMMAND`, as `--help` and `COMMAND --help`. A host of this name is scanned by
/// `portolan scan help`.
///
/// # Errors
/// When there is no such command.
pub(crate) fn help(words: Vec<OsString>) -> Result<Asked> {
    let rest = match &words[..] {
        [first, rest @ ..] if first == HELP => rest,
        _ => return Ok(Asked::Words(words)),
    };
    if rest.iter().all(|word| word == HELP) && !rest.is_empty() {
        return Ok(Asked::Text(OF_HELP));
    }
    let whole = args::command();
    let mut command = &whole;
    for word in rest {
        let word = word.to_string_lossy();
        if word.starts_with('-') {
            break;
        }
        command = command
            .find_subcommand(word.as_ref())
            .ok_or_else(|| no_command(&word, command))?;
    }
    let words = rest.iter().cloned().chain(["--help".into()]);
    Ok(Asked::Words(words.collect()))
}

/// What is said of a word that is no command of `of`.
pub(crate) fn no_command(word: &str, of: &clap::Command) -> Failure {
    let known = of.get_subcommands().map(clap::Command::get_name);
    let failure = Failure::new(format!("there is no command `{}`", visible(word)));
    match nearest(word, known) {
        Some(known) => failure.hint(format!("did you mean `{known}`?")),
        None if of.get_name() == crate::NAME => {
            failure.hint("see `portolan --help` for all commands")
        }
        None => failure.hint(format!(
            "see `portolan help {}` for its commands",
            of.get_name()
        )),
    }
}

/// `-sT`, and several letters at once as in `-sTV`.
fn techniques(word: &str) -> Result<Vec<OsString>> {
    let letters = word.strip_prefix("-s").unwrap_or(word);
    letters
        .chars()
        .map(|letter| {
            Ok(OsString::from(match letter {
                'T' => "--connect",
                'S' => "--syn",
                'U' => "--udp",
                'V' => "--detect",
                'n' | 'P' => "--hosts-only",
                'L' => {
                    return Err(Failure::new("`-sL` is not an option here")
                        .hint("to see what would be scanned, run `portolan list TARGET...`"));
                }
                'C' | 'I' => return Err(foreign_scan(letter)),
                _ => {
                    return Err(Failure::new(format!(
                        "`{word}` asks for a kind of scan that is not known: `{letter}`"
                    ))
                    .hint("use `-sT` to scan by connecting, or leave it out"));
                }
            }))
        })
        .collect()
}

/// A kind of scan of nmap's of which more can be said than that it is not known.
fn foreign_scan(letter: char) -> Failure {
    let option = format!("-s{letter}");
    foreign::refusal(&option)
        .unwrap_or_else(|| Failure::new(format!("`{option}` is not an option here")))
}

fn discovery(word: &str) -> Result<OsString> {
    if matches!(word, "-Pn" | "-P0" | "-PN") {
        return Ok("--skip-discovery".into());
    }
    Err(Failure::new(format!(
        "`{word}` is not a way to look for hosts that is known"
    ))
    .hint("use `-Pn` to take every address to be up, or leave it out"))
}

/// The option for `-oX` and its like, and the file where it is attached.
fn output(word: &str) -> Result<(&'static str, &str)> {
    for (short, option) in [
        ("-oX", "--xml"),
        ("-oG", "--grepable"),
        ("-oN", "--normal"),
        ("-oJ", "--jsonl"),
        ("-oA", "--all-formats"),
    ] {
        if let Some(file) = word.strip_prefix(short) {
            return Ok((option, file));
        }
    }
    Err(
        Failure::new(format!("`{word}` is not a kind of output that is known"))
            .hint("use one of -oX, -oG, -oN, -oJ, -oA, with a file"),
    )
}

fn input(word: &str) -> Result<(&'static str, &str)> {
    match word.strip_prefix("-iL") {
        Some(file) => Ok(("--input", file)),
        None => Err(
            Failure::new(format!("`{word}` is not a kind of input that is known"))
                .hint("use `-iL FILE` to read targets from a file"),
        ),
    }
}

/// Adds `option` with its value: the attached one, else the next word, whatever that is.
fn push_with_value(
    into: &mut Vec<OsString>,
    option: &str,
    attached: &str,
    words: &mut impl Iterator<Item = OsString>,
) {
    let attached = attached.strip_prefix('=').unwrap_or(attached);
    if !attached.is_empty() {
        into.push(format!("{option}={attached}").into());
        return;
    }
    into.push(option.into());
    // Joined, a file name that starts with a dash stays a file name; an option in its place
    // shall be clap's to refuse.
    if let Some(value) = words.next() {
        into.push(value);
    }
}

/// `-p -1024` is a range that is open below, not an option.
fn push_ports(into: &mut Vec<OsString>, value: Option<OsString>) {
    match value {
        Some(value) if is_open_range(&value) => {
            let mut joined = OsString::from("--ports=");
            joined.push(value);
            into.push(joined);
        }
        value => {
            into.push("-p".into());
            into.extend(value);
        }
    }
}

fn is_open_range(value: &OsStr) -> bool {
    matches!(value.as_encoded_bytes(), [b'-'] | [b'-', b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(line: &str) -> String {
        let words = line.split_whitespace().map(OsString::from);
        match rewrite(words) {
            Ok(words) => words
                .iter()
                .map(|word| word.to_str().unwrap())
                .collect::<Vec<_>>()
                .join(" "),
            Err(failure) => format!("error: {failure}"),
        }
    }

    #[test]
    fn forms_of_nmap_become_options_of_this_program() {
        for (from, to) in [
            ("-sT 192.0.2.1", "--connect 192.0.2.1"),
            ("-sTV h", "--connect --detect h"),
            ("-sSU h", "--syn --udp h"),
            ("-sn h", "--hosts-only h"),
            ("-Pn h", "--skip-discovery h"),
            ("-oX out.xml h", "--xml out.xml h"),
            ("-oXout.xml h", "--xml=out.xml h"),
            ("-oX=out.xml h", "--xml=out.xml h"),
            ("-oX - h", "--xml - h"),
            ("-oX- h", "--xml=- h"),
            ("-oA base h", "--all-formats base h"),
            ("-iL list.txt", "--input list.txt"),
            ("-iL -", "--input -"),
            ("-iLlist.txt", "--input=list.txt"),
            ("-p -1024 h", "--ports=-1024 h"),
            ("-p - h", "--ports=- h"),
        ] {
            assert_eq!(rewritten(from), to, "{from}");
        }
    }

    #[test]
    fn what_clap_reads_itself_passes_as_it_is() {
        for line in [
            "-p- h",
            "-p80,443 h",
            "-p 80 h",
            "-T4 h",
            "-T 4 h",
            "-F -n -R -v -vv -4 -6 h",
            "--top-ports 10 h",
            "--open --exclude 192.0.2.1 h",
            "h 1 1024",
            "list h",
            "-s",
            "-P",
        ] {
            assert_eq!(rewritten(line), line);
        }
    }

    #[test]
    fn what_follows_two_dashes_is_no_option() {
        assert_eq!(rewritten("-sT -- -sT -oX"), "--connect -- -sT -oX");
    }

    #[test]
    fn other_options_of_these_families_are_refused_by_name() {
        assert_eq!(
            rewritten("-sA h"),
            "error: `-sA` asks for a kind of scan that is not known: `A`"
        );
        assert_eq!(rewritten("-sL h"), "error: `-sL` is not an option here");
        assert_eq!(
            rewritten("-PS22 h"),
            "error: `-PS22` is not a way to look for hosts that is known"
        );
        assert_eq!(
            rewritten("-oS f h"),
            "error: `-oS` is not a kind of output that is known"
        );
        assert_eq!(
            rewritten("-iR 5"),
            "error: `-iR` is not a kind of input that is known"
        );
    }

    proptest! {
        #[test]
        fn words_without_these_letters_are_never_touched(
            words in prop::collection::vec("(--[a-z-]{1,12}|[a-z0-9./:,]{1,15}|-[TFnRv46q][0-9]?)", 0..8)
        ) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            prop_assert_eq!(rewrite(words.clone()), Ok(words));
        }

        #[test]
        fn no_words_make_it_panic(words in prop::collection::vec("-{0,2}\\PC{0,6}", 0..8)) {
            let _ = rewrite(words.into_iter().map(OsString::from));
        }

        #[test]
        fn a_file_is_kept_whether_attached_or_not(file in "[a-z0-9./_]{1,20}") {
            let apart = rewrite(["-oX".into(), OsString::from(&file)]).unwrap();
            prop_assert_eq!(apart, vec![OsString::from("--xml"), OsString::from(&file)]);
            let attached = rewrite([OsString::from(format!("-oX{file}"))]).unwrap();
            prop_assert_eq!(attached, vec![OsString::from(format!("--xml={file}"))]);
        }
    }
}
