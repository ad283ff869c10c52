//! The form that starts a scan: its fields as they are sent, and how they are shown.

use maud::{Markup, html};
use portolan_model::spec::Discovery;
use portolan_model::target;
use portolan_model::{Protocol, services};
use serde::Deserialize;

use super::super::words::{count, plural, said, span};
use crate::ScanRequest;
use crate::api::views::{Capabilities, FieldError, Preview, Span};

/// In the place of ports: only hosts are looked for.
const HOSTS_ALONE: &str = "none";

/// The fields, as text. In an address they fill the form in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::pages) struct Fields {
    pub(in crate::pages) target: String,
    pub(in crate::pages) ports: String,
    pub(in crate::pages) range: String,
    pub(in crate::pages) technique: String,
    pub(in crate::pages) timeout: String,
    pub(in crate::pages) threads: String,
    pub(in crate::pages) max_rate: String,
    /// For how long silent UDP ports are settled, in seconds.
    pub(in crate::pages) udp_budget: String,
    pub(in crate::pages) exclude: String,
    pub(in crate::pages) discovery: String,
    pub(in crate::pages) detect: String,
    /// `check` shows what would happen; anything else starts.
    pub(in crate::pages) action: String,
    /// How many probes of a large scan were said to be meant.
    pub(in crate::pages) sure: String,
}

/// The fields of a request and the controls that they are shown at.
const CONTROLS: [(&str, &str); 8] = [
    ("targets", "target"),
    ("exclude", "exclude"),
    ("ports", "range"),
    ("technique", "technique"),
    ("timeout_ms", "timeout"),
    ("concurrency", "threads"),
    ("max_rate", "max_rate"),
    ("udp_budget_ms", "udp_budget"),
];

impl Fields {
    /// The fields that make the same scan again.
    pub(in crate::pages) fn of(request: &ScanRequest) -> Self {
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let flag = |is_set: bool| {
            if is_set {
                "on".to_owned()
            } else {
                String::new()
            }
        };
        let is_named = matches!(request.ports.as_str(), "common" | "all");
        let hosts_alone = request.discovery == Discovery::Only;
        Self {
            target: request.targets.join(" "),
            exclude: request.exclude.join(" "),
            ports: if hosts_alone {
                HOSTS_ALONE.to_owned()
            } else if is_named {
                request.ports.clone()
            } else {
                "custom".to_owned()
            },
            range: if is_named || hosts_alone {
                String::new()
            } else {
                request.ports.clone()
            },
            technique: request.technique.clone(),
            timeout: number(request.timeout_ms.map(u64::from)),
            threads: number(request.concurrency.map(u64::from)),
            max_rate: number(request.max_rate),
            udp_budget: number(request.udp_budget_ms.map(|ms| ms.div_ceil(1000).into())),
            discovery: flag(request.discovery == Discovery::Skip),
            detect: flag(request.detect),
            action: String::new(),
            sure: String::new(),
        }
    }

    /// The start page's address with these fields.
    pub(in crate::pages) fn address(&self) -> String {
        super::super::words::address(
            "/",
            &[
                ("target", &self.target),
                ("ports", &self.ports),
                ("range", &self.range),
                ("technique", &self.technique),
                ("timeout", &self.timeout),
                ("threads", &self.threads),
                ("max_rate", &self.max_rate),
                ("udp_budget", &self.udp_budget),
                ("exclude", &self.exclude),
                ("discovery", &self.discovery),
                ("detect", &self.detect),
            ],
        )
    }

    /// The request that the fields stand for, and the numbers among them that are none; the
    /// rest is checked by whoever takes the request.
    pub(super) fn request(&self) -> (ScanRequest, Vec<FieldError>) {
        let mut errors = Vec::new();
        let timeout_ms = number("timeout_ms", "milliseconds", &self.timeout, &mut errors);
        let concurrency = number("concurrency", "probes at once", &self.threads, &mut errors);
        let max_rate = number("max_rate", "probes a second", &self.max_rate, &mut errors);
        let udp_budget = number::<u32>("udp_budget_ms", "seconds", &self.udp_budget, &mut errors);
        let mut request = ScanRequest::new(target::words(&self.target));
        request.exclude = target::words(&self.exclude);
        request.ports = match self.ports.as_str() {
            "custom" => self.range.trim().to_owned(),
            "" | HOSTS_ALONE => "common".to_owned(),
            named => named.to_owned(),
        };
        if !self.technique.is_empty() {
            request.technique.clone_from(&self.technique);
        }
        request.timeout_ms = timeout_ms;
        request.concurrency = concurrency;
        request.max_rate = max_rate;
        request.udp_budget_ms = udp_budget.map(|seconds| seconds.saturating_mul(1000));
        if self.ports == HOSTS_ALONE {
            request.discovery = Discovery::Only;
        } else if !self.discovery.is_empty() {
            request.discovery = Discovery::Skip;
        }
        request.detect = !self.detect.is_empty();
        (request, errors)
    }

