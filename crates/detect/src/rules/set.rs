//! All rules together, and finding those that take an answer.
//!
//! Rules are held by what they read. The expressions of one source are one automaton, or two, which
//! tell in one pass over the bytes which of them match; only those are run for captures.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use portolan_model::Protocol;
use regex::bytes::{Captures, RegexSet, RegexSetBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

use super::EMBEDDED;
use super::file::{Fault, Parsed, parse, parse_embedded};
use super::rule::{BANNER, Probe, Rule};
use super::template::Template;
use crate::found::{FIELD_CHARS, Found};
use crate::readers::{self, Reading};
use crate::{cpe, escape};

/// The most bytes of one source that rules read.
pub const READ_BYTES: usize = 16 * 1024;

/// The most bytes that the automaton of one source may take.
const SET_BYTES: usize = 64 << 20;

/// What a server said.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// To what: [`BANNER`] for nothing, else a probe's name.
    pub to: &'a str,
    /// Over what.
    pub protocol: Protocol,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A rule, or a reader alone, that took an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The rule; a reader's name in brackets where no rule says more.
    pub rule: String,
    /// What it says.
    pub found: Found,
    /// Its place among others that match.
    pub priority: u8,
    /// How many bytes its expression took.
    pub length: usize,
}

/// The rules of one source.
#[derive(Debug)]
struct Group {
    /// Their numbers.
    rules: Vec<usize>,
    /// Made when the first answer comes: a scan meets few of the sources.
    sets: OnceLock<Vec<Set>>,
}

/// Some rules of one source as one automaton.
///
/// Those that can only match at the beginning are apart from the others: together they are done
/// with an answer after a few bytes, unless one of them goes on.
#[derive(Debug)]
struct Set {
    /// Their numbers, in the order of the automaton.
    rules: Vec<usize>,
    automaton: RegexSet,
}

/// Probes and rules, ready for use.
#[derive(Debug)]
pub struct RuleSet {
    probes: Vec<Probe>,
    rules: Vec<Rule>,
    groups: HashMap<String, Group>,
}

/// Puts files together.
#[derive(Debug, Default)]
pub struct RuleSetBuilder {
    files: Vec<Parsed>,
}

impl RuleSetBuilder {
    /// A builder that holds the rules of the program.
    pub fn embedded() -> Self {
        let files = EMBEDDED
            .iter()
            .map(|(name, text)| parse_embedded(name, text));
        Self {
            files: files.collect(),
        }
    }

    /// Adds a file; a rule or probe with a name that is known replaces that one.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push(parse(name, text));
        self
    }

    /// Puts everything together.
    ///
    /// # Errors
    /// With everything that is wrong, by file and line.
    pub fn build(self) -> Result<RuleSet, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut probes: Vec<Probe> = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        for file in self.files {
            faults.extend(file.faults);
            let (old_probes, old_rules) = (probes.len(), rules.len());
            for probe in file.probes {
                match probes.iter().position(|known| known.name == probe.name) {
                    None => probes.push(probe),
                    Some(at) if at >= old_probes || is_embedded(&probe.file) => {
                        faults.push(twice("probe", &probe.name, &probe.file, probe.line));
                    }
                    Some(at) => probes[at] = probe,
                }
            }
            for rule in file.rules {
                match rules.iter().position(|known| known.name == rule.name) {
                    None => rules.push(rule),
                    Some(at) if at >= old_rules || is_embedded(&rule.file) => {
                        faults.push(twice("rule", &rule.name, &rule.file, rule.line));
                    }
                    Some(at) => rules[at] = rule,
                }
            }
        }
        for rule in &rules {
            for on in &rule.on {
                let is_probe = || probes.iter().any(|probe| probe.name == *on);
                if on != BANNER && !is_probe() && !readers::has_field(on) {
                    faults.push(unknown_source(rule, on, &probes));
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let groups = groups(&rules)?;
        Ok(RuleSet {
            probes,
            rules,
            groups,
        })
    }
}

fn is_embedded(file: &str) -> bool {
    EMBEDDED.iter().any(|(name, _)| *name == file)
}

fn twice(what: &str, name: &str, file: &str, line: usize) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        message: format!("there is a {what} named `{name}` already"),
        hint: Some("give it another name".to_owned()),
    }
}

