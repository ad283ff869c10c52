//! Texts with `{name}` in them, filled from the captures of a rule.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Capture(String),
}

/// A text such as `Apache {flavour}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In words, for a brace without its partner.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("`{text}` opens a brace and does not close it"));
            };
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(format!("`{{{name}}}` names no capture"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Capture(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The captures that it names.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Capture(name) => Some(name.as_str()),
        })
    }

    /// The text with every capture in its place; `None` where one is missing.
    pub(crate) fn fill(&self, capture: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Capture(name) => out.push_str(&capture(name)?),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_or_left_out() {
        let template = Template::new("Exim {version} on {os}").unwrap();
        let all = |name: &str| Some(format!("<{name}>"));
        assert_eq!(template.fill(all).unwrap(), "Exim <version> on <os>");
        assert_eq!(template.fill(|_| None), None);
        assert_eq!(template.captures().collect::<Vec<_>>(), ["version", "os"]);
    }

    #[test]
    fn a_brace_needs_its_partner() {
        assert!(Template::new("{version").is_err());
        assert!(Template::new("{}").is_err());
    }
}