    /// Whether anything of the folded part is not as it is by default.
    fn is_advanced(&self) -> bool {
        let plain = ["", "auto"];
        [
            &self.technique,
            &self.timeout,
            &self.threads,
            &self.max_rate,
            &self.udp_budget,
            &self.exclude,
            &self.discovery,
        ]
        .into_iter()
        .any(|value| !plain.contains(&value.as_str()))
    }
}

/// A number of at least 1, or nothing.
fn number<T: std::str::FromStr + PartialOrd + From<u8>>(
    field: &str,
    unit: &str,
    text: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let read = text
        .parse::<T>()
        .ok()
        .filter(|number| *number >= T::from(1));
    if read.is_none() {
        errors.push(FieldError {
            field: field.to_owned(),
            message: format!("`{text}` is no number of {unit}"),
            hint: Some("write a whole number from 1 on, or leave it empty".to_owned()),
            offset: None,
        });
    }
    read
}

/// What the form shows besides its fields.
pub(super) struct Shown<'a> {
    pub(super) fields: &'a Fields,
    pub(super) errors: &'a [FieldError],
    pub(super) preview: Option<&'a Preview>,
    /// The same with all ports.
    pub(super) all_ports: Option<&'a Preview>,
    pub(super) capabilities: &'a Capabilities,
    pub(super) may_scan: bool,
    /// Whether a large scan is started only when this is said once more.
    pub(super) start: Start,
}

/// What the button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It starts the scan.
    AtOnce,
    /// It starts a scan of which was asked whether it is meant.
    AskedTwice,
}

