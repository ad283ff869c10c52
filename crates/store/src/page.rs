//! Lists in pages: a page says where the next one begins.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Some items of a list, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of at most `limit` of `items`; where there are more, the next begins after the
    /// last one kept, which `position` describes.
    pub(crate) fn cut<P: Serialize>(
        mut items: Vec<T>,
        limit: usize,
        position: impl Fn(&T) -> P,
    ) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| Cursor::new(&position(last)));
        Self { items, next }
    }
}

/// A place in a list, to be handed back unread: letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    pub(crate) fn new(position: &impl Serialize) -> Self {
        let json = serde_json::to_vec(position).expect("a position is plain data");
        let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or('0');
        Self(
            json.iter()
                .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
                .collect(),
        )
    }

    pub(crate) fn read<P: DeserializeOwned>(&self) -> Result<P> {
        let bad = || Error::BadCursor {
            text: self.0.clone(),
        };
        let digits: Vec<u8> = self
            .0
            .chars()
            .map(|digit| {
                digit
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        let json: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        serde_json::from_slice(&json).map_err(|_| bad())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Any text is taken; the list it is handed to says whether it is one of its own.
impl FromStr for Cursor {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}
