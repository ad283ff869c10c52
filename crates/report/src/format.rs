//! The formats that a result is written in.

use std::fmt;
use std::io;
use std::str::FromStr;

use jiff::tz::TimeZone;
use portolan_model::ScanRecord;

use crate::{csv, grepable, html, jsonl, markdown, normal, xml};

/// A format for files and for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// One event a line, as JSON.
    JsonLines,
    /// nmap's XML, version 1.05.
    Xml,
    /// One host a line, for `grep` and `awk`.
    Grepable,
    /// Plain text for people.
    Normal,
    /// One port a row (RFC 4180).
    Csv,
    /// Tables in Markdown.
    Markdown,
    /// A page for a browser, in one file.
    Html,
}

/// How a result is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Whether ports that are not open are left out; they are still counted.
    pub open_only: bool,
    /// The program that the XML says it is from. Readers of nmap's XML know `nmap`, and one of
    /// them yields nothing for any other.
    pub xml_scanner: String,
    /// For the times that people read. Those for programs are in UTC.
    pub time_zone: TimeZone,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            open_only: false,
            xml_scanner: "nmap".to_owned(),
            time_zone: TimeZone::UTC,
        }
    }
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::JsonLines,
        Self::Xml,
        Self::Grepable,
        Self::Normal,
        Self::Csv,
        Self::Markdown,
        Self::Html,
    ];

    /// Its name, as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Xml => "xml",
            Self::Grepable => "grepable",
            Self::Normal => "normal",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// How the names of its files end, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Xml => "xml",
            Self::Grepable => "gnmap",
            Self::Normal => "nmap",
            Self::Csv => "csv",
            Self::Markdown => "md",
            Self::Html => "html",
        }
    }

    /// Its media type (RFC 6838), for who serves it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/jsonl",
            Self::Xml => "application/xml",
            Self::Grepable | Self::Normal => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format `{found}`, expected jsonl, xml, grepable, normal, csv, markdown or html")]
pub struct UnknownFormat {
    found: String,
}

/// Reads its name in either case, the ending of its files, and `json` for JSON lines.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let word = text.to_ascii_lowercase();
        if word == "json" {
            return Ok(Self::JsonLines);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.as_str() == word || format.extension() == word)
            .ok_or(UnknownFormat {
                found: text.to_owned(),
            })
    }
}

/// Writes a whole result.
///
/// # Errors
/// Those of `out`.
pub fn write(
    format: Format,
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::JsonLines => jsonl::write(record, options, out),
        Format::Xml => xml::write(record, options, out),
        Format::Grepable => grepable::write(record, options, out),
        Format::Normal => normal::write(record, options, out),
        Format::Csv => csv::write(record, options, out),
        Format::Markdown => markdown::write(record, options, out),
        Format::Html => html::write(record, options, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_name_and_by_its_files() {
        for &format in Format::ALL {
            assert_eq!(format.as_str().to_uppercase().parse(), Ok(format));
            assert_eq!(format.extension().parse(), Ok(format));
        }
        assert_eq!("json".parse(), Ok(Format::JsonLines));
        assert_eq!(
            "pdf".parse::<Format>().unwrap_err().to_string(),
            "unknown format `pdf`, expected jsonl, xml, grepable, normal, csv, markdown or html"
        );
    }
}
