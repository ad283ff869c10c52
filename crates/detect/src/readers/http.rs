//! Answers of HTTP/1.x (RFC 9112): status, headers, title, generator.
//!
//! Bodies that are compressed or in chunks are read as they come: what is asked for is neither
//! where the server heeds the request.

use memchr::{memchr, memchr2_iter, memmem};

use super::{Reader, Reading};

/// The most elements of one name that are looked at.
const TAGS: usize = 100;

/// The most bytes of the head that are read.
const HEAD_BYTES: usize = 16 * 1024;

/// The most headers that are read.
const HEADERS: usize = 100;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "http",
    reads: &[],
    fields: &[
        "status",
        "head",
        "body",
        "server",
        "title",
        "server-title",
        "generator",
        "location",
        "powered-by",
        "authenticate",
        "via",
        "cookie",
        "type",
    ],
    read,
};

/// Headers that are fields of their own: name on the wire, field.
const NAMED: [(&str, &str); 7] = [
    ("server", "server"),
    ("location", "location"),
    ("x-powered-by", "powered-by"),
    ("www-authenticate", "authenticate"),
    ("via", "via"),
    ("set-cookie", "cookie"),
    ("content-type", "type"),
];

/// An answer taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The status line and all headers.
    pub head: &'a [u8],
    /// Headers in their order, names as written.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// What follows the head.
    pub body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Takes an answer apart; `None` for bytes that do not begin with a status line. A head that
    /// is cut off counts as far as it goes.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes
            .strip_prefix(b"HTTP/1.")
            .or_else(|| bytes.strip_prefix(b"HTTP/0."))?;
        let digits = rest
            .strip_prefix(b"1 ")
            .or_else(|| rest.strip_prefix(b"0 "))
            .or_else(|| rest.strip_prefix(b"9 "))?;
        let digits = digits.get(..3)?;
        let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let limited = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
        let end = find(limited, b"\r\n\r\n")
            .map(|at| (at, at + 4))
            .or_else(|| find(limited, b"\n\n").map(|at| (at, at + 2)))
            .unwrap_or((limited.len(), limited.len()));
        let head = bytes.get(..end.0)?;
        let body = bytes.get(end.1..).unwrap_or_default();
        let headers = head
            .split(|&byte| byte == b'\n')
            .skip(1)
            .take(HEADERS)
            .filter_map(|line| {
                let at = line.iter().position(|&byte| byte == b':')?;
                let (name, value) = line.split_at(at);
                Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
            })
            .collect();
        Some(Self {
            status,
            head,
            headers,
            body,
        })
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// The text of the `title` element.
    pub fn title(&self) -> Option<Vec<u8>> {
        let start = find_tag(self.body, b"<title")?;
        let rest = self.body.get(start..)?;
        let open = rest.iter().position(|&byte| byte == b'>')?;
        let text = rest.get(open + 1..)?;
        let end = find_tag(text, b"</title").unwrap_or(text.len().min(300));
        Some(entities(text.get(..end)?.trim_ascii()))
    }

    /// The content of `<meta name="generator">`.
    pub fn generator(&self) -> Option<&'a [u8]> {
        let is_generator = |inside: &[u8]| {
            attribute(inside, b"name=").is_some_and(|name| name.eq_ignore_ascii_case(b"generator"))
        };
        let inside = tags(self.body, b"<meta").find(|inside| is_generator(inside))?;
        attribute(inside, b"content=")
    }

    /// Where the page's icon is: the reference of its `<link rel="icon">`.
    pub fn icon(&self) -> Option<&'a [u8]> {
        let is_icon = |inside: &[u8]| {
            attribute(inside, b"rel=").is_some_and(|rel| {
                rel.split(u8::is_ascii_whitespace)
                    .any(|word| word.eq_ignore_ascii_case(b"icon"))
            })
        };
        let inside = tags(self.body, b"<link").find(|inside| is_icon(inside))?;
        attribute(inside, b"href=")
    }
}

/// What stands in each element of this name, `TAGS` of them at the most.
fn tags<'a>(body: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let tag = rest.get(find_tag(rest, name)?..)?;
        let inside = tag.get(..memchr(b'>', tag)?)?;
        rest = tag.get(inside.len()..)?;
        Some(inside)
    })
    .take(TAGS)
}

/// The value of an attribute, in quotes or without; `name` ends in its `=`.
fn attribute<'a>(inside: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = inside.get(find_tag(inside, name)? + name.len()..)?;
    let (quote, value) = match value.split_first()? {
        (&quote @ (b'"' | b'\''), value) => (Some(quote), value),
        _ => (None, value),
    };
    let end = match quote {
        Some(quote) => value.iter().position(|&byte| byte == quote)?,
        None => value
            .iter()
            .position(u8::is_ascii_whitespace)
            // The slash that ends an element is no part of it.
            .unwrap_or(value.len() - usize::from(value.ends_with(b"/"))),
    };
    value.get(..end)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memmem::find(bytes, wanted)
}