fn unknown_source(rule: &Rule, on: &str, probes: &[Probe]) -> Fault {
    let fields = readers::fields();
    let known = probes
        .iter()
        .map(|probe| probe.name.as_str())
        .chain(fields.iter().map(String::as_str))
        .chain([BANNER]);
    let hint = portolan_model::hint::nearest(on, known).map_or_else(
        || "`on` is `banner`, a probe's name, or a reader's field such as `http.server`".to_owned(),
        |known| format!("did you mean `{known}`?"),
    );
    Fault {
        file: rule.file.clone(),
        line: rule.line,
        message: format!("the rule `{}` reads `{on}`, which nothing fills", rule.name),
        hint: Some(hint),
    }
}

fn groups(rules: &[Rule]) -> Result<HashMap<String, Group>, Vec<Fault>> {
    let mut by_source: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate() {
        for on in &rule.on {
            by_source.entry(on).or_default().push(number);
        }
    }
    let mut groups = HashMap::new();
    for (source, numbers) in by_source {
        let sets = OnceLock::new();
        // Whether the program's own rules fit is tested; those of a user may be too many.
        if numbers
            .iter()
            .any(|&number| !is_embedded(&rules[number].file))
        {
            let known = automata(rules, &numbers).map_err(|error| {
                vec![Fault {
                    file: source.to_owned(),
                    line: 1,
                    message: format!("the rules for `{source}` are too many: {error}"),
                    hint: None,
                }]
            })?;
            sets.get_or_init(|| known);
        }
        let group = Group {
            rules: numbers,
            sets,
        };
        groups.insert(source.to_owned(), group);
    }
    Ok(groups)
}

/// The expressions of some rules as automata.
fn automata(rules: &[Rule], numbers: &[usize]) -> Result<Vec<Set>, regex::Error> {
    let (at_start, anywhere): (Vec<usize>, Vec<usize>) = numbers
        .iter()
        .partition(|&&number| only_at_start(&rules[number].pattern));
    [at_start, anywhere]
        .into_iter()
        .filter(|numbers| !numbers.is_empty())
        .map(|numbers| {
            let patterns = numbers.iter().map(|&number| &rules[number].pattern);
            let automaton = RegexSetBuilder::new(patterns)
                .unicode(false)
                .size_limit(SET_BYTES)
                .dfa_size_limit(SET_BYTES)
                .build()?;
            Ok(Set {
                rules: numbers,
                automaton,
            })
        })
        .collect()
}

/// Whether an expression matches at the beginning or not at all.
fn only_at_start(pattern: &str) -> bool {
    let parsed = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern);
    parsed.is_ok_and(|parsed| parsed.properties().look_set_prefix().contains(Look::Start))
}

impl RuleSet {
    /// The rules of the program.
    ///
    /// # Panics
    /// Never: a test reads them all.
    pub fn embedded() -> Self {
        RuleSetBuilder::embedded()
            .build()
            .expect("the rules of the program are tested")
    }

    /// All probes.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// What UDP scans ask: those that have ports of their own, in the order of their files.
    pub fn scanned(&self) -> impl Iterator<Item = &Probe> {
        let of_udp = |probe: &&Probe| probe.protocol == Protocol::Udp;
        let probes = self.probes.iter().filter(of_udp);
        probes.filter(|probe| probe.scan && !probe.ports.is_empty() && !probe.send.is_empty())
    }

    /// All rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Everything that takes `answer`, the best first: by priority, then by how many bytes it
    /// took, then by name. A reader that understood it counts even where no rule says more.
    pub fn identify(&self, answer: Answer<'_>) -> Vec<Match> {
        let mut matches = Vec::new();
        let bytes = answer.bytes.get(..READ_BYTES).unwrap_or(answer.bytes);
        self.matches_of(answer.to, bytes, &mut matches);
        let readings = readers::read(answer);
        // An answer to a question may be what the server would have said anyway; a page is not.
        let is_page = readings.iter().any(|(reader, _)| *reader == "http");
        if answer.protocol == Protocol::Tcp && answer.to != BANNER && !is_page {
            self.matches_of(BANNER, bytes, &mut matches);
        }
        for (reader, reading) in &readings {
            self.matches_of_reading(reader, reading, &mut matches);
        }
        sort(&mut matches);
        matches
    }