impl Shown<'_> {
    /// What is wrong at a control.
    fn wrong(&self, control: &str) -> Option<String> {
        let (field, _) = CONTROLS.iter().find(|(_, name)| *name == control)?;
        let error = self.errors.iter().find(|error| {
            error.field == *field || (error.field.starts_with(field) && error.field.contains('['))
        })?;
        Some(match &error.hint {
            Some(hint) => format!("{}: {hint}", error.message),
            None => error.message.clone(),
        })
    }

    fn error(&self, control: &str) -> Markup {
        html! { p.error id={ (control) "-error" } { (said(&self.wrong(control).unwrap_or_default())) } }
    }

    fn input(&self, name: &str, value: &str, mode: &str, placeholder: &str) -> Markup {
        html! {
            input type="text" id=(name) name=(name) value=(value) inputmode=(mode)
                placeholder=(placeholder) autocomplete="off" autocapitalize="off" spellcheck="false"
                aria-describedby={ (name) "-error " (name) "-hint" }
                aria-invalid=[self.wrong(name).map(|_| "true")];
        }
    }

    /// The form and, beside it, what it stands for.
    pub(super) fn render(&self) -> Markup {
        html! {
            scan-form {
                div.two.start {
                    form.card method="post" action="/" novalidate {
                        (self.target())
                        (self.ports())
                        div.choice {
                            input type="checkbox" id="detect" name="detect" checked[!self.fields.detect.is_empty()] disabled[!self.capabilities.detect.available];
                            label for="detect" {
                                b { "Detect services and versions" }
                                @if let Some(why) = &self.capabilities.detect.why { " " span { "– " (said(why)) } }
                            }
                        }
                        (self.advanced())
                        @let refused = self.errors.iter().filter(|error| !CONTROLS.iter().any(|(field, _)| error.field.starts_with(field)));
                        @for error in refused { p.error { (said(&error.message)) } }
                        (self.go())
                    }
                    (self.beside())
                }
            }
        }
    }

    /// The button, and what is to be known before it is pressed.
    fn go(&self) -> Markup {
        let large = self.preview.filter(|_| self.start == Start::AskedTwice);
        html! {
            div #go {
                @if let Some(preview) = large {
                    div #sure.note.warn role="alert" tabindex="-1" autofocus {
                        p {
                            b { "This is a large scan: " (plural(preview.probes, "probe")) }
                            @if let Some(seconds) = &preview.seconds { ", about " (about(seconds)) }
                            ". Start it only if you mean all of that, and may scan all of it."
                        }
                    }
                }
                div.actions {
                    @match large {
                        Some(preview) => button.main type="submit" name="sure" value=(preview.probes) disabled[!self.may_scan] { "Start it all the same" },
                        None => button.main type="submit" disabled[!self.may_scan] { "Start Scan" },
                    }
                    noscript { button type="submit" name="action" value="check" { "Check first" } }
                    @if !self.may_scan { span.soft { "Your role may see scans, not start them." } }
                }
            }
        }
    }

    fn target(&self) -> Markup {
        html! {
            div.field.big {
                label for="target" { "Target" }
                input type="text" id="target" name="target" value=(self.fields.target) required data-find=""
                    placeholder="host name, 192.168.1.0/24, 10.0.0.1-50 …" autocomplete="off" autocapitalize="off" spellcheck="false"
                    autofocus[self.fields.target.is_empty()]
                    aria-describedby="target-error target-hint" aria-invalid=[self.wrong("target").map(|_| "true")];
                div.below {
                    (self.error("target"))
                    p.hint #target-hint { "Several with blanks or commas between them. To try it: " a href="/?target=127.0.0.1&ports=all" { "all ports of this machine" } "." }
                }
            }
        }
    }

    fn ports(&self) -> Markup {
        let chosen = |value: &str| {
            self.fields.ports == value || (value == "common" && self.fields.ports.is_empty())
        };
        let common = services::common_ports(Protocol::Tcp).len() as u64;
        html! {
            fieldset {
                legend { "Ports" }
                div.choice {
                    input type="radio" id="ports-common" name="ports" value="common" checked[chosen("common")];
                    label for="ports-common" { b { "Common Ports" } " " span { "– the " (count(common)) " that people really run" } }
                }
                div.choice {
                    input type="radio" id="ports-custom" name="ports" value="custom" checked[chosen("custom")];
                    label for="ports-custom" { b { "Custom Port Range" } " " span.hide-s { "– numbers, ranges and names" } }
                }
                div.inset {
                    label.sr for="range" { "Ports of the custom range" }
                    (self.input("range", &self.fields.range, "text", "22,80,8000-8100,https"))
                    div.below { (self.error("range")) }
                    span.sr #range-hint { "Used with Custom Port Range" }
                }
                div.choice {
                    input type="radio" id="ports-all" name="ports" value="all" checked[chosen("all")];
                    label for="ports-all" {
                        b { "All Ports" } " "
                        span { "– " (count(65_535)) " probes for each address" span #all-ports { (self.all_ports()) } }
                    }
                }
                div.choice {
                    input type="radio" id="ports-none" name="ports" value=(HOSTS_ALONE) checked[chosen(HOSTS_ALONE)];
                    label for="ports-none" { b { "No Ports" } " " span { "– only look which hosts are there" } }
                }
            }
        }
    }

    /// What all ports of the targets come to.
    fn all_ports(&self) -> String {
        let Some(all) = self.all_ports else {
            return String::new();
        };
        let mut text = String::new();
        if all.addresses + all.names.len() as u64 > 1 {
            text = format!(", {} in all", count(all.probes));
        }
        if let Some(seconds) = &all.seconds {
            text.push_str(", ");
            text.push_str(&about(seconds));
        }
        text
    }

    /// Whether the folded part is shown: where one was sent back, for what is wrong in it alone.
    fn is_unfolded(&self) -> bool {
        if self.errors.is_empty() {
            return self.fields.is_advanced();
        }
        let folded = [
            "exclude",
            "technique",
            "timeout",
            "threads",
            "max_rate",
            "udp_budget",
        ];
        folded.iter().any(|control| self.wrong(control).is_some())
    }

    fn advanced(&self) -> Markup {
        let number = |name: &str, label: &str, value: &str, placeholder: &str, hint: &str| {
            html! {
                div.field {
                    label for=(name) { (label) }
                    (self.input(name, value, "numeric", placeholder))
                    div.below { (self.error(name)) p.hint id={ (name) "-hint" } { (hint) } }
                }
            }
        };
        let technique = |value: &str| {
            self.fields.technique == value || (value == "auto" && self.fields.technique.is_empty())
        };
        html! {
            details.fold open[self.is_unfolded()] {
                summary { "Advanced" }
                fieldset {
                    legend { "Technique" }
                    div.choice {
                        input type="radio" id="technique-auto" name="technique" value="auto" checked[technique("auto")];
                        label for="technique-auto" { b { "Automatic" } " " span { "– the best that this server may use" } }
                    }
                    @for known in &self.capabilities.techniques {
                        @let name = known.name.as_str();
                        div.choice {
                            input type="radio" id={ "technique-" (name) } name="technique" value=(name) checked[technique(name)] disabled[!known.available];
                            label for={ "technique-" (name) } {
                                b { (technique_label(name)) }
                                @if let Some(why) = &known.why { " " span { "– " (said(why)) } }
                            }
                        }
                    }
                    (self.error("technique"))
                }
                div.grid3 {
                    (number("timeout", "Timeout", &self.fields.timeout, "adaptive", "Milliseconds to wait at the most."))
                    (number("threads", "Thread Count", &self.fields.threads, "adaptive", "Probes that may wait at once."))
                    (number("max_rate", "Rate limit", &self.fields.max_rate, "none", "Probes a second at the most."))
                    (number("udp_budget", "UDP time", &self.fields.udp_budget, "30", "Seconds to tell closed UDP ports from silent ones."))
                }
                div.field {
                    label for="exclude" { "Leave out" }
                    (self.input("exclude", &self.fields.exclude, "text", "10.0.0.5 10.0.1.0/28"))
                    div.below { (self.error("exclude")) p.hint #exclude-hint { "Targets that are not touched, whatever stands above." } }
                }
                div.choice {
                    input type="checkbox" id="discovery" name="discovery" checked[!self.fields.discovery.is_empty()];
                    label for="discovery" { b { "Ask every port of every address" } " " span { "– also of hosts that show no sign of life" } }
                }
            }
        }
    }

    /// What is about to happen, as words and as commands.
    fn beside(&self) -> Markup {
        let preview = self.preview;
        let warnings: &[String] = preview.map_or(&[], |preview| &preview.warnings);
        html! {
            section.card aria-labelledby="beside-title" {
                h2 #beside-title { "What will happen" }
                p #estimate aria-live="polite" {
                    @match preview {
                        Some(preview) => (estimate(preview)),
                        None => "Fill in the target to see what will happen.",
                    }
                }
                ul #warnings.warnings hidden[warnings.is_empty()] { @for warning in warnings { li { (said(warning)) } } }
                h3.label { "In the shell" }
                div.command {
                    pre #command { (preview.map_or("portolan …", |preview| &preview.command)) }
                    copy-button data-from="command" data-name="Copy the shell command" {}
                }
                h3.label { "By the API" }
                div.command {
                    pre #curl { (preview.map_or("curl …", |preview| &preview.curl)) }
                    copy-button data-from="curl" data-name="Copy the curl call" {}
                }
                p.soft.small {
                    "Scan only what you own or may test. A scan is seen, and in many places it is against the law to scan what belongs to others without their leave."
                }
            }
        }
    }
}

