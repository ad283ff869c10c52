//! Words that people give hosts and scans: `prod`, `router`. Those of a host belong to its
//! address, whatever scans find there, and stay when scans go; those of a scan go with it.

use std::fmt;
use std::str::FromStr;

use portolan_model::Zoned;
use rusqlite::{Connection, params};

use crate::codec::address_bytes;
use crate::error::{Error, Result};
use crate::scan::ScanId;
use crate::store::{Store, must_exist};

/// The longest tag, in characters.
const LONGEST: usize = 40;

/// The most tags of one host or scan.
const MOST: usize = 50;

/// A tag: letters, digits and `-_.`, at most 40; large letters count as small ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// The word itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A word that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no tag: expected 1 to {LONGEST} letters, digits, `-`, `_` and `.`")]
pub struct NotATag {
    /// The word.
    pub word: String,
}

impl FromStr for Tag {
    type Err = NotATag;

    fn from_str(text: &str) -> std::result::Result<Self, NotATag> {
        let word = text.to_lowercase();
        let is_good = |character: char| character.is_alphanumeric() || "-_.".contains(character);
        let length = word.chars().count();
        // A dash before it would turn a term of a query round.
        if (1..=LONGEST).contains(&length) && word.chars().all(is_good) && !word.starts_with('-') {
            return Ok(Self(word));
        }
        Err(NotATag {
            word: text.chars().take(2 * LONGEST).collect(),
        })
    }
}

/// What is tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tagged {
    /// A host, over all scans.
    Host(Zoned),
    /// A scan.
    Scan(ScanId),
}

/// A tag, and how many have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagUse {
    /// The tag.
    pub tag: Tag,
    /// How many hosts.
    pub hosts: u64,
    /// How many scans.
    pub scans: u64,
}

impl Store {
    /// Puts a tag on hosts and scans: all of them, or, after an error, none. Those that have it
    /// keep it.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`], [`Error::NoSuchHost`], and [`Error::TooManyTags`].
    pub fn put_tag(&self, tag: Tag, on: Vec<Tagged>) -> Result<()> {
        self.write(move |writer| {
            for tagged in on {
                put(&writer.connection, &tag, tagged)?;
            }
            Ok(())
        })
    }

    /// Takes a tag off hosts and scans; how many had it.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`] and [`Error::NoSuchHost`].
    pub fn take_tag(&self, tag: Tag, off: Vec<Tagged>) -> Result<usize> {
        self.write(move |writer| {
            let mut taken = 0;
            for tagged in off {
                let connection = &writer.connection;
                taken += match tagged {
                    Tagged::Scan(id) => {
                        must_exist(connection, id)?;
                        connection.execute(
                            "DELETE FROM scan_tag WHERE scan = ?1 AND word = ?2",
                            params![id, tag.0],
                        )?
                    }
                    Tagged::Host(host) => {
                        must_be_known(connection, host)?;
                        connection.execute(
                            "DELETE FROM host_tag WHERE address = ?1 AND word = ?2",
                            params![address_bytes(host), tag.0],
                        )?
                    }
                };
            }
            Ok(taken)
        })
    }

