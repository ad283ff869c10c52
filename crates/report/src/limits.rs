//! Bounds on what is read: documents may be made to exhaust who reads them.

use std::io::{self, BufRead, Read};

use portolan_model::PortSet;

use crate::error::{ReadError, Result};

/// The most bytes of one document: 1 GiB.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// The most bytes of one line of JSON or one tag of XML: 4 MiB. Every second port of all, as a
/// list, is 190 KB.
pub(crate) const MAX_PIECE: u64 = 4 << 20;

/// The most hosts of one document: 2^20.
pub(crate) const MAX_HOSTS: usize = 1 << 20;

/// The most names of one host. Each new one is compared with those before it.
const MAX_NAMES: usize = 256;

/// The most memory for sets of ports: 1 GiB, or 131,072 of the largest. A hundred bytes of a
/// document can ask for 8 KiB of it.
const MAX_SETS_BYTES: u64 = 1 << 30;

/// Counts bytes and lines as they are read, and stops at the bounds.
pub(crate) struct Limited<R> {
    inner: R,
    total: u64,
    piece: u64,
    line: u64,
}

impl<R: BufRead> Limited<R> {
    pub(crate) const fn new(inner: R) -> Self {
        Self {
            inner,
            total: 0,
            piece: 0,
            line: 1,
        }
    }

    /// The line that is being read, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// Begins a new line or tag.
    pub(crate) const fn next_piece(&mut self) {
        self.piece = 0;
    }

    /// Which bound has been reached, when reading gave an error.
    pub(crate) fn exceeded(&self) -> Option<ReadError> {
        let (what, limit) = if self.total >= MAX_BYTES {
            ("the document", "1 GiB")
        } else if self.piece >= MAX_PIECE {
            ("a line or tag", "4 MiB")
        } else {
            return None;
        };
        Some(ReadError::TooLarge {
            line: self.line,
            what,
            limit: limit.to_owned(),
        })
    }
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.exceeded().is_some() {
            return Err(io::Error::other("larger than a result may be"));
        }
        let left = (MAX_BYTES - self.total).min(MAX_PIECE - self.piece);
        let available = self.inner.fill_buf()?;
        let count = available
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        Ok(available.get(..count).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        // The bytes are still in the inner buffer, so looking at them again reads nothing.
        if let Ok(available) = self.inner.fill_buf() {
            let taken = available.get(..count).unwrap_or_default();
            self.line += taken
                .iter()
                .map(|&byte| u64::from(byte == b'\n'))
                .sum::<u64>();
        }
        self.total += count as u64;
        self.piece += count as u64;
        self.inner.consume(count);
    }
}

/// What a document may still ask for.
#[derive(Debug)]
pub(crate) struct Budget {
    sets: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            sets: MAX_SETS_BYTES,
        }
    }
}

impl Budget {
    /// Takes what a set of this many ports needs.
    pub(crate) fn take(&mut self, ports: &PortSet, line: u64) -> Result<()> {
        let needed = (ports.len() as u64 * 2).clamp(64, 8192);
        self.sets = self.sets.checked_sub(needed).ok_or(ReadError::TooLarge {
            line,
            what: "the memory for all sets of ports",
            limit: "1 GiB".to_owned(),
        })?;
        Ok(())
    }

    /// One more host, where there are already so many.
    pub(crate) fn host(hosts: usize, line: u64) -> Result<()> {
        if hosts < MAX_HOSTS {
            return Ok(());
        }
        Err(ReadError::TooLarge {
            line,
            what: "the number of hosts",
            limit: MAX_HOSTS.to_string(),
        })
    }

    /// One more name of a host that already has so many.
    pub(crate) fn name(names: usize, line: u64) -> Result<()> {
        if names < MAX_NAMES {
            return Ok(());
        }
        Err(ReadError::TooLarge {
            line,
            what: "the number of names of one host",
            limit: MAX_NAMES.to_string(),
        })
    }
}

/// Reads `1-21,23,80`: numbers alone, in any order, with repetitions. `None` for anything else.
pub(crate) fn port_set(text: &str) -> Option<PortSet> {
    if text.is_empty() {
        return Some(PortSet::EMPTY);
    }
    let mut ranges = Vec::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        ranges.push((first, last));
    }
    Some(PortSet::from_ranges(ranges))
}

/// A port's number, in digits alone.
pub(crate) fn number(text: &str) -> Option<u16> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ports_is_read_in_any_order() {
        let ports = port_set("80,1-21,20-25").unwrap();
        assert_eq!(ports.to_string(), "1-25,80");
        assert_eq!(port_set("1-65535").unwrap().len(), 65_535);
        for wrong in ["-", "1-", "http", "2-1", "65536", "1,", "+1"] {
            assert_eq!(port_set(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut endless = Limited::new(io::BufReader::new(io::repeat(b'x')));
        let mut line = Vec::new();
        assert!(endless.read_until(b'\n', &mut line).is_err());
        assert_eq!(line.len() as u64, MAX_PIECE);
        assert_eq!(
            endless.exceeded().unwrap().to_string(),
            "line 1: a line or tag is larger than 4 MiB"
        );
    }
}
