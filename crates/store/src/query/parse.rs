//! Reading a query.

use portolan_model::{PortState, Protocol, Reason, Target, hint};

use super::{Expires, Filter, Query, Seen, Sense, Term};
use crate::tags::Tag;

/// The fields there are, with what each takes, for help and completion.
pub const FIELDS: &[(&str, &str)] = &[
    ("port", "a number or a range: 22 or 8000-8999"),
    (
        "host",
        "an address, a network, a range or a name: 10.0.0.0/24",
    ),
    ("state", "open, closed, filtered or open|filtered"),
    ("proto", "tcp or udp"),
    (
        "reason",
        "what the state rests on: syn-ack, reset, no-response, …",
    ),
    ("service", "part of the service's name: http"),
    ("product", "part of the program's name: OpenSSH"),
    ("version", "part of its version: 9.2"),
    (
        "seen",
        "when it was found: 2026-11-01, >2026-11-01, <2026-11-01, 7d",
    ),
    (
        "new",
        "true for open ports that were not known to be open before",
    ),
    (
        "changed",
        "when the port opened, closed or changed: 7d, >2026-11-01",
    ),
    (
        "tls.expires",
        "when the certificate expires: <30d, >30d, <2026-12-31",
    ),
    ("tag", "a tag of the host or the scan: prod"),
];

/// The fields whose values have an order: `port<1024` is read as `port:<1024`.
const ORDERED: [&str; 4] = ["port", "seen", "changed", "tls.expires"];

/// Longest query that is read, in bytes.
const LONGEST: usize = 4096;

/// Why a query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Where in the text, in bytes from its beginning.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

/// A value as written, and where it stands.
struct Word {
    text: String,
    offset: usize,
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
}

pub(super) fn query(text: &str) -> Result<Query, QueryError> {
    if text.len() > LONGEST {
        return Err(QueryError {
            offset: 0,
            message: format!(
                "the query has {} bytes: at most {LONGEST} are read",
                text.len()
            ),
            hint: None,
        });
    }
    let mut reader = Reader { text, offset: 0 };
    let mut terms = Vec::new();
    loop {
        reader.skip_blanks();
        if reader.rest().is_empty() {
            return Ok(Query { terms });
        }
        terms.push(reader.term()?);
    }
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.offset += wanted.len_utf8();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while let Some(blank) = self.peek().filter(|character| character.is_whitespace()) {
            self.offset += blank.len_utf8();
        }
    }

    fn error(offset: usize, message: impl Into<String>, hint: Option<String>) -> QueryError {
        QueryError {
            offset,
            message: message.into(),
            hint,
        }
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        let sense = if self.take('-') {
            Sense::IsNot
        } else {
            Sense::Is
        };
        let start = self.offset;
        let field = self.field()?;
        let mut values = vec![self.value(field)?];
        while self.take(',') {
            values.push(self.value(field)?);
        }
        if let Some(next) = self.peek().filter(|next| !next.is_whitespace()) {
            return Err(Self::error(
                self.offset,
                format!("`{next}` follows a closing quote, where a blank or a comma belongs"),
                Some("within quotes, write a quote as \\\"".to_owned()),
            ));
        }
        let filter = match field {
            None => Filter::Text(texts(values)),
            Some("port") => Filter::Port(each(&values, port)?),
            Some("host") => Filter::Host(each(&values, host)?),
            Some("state") => Filter::State(each(&values, |word| one_of(word, PortState::ALL))?),
            Some("proto") => Filter::Protocol(each(&values, |word| one_of(word, Protocol::ALL))?),
            Some("reason") => Filter::Reason(each(&values, |word| one_of(word, Reason::ALL))?),
            Some("service") => Filter::Service(texts(values)),
            Some("product") => Filter::Product(texts(values)),
            Some("version") => Filter::Version(texts(values)),
            Some("seen") => Filter::Seen(each(&values, seen)?),
            Some("changed") => Filter::Changed(each(&values, seen)?),
            Some("tls.expires") => Filter::Expires(each(&values, expires)?),
            Some("tag") => Filter::Tag(each(&values, tag)?),
            Some("new") => Filter::New(each(&values, |word| one_of(word, &[true, false]))?),
            Some(other) => {
                let known = FIELDS.iter().map(|(name, _)| *name);
                let hint = hint::nearest(other, known.clone()).map_or_else(
                    || {
                        let known: Vec<_> = known.collect();
                        format!(
                            "the fields are {}; text with a colon goes in quotes",
                            known.join(", ")
                        )
                    },
                    |meant| format!("did you mean `{meant}:`?"),
                );
                return Err(Self::error(
                    start,
                    format!("unknown field `{other}`"),
                    Some(hint),
                ));
            }
        };
        Ok(Term { sense, filter })
    }

    /// The word before a colon, which is read over; `None` where no field is named.
    fn field(&mut self) -> Result<Option<&'a str>, QueryError> {
        let rest = self.rest();
        let ordered = ORDERED.iter().find(|name| {
            rest.strip_prefix(**name)
                .is_some_and(|after| after.starts_with(['<', '>']))
        });
        if let Some(name) = ordered {
            self.offset += name.len();
            return Ok(Some(name));
        }
        let end = rest
            .find(|character: char| character.is_whitespace() || ":\",".contains(character))
            .unwrap_or(rest.len());
        if !rest.get(end..).is_some_and(|after| after.starts_with(':')) {
            return Ok(None);
        }
        if end == 0 {
            return Err(Self::error(
                self.offset,
                "a field's name is missing before `:`",
                Some("text with a colon goes in quotes".to_owned()),
            ));
        }
        self.offset += end + 1;
        Ok(rest.get(..end))
    }

    fn value(&mut self, field: Option<&str>) -> Result<Word, QueryError> {
        let offset = self.offset;
        if self.take('"') {
            return self.quoted(offset);
        }
        let rest = self.rest();
        let end = rest
            .find(|character: char| character.is_whitespace() || "\",".contains(character))
            .unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        if text.is_empty() {
            let hint = field.and_then(|field| {
                let (_, takes) = FIELDS.iter().find(|(name, _)| *name == field)?;
                Some(format!("`{field}:` takes {takes}"))
            });
            return Err(Self::error(offset, "a value is missing", hint));
        }
        if let Some(colon) = text.find(':').filter(|_| field.is_none()) {
            return Err(Self::error(
                offset + colon,
                "a colon stands in a text without quotes",
                Some("text with a colon goes in quotes".to_owned()),
            ));
        }
        self.offset += end;
        if let Some(backslash) = text.find('\\') {
            return Err(Self::error(
                offset + backslash,
                "a backslash stands outside quotes",
                Some("text with a backslash goes in quotes, where it is written \\\\".to_owned()),
            ));
        }
        Ok(Word {
            text: text.to_owned(),
            offset,
        })
    }

    fn quoted(&mut self, offset: usize) -> Result<Word, QueryError> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices();
        let start = self.offset;
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.offset = start + place + 1;
                    return Ok(Word { text, offset });
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        return Err(Self::error(
                            start + place,
                            "a backslash stands before neither a quote nor a backslash",
                            Some("write a backslash as \\\\".to_owned()),
                        ));
                    }
                },
                other => text.push(other),
            }
        }
        Err(Self::error(
            offset,
            "the quote is not closed",
            Some("end it with another `\"`".to_owned()),
        ))
    }
}

