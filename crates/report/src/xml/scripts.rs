//! Facts of a service as the script elements under which nmap has them, so that programs which
//! read its XML find certificates and titles; and CPE names in the form that it uses.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use portolan_model::Service;

use crate::escape::markup;

/// Writes what is known under nmap's names of scripts.
pub(super) fn write(service: &Service, out: &mut dyn Write) -> io::Result<()> {
    let fact = |name: &str| service.facts.get(name).map(String::as_str);
    if let Some(title) = fact("http.title") {
        let title = markup(title);
        write!(
            out,
            r#"<script id="http-title" output="{title}"><elem key="title">{title}</elem></script>"#
        )?;
    }
    if let Some(server) = fact("http.server") {
        let server = markup(server);
        write!(
            out,
            r#"<script id="http-server-header" output="{server}"><elem>{server}</elem></script>"#
        )?;
    }
    if fact("tls.cert.sha1").is_some() {
        certificate(&fact, out)?;
    }
    Ok(())
}

/// `ssl-cert`, with the tables that nmap's own has.
fn certificate<'a>(fact: &dyn Fn(&str) -> Option<&'a str>, out: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<String> = [
        ("Subject", "tls.cert.subject"),
        ("Subject Alternative Name", "tls.cert.names"),
        ("Issuer", "tls.cert.issuer"),
        ("Public Key", "tls.cert.key"),
        ("Signature Algorithm", "tls.cert.signature"),
        ("Not valid before", "tls.cert.not-before"),
        ("Not valid after", "tls.cert.not-after"),
        ("SHA-1", "tls.cert.sha1"),
        ("SHA-256", "tls.cert.sha256"),
    ]
    .into_iter()
    .filter_map(|(label, name)| Some(format!("{label}: {}", markup(fact(name)?))))
    .collect();
    write!(
        out,
        r#"<script id="ssl-cert" output="{}">"#,
        lines.join("&#10;")
    )?;
    for (table, name) in [
        ("subject", "tls.cert.subject.cn"),
        ("issuer", "tls.cert.issuer.cn"),
    ] {
        if let Some(common) = fact(name) {
            write!(
                out,
                r#"<table key="{table}"><elem key="commonName">{}</elem></table>"#,
                markup(common)
            )?;
        }
    }
    if let Some((kind, bits)) = fact("tls.cert.key").and_then(|key| key.split_once(' ')) {
        write!(
            out,
            r#"<table key="pubkey"><elem key="type">{}</elem><elem key="bits">{}</elem></table>"#,
            markup(kind),
            markup(bits)
        )?;
    }
    if let Some(names) = fact("tls.cert.names") {
        write!(
            out,
            r#"<table key="extensions"><table><elem key="name">X509v3 Subject Alternative Name</elem><elem key="value">{}</elem></table></table>"#,
            markup(names)
        )?;
    }
    elem("sig_algo", fact("tls.cert.signature"), out)?;
    write!(out, r#"<table key="validity">"#)?;
    // nmap writes the time without a zone.
    let time = |name| fact(name).map(|time| time.trim_end_matches('Z'));
    elem("notBefore", time("tls.cert.not-before"), out)?;
    elem("notAfter", time("tls.cert.not-after"), out)?;
    write!(out, "</table>")?;
    elem("sha1", fact("tls.cert.sha1"), out)?;
    elem("sha256", fact("tls.cert.sha256"), out)?;
    write!(out, "</script>")
}

fn elem(key: &str, value: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    match value {
        Some(value) => write!(out, r#"<elem key="{key}">{}</elem>"#, markup(value)),
        None => Ok(()),
    }
}

/// A CPE 2.3 name as the URI of CPE 2.2 (NIST IR 7695, 6.1), which is what readers of this
/// format know; anything else as it is.
pub(super) fn cpe_uri(name: &str) -> Cow<'_, str> {
    let Some(rest) = name.strip_prefix("cpe:2.3:") else {
        return Cow::Borrowed(name);
    };
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in rest.chars() {
        let Some(part) = parts.last_mut() else { break };
        match character {
            _ if escaped => {
                escaped = false;
                match character {
                    '.' | '-' | '_' => part.push(character),
                    '!'..='~' if !character.is_ascii_alphanumeric() => {
                        // Writing to a string cannot fail.
                        let _ = write!(part, "%{:02x}", u32::from(character));
                    }
                    other => part.push(other),
                }
            }
            '\\' => escaped = true,
            ':' => parts.push(String::new()),
            other => part.push(other),
        }
    }
    // Part, vendor, product, version, update, edition, language: the URI has no more.
    parts.truncate(7);
    while parts.last().is_some_and(|part| part == "*") {
        parts.pop();
    }
    for part in &mut parts {
        if part == "*" {
            part.clear();
        }
    }
    Cow::Owned(format!("cpe:/{}", parts.join(":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_uri() {
        let uri = |name| cpe_uri(name).into_owned();
        assert_eq!(
            uri("cpe:2.3:a:openbsd:openssh:9.2p1:*:*:*:*:*:*:*"),
            "cpe:/a:openbsd:openssh:9.2p1"
        );
        assert_eq!(
            uri(r"cpe:2.3:a:isc:bind:9.18\:1:*:*:*:*:*:*:*"),
            "cpe:/a:isc:bind:9.18%3a1"
        );
        assert_eq!(uri("cpe:/a:x:y"), "cpe:/a:x:y");
    }

    #[test]
    fn hostile_facts_stay_text() {
        let mut service = Service::default();
        for (name, value) in [
            ("http.title", "</script><script>alert(1)\x1b[2J\""),
            ("tls.cert.sha1", "00"),
            ("tls.cert.subject", "CN=\"/><x>\n"),
        ] {
            service.facts.insert(name.to_owned(), value.to_owned());
        }
        let mut out = Vec::new();
        write(&service, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("<script>") && !text.contains("<x>") && !text.contains('\u{1b}'));
        let mut reader = quick_xml::Reader::from_str(&text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
    }
}
