//! A part of a scan that several machines share.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One of several parts of a scan: disjoint, and the whole together, where all have the same
/// targets, ports and seed. Written `3/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    /// From 0.
    index: u32,
    of: NonZeroU32,
}

/// Why a word is no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no part of a scan: expected a number and how many there are, as in `3/8`")]
pub struct ShardError {
    /// The word.
    pub text: String,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self {
        index: 0,
        of: NonZeroU32::MIN,
    };

    /// The part with this number, from 1; `None` where there is no such part.
    pub const fn new(number: NonZeroU32, of: NonZeroU32) -> Option<Self> {
        if number.get() > of.get() {
            return None;
        }
        Some(Self {
            index: number.get() - 1,
            of,
        })
    }

    /// Which part, from 0.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    pub const fn of(self) -> NonZeroU32 {
        self.of
    }

    /// How many of `whole` things, dealt in turn, fall to this part.
    pub const fn share(self, whole: u128) -> u128 {
        let of = self.of.get() as u128;
        let rest = whole % of;
        whole / of + ((self.index as u128) < rest) as u128
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", u64::from(self.index) + 1, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let read = || {
            let (number, of) = text.split_once('/')?;
            Self::new(number.parse().ok()?, of.parse().ok()?)
        };
        read().ok_or_else(|| ShardError {
            text: text.to_owned(),
        })
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "3", "0/8", "9/8", "3/0", "-1/8", "3/8/9", " 3/8", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("1/1".parse(), Ok(Shard::WHOLE));
    }

    proptest! {
        #[test]
        fn a_printed_shard_reads_back(of in 1u32.., index: u32) {
            let number = NonZeroU32::new(index % of + 1).unwrap();
            let shard = Shard::new(number, NonZeroU32::new(of).unwrap()).unwrap();
            prop_assert_eq!(shard.to_string().parse(), Ok(shard));
        }

        #[test]
        fn the_shares_add_up(of in 1u32..200, whole: u128) {
            let of = NonZeroU32::new(of).unwrap();
            let shares = (1..=of.get()).map(|number| {
                Shard::new(NonZeroU32::new(number).unwrap(), of).unwrap().share(whole)
            });
            prop_assert_eq!(shares.sum::<u128>(), whole);
        }
    }
}