fn texts(values: Vec<Word>) -> Vec<String> {
    values.into_iter().map(|word| word.text).collect()
}

fn each<T>(
    values: &[Word],
    read: impl Fn(&Word) -> Result<T, QueryError>,
) -> Result<Vec<T>, QueryError> {
    values.iter().map(read).collect()
}

fn port(word: &Word) -> Result<(u16, u16), QueryError> {
    let bad = |message: String, hint: &str| {
        Err(Reader::error(word.offset, message, Some(hint.to_owned())))
    };
    let number = |text: &str| {
        Some(text)
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u16>().ok())
    };
    if let Some(range) = bound(&word.text, number) {
        return range.map_or_else(
            || {
                let hint = "write one port after `<`, `<=`, `>` or `>=`: `port<1024`";
                bad(format!("no port is `{}`", word.text), hint)
            },
            Ok,
        );
    }
    let (first, last) = word
        .text
        .split_once('-')
        .unwrap_or((&word.text, &word.text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(first), Some(last)) => bad(
            format!("the range `{}` ends before it begins", word.text),
            &format!("did you mean `{last}-{first}`?"),
        ),
        _ => bad(
            format!(
                "`{}` is no port from 0 to 65535, and no range of them",
                word.text
            ),
            "to look for a service by name, write `service:http`",
        ),
    }
}

/// The ports on one side of another: `<1024`, `>=1024`; `None` within where there are none, or the
/// bound is no port, and `None` for what begins with no such sign.
#[expect(
    clippy::option_option,
    reason = "no bound, and a bound that fits nothing"
)]
fn bound(text: &str, number: impl Fn(&str) -> Option<u16>) -> Option<Option<(u16, u16)>> {
    let below = |port: u16| Some((0, port));
    let above = |port: u16| Some((port, u16::MAX));
    let range = if let Some(port) = text.strip_prefix("<=") {
        number(port).and_then(below)
    } else if let Some(port) = text.strip_prefix(">=") {
        number(port).and_then(above)
    } else if let Some(port) = text.strip_prefix('<') {
        number(port).and_then(|port| below(port.checked_sub(1)?))
    } else if let Some(port) = text.strip_prefix('>') {
        number(port).and_then(|port| above(port.checked_add(1)?))
    } else {
        return None;
    };
    Some(range)
}

fn expires(word: &Word) -> Result<Expires, QueryError> {
    word.text.parse().map_err(|_| {
        let hint = "write `tls.expires<30d`, or `<` or `>` and a day as 2026-12-31";
        Reader::error(
            word.offset,
            format!("`{}` is no day, no moment and no span of time", word.text),
            Some(hint.to_owned()),
        )
    })
}

fn tag(word: &Word) -> Result<Tag, QueryError> {
    word.text
        .parse()
        .map_err(|error: crate::tags::NotATag| Reader::error(word.offset, error.to_string(), None))
}

fn host(word: &Word) -> Result<Target, QueryError> {
    word.text
        .parse()
        .map_err(|error: portolan_model::target::TargetError| {
            Reader::error(word.offset, error.to_string(), error.hint())
        })
}

fn seen(word: &Word) -> Result<Seen, QueryError> {
    word.text.parse().map_err(|_| {
        let hint = "write a day as 2026-11-01, `>` or `<` before it, or an age as 7d or 12h";
        Reader::error(
            word.offset,
            format!("`{}` is no day, no moment and no age", word.text),
            Some(hint.to_owned()),
        )
    })
}

/// The value whose word it is.
fn one_of<T: Copy + std::str::FromStr + std::fmt::Display>(
    word: &Word,
    all: &[T],
) -> Result<T, QueryError> {
    word.text.to_ascii_lowercase().parse().map_err(|_| {
        let known: Vec<String> = all.iter().map(T::to_string).collect();
        let meant = hint::nearest(&word.text, known.iter().map(String::as_str));
        let hint = meant.map_or_else(
            || format!("there are {}", known.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        Reader::error(
            word.offset,
            format!("`{}` is none of the words that belong here", word.text),
            Some(hint),
        )
    })
}
