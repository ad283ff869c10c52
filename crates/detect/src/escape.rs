//! Bytes as text and back: what rule files hold, and what people are shown.

use std::fmt::Write as _;

/// Why text is not the bytes it stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// A backslash before something that has no meaning.
    #[error(
        "`\\{found}` is no escape at character {at}, expected \\r, \\n, \\t, \\0, \\\\ or \\xHH"
    )]
    Unknown {
        /// What follows the backslash.
        found: char,
        /// Where, counted from 1.
        at: usize,
    },
    /// `\x` without two hexadecimal digits.
    #[error("`\\x` at character {at} needs two hexadecimal digits")]
    Hex {
        /// Where, counted from 1.
        at: usize,
    },
    /// A backslash at the end.
    #[error("the text ends in a single backslash")]
    End,
}

/// The bytes that `text` stands for: `\xHH`, `\r`, `\n`, `\t`, `\0`, `\\`; all else is itself in
/// UTF-8.
///
/// # Errors
/// For a backslash that begins no escape.
pub fn bytes(text: &str) -> Result<Vec<u8>, EscapeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut characters = text.chars().enumerate();
    while let Some((index, character)) = characters.next() {
        if character != '\\' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let at = index + 1;
        match characters.next().ok_or(EscapeError::End)?.1 {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            'x' => {
                let mut digit = || characters.next().and_then(|(_, digit)| digit.to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(EscapeError::Hex { at });
                };
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
            found => return Err(EscapeError::Unknown { found, at }),
        }
    }
    Ok(out)
}

/// `bytes` as text that [`bytes()`] reads back: printable ASCII as it is, all else escaped.
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// A field for people: UTF-8 where it is UTF-8, with control characters and broken bytes as
/// `\xHH`, without blanks around it, at most `most` characters long.
pub fn field(bytes: &[u8], most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for chunk in bytes.trim_ascii().utf8_chunks() {
        for character in chunk.valid().chars() {
            if count >= most {
                out.push('…');
                return out;
            }
            count += 1;
            if is_hidden(character) {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            count += 1;
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Control characters, and those that turn the direction of text or take no room.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back_from_their_text(all in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(bytes(&text(&all)).unwrap(), all);
        }

        #[test]
        fn a_field_holds_no_control_character(all in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!field(&all, 100).chars().any(char::is_control));
        }
    }

    #[test]
    fn an_escape_that_is_none_says_where() {
        assert_eq!(bytes(r"a\r\n\x00\\").unwrap(), b"a\r\n\0\\");
        assert_eq!(
            bytes(r"ab\q"),
            Err(EscapeError::Unknown { found: 'q', at: 3 })
        );
        assert_eq!(bytes(r"\x0"), Err(EscapeError::Hex { at: 1 }));
        assert_eq!(bytes("\\"), Err(EscapeError::End));
    }

    #[test]
    fn a_field_is_bounded_and_shows_what_it_hides() {
        assert_eq!(field(b" a\x1b[31m\xff ", 100), r"a\x1b[31m\xff");
        assert_eq!(field("\u{202e}x".as_bytes(), 100), r"\xe2\x80\xaex");
        assert_eq!(field(b"abcdef", 3), "abc…");
    }
}
