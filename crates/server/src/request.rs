//! A scan as it is asked for: words in, a plan out, and the same in the shell and by `curl`.

use std::fmt::Write as _;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use portolan_model::address::AddressSetBuilder;
use portolan_model::front::Front;
use portolan_model::spec::{Discovery, Family, Names, Pace, Template};
use portolan_model::target;
use portolan_model::{AddressSet, PortList, PortSet, PortSpec, ScanSpec, Target, Technique};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::views::{FieldError, saturate};

/// How long one may wait for an answer at the most: 10 minutes, in milliseconds.
const LONGEST_TIMEOUT_MS: u32 = 600_000;

/// The longest that closed UDP ports are told from silent ones for: a day.
const LONGEST_BUDGET_MS: u32 = 86_400_000;

/// How many words of targets one request may have.
const MOST_TARGETS: usize = 10_000;

/// A scan to be made; all but `targets` is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct ScanRequest {
    /// Host names, addresses, networks `192.0.2.0/24`, ranges `192.0.2.1-50`; also as one text
    /// with blanks or commas between them.
    #[serde(deserialize_with = "words")]
    #[schema(example = json!(["127.0.0.1"]), min_items = 1, max_items = 10000)]
    pub targets: Vec<String>,
    /// What is left out of them, written the same way.
    #[serde(
        default,
        deserialize_with = "words",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub exclude: Vec<String>,
    /// `common`, `all`, or a list `22,80,8000-8100` with names of services.
    #[serde(default = "common")]
    #[schema(default = "common", example = "common")]
    pub ports: String,
    /// In place of `ports`: so many of the ports that are most often open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65535)]
    pub top_ports: Option<u32>,
    /// `auto`, `connect`, `syn` or `udp`; several with commas.
    #[serde(default = "auto")]
    #[schema(default = "auto", example = "auto")]
    pub technique: String,
    /// How long to wait for an answer at the most, in milliseconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 600_000)]
    pub timeout_ms: Option<u32>,
    /// How many probes may wait at once; adaptive when nothing is said.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub concurrency: Option<u32>,
    /// At most so many probes a second.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub max_rate: Option<u64>,
    /// At least so many probes a second.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub min_rate: Option<u64>,
    /// How often a silent port is asked again; as often as the measured loss asks when nothing
    /// is said.
    #[serde(default)]
    pub retries: Option<u8>,
    /// For how long closed UDP ports are told from silent ones, in milliseconds; 30 seconds when
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub udp_budget_ms: Option<u32>,
    /// Whether closed UDP ports are told from silent ones however long it takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub udp_certain: bool,
    /// How patient: `paranoid`, `sneaky`, `polite`, `normal`, `aggressive` or `insane`.
    #[serde(default)]
    #[schema(value_type = String, default = "normal", example = "normal")]
    pub timing: Template,
    /// Whether hosts are looked for first: `auto`, `skip` or `only`.
    #[serde(default)]
    #[schema(value_type = String, default = "auto", example = "auto")]
    pub discovery: Discovery,
    /// Whether services are detected.
    #[serde(default)]
    pub detect: bool,
    /// Whether every address of a name is scanned, not the first alone.
    #[serde(default)]
    pub resolve_all: bool,
    /// Only addresses of this family: `ipv4` or `ipv6`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub family: Option<Family>,
    /// Whether the names of found hosts are looked up.
    #[serde(default)]
    pub reverse_names: bool,
    /// Decides the order.
    #[serde(default)]
    pub seed: Option<u64>,
}

fn common() -> String {
    "common".to_owned()
}

fn auto() -> String {
    "auto".to_owned()
}

/// A list of words, or one text with words in it.
fn words<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    let given = Option::<Words>::deserialize(deserializer)?;
    let texts = match given {
        None => Vec::new(),
        Some(Words::One(text)) => vec![text],
        Some(Words::Many(texts)) => texts,
    };
    Ok(texts.iter().flat_map(|text| target::words(text)).collect())
}

