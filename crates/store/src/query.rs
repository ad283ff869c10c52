//! The language of filters, the same in addresses of pages, the API, exports and the shell.
//!
//! ```text
//! query  = { [ "-" ] ( field ":" value { "," value } | order value { "," value }
//!                    | value { "," value } ) }
//! field  = "port" | "host" | "state" | "proto" | "reason" | "service" | "product" | "version"
//!        | "seen" | "new" | "changed" | "tls.expires" | "tag"
//! order  = ( "port" | "seen" | "changed" | "tls.expires" ) ( "<" | "<=" | ">" | ">=" )
//! value  = word | '"' { any character; \" and \\ for the two } '"'
//! ```
//!
//! Terms stand side by side and must all hold; of values joined by commas one must; `-` turns a
//! term round. `port:` takes numbers and ranges `8000-8999`, `host:` what a scan takes as a
//! target and the names of hosts, `state:`, `proto:` and `reason:` their words; `service:`,
//! `product:` and `version:`, and values without a field, are looked for within the text, in
//! any case (of ASCII letters); values without a field in each thing that is shown by itself: the
//! program with its version is one, so that `"OpenSSH 9"` is found. A port that said nothing has the service of its number where it is
//! open; where the query names states itself, also where it is not. `seen:` takes a day, `>` or `<`
//! and a day or a moment, or an age `7d`; `changed:` the same, of the moment at which the port came
//! to be what this scan found. `tls.expires:` takes them of the time to come: `tls.expires<30d`
//! are certificates that expire within 30 days, or have. `new:true` are the open ports that were
//! not known to be open before this scan; `tag:` are the hosts that have a tag, and all of a scan
//! that has it. `port<1024` is `port:<1024`, and so with the other fields that have an order.

mod eval;
mod expires;
mod parse;
mod seen;
mod sql;

use std::fmt;
use std::str::FromStr;

use portolan_model::{PortState, Protocol, Reason, Target};

pub(crate) use eval::{Candidate, service_words};
pub use expires::Expires;
pub use parse::{FIELDS, QueryError};
pub use seen::{Age, Point, Seen, Unit};

use crate::tags::Tag;

/// Which results to show. The empty query shows all.
///
/// It prints as it can be read back: `parse(print(query)) == query`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Query {
    /// What must hold, all of it.
    pub terms: Vec<Term>,
}

/// One condition of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// Whether it must hold, or must not.
    pub sense: Sense,
    /// What is asked of a result.
    pub filter: Filter,
}

/// Whether a condition must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sense {
    /// It must.
    Is,
    /// It must not.
    IsNot,
}

/// What is asked of a result: one of the values must fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// `port:`: first and last of each range.
    Port(Vec<(u16, u16)>),
    /// `host:`: addresses, networks, ranges and names.
    Host(Vec<Target>),
    /// `state:`.
    State(Vec<PortState>),
    /// `proto:`.
    Protocol(Vec<Protocol>),
    /// `reason:`.
    Reason(Vec<Reason>),
    /// `service:`: within the service's name, guessed by number where it said none.
    Service(Vec<String>),
    /// `product:`: within the program's name.
    Product(Vec<String>),
    /// `version:`: within its version.
    Version(Vec<String>),
    /// `seen:`: when it was found.
    Seen(Vec<Seen>),
    /// `new:`: whether it is open and was not known to be before this scan.
    New(Vec<bool>),
    /// `changed:`: when its port came to be as it is.
    Changed(Vec<Seen>),
    /// `tls.expires:`: when the certificate of its service expires.
    Expires(Vec<Expires>),
    /// `tag:`: what people call its host, or its scan.
    Tag(Vec<Tag>),
    /// Within anything that is shown of the result.
    Text(Vec<String>),
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        parse::query(text)
    }
}

impl Query {
    /// The body of a fuzz target: whatever the text, reading it does not panic, an error points
    /// into it, and what was read prints as it reads.
    ///
    /// # Panics
    /// When that does not hold.
    pub fn fuzz(text: &str) {
        match text.parse::<Self>() {
            Err(error) => assert!(
                text.is_char_boundary(error.offset),
                "{error:?} points into a character"
            ),
            Ok(query) => {
                let printed = query.to_string();
                assert_eq!(printed.parse::<Self>().as_ref(), Ok(&query), "{printed}");
            }
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.terms.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            if term.sense == Sense::IsNot {
                f.write_str("-")?;
            }
            write!(f, "{}", term.filter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self {
            Self::Port(_) => "port:",
            Self::Host(_) => "host:",
            Self::State(_) => "state:",
            Self::Protocol(_) => "proto:",
            Self::Reason(_) => "reason:",
            Self::Service(_) => "service:",
            Self::Product(_) => "product:",
            Self::Version(_) => "version:",
            Self::Seen(_) => "seen:",
            Self::New(_) => "new:",
            Self::Changed(_) => "changed:",
            Self::Expires(_) => "tls.expires:",
            Self::Tag(_) => "tag:",
            Self::Text(_) => "",
        };
        let values: Vec<String> = match self {
            Self::Port(ranges) => ranges
                .iter()
                .map(|&(first, last)| {
                    if first == last {
                        first.to_string()
                    } else {
                        format!("{first}-{last}")
                    }
                })
                .collect(),
            Self::Host(targets) => targets
                .iter()
                .map(|target| quoted(&target.to_string()))
                .collect(),
            Self::State(states) => states.iter().map(PortState::to_string).collect(),
            Self::Protocol(protocols) => protocols.iter().map(Protocol::to_string).collect(),
            Self::Reason(reasons) => reasons.iter().map(Reason::to_string).collect(),
            Self::Service(texts) | Self::Product(texts) | Self::Version(texts) => {
                texts.iter().map(|text| quoted(text)).collect()
            }
            Self::Seen(spans) | Self::Changed(spans) => spans.iter().map(Seen::to_string).collect(),
            Self::Expires(spans) => spans.iter().map(Expires::to_string).collect(),
            Self::Tag(tags) => tags.iter().map(Tag::to_string).collect(),
            Self::New(answers) => answers.iter().map(bool::to_string).collect(),
            Self::Text(texts) => texts
                .iter()
                .map(|text| {
                    // Outside quotes these would make the word a field.
                    if text.contains([':', '<', '>']) || text.starts_with('-') {
                        in_quotes(text)
                    } else {
                        quoted(text)
                    }
                })
                .collect(),
        };
        write!(f, "{field}{}", values.join(","))
    }
}

/// A value, in quotes where it needs them.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| !character.is_whitespace() && !"\",\\".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        in_quotes(text)
    }
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