/// Where `tag` begins, in any case of letters. Bodies are searched for several, so that only
/// places that begin as it does are looked at.
fn find_tag(bytes: &[u8], tag: &[u8]) -> Option<usize> {
    let first = tag.first()?;
    memchr2_iter(
        first.to_ascii_lowercase(),
        first.to_ascii_uppercase(),
        bytes,
    )
    .find(|&at| {
        bytes
            .get(at..at + tag.len())
            .is_some_and(|there| there.eq_ignore_ascii_case(tag))
    })
}

/// The few entities that titles hold, as the characters that they stand for.
fn entities(text: &[u8]) -> Vec<u8> {
    const KNOWN: [(&[u8], &[u8]); 8] = [
        (b"&amp;", b"&"),
        (b"&lt;", b"<"),
        (b"&gt;", b">"),
        (b"&quot;", b"\""),
        (b"&#39;", b"'"),
        (b"&nbsp;", b" "),
        (b"&ndash;", "–".as_bytes()),
        (b"&mdash;", "—".as_bytes()),
    ];
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some((entity, plain)) = KNOWN.iter().find(|(entity, _)| rest.starts_with(entity)) {
            out.extend_from_slice(plain);
            rest = rest.get(entity.len()..).unwrap_or_default();
            continue;
        }
        // Blanks of any kind are one blank in HTML.
        if byte.is_ascii_whitespace() {
            if out.last() != Some(&b' ') {
                out.push(b' ');
            }
        } else {
            out.push(byte);
        }
        rest = after;
    }
    out
}

fn read(bytes: &[u8]) -> Option<Reading> {
    let response = Response::parse(bytes)?;
    let mut reading = Reading::new("http");
    reading.field("status", response.status.to_string());
    reading.fact("http.status", response.status.to_string().as_bytes());
    reading.field("head", response.head);
    reading.field("body", response.body);
    for (header, field) in NAMED {
        if let Some(value) = response.header(header) {
            reading.field(field, value);
        }
    }
    for (header, fact) in [
        ("server", "http.server"),
        ("location", "http.location"),
        ("x-powered-by", "http.powered-by"),
        ("www-authenticate", "http.authenticate"),
        ("via", "http.via"),
    ] {
        reading.fact(fact, response.header(header).unwrap_or_default());
    }
    if let Some(title) = response.title() {
        reading.fact("http.title", &title);
        if let Some(server) = response.header("server") {
            reading.field("server-title", [server, &title].join(&b'\n'));
        }
        reading.field("title", title);
    }
    if let Some(generator) = response.generator() {
        reading.fact("http.generator", generator);
        reading.field("generator", generator);
    }
    reading.fact("http.icon", response.icon().unwrap_or_default());
    Some(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &[u8] = b"HTTP/1.1 301 Moved Permanently\r\nServer: nginx/1.22.1\r\nLOCATION: https://x/\r\n\r\n<html><HEAD><meta charset=utf-8><meta name=\"generator\" content=\"Hugo 0.1\"><title>\n A &amp;  B</title>";

    #[test]
    fn a_page_gives_its_server_title_and_generator() {
        let reading = read(PAGE).unwrap();
        let fact = |name: &str| reading.facts.get(name).map(String::as_str);
        assert_eq!(fact("http.server"), Some("nginx/1.22.1"));
        assert_eq!(fact("http.title"), Some("A & B"));
        assert_eq!(fact("http.generator"), Some("Hugo 0.1"));
        assert_eq!(fact("http.status"), Some("301"));
        assert_eq!(fact("http.location"), Some("https://x/"));
    }

    #[test]
    fn the_icon_is_what_the_link_names() {
        let icon = |link: &str| {
            let page = format!("HTTP/1.1 200 OK\r\n\r\n<link rel=stylesheet href=/a.css>{link}");
            read(page.as_bytes()).unwrap().facts.remove("http.icon")
        };
        for link in [
            "<LINK rel=\"shortcut icon\" href=\"/i.png\">",
            "<link href='/i.png' type=image/png rel='icon'/>",
            "<link rel=icon href=/i.png>",
        ] {
            assert_eq!(icon(link).as_deref(), Some("/i.png"), "{link}");
        }
        for none in [
            "<link rel=\"apple-touch-icon\" href=\"/i.png\">",
            "<link rel=icon",
        ] {
            assert_eq!(icon(none), None, "{none}");
        }
    }

    #[test]
    fn a_head_that_is_cut_off_counts_as_far_as_it_goes() {
        let reading = read(b"HTTP/1.0 200 OK\r\nServer: a").unwrap();
        assert_eq!(reading.facts["http.server"], "a");
        assert!(read(b"RTSP/1.0 200 OK\r\n").is_none());
        assert!(read(b"HTTP/1.1 2").is_none());
    }
}
