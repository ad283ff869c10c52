//! Whether a result fits a query.

use portolan_model::event::NameKind;
use portolan_model::{PortState, Protocol, Service, Target, Zone, Zoned, services};

use super::{Filter, Query, Sense, expires};
use crate::codec::Code;
use crate::tags::Tag;

/// What a query can ask about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) address: Zoned,
    pub(crate) names: &'a [(String, NameKind)],
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) code: Code,
    pub(crate) service: Option<&'a Service>,
    /// When it was found.
    pub(crate) at: i64,
    /// When the question was asked.
    pub(crate) now: i64,
    /// Whether it is open and was not known to be; looked up where the query asks for it.
    pub(crate) is_new: bool,
    /// When its port came to be as it is; looked up where the query asks for it.
    pub(crate) changed: Option<i64>,
    /// What people call its host and its scan; looked up where the query asks for it.
    pub(crate) tags: &'a [Tag],
}

/// Everything a service said, in lower case, for free text: a line for each thing that is shown
/// by itself, so that `"OpenSSH 9"` is found as it is read.
pub(crate) fn service_words(service: &Service) -> String {
    let extra = service.extra.as_ref().map(|extra| format!("({extra})"));
    let program: Vec<_> = [&service.product, &service.version, &extra]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let mut lines = vec![service.name.clone(), program.join(" ")];
    lines.extend(
        [&service.os, &service.hostname]
            .into_iter()
            .flatten()
            .cloned(),
    );
    lines.extend(service.cpe.iter().cloned());
    lines.join("\n").to_ascii_lowercase()
}

impl Query {
    /// Whether a result fits.
    pub(crate) fn matches(&self, found: &Candidate<'_>) -> bool {
        self.terms.iter().all(|term| {
            let fits = match &term.filter {
                Filter::Service(texts) => within(texts, found.service_of(self.names_states())),
                filter => filter.matches(found),
            };
            fits == (term.sense == Sense::Is)
        })
    }

    /// Whether it says itself which states it asks for.
    fn names_states(&self) -> bool {
        self.terms
            .iter()
            .any(|term| term.sense == Sense::Is && matches!(term.filter, Filter::State(_)))
    }
}

impl Query {
    /// Whether it asks for nothing but states and reasons: what [`allows`](Self::allows) says is all
    /// then.
    pub(crate) fn is_of_codes(&self) -> bool {
        let is_of_codes = |filter: &Filter| matches!(filter, Filter::State(_) | Filter::Reason(_));
        self.terms.iter().all(|term| is_of_codes(&term.filter))
    }

    /// Whether a port with this state and reason can fit, so that whole runs are passed over.
    pub(crate) fn allows(&self, code: Code) -> bool {
        self.terms.iter().all(|term| {
            let fits = match &term.filter {
                Filter::State(states) => states.contains(&code.state()),
                Filter::Reason(reasons) => reasons.contains(&code.reason()),
                _ => return true,
            };
            fits == (term.sense == Sense::Is)
        })
    }
}

impl Filter {
    fn matches(&self, found: &Candidate<'_>) -> bool {
        match self {
            Self::Port(ranges) => ranges
                .iter()
                .any(|&(first, last)| (first..=last).contains(&found.port)),
            Self::Host(targets) => targets.iter().any(|target| is_host(target, found)),
            Self::State(states) => states.contains(&found.code.state()),
            Self::Protocol(protocols) => protocols.contains(&found.protocol),
            Self::Reason(reasons) => reasons.contains(&found.code.reason()),
            Self::Service(texts) => within(texts, found.service_of(false)),
            Self::Product(texts) => within(texts, product(found.service)),
            Self::Version(texts) => within(texts, version(found.service)),
            Self::Seen(spans) => spans.iter().any(|span| span.contains(found.at, found.now)),
            Self::New(answers) => answers.contains(&found.is_new),
            Self::Changed(spans) => found
                .changed
                .is_some_and(|at| spans.iter().any(|span| span.contains(at, found.now))),
            Self::Expires(spans) => found
                .service
                .and_then(|service| service.facts.get(expires::FACT))
                .and_then(|fact| expires::moment(fact))
                .is_some_and(|at| spans.iter().any(|span| span.contains(at, found.now))),
            Self::Tag(tags) => tags.iter().any(|tag| found.tags.contains(tag)),
            Self::Text(texts) => {
                let words = found.words();
                texts
                    .iter()
                    .any(|text| words.contains(&text.to_ascii_lowercase()))
            }
        }
    }
}

impl Candidate<'_> {
    /// The service that is asked for by name. What a port's number stands for is no service
    /// where nothing listens: `service:ssh` asks who speaks SSH, not who refuses on port 22. A
    /// query that names the state `closed` itself does ask that.
    fn service_of(&self, by_number: bool) -> &str {
        let may_listen = matches!(self.code.state(), PortState::Open | PortState::OpenFiltered);
        if self.service.is_some() || may_listen || by_number {
            self.service_name()
        } else {
            ""
        }
    }

    /// What the service is called: by what it said, else by its port.
    fn service_name(&self) -> &str {
        match self.service {
            Some(service) => &service.name,
            None => services::name(self.port, self.protocol).unwrap_or_default(),
        }
    }

    /// Everything that is shown of it, in lower case, for free text.
    fn words(&self) -> String {
        let mut words = format!(
            "{}\n{}/{}\n{}\n{}\n{}",
            self.address,
            self.port,
            self.protocol,
            self.code.state(),
            self.code.reason(),
            self.service_name(),
        )
        .to_ascii_lowercase();
        for (name, _) in self.names {
            words.push('\n');
            words.push_str(&name.to_ascii_lowercase());
        }
        if let Some(service) = self.service {
            words.push('\n');
            words.push_str(&service_words(service));
        }
        words
    }
}

fn product(service: Option<&Service>) -> &str {
    service
        .and_then(|service| service.product.as_deref())
        .unwrap_or_default()
}

fn version(service: Option<&Service>) -> &str {
    service
        .and_then(|service| service.version.as_deref())
        .unwrap_or_default()
}

fn within(texts: &[String], whole: &str) -> bool {
    let whole = whole.to_ascii_lowercase();
    texts
        .iter()
        .any(|text| whole.contains(&text.to_ascii_lowercase()))
}

fn is_host(target: &Target, found: &Candidate<'_>) -> bool {
    let is_over = |zone: &Zone| found.address.zone == Some(*zone);
    if !target.zone().is_none_or(is_over) {
        return false;
    }
    match target.unzoned() {
        Target::Address(address) => *address == found.address.address,
        Target::Name(name) => found.names.iter().any(|(known, _)| {
            let known = known.trim_end_matches('.');
            known.eq_ignore_ascii_case(name.as_str())
                // The first label is what people call a host.
                || known
                    .split('.')
                    .next()
                    .is_some_and(|label| label.eq_ignore_ascii_case(name.as_str()))
        }),
        other => other
            .addresses()
            .is_some_and(|addresses| addresses.contains(found.address.address)),
    }
}
