//! Bodies of fuzz targets: each must take any bytes and keep its promise. They run as ordinary
//! tests too, over random bytes and over a corpus.

use std::sync::OnceLock;

use portolan_model::Protocol;

use crate::readers::rdp;
use crate::rules::{Answer, BANNER, RuleSet, parse};
use crate::tls::{anonymous, cert, hello};
use crate::{escape, favicon};

/// Every reader and every rule, on an answer to each probe: fields are bounded and hold no
/// control character. And the icon of a page, which is no larger than what holds it.
pub fn answer(bytes: &[u8]) {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    let rules = RULES.get_or_init(RuleSet::embedded);
    if let Some(icon) = favicon::icon(bytes) {
        assert!(icon.len() <= bytes.len());
    }
    let probes = rules
        .probes()
        .iter()
        .map(|probe| (probe.name.as_str(), probe.protocol));
    let others = [(BANNER, Protocol::Tcp), (rdp::PROBE, Protocol::Tcp)];
    for (to, protocol) in probes.chain(others) {
        let answer = Answer {
            to,
            protocol,
            bytes,
        };
        for found in rules.identify(answer) {
            let found = found.found;
            let fields = [
                &found.product,
                &found.version,
                &found.info,
                &found.os,
                &found.hostname,
                &found.device,
            ];
            let texts = fields.into_iter().flatten().chain(found.facts.values());
            for text in texts.chain(&found.cpe) {
                assert!(text.len() < 20_000, "a field of {} bytes", text.len());
                assert!(!text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}

/// What a TLS server says in the clear, with a certificate or without, and a certificate.
pub fn tls(bytes: &[u8]) {
    // Whatever it is, it is a flight, none, or not whole.
    let _ = anonymous::flight(bytes);
    if let Some(words) = hello::read(bytes) {
        assert!(words.version.is_some() || words.alert.is_some());
    }
    for (_, value) in cert::facts(bytes, 0) {
        assert!(!value.chars().any(char::is_control), "{value:?}");
    }
}

/// Bytes come back from the text that shows them; and any text is a rule file or has a fault.
pub fn rules(bytes: &[u8]) {
    assert_eq!(escape::bytes(&escape::text(bytes)).as_deref(), Ok(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let parsed = parse("fuzz.toml", text);
        let lines = text.lines().count() + 1;
        assert!(parsed.faults.iter().all(|fault| fault.line <= lines));
    }
}