/// A request that was read: what to scan, and the words it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What to scan and how.
    pub spec: ScanSpec,
    /// Whether services are detected.
    pub detect: bool,
}

impl ScanRequest {
    /// A scan of these targets with everything else at its default.
    pub fn new(targets: Vec<String>) -> Self {
        Self {
            targets,
            exclude: Vec::new(),
            ports: common(),
            top_ports: None,
            technique: auto(),
            timeout_ms: None,
            concurrency: None,
            max_rate: None,
            min_rate: None,
            retries: None,
            udp_budget_ms: None,
            udp_certain: false,
            timing: Template::default(),
            discovery: Discovery::default(),
            detect: false,
            resolve_all: false,
            family: None,
            reverse_names: false,
            seed: None,
        }
    }

    /// The request that leads to `spec`.
    pub fn from_spec(spec: &ScanSpec, detect: bool) -> Self {
        let text = |targets: &[Target]| targets.iter().map(Target::to_string).collect();
        let techniques: Vec<_> = spec.techniques.iter().map(|one| one.as_str()).collect();
        Self {
            targets: text(&spec.targets),
            exclude: text(&spec.exclude),
            ports: ports_in_words(&spec.ports),
            top_ports: None,
            technique: if techniques.is_empty() {
                auto()
            } else {
                techniques.join(",")
            },
            timeout_ms: spec
                .pace
                .timeout
                .map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
            concurrency: spec.pace.concurrency.map(NonZeroU32::get),
            max_rate: spec.pace.max_rate.map(NonZeroU64::get),
            min_rate: spec.pace.min_rate.map(NonZeroU64::get),
            retries: spec.pace.retries,
            udp_budget_ms: spec
                .pace
                .udp_budget
                .map(|budget| u32::try_from(budget.as_millis()).unwrap_or(u32::MAX)),
            udp_certain: spec.pace.udp_certain,
            timing: spec.pace.template,
            discovery: spec.discovery,
            detect,
            resolve_all: spec.names.all,
            family: spec.names.family,
            reverse_names: spec.names.reverse,
            seed: spec.seed,
        }
    }

    /// Reads every field; what is wrong is said in the words of who shows it.
    ///
    /// # Errors
    /// Everything that is wrong, field by field.
    pub fn check(&self, front: Front) -> Result<Checked, Vec<FieldError>> {
        let mut errors = Vec::new();
        let targets = read_targets("targets", &self.targets, front, &mut errors);
        let exclude = read_targets("exclude", &self.exclude, front, &mut errors);
        if self.targets.is_empty() {
            let empty = Target::from_str("").err();
            errors.push(FieldError {
                field: "targets".to_owned(),
                message: "the target is empty".to_owned(),
                hint: empty.and_then(|error| error.hint()),
                offset: None,
            });
        }
        let ports = match self.top_ports {
            Some(count) => PortSpec::top(count)
                .map(PortList::from)
                .map_err(|error| ("top_ports", error)),
            None => self
                .ports
                .trim()
                .parse::<PortList>()
                .map_err(|error| ("ports", error)),
        };
        let list = ports.unwrap_or_else(|(field, error)| {
            errors.push(FieldError {
                field: field.to_owned(),
                message: error.to_string(),
                hint: error.hint(),
                offset: None,
            });
            PortSpec::common().into()
        });
        let (ports, techniques) = list.asked(self.techniques(&mut errors));
        if techniques.contains(&Technique::Udp) && ports.udp().is_empty() {
            errors.push(FieldError {
                field: "ports".to_owned(),
                message: "no UDP port is among them".to_owned(),
                hint: Some(
                    match front {
                        Front::Page => "write UDP ports as `U:53,123`, or choose another technique",
                        Front::Api | Front::Shell => {
                            "write UDP ports as `U:53,123`, or leave `udp` out"
                        }
                    }
                    .to_owned(),
                ),
                offset: None,
            });
        }
        let pace = self.pace(&mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Checked {
            spec: ScanSpec {
                targets,
                exclude,
                ports,
                techniques,
                pace,
                discovery: self.discovery,
                names: Names {
                    all: self.resolve_all,
                    family: self.family,
                    reverse: self.reverse_names,
                },
                seed: self.seed,
                shard: None,
                sweep: None,
            },
            detect: self.detect,
        })
    }

