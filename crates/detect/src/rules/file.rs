//! Reading rule files: TOML in, checked values or faults with their lines out.

use std::sync::OnceLock;

use portolan_model::hint::nearest;
use portolan_model::{PortSet, Protocol};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::rule::{BANNER, DEFAULT_INTENSITY, Probe, Rule, Sample};
use super::template::Template;
use crate::{cpe, escape};

/// The most bytes that a compiled expression may take.
const REGEX_BYTES: usize = 1 << 20;

/// The most bytes that one message of a probe may have.
const SEND_BYTES: usize = 4096;

/// The fields that captures fill by their names.
const FIELDS: [&str; 6] = ["product", "version", "info", "os", "hostname", "device"];

/// Something wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub hint: Option<String>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What one file holds.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// Its probes.
    pub probes: Vec<Probe>,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// What is wrong with it; what is wrong is not among the others.
    pub faults: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    probe: Vec<Spanned<RawProbe>>,
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    name: Spanned<String>,
    protocol: Spanned<String>,
    send: Option<Spanned<Words>>,
    #[serde(default)]
    waits: bool,
    refuses: Option<Spanned<String>>,
    #[serde(default)]
    ports: Option<Spanned<String>>,
    follows: Option<Spanned<Words>>,
    intensity: Option<Spanned<u8>>,
    at_least: Option<Spanned<u8>>,
    #[serde(default)]
    last_resort: bool,
    scan: Option<bool>,
    pad: Option<Spanned<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Spanned<String>,
    service: Spanned<String>,
    on: Option<Spanned<Words>>,
    #[serde(rename = "match")]
    pattern: Spanned<String>,
    product: Option<Spanned<String>>,
    version: Option<Spanned<String>>,
    info: Option<Spanned<String>>,
    os: Option<Spanned<String>>,
    hostname: Option<Spanned<String>>,
    device: Option<Spanned<String>>,
    cpe: Option<Spanned<Words>>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    soft: bool,
    priority: Option<Spanned<u8>>,
    confidence: Option<Spanned<u8>>,
    #[serde(default)]
    samples: Vec<Spanned<RawSample>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a sample: a text, or a table of `bytes` or `value` and expected fields"
)]
enum RawSample {
    Plain(String),
    Full(Box<FullSample>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullSample {
    bytes: Option<String>,
    value: Option<String>,
    on: Option<String>,
    service: Option<String>,
    product: Option<String>,
    version: Option<String>,
    info: Option<String>,
    os: Option<String>,
    hostname: Option<String>,
    device: Option<String>,
    cpe: Option<String>,
}

/// A text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Words {
    One(String),
    Many(Vec<String>),
}

/// The texts, each with where it begins: that of their list, which is as near as TOML tells.
fn words(words: Option<Spanned<Words>>) -> Vec<(usize, String)> {
    let Some(words) = words else {
        return Vec::new();
    };
    let at = words.span().start;
    match words.into_inner() {
        Words::One(one) => vec![(at, one)],
        Words::Many(many) => many.into_iter().map(|word| (at, word)).collect(),
    }
}

/// Whether the expressions of a file are compiled at once, so that what is wrong with them is
/// told, or when they are first needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compile {
    Now,
    WhenNeeded,
}

/// Reads one file. Nothing is looked up in other files; [`RuleSet`](super::RuleSet) does that.
pub fn parse(file: &str, text: &str) -> Parsed {
    parse_as(file, text, Compile::Now)
}

/// Reads a file that is part of the program. Its expressions are known to compile, as a test
/// tries them all, and compiling them is most of the work: they wait until they are needed.
pub(crate) fn parse_embedded(file: &str, text: &str) -> Parsed {
    parse_as(file, text, Compile::WhenNeeded)
}