    /// Everything that takes what a reader understood, the best first.
    pub fn identify_reading(&self, reader: &str, reading: &Reading) -> Vec<Match> {
        let mut matches = Vec::new();
        self.matches_of_reading(reader, reading, &mut matches);
        sort(&mut matches);
        matches
    }

    /// Everything that takes `bytes` as the value of one source, the best first.
    pub fn identify_value(&self, source: &str, bytes: &[u8]) -> Vec<Match> {
        let mut matches = Vec::new();
        self.matches_of(source, bytes, &mut matches);
        sort(&mut matches);
        matches
    }

    fn matches_of_reading(&self, reader: &str, reading: &Reading, into: &mut Vec<Match>) {
        for (field, value) in &reading.fields {
            let value = value.get(..READ_BYTES).unwrap_or(value);
            self.matches_of(&format!("{reader}.{field}"), value, into);
        }
        into.push(Match {
            rule: format!("[{reader}]"),
            found: reading.found(),
            priority: reading.priority,
            length: 0,
        });
    }

    fn matches_of(&self, source: &str, bytes: &[u8], into: &mut Vec<Match>) {
        let Some(group) = self.groups.get(source) else {
            return;
        };
        let sets = group.sets.get_or_init(|| {
            automata(&self.rules, &group.rules).expect("the rules of the program are tested")
        });
        let numbers = sets.iter().flat_map(|set| {
            let matches = set.automaton.matches(bytes).into_iter();
            matches.map(|index| set.rules[index])
        });
        for number in numbers {
            let rule = &self.rules[number];
            if let Some(captures) = rule.regex().captures(bytes) {
                into.push(Match {
                    rule: rule.name.clone(),
                    found: filled(rule, &captures),
                    priority: rule.priority,
                    length: captures.get(0).map_or(0, |all| all.len()),
                });
            }
        }
    }
}

fn sort(matches: &mut Vec<Match>) {
    matches.sort_by(|a, b| {
        (b.priority, b.length)
            .cmp(&(a.priority, a.length))
            .then_with(|| a.rule.cmp(&b.rule))
    });
    matches.dedup_by(|a, b| a.rule == b.rule);
}

/// What a rule says of an answer.
fn filled(rule: &Rule, captures: &Captures<'_>) -> Found {
    let capture = |name: &str| {
        let bytes = captures.name(name)?.as_bytes();
        Some(escape::field(bytes, FIELD_CHARS)).filter(|text| !text.is_empty())
    };
    let field = |template: &Option<Template>| template.as_ref()?.fill(capture);
    let version = field(&rule.version);
    Found {
        service: rule.service.clone(),
        product: field(&rule.product),
        info: field(&rule.info),
        os: field(&rule.os),
        hostname: field(&rule.hostname),
        device: field(&rule.device),
        cpe: rule
            .cpe
            .iter()
            .filter_map(|template| {
                template.fill(|name| Some(cpe::component(&capture(name).unwrap_or_default())))
            })
            .map(|name| cpe::complete(&name))
            .collect(),
        hidden: rule.hidden && version.is_none(),
        version,
        soft: rule.soft,
        confidence: rule.confidence,
        facts: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_at_the_beginning_alone_is_known() {
        for anchored in ["^a", "^(?:a|b)c", r"(?i)^a", "^a|^b", "(?s-u)^.*b"] {
            assert!(only_at_start(anchored), "{anchored}");
        }
        for other in ["a", "(?:^|\n)a", "^a|b", "(?m)^a"] {
            assert!(!only_at_start(other), "{other}");
        }
    }

    #[test]
    fn rules_of_whole_pages_match_at_the_beginning_alone() {
        // One that does not would be looked for in every byte of every page.
        let rules = RuleSet::embedded();
        for rule in rules.rules() {
            if rule.on.iter().any(|on| on == "http-get") {
                assert!(only_at_start(&rule.pattern), "{}", rule.name);
            }
        }
    }
}