    fn techniques(&self, errors: &mut Vec<FieldError>) -> Vec<Technique> {
        let mut techniques = Vec::new();
        for word in self.technique.split(',').map(str::trim) {
            match word.parse() {
                Ok(technique) if techniques.contains(&technique) => {}
                Ok(technique) => techniques.push(technique),
                Err(_) if word == "auto" && !self.technique.contains(',') => {}
                Err(_) => errors.push(FieldError {
                    field: "technique".to_owned(),
                    message: format!("unknown technique `{word}`"),
                    hint: Some("there are auto, connect, syn and udp".to_owned()),
                    offset: None,
                }),
            }
        }
        techniques
    }

    fn pace(&self, errors: &mut Vec<FieldError>) -> Pace {
        if let Some(timeout) = self.timeout_ms
            && !(1..=LONGEST_TIMEOUT_MS).contains(&timeout)
        {
            errors.push(out_of_range("timeout_ms", timeout, "1 to 600000"));
        }
        if let Some(budget) = self.udp_budget_ms
            && !(1..=LONGEST_BUDGET_MS).contains(&budget)
        {
            errors.push(out_of_range("udp_budget_ms", budget, "1 to 86400000"));
        }
        let concurrency = self.concurrency.map(NonZeroU32::new);
        if concurrency == Some(None) {
            errors.push(out_of_range("concurrency", 0, "1 or more"));
        }
        let mut rate = |field, value: Option<u64>| {
            let rate = value.map(NonZeroU64::new);
            if rate == Some(None) {
                errors.push(out_of_range(field, 0, "1 or more"));
            }
            rate.flatten()
        };
        let (max_rate, min_rate) = (
            rate("max_rate", self.max_rate),
            rate("min_rate", self.min_rate),
        );
        if let (Some(most), Some(least)) = (max_rate, min_rate)
            && least > most
        {
            errors.push(out_of_range("min_rate", least, "no more than `max_rate`"));
        }
        Pace {
            timeout: self.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            concurrency: concurrency.flatten(),
            max_rate,
            min_rate,
            retries: self.retries,
            host_timeout: None,
            udp_budget: self
                .udp_budget_ms
                .map(|ms| Duration::from_millis(ms.into())),
            udp_certain: self.udp_certain,
            template: self.timing,
        }
    }

    /// The same scan in the shell.
    pub fn command(&self) -> String {
        let mut line = "portolan".to_owned();
        for target in &self.targets {
            line.push(' ');
            line.push_str(&quoted(target));
        }
        let mut add = |text: &str| {
            line.push(' ');
            line.push_str(text);
        };
        if let Some(count) = self.top_ports.filter(|_| self.discovery != Discovery::Only) {
            add(&format!("--top-ports {count}"));
        } else {
            match self.ports.trim() {
                "common" => {}
                // Which ports there are does not matter, and the shell refuses to be told.
                _ if self.discovery == Discovery::Only => {}
                "all" | "-" | "1-65535" => add("-p-"),
                ports => add(&format!("-p {}", quoted(ports))),
            }
        }
        for technique in self.technique.split(',').map(str::trim) {
            match technique {
                "connect" => add("--connect"),
                "syn" => add("--syn"),
                "udp" => add("--udp"),
                _ => {}
            }
        }
        if !self.exclude.is_empty() {
            add(&format!("--exclude {}", quoted(&self.exclude.join(","))));
        }
        if let Some(timeout) = self.timeout_ms {
            add(&format!("--timeout {timeout}ms"));
        }
        if let Some(concurrency) = self.concurrency {
            add(&format!("--concurrency {concurrency}"));
        }
        if let Some(rate) = self.max_rate {
            add(&format!("--max-rate {rate}"));
        }
        if let Some(rate) = self.min_rate {
            add(&format!("--min-rate {rate}"));
        }
        if let Some(budget) = self.udp_budget_ms {
            add(&format!("--udp-budget {budget}ms"));
        }
        if self.udp_certain {
            add("--udp-certain");
        }
        if let Some(retries) = self.retries {
            add(&format!("--retries {retries}"));
        }
        let template = self.timing as u8;
        if self.timing != Template::Normal {
            add(&format!("-T{template}"));
        }
        match self.discovery {
            Discovery::Auto => {}
            Discovery::Skip => add("-Pn"),
            Discovery::Only => add("-sn"),
        }
        if self.detect {
            add("-sV");
        }
        if self.resolve_all {
            add("--resolve-all");
        }
        match self.family {
            Some(Family::Ipv4) => add("-4"),
            Some(Family::Ipv6) => add("-6"),
            None => {}
        }
        if !self.reverse_names {
            add("-n");
        }
        if let Some(seed) = self.seed {
            add(&format!("--seed {seed}"));
        }
        line
    }