fn parse_as(file: &str, text: &str, compile: Compile) -> Parsed {
    let bytes = text.bytes().enumerate();
    let ends = bytes.filter_map(|(at, byte)| (byte == b'\n').then_some(at));
    let mut reader = Reader {
        file,
        ends: ends.collect(),
        compile,
        out: Parsed::default(),
    };
    match toml::from_str::<RawFile>(text) {
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            reader.fault(at, one_line(error.message()), None);
        }
        Ok(raw) => {
            for probe in raw.probe {
                reader.probe(probe);
            }
            for rule in raw.rule {
                reader.rule(rule);
            }
        }
    }
    reader.out
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An expression, compiled.
///
/// # Errors
/// In words, when it is none, or too large.
pub(super) fn compiled(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(REGEX_BYTES)
        .build();
    regex.map_err(|error| {
        // The last line of the error says what is wrong; those before draw it.
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    })
}

/// The names of the captures of an expression, without compiling it.
fn capture_names(pattern: &str) -> Vec<String> {
    let openings = pattern.split("(?P<").skip(1);
    let names = openings.filter_map(|rest| Some(rest.split_once('>')?.0.to_owned()));
    names.collect()
}

struct Reader<'a> {
    file: &'a str,
    /// Where its lines end.
    ends: Vec<usize>,
    compile: Compile,
    out: Parsed,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < at)
    }

    fn fault(&mut self, at: usize, message: impl Into<String>, hint: Option<String>) {
        let line = self.line(at);
        self.out.faults.push(Fault {
            file: self.file.to_owned(),
            line,
            message: message.into(),
            hint,
        });
    }

    /// A name in kebab case, or a fault.
    fn name(&mut self, at: usize, text: &str, of: &str) {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 60 || !text.bytes().all(is_fit) {
            let message = format!("the {of} `{text}` is no name");
            let hint = "use lower case letters, digits and hyphens, 60 at the most";
            self.fault(at, message, Some(hint.to_owned()));
        }
    }

    fn range(&mut self, value: Option<Spanned<u8>>, of: &str, least: u8, most: u8) -> Option<u8> {
        let value = value?;
        let number = *value.get_ref();
        if !(least..=most).contains(&number) {
            let message = format!("`{of}` is {number}, expected {least} to {most}");
            self.fault(value.span().start, message, None);
        }
        Some(number)
    }

    /// The bytes of a message, or a fault.
    fn message(&mut self, at: usize, text: &str) -> Option<Vec<u8>> {
        match escape::bytes(text) {
            Ok(bytes) if bytes.is_empty() || bytes.len() > SEND_BYTES => {
                let message = format!(
                    "a message has {} bytes, expected 1 to {SEND_BYTES}",
                    bytes.len()
                );
                self.fault(at, message, None);
                None
            }
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.fault(at, error.to_string(), None);
                None
            }
        }
    }

    fn probe(&mut self, raw: Spanned<RawProbe>) {
        let start = raw.span().start;
        let faults = self.out.faults.len();
        let raw = raw.into_inner();
        self.name(raw.name.span().start, raw.name.get_ref(), "probe");
        if raw.name.get_ref() == BANNER {
            let message = "`banner` is what a server says unasked, and no probe's name";
            self.fault(raw.name.span().start, message, None);
        }
        let protocol = match raw.protocol.get_ref().as_str() {
            "udp" => Protocol::Udp,
            "tcp" => Protocol::Tcp,
            other => {
                let message = format!("the protocol is `{other}`, expected `tcp` or `udp`");
                self.fault(raw.protocol.span().start, message, None);
                Protocol::Tcp
            }
        };
        let mut send: Vec<Vec<u8>> = words(raw.send)
            .into_iter()
            .filter_map(|(at, text)| self.message(at, &text))
            .collect();
        let refuses = raw
            .refuses
            .and_then(|text| self.message(text.span().start, text.get_ref()));
        if let Some(pad) = &raw.pad {
            let len = usize::from(*pad.get_ref());
            match send.first_mut() {
                Some(message) if message.len() <= len && len <= SEND_BYTES => {
                    message.resize(len, 0);
                }
                _ => {
                    let message = format!(
                        "`pad` is {len}, expected the length of a message, and {SEND_BYTES} at most"
                    );
                    self.fault(pad.span().start, message, None);
                }
            }
        }
        if send.is_empty() && self.out.faults.len() == faults {
            let hint = "listening needs no probe: rules read it as `on = \"banner\"`";
            self.fault(start, "the probe sends nothing", Some(hint.to_owned()));
        }
        let ports = raw.ports.as_ref().map_or(PortSet::EMPTY, |ports| {
            ports.get_ref().parse().unwrap_or_else(|error| {
                self.fault(ports.span().start, format!("{error}"), None);
                PortSet::EMPTY
            })
        });
        let follows = words(raw.follows);
        for (at, service) in &follows {
            let name = service
                .split_once('/')
                .map_or(service.as_str(), |(name, _)| name);
            self.name(*at, name, "service");
        }
        let intensity = self.range(raw.intensity, "intensity", 1, 10);
        let at_least = self.range(raw.at_least, "at_least", 1, 9);
        if self.out.faults.len() > faults {
            return;
        }
        let line = self.line(start);
        self.out.probes.push(Probe {
            name: raw.name.into_inner(),
            protocol,
            send,
            waits: raw.waits,
            refuses,
            ports,
            // What only asks further is not sent to whatever listens.
            intensity: intensity.unwrap_or(if follows.is_empty() { 7 } else { 10 }),
            at_least: at_least.unwrap_or(1),
            last_resort: raw.last_resort,
            // What nobody is asked unless somebody wants it is not asked by scans either.
            scan: raw
                .scan
                .unwrap_or(at_least.unwrap_or(1) <= DEFAULT_INTENSITY),
            follows: follows.into_iter().map(|(_, service)| service).collect(),
            file: self.file.to_owned(),
            line,
        });
    }

    fn rule(&mut self, raw: Spanned<RawRule>) {
        let start = raw.span().start;
        let faults = self.out.faults.len();
        let raw = raw.into_inner();
        self.name(raw.name.span().start, raw.name.get_ref(), "rule");
        self.name(raw.service.span().start, raw.service.get_ref(), "service");
        let regex = OnceLock::new();
        let captures = match self.compile {
            Compile::WhenNeeded => capture_names(raw.pattern.get_ref()),
            Compile::Now => match compiled(raw.pattern.get_ref()) {
                Ok(known) => {
                    let known = regex.get_or_init(|| known);
                    known.capture_names().flatten().map(str::to_owned).collect()
                }
                Err(why) => {
                    let message = format!("`match` is no expression: {why}");
                    self.fault(raw.pattern.span().start, message, None);
                    return;
                }
            },
        };
        let mut used = Vec::new();
        let fields = [
            &raw.product,
            &raw.version,
            &raw.info,
            &raw.os,
            &raw.hostname,
            &raw.device,
        ];
        let mut templates = Vec::new();
        for (name, given) in FIELDS.into_iter().zip(fields) {
            let template = match given {
                Some(given) => {
                    let at = given.span().start;
                    self.template(at, given.get_ref(), &captures, &mut used)
                }
                None if captures.iter().any(|capture| capture == name) => {
                    used.push(name.to_owned());
                    Template::new(&format!("{{{name}}}")).ok()
                }
                None => None,
            };
            templates.push(template);
        }
        let mut cpe = Vec::new();
        for (at, name) in words(raw.cpe) {
            if !cpe::is_template(&name) {
                let message = format!("`{name}` is no CPE 2.3 name");
                let hint = "write `cpe:2.3:a:vendor:product:{version}`; the rest is added";
                self.fault(at, message, Some(hint.to_owned()));
            }
            cpe.extend(self.template(at, &name, &captures, &mut used));
        }
        for capture in captures.iter().filter(|capture| !used.contains(capture)) {
            let message = format!("the capture `{capture}` is used nowhere");
            let known = nearest(capture, FIELDS);
            let hint = known.map_or_else(
                || "use it as `{name}` in a field, or make it `(?:…)`".to_owned(),
                |known| format!("did you mean `{known}`?"),
            );
            self.fault(raw.pattern.span().start, message, Some(hint));
        }
        let priority = self.range(raw.priority, "priority", 0, 100);
        let confidence = self.range(raw.confidence, "confidence", 1, 10);
        let samples = self.samples(start, raw.samples, raw.name.get_ref(), faults);
        if self.out.faults.len() > faults {
            return;
        }
        let on: Vec<String> = words(raw.on).into_iter().map(|(_, on)| on).collect();
        let mut templates = templates.into_iter();
        let mut next = || templates.next().flatten();
        let line = self.line(start);
        self.out.rules.push(Rule {
            name: raw.name.into_inner(),
            service: raw.service.into_inner(),
            on: if on.is_empty() {
                vec![BANNER.to_owned()]
            } else {
                on
            },
            pattern: raw.pattern.into_inner(),
            regex,
            product: next(),
            version: next(),
            info: next(),
            os: next(),
            hostname: next(),
            device: next(),
            cpe,
            hidden: raw.hidden,
            soft: raw.soft,
            priority: priority.unwrap_or(if raw.soft { 20 } else { 50 }),
            confidence: confidence.unwrap_or(if raw.soft { 8 } else { 10 }),
            samples,
            file: self.file.to_owned(),
            line,
        });
    }

    /// The samples of a rule that begins at `start`, of which there must be one; that is told
    /// where nothing else is wrong with it.
    fn samples(
        &mut self,
        start: usize,
        given: Vec<Spanned<RawSample>>,
        name: &str,
        faults: usize,
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        for sample in given {
            let at = sample.span().start;
            match self.sample(at, sample.into_inner()) {
                Ok(sample) => samples.push(sample),
                Err(why) => self.fault(at, format!("the sample is no text: {why}"), None),
            }
        }
        if samples.is_empty() && self.out.faults.len() == faults {
            let message = format!("the rule `{name}` has no sample");
            let hint = "give it an answer that it must take: `samples = ['…']`";
            self.fault(start, message, Some(hint.to_owned()));
        }
        samples
    }

    fn template(
        &mut self,
        at: usize,
        given: &str,
        captures: &[String],
        used: &mut Vec<String>,
    ) -> Option<Template> {
        match Template::new(given) {
            Ok(template) => {
                for name in template.captures() {
                    if !captures.iter().any(|capture| capture == name) {
                        let message = format!("`match` has no capture `{name}`");
                        let hint = nearest(name, captures.iter().map(String::as_str))
                            .map(|known| format!("did you mean `{known}`?"));
                        self.fault(at, message, hint);
                    }
                    used.push(name.to_owned());
                }
                Some(template)
            }
            Err(why) => {
                self.fault(at, why, None);
                None
            }
        }
    }

    fn sample(&self, at: usize, raw: RawSample) -> Result<Sample, String> {
        let line = self.line(at);
        let read = |text: &str| escape::bytes(text).map_err(|error| error.to_string());
        let full = match raw {
            RawSample::Plain(text) => {
                return Ok(Sample {
                    bytes: read(&text)?,
                    on: None,
                    is_value: false,
                    expect: Vec::new(),
                    line,
                });
            }
            RawSample::Full(full) => *full,
        };
        let (text, is_value) = match (&full.bytes, &full.value) {
            (Some(bytes), None) => (bytes, false),
            (None, Some(value)) => (value, true),
            _ => return Err("it needs either `bytes` or `value`".to_owned()),
        };
        let expect = [
            ("service", full.service),
            ("product", full.product),
            ("version", full.version),
            ("info", full.info),
            ("os", full.os),
            ("hostname", full.hostname),
            ("device", full.device),
            ("cpe", full.cpe),
        ];
        Ok(Sample {
            bytes: read(text)?,
            on: full.on,
            is_value,
            expect: expect
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::EMBEDDED;
    use super::*;

    #[test]
    fn an_embedded_file_reads_as_it_would_compiled() {
        for (name, text) in EMBEDDED {
            let (early, late) = (parse(name, text), parse_embedded(name, text));
            assert_eq!(early.faults, []);
            assert_eq!(late.faults, []);
            assert_eq!(early.rules.len(), late.rules.len());
            for (early, late) in early.rules.iter().zip(&late.rules) {
                let names = early.regex().capture_names().flatten();
                let names: Vec<String> = names.map(str::to_owned).collect();
                assert_eq!(names, capture_names(&late.pattern), "{}", late.name);
                assert_eq!(early.line, late.line);
                assert_eq!(late.regex().as_str(), late.pattern);
            }
        }
    }
}
