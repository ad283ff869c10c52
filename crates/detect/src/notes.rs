//! What is known of one endpoint so far. It outlives whatever is cut off by the budget.

use std::collections::BTreeMap;

use portolan_model::Service;
use portolan_model::service::{Evidence, Method};

use crate::escape;
use crate::found::Found;
use crate::options::Target;
use crate::rules::{Answer, Match, RuleSet};

/// The most bytes of an answer that are kept with the result.
const EVIDENCE_BYTES: usize = 512;

/// An answer that something took.
#[derive(Debug, Clone)]
struct Taken {
    by: Match,
    to: String,
    bytes: Vec<u8>,
}

/// What is known of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    taken: Vec<Taken>,
    /// The first answer, whether anything took it or not.
    heard: Option<(String, Vec<u8>)>,
    /// Facts that no rule finds: TLS, SSH keys.
    facts: BTreeMap<String, String>,
    /// Whether TLS is spoken.
    tls: bool,
}

impl Notes {
    /// Takes in an answer; whether anything took it.
    pub(crate) fn answer(&mut self, rules: &RuleSet, answer: Answer<'_>) -> bool {
        if answer.bytes.is_empty() {
            return false;
        }
        if self.heard.is_none() {
            self.heard = Some((answer.to.to_owned(), kept(answer.bytes)));
        }
        let matches = rules.identify(answer);
        let took = !matches.is_empty();
        for by in matches {
            self.taken.push(Taken {
                by,
                to: answer.to.to_owned(),
                bytes: kept(answer.bytes),
            });
        }
        took
    }

    /// Takes in a fact as the value of `source`, which rules read.
    pub(crate) fn value(&mut self, rules: &RuleSet, source: &str, fact: &str) {
        let Some(value) = self.fact(fact).map(str::to_owned) else {
            return;
        };
        for by in rules.identify_value(source, value.as_bytes()) {
            self.taken.push(Taken {
                by,
                to: source.to_owned(),
                bytes: kept(value.as_bytes()),
            });
        }
    }

    /// TLS was found; what was heard before was not meant for us.
    pub(crate) fn tls(&mut self, bytes: &[u8]) {
        self.tls = true;
        self.taken.clear();
        self.heard = Some(("tls-hello".to_owned(), kept(bytes)));
    }

    /// Adds facts.
    pub(crate) fn facts(&mut self, facts: BTreeMap<String, String>) {
        self.facts.extend(facts);
    }

    /// A fact, of an answer or of TLS.
    pub(crate) fn fact(&self, name: &str) -> Option<&str> {
        let taken = self
            .taken
            .iter()
            .rev()
            .find_map(|taken| taken.by.found.facts.get(name));
        taken.or_else(|| self.facts.get(name)).map(String::as_str)
    }

    /// The best so far: what has the highest priority, filled up by what else took answers of
    /// the same service.
    pub(crate) fn best(&self) -> Option<Found> {
        self.winner().map(|(found, _)| found)
    }

    fn winner(&self) -> Option<(Found, &Taken)> {
        let mut order: Vec<&Taken> = self.taken.iter().collect();
        // Stable, so that of two as good the one heard first wins.
        order.sort_by_key(|taken| std::cmp::Reverse(taken.by.priority));
        let (first, rest) = order.split_first()?;
        let mut found = first.by.found.clone();
        for other in rest {
            if other.by.found.service == found.service {
                found.fill_from(&other.by.found);
            }
        }
        Some((found, first))
    }

    /// The result; `None` where nothing was heard.
    pub(crate) fn service(self, target: &Target) -> Option<Service> {
        let by_number = || Service::by_number(target.port, target.protocol);
        let mut service = if let Some((found, taken)) = self.winner() {
            Service {
                name: found.service,
                product: found.product,
                version: found.version,
                extra: found.info,
                os: found.os,
                hostname: found.hostname,
                cpe: found.cpe,
                device: found.device,
                hidden: found.hidden,
                facts: found.facts,
                method: Method::Probed,
                confidence: found.confidence,
                tls: self.tls,
                evidence: Some(evidence(
                    Some(&taken.by.rule),
                    Some(&taken.to),
                    &taken.bytes,
                )),
            }
        } else {
            let (to, bytes) = self.heard.as_ref()?;
            let guess = by_number().unwrap_or_else(|| Service {
                name: if self.tls { "ssl" } else { "unknown" }.to_owned(),
                ..Service::default()
            });
            Service {
                tls: self.tls,
                evidence: Some(evidence(None, Some(to), bytes)),
                ..guess
            }
        };
        service.facts.extend(self.facts);
        Some(service)
    }
}

fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes.get(..EVIDENCE_BYTES).unwrap_or(bytes).to_vec()
}

fn evidence(rule: Option<&str>, probe: Option<&str>, bytes: &[u8]) -> Evidence {
    Evidence {
        rule: rule.map(str::to_owned),
        probe: probe.map(str::to_owned),
        bytes: escape::text(bytes),
    }
}