    /// The same scan by the API of the server at `base`, `http://127.0.0.1:5000`.
    pub fn curl(&self, base: &str, needs_token: bool) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        let plain = serde_json::to_value(Self::new(Vec::new())).unwrap_or_default();
        let body: serde_json::Map<_, _> = json
            .as_object()
            .into_iter()
            .flatten()
            // What is as it would be anyway is not said.
            .filter(|(key, value)| plain.get(key.as_str()) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let body = serde_json::Value::Object(body).to_string();
        let mut line = format!("curl {}", quoted(&format!("{base}/api/v1/scans")));
        if needs_token {
            line.push_str(" -H \"Authorization: Bearer $TOKEN\"");
        }
        let _ = write!(
            line,
            " -H 'Content-Type: application/json' -d {}",
            quoted(&body)
        );
        line
    }
}

fn out_of_range(field: &str, found: impl std::fmt::Display, expected: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: format!("{found} is out of range: expected {expected}"),
        hint: None,
        offset: None,
    }
}

fn read_targets(
    field: &str,
    words: &[String],
    front: Front,
    errors: &mut Vec<FieldError>,
) -> Vec<Target> {
    if words.len() > MOST_TARGETS {
        errors.push(FieldError {
            field: field.to_owned(),
            message: format!(
                "{} words are too many: at most {MOST_TARGETS} are taken",
                words.len()
            ),
            hint: Some("write networks in place of their addresses".to_owned()),
            offset: None,
        });
        return Vec::new();
    }
    let mut targets = Vec::new();
    for word in words {
        match word.parse::<Target>() {
            Ok(target) => targets.push(target),
            Err(error) => errors.push(FieldError {
                field: field.to_owned(),
                message: error.to_string(),
                hint: error.hint_at(front),
                offset: None,
            }),
        }
    }
    targets
}

/// The addresses that targets stand for, and the names that are looked up later.
pub(crate) fn addresses_of(targets: &[Target]) -> (AddressSet, Vec<String>) {
    let mut set = AddressSetBuilder::default();
    let mut names = Vec::new();
    for target in targets {
        match target.addresses() {
            Some(addresses) => set.push_set(&addresses),
            None => names.push(target.to_string()),
        }
    }
    (set.build(), names)
}

/// How many ports a spec asks of each address, by its techniques; none where it only looks for
/// hosts.
pub(crate) fn ports_asked(spec: &ScanSpec) -> u64 {
    if spec.discovery == Discovery::Only {
        return 0;
    }
    let protocols = spec.protocols();
    let counts = protocols.iter().map(|&of| spec.ports.of(of).len() as u64);
    counts.sum()
}

/// How many addresses, names counted as one each, and how many pairs of address and port; where
/// there are no ports, each address counts once.
pub(crate) fn size(spec: &ScanSpec) -> (u64, Vec<String>, u64) {
    let (all, names) = addresses_of(&spec.targets);
    let (excluded, _) = addresses_of(&spec.exclude);
    let addresses = all.without(&excluded).len();
    let hosts = addresses + names.len() as u128;
    let probes = hosts.saturating_mul(ports_asked(spec).max(1).into());
    (saturate(addresses), names, saturate(probes))
}