fn technique_label(name: &str) -> &'static str {
    match name {
        "connect" => "Connect",
        "syn" => "SYN",
        "udp" => "UDP",
        _ => "Other",
    }
}

/// What will happen, in a sentence.
fn estimate(preview: &Preview) -> String {
    // More than a scan can hold, and not refused: a network whose hosts are found on its link.
    if preview.probes == u64::MAX {
        let ports = plural(preview.ports, "port");
        return format!("The hosts on the network's link are found first; then {ports} of each.");
    }
    let mut what = Vec::new();
    if preview.addresses > 0 {
        let ending = if preview.addresses == 1 { "" } else { "es" };
        what.push(format!("{} address{ending}", count(preview.addresses)));
    }
    if !preview.names.is_empty() {
        what.push(format!(
            "{} to look up",
            plural(preview.names.len() as u64, "name")
        ));
    }
    let mut text = what.join(" and ");
    if preview.ports > 0 {
        let (ports, probes) = (
            plural(preview.ports, "port"),
            plural(preview.probes, "probe"),
        );
        text = format!("{text}, {ports} each: {probes}");
    } else {
        text.push_str(", no ports: who is there");
    }
    if let Some(seconds) = &preview.seconds {
        text.push_str(", ");
        text.push_str(&about(seconds));
    }
    text.push('.');
    text
}

/// A span of time in words, from the least to the most.
fn about(seconds: &Span) -> String {
    let (low, high) = (span(seconds.low * 1000.0), span(seconds.high * 1000.0));
    if seconds.high < 1.0 {
        "about a moment".to_owned()
    } else if low == high {
        format!("about {low}")
    } else if seconds.low < 0.1 {
        format!("up to {high}")
    } else {
        format!("about {low} to {high}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_takes_the_time_for_udp_in_seconds_and_gives_it_back() {
        let fields = Fields {
            target: "127.0.0.1".to_owned(),
            udp_budget: "5".to_owned(),
            ..Fields::default()
        };
        let (request, errors) = fields.request();
        assert!(errors.is_empty());
        assert_eq!(request.udp_budget_ms, Some(5000));
        let again = Fields::of(&request);
        assert_eq!(again.udp_budget, "5");
        assert!(again.is_advanced() && again.address().contains("udp_budget=5"));
    }

    #[test]
    fn a_time_that_may_be_none_at_all_is_a_bound() {
        let said = |low, high| about(&Span { low, high });
        assert_eq!(said(0.001, 30.01), "up to 30 s");
        assert_eq!(said(0.001, 0.5), "about a moment");
        assert_eq!(said(2.0, 8.0), "about 2.0 s to 8.0 s");
    }
}
