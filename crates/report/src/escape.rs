//! Text that came from the network, made safe for whoever reads it.
//!
//! Every writer of this crate passes foreign text through [`visible`] first and through the
//! escaping of its own format after that.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character must not reach a terminal or a file as it is: controls (C0, DEL, C1),
/// line and paragraph separators, marks that turn the direction of writing (Unicode UAX 9) or
/// that show nothing, and what XML 1.0, 2.2 does not allow.
pub const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}'
            | '\u{ffff}'
    )
}

/// The text with every [hidden](is_hidden) character shown as `\xHH`, one for each of its
/// UTF-8 bytes. It leaves a backslash alone, so that doing it twice changes nothing.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            push_bytes(&mut shown, character);
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn push_bytes(into: &mut String, character: char) {
    let mut buffer = [0; 4];
    for byte in character.encode_utf8(&mut buffer).bytes() {
        // Writing to a string cannot fail.
        let _ = write!(into, "\\x{byte:02x}");
    }
}

/// For the text and the attributes of XML and HTML: visible, and without the characters that
/// mean something there.
pub fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// For the inside of an XML comment, where two dashes must not meet (XML 1.0, 2.5).
pub fn comment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        if character == '-' && escaped.ends_with('-') {
            escaped.push_str("&#45;");
        } else {
            escaped.push(character);
        }
    }
    if escaped.ends_with('-') {
        escaped.push(' ');
    }
    escaped
}

/// A cell of CSV (RFC 4180, 2). Text that a spreadsheet would run as a formula gets an
/// apostrophe before it, which spreadsheets take for "this is text".
pub fn csv(text: &str) -> String {
    let text = visible(text);
    // Spreadsheets skip leading blanks, and some take full-width signs for the plain ones.
    let first = text.trim_start().chars().next();
    let is_formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
    );
    let guard = if is_formula { "'" } else { "" };
    if text.contains([',', '"', ';']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

/// Text inside a table of Markdown: shown as it is, never as markup.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in visible(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A scheme or a host name in bare text becomes a link in some renderers.
            ':' => escaped.push_str("&#58;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|'
            | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A field of a grepable line, in which `/`, `,` and tabs separate; as nmap does, `/` becomes
/// `|`.
pub fn grepable(text: &str) -> String {
    visible(text).replace('/', "|").replace(',', ";")
}

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text, cut to `columns` with `…` as its last where it is longer.
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut cut = String::new();
    let mut taken = 1;
    for character in text.chars() {
        taken += character.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        cut.push(character);
    }
    // Cut in a word is as good as after it, but a blank before the mark reads as two things.
    let kept = cut.trim_end().len();
    cut.truncate(kept);
    cut.push('…');
    Cow::Owned(cut)
}

/// A number with a comma at each thousand: `65,475`.
pub fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_shown_as_their_bytes() {
        assert_eq!(visible("a\x1b[31mb\r\n"), "a\\x1b[31mb\\x0d\\x0a");
        assert_eq!(visible("\u{9b}2J"), "\\xc2\\x9b2J");
        assert_eq!(visible("abc\u{202e}fed"), "abc\\xe2\\x80\\xaefed");
        assert_eq!(visible("plain – text"), "plain – text");
    }

    #[test]
    fn markup_cannot_be_left() {
        assert_eq!(
            markup("\"><script>'&"),
            "&quot;&gt;&lt;script&gt;&#39;&amp;"
        );
        assert_eq!(comment("x --> y ---"), "x -&#45;> y -&#45;- ");
    }

    #[test]
    fn a_spreadsheet_takes_no_cell_for_a_formula() {
        assert_eq!(csv("=1+1"), "'=1+1");
        assert_eq!(csv("  @SUM(A1)"), "\"'  @SUM(A1)\"");
        assert_eq!(csv("\t=1"), "\\x09=1");
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv("OpenSSH 9.2"), "OpenSSH 9.2");
    }

    #[test]
    fn a_markdown_cell_holds_no_markup() {
        assert_eq!(markdown("a|b"), "a\\|b");
        assert_eq!(markdown("[x](http://y)"), "\\[x\\]\\(http&#58;//y\\)");
        assert_eq!(markdown("<img src=x>"), "&lt;img src=x&gt;");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_and_fits() {
        assert_eq!(truncate("OpenSSH 9.2", 9), "OpenSSH…");
        assert_eq!(truncate("漢字漢字", 5), "漢字…");
        assert_eq!(truncate("short", 5), "short");
        assert_eq!(truncate("x", 0), "");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(7u32), "7");
        assert_eq!(thousands(999u32), "999");
        assert_eq!(thousands(65_475u32), "65,475");
        assert_eq!(thousands(1_234_567u32), "1,234,567");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_twice_is_once(text in any::<String>()) {
            let once = visible(&text).into_owned();
            prop_assert!(!once.contains(is_hidden));
            prop_assert_eq!(visible(&once), once.as_str());
        }

        #[test]
        fn a_cut_text_never_takes_more_than_its_columns(text in "\\PC{0,30}", columns in 0usize..20) {
            prop_assert!(width(&truncate(&text, columns)) <= columns);
        }

        #[test]
        fn no_comment_ends_early(text in "[->a]{0,12}") {
            prop_assert!(!comment(&text).contains("--"));
            prop_assert!(!comment(&text).ends_with('-'));
        }
    }
}