/// The shortest words for a set of ports.
fn ports_in_words(ports: &PortSpec) -> String {
    if *ports == PortSpec::common() {
        return common();
    }
    let all = PortSet::all();
    if *ports.tcp() == all && *ports.udp() == all {
        return "all".to_owned();
    }
    ports.to_string()
}

/// A word as the shell takes it (POSIX, 2.2.2), in quotes only where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    // A leading dash would read as an option.
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> ScanRequest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn targets_alone_are_a_request() {
        let request = request(r#"{"targets": ["127.0.0.1"]}"#);
        assert_eq!(request, ScanRequest::new(vec!["127.0.0.1".to_owned()]));
        let spec = request.check(Front::Api).unwrap().spec;
        assert_eq!(spec.ports, PortSpec::common());
        assert_eq!(request.command(), "portolan 127.0.0.1 -n");
        assert_eq!(
            request.curl("http://127.0.0.1:5000", false),
            "curl http://127.0.0.1:5000/api/v1/scans -H 'Content-Type: application/json' \
             -d '{\"targets\":[\"127.0.0.1\"]}'"
        );
    }

    #[test]
    fn a_text_of_targets_falls_into_words_and_octet_ranges_stay_whole() {
        let request = request(r#"{"targets": "127.0.0.1, ::1 10.0.0-3.1,5,9"}"#);
        assert_eq!(request.targets, ["127.0.0.1", "::1", "10.0.0-3.1,5,9"]);
    }

    #[test]
    fn every_field_that_is_wrong_is_named_with_the_shells_words() {
        let request = request(
            r#"{"targets": ["10.0.0.5/33"], "ports": "70000", "technique": "magic",
                "timeout_ms": 0, "concurrency": 0, "max_rate": 1, "min_rate": 2}"#,
        );
        let errors = request.check(Front::Api).unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "targets",
                "ports",
                "technique",
                "timeout_ms",
                "concurrency",
                "min_rate"
            ]
        );
        let shell = "10.0.0.5/33".parse::<Target>().unwrap_err().to_string();
        assert_eq!(errors[0].message, shell);
    }

    #[test]
    fn a_request_survives_the_way_to_a_spec_and_back() {
        let request = request(
            r#"{"targets": ["192.0.2.0/24", "localhost"], "exclude": ["192.0.2.7"], "ports": "all",
                "technique": "connect", "timeout_ms": 1500, "concurrency": 10, "max_rate": 100,
                "min_rate": 5, "retries": 2, "timing": "polite", "discovery": "skip",
                "detect": true, "resolve_all": true, "family": "ipv4", "reverse_names": true,
                "seed": 7}"#,
        );
        let checked = request.check(Front::Api).unwrap();
        assert_eq!(
            ScanRequest::from_spec(&checked.spec, checked.detect),
            request
        );
        assert_eq!(
            request.command(),
            "portolan 192.0.2.0/24 localhost -p- --connect --exclude 192.0.2.7 --timeout 1500ms \
             --concurrency 10 --max-rate 100 --min-rate 5 --retries 2 -T2 -Pn -sV --resolve-all \
             -4 --seed 7"
        );
    }

    #[test]
    fn looking_for_hosts_alone_asks_no_port() {
        let request =
            request(r#"{"targets": ["10.0.0.0/24"], "discovery": "only", "ports": "all"}"#);
        assert_eq!(request.command(), "portolan 10.0.0.0/24 -sn -n");
        let spec = request.check(Front::Api).unwrap().spec;
        assert_eq!(ports_asked(&spec), 0);
        assert_eq!(size(&spec), (256, Vec::new(), 256));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("T:1-5"), "T:1-5");
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let refused = serde_json::from_str::<ScanRequest>(r#"{"targets": [], "port": "22"}"#);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("unknown field `port`")
        );
    }
}