    /// Every tag with how many have it, by alphabet.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn all_tags(&self) -> Result<Vec<TagUse>> {
        self.read(|connection| {
            let mut tags = connection.prepare_cached(
                "SELECT word, sum(hosts), sum(scans) FROM (
                     SELECT word, 1 AS hosts, 0 AS scans FROM host_tag
                     UNION ALL SELECT word, 0, 1 FROM scan_tag)
                 GROUP BY word ORDER BY word",
            )?;
            let tags = tags.query_map([], |row| {
                Ok(TagUse {
                    tag: Tag(row.get(0)?),
                    hosts: row.get::<_, i64>(1)?.cast_unsigned(),
                    scans: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?;
            Ok(tags.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn put(connection: &Connection, tag: &Tag, tagged: Tagged) -> Result<()> {
    let count = match tagged {
        Tagged::Scan(id) => {
            must_exist(connection, id)?;
            connection.execute(
                "INSERT OR IGNORE INTO scan_tag (scan, word) VALUES (?1, ?2)",
                params![id, tag.0],
            )?;
            of_scan(connection, id)?.len()
        }
        Tagged::Host(host) => {
            must_be_known(connection, host)?;
            let key = address_bytes(host);
            connection.execute(
                "INSERT OR IGNORE INTO host_tag (address, word) VALUES (?1, ?2)",
                params![key, tag.0],
            )?;
            of_host(connection, &key)?.len()
        }
    };
    if count > MOST {
        return Err(Error::TooManyTags { most: MOST });
    }
    Ok(())
}

fn must_be_known(connection: &Connection, host: Zoned) -> Result<()> {
    let known: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM host WHERE address = ?1)")?
        .query_row([address_bytes(host)], |row| row.get(0))?;
    if known {
        Ok(())
    } else {
        Err(Error::NoSuchHost { host })
    }
}

/// The tags of a host, by alphabet.
pub(crate) fn of_host(connection: &Connection, key: &[u8]) -> Result<Vec<Tag>> {
    let mut tags =
        connection.prepare_cached("SELECT word FROM host_tag WHERE address = ?1 ORDER BY word")?;
    let tags = tags.query_map([key], |row| row.get(0).map(Tag))?;
    Ok(tags.collect::<rusqlite::Result<_>>()?)
}

/// The tags of a scan, by alphabet.
pub(crate) fn of_scan(connection: &Connection, id: ScanId) -> Result<Vec<Tag>> {
    let mut tags =
        connection.prepare_cached("SELECT word FROM scan_tag WHERE scan = ?1 ORDER BY word")?;
    let tags = tags.query_map([id], |row| row.get(0).map(Tag))?;
    Ok(tags.collect::<rusqlite::Result<_>>()?)
}

/// Words joined by blanks, as a list of rows has them: no tag holds a blank.
pub(crate) fn joined(words: Option<String>) -> Vec<Tag> {
    let words = words.unwrap_or_default();
    let mut tags: Vec<_> = words
        .split_whitespace()
        .map(|word| Tag(word.to_owned()))
        .collect();
    tags.sort();
    tags
}

/// The `tag:` terms in a search of a list, and the other words of it. Of tags joined by commas
/// one must be had, of several terms each, and none of one after `-`.
///
/// # Errors
/// For a word that is no tag.
pub fn split(text: &str) -> std::result::Result<(Vec<TagTerm>, String), NotATag> {
    let mut terms = Vec::new();
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let (has, rest) = match word.strip_prefix('-') {
            Some(rest) => (false, rest),
            None => (true, word),
        };
        let Some(list) = rest.strip_prefix("tag:") else {
            words.push(word);
            continue;
        };
        let any = list
            .split(',')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        terms.push(TagTerm { has, any });
    }
    Ok((terms, words.join(" ")))
}

/// What tags a scan or host of a list must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTerm {
    /// Whether it must have one of them, or none.
    pub has: bool,
    /// The tags.
    pub any: Vec<Tag>,
}

impl TagTerm {
    /// Whether something with these tags fits.
    pub(crate) fn fits(&self, tags: &[Tag]) -> bool {
        self.any.iter().any(|tag| tags.contains(tag)) == self.has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_word_in_small_letters() {
        assert_eq!("Prod-2.a_b".parse::<Tag>().unwrap().as_str(), "prod-2.a_b");
        assert_eq!("Küche".parse::<Tag>().unwrap().as_str(), "küche");
        for bad in ["", "a b", "a,b", "-x", "a:b", "a\"b", &"x".repeat(41)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tags_of_a_search_stand_apart_from_its_words() {
        let (terms, words) = split("web tag:Prod,lab -tag:old 10.0.0.0/24").unwrap();
        assert_eq!(words, "web 10.0.0.0/24");
        let tag = |word: &str| word.parse::<Tag>().unwrap();
        assert_eq!(terms.len(), 2);
        assert!(terms[0].fits(&[tag("lab")]) && !terms[0].fits(&[tag("old")]));
        assert!(terms[1].fits(&[tag("lab")]) && !terms[1].fits(&[tag("old")]));
        assert_eq!(split("tag:").unwrap_err().word, "");
    }
}
