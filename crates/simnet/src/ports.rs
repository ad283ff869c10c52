//! Lists of ports, as a scenario writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A set of ports: `22,80,8000-8100`, `all`, or nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ports {
    words: Box<[u64; 1024]>,
}

impl Ports {
    /// The ports of a list.
    pub fn of(ports: &[u16]) -> Self {
        let mut set = Self::default();
        for &port in ports {
            set.insert(port);
        }
        set
    }

    /// Adds a port.
    pub fn insert(&mut self, port: u16) {
        self.words[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Whether it holds `port`.
    pub fn contains(&self, port: u16) -> bool {
        self.words[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// How many it holds.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Every port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let words = self.words.iter().zip((0..=u16::MAX).step_by(64));
        let words = words.filter(|&(&word, _)| word != 0);
        words.flat_map(|(&word, first)| {
            (0..64).filter_map(move |bit| (word >> bit & 1 == 1).then_some(first + bit))
        })
    }

    /// The members of this set that are not in `other`.
    #[must_use]
    pub fn without(mut self, other: &Self) -> Self {
        for (word, taken) in self.words.iter_mut().zip(other.words.iter()) {
            *word &= !taken;
        }
        self
    }

    /// The members of either.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        for (word, added) in self.words.iter_mut().zip(other.words.iter()) {
            *word |= added;
        }
        self
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            words: Box::new([0; 1024]),
        }
    }
}

impl FromStr for Ports {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut set = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let wrong = || Error::Ports {
                list: text.to_owned(),
                text: part.to_owned(),
            };
            let (first, last) = match part.split_once('-') {
                _ if part == "all" => ("0", "65535"),
                Some(range) => range,
                None => (part, part),
            };
            let first: u16 = first.parse().map_err(|_| wrong())?;
            let last: u16 = last.parse().map_err(|_| wrong())?;
            if first > last {
                return Err(wrong());
            }
            for port in first..=last {
                set.insert(port);
            }
        }
        Ok(set)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut ports = self.iter().peekable();
        while let Some(first) = ports.next() {
            let mut last = first;
            while let Some(next) = ports.next_if(|&port| Some(port) == last.checked_add(1)) {
                last = next;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl TryFrom<String> for Ports {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        ports.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was_written() {
        for list in ["", "22", "22,80,8000-8100", "0-65535", "65535"] {
            assert_eq!(list.parse::<Ports>().unwrap().to_string(), list);
        }
        assert_eq!("all".parse::<Ports>().unwrap().len(), 65_536);
    }

    #[test]
    fn a_word_that_is_no_port_is_named() {
        let error = "22,http".parse::<Ports>().unwrap_err();
        assert!(
            error.to_string().starts_with("`http` in `22,http`"),
            "{error}"
        );
        assert!("9-1".parse::<Ports>().is_err());
    }
}
