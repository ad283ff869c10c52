//! The `rules` command: checking rule files, and beginning new ones.

use std::fmt::Write as _;
use std::path::PathBuf;

use portolan_detect::rules::{BANNER, Fault, RuleSet, RuleSetBuilder, check};
use portolan_detect::{escape, readers, rules};

use crate::args::RulesCommand;
use crate::detect;
use crate::failure::{Failure, Result, visible};

/// Does what is asked; the text to print, and whether all was well.
///
/// # Errors
/// When a file cannot be read, or what is given is no answer.
pub(crate) fn rules(command: RulesCommand) -> Result<(String, bool)> {
    match command {
        RulesCommand::Check { files } => check_files(&files),
        RulesCommand::New {
            answer,
            name,
            service,
            on,
        } => Ok((skeleton(&answer, &name, &service, &on)?, true)),
        RulesCommand::Fields => Ok((fields(), true)),
    }
}

fn check_files(files: &[PathBuf]) -> Result<(String, bool)> {
    let mut builder = RuleSetBuilder::embedded();
    let mut names = Vec::new();
    for file in files {
        let name = file.display().to_string();
        builder = builder.file(&name, &detect::read(file)?);
        names.push(name);
    }
    let (faults, count) = match builder.build() {
        Err(faults) => (faults, 0),
        Ok(set) => {
            let of_files = |rule: &rules::Rule| names.contains(&rule.file);
            let count = set.rules().iter().filter(|rule| of_files(rule)).count();
            // A rule of the program that loses its sample to one of these files is told too.
            (check(&set, |_| true), count)
        }
    };
    let mut text = String::new();
    for fault in &faults {
        push(&mut text, fault);
    }
    if faults.is_empty() {
        let what = if count == 1 { "rule" } else { "rules" };
        let _ = writeln!(text, "{count} {what}, all samples taken");
    }
    Ok((text, faults.is_empty()))
}

fn push(text: &mut String, fault: &Fault) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", visible(&fault.to_string()));
    if let Some(hint) = &fault.hint {
        let _ = writeln!(text, "  hint: {}", visible(hint));
    }
}

fn fields() -> String {
    let set = RuleSet::embedded();
    let mut text = format!("{BANNER}  what a server says unasked\n\nprobes:\n");
    for probe in set.probes() {
        let _ = writeln!(
            text,
            "  {:<24} {}, ports {}, intensity {}",
            probe.name,
            probe.protocol,
            if probe.ports.is_empty() {
                "-".to_owned()
            } else {
                probe.ports.to_string()
            },
            probe.intensity
        );
    }
    text.push_str("\nfields of readers:\n");
    for field in readers::fields() {
        let _ = writeln!(text, "  {field}");
    }
    text
}

/// The beginning of a rule: the first line of the answer with the version as a capture.
fn skeleton(answer: &str, name: &str, service: &str, on: &str) -> Result<String> {
    let bytes = escape::bytes(answer).map_err(|error| {
        Failure::new(format!("the answer cannot be read: {error}"))
            .hint("copy it as `portolan detect` shows it, in single quotes")
    })?;
    if bytes.is_empty() {
        return Err(Failure::new("the answer is empty").hint("a rule needs bytes to go by"));
    }
    let line = bytes
        .split(|&byte| matches!(byte, b'\r' | b'\n'))
        .find(|line| !line.is_empty())
        .unwrap_or(&bytes);
    let line = line.get(..80).unwrap_or(line);
    let (pattern, has_version) = pattern(line);
    let anchor = if bytes.starts_with(line) { "^" } else { "" };
    let mut text = format!("[[rule]]\nname = {name:?}\nservice = {service:?}\n");
    if on != BANNER {
        let _ = writeln!(text, "on = {on:?}");
    }
    let _ = writeln!(text, "match = {}", quoted(&format!("{anchor}{pattern}")));
    let _ = writeln!(text, "product = \"the program's name\"");
    if has_version {
        let _ = writeln!(text, "# the capture `version` fills the version");
    }
    let _ = writeln!(text, "samples = [{}]", quoted(&escape::text(&bytes)));
    Ok(text)
}

/// A string of TOML in which backslashes are backslashes.
fn quoted(text: &str) -> String {
    if text.contains('\'') {
        format!("'''{text}'''")
    } else {
        format!("'{text}'")
    }
}

/// An expression that takes `line`, with what looks like a version as a capture.
fn pattern(line: &[u8]) -> (String, bool) {
    let mut out = String::new();
    let mut has_version = false;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        let rest = line.get(at..).unwrap_or_default();
        let is_start = at == 0 || !line.get(at - 1).is_some_and(u8::is_ascii_alphanumeric);
        let length = version_length(rest);
        if !has_version && is_start && length > 0 {
            out.push_str("(?P<version>[0-9][0-9A-Za-z.]*)");
            has_version = true;
            at += length;
            continue;
        }
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b' '
            | b'-'
            | b'_'
            | b'/'
            | b':'
            | b','
            | b';'
            | b'<'
            | b'>'
            | b'='
            | b'@'
            | b'%'
            | b'!'
            | b'"'
            | b'\'' => {
                out.push(char::from(byte));
            }
            b'!'..=b'~' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        at += 1;
    }
    (out, has_version)
}

/// How many bytes at the beginning are a version: digits, a dot, digits, and what hangs on them.
fn version_length(bytes: &[u8]) -> usize {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let dotted =
        bytes.get(digits) == Some(&b'.') && bytes.get(digits + 1).is_some_and(u8::is_ascii_digit);
    if digits == 0 || !dotted {
        return 0;
    }
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'.';
    bytes.iter().take_while(is_part).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skeleton_is_a_rule_that_takes_its_answer() {
        let text = skeleton(r"220 it's Acmed 1.2.3 (x)\r\n\x00", "acmed", "acme", BANNER).unwrap();
        assert!(text.contains(r"(?P<version>[0-9][0-9A-Za-z.]*)"), "{text}");
        let set = RuleSetBuilder::embedded()
            .file("new.toml", &text)
            .build()
            .unwrap();
        assert_eq!(check(&set, |rule| rule.name == "acmed"), []);
    }

    #[test]
    fn an_answer_without_a_version_makes_a_rule_too() {
        let text = skeleton(r"\x00\xffhello", "x", "y", "http-get").unwrap();
        let set = RuleSetBuilder::embedded()
            .file("new.toml", &text)
            .build()
            .unwrap();
        assert_eq!(check(&set, |rule| rule.name == "x"), []);
        assert!(skeleton(r"\q", "x", "y", BANNER).is_err());
    }
}
