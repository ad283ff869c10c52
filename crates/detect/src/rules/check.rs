//! Trying every sample: its own rule must take it, and no other may win.

use portolan_model::Protocol;

use super::file::Fault;
use super::rule::{BANNER, Rule, Sample};
use super::set::{Answer, Match, RuleSet};
use crate::{escape, readers};

/// Tries the samples of every rule that `wanted` picks, and says what is wrong.
pub fn check(set: &RuleSet, wanted: impl Fn(&Rule) -> bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for rule in set.rules().iter().filter(|rule| wanted(rule)) {
        for sample in &rule.samples {
            if let Err((message, hint)) = try_sample(set, rule, sample) {
                faults.push(Fault {
                    file: rule.file.clone(),
                    line: sample.line,
                    message,
                    hint,
                });
            }
        }
    }
    faults
}

fn try_sample(set: &RuleSet, rule: &Rule, sample: &Sample) -> Result<(), (String, Option<String>)> {
    let matches = taken(set, rule, sample);
    let name = &rule.name;
    let Some(own) = matches.iter().find(|found| found.rule == *name) else {
        let start = sample.bytes.get(..60).unwrap_or(&sample.bytes);
        let hint = match matches.first() {
            Some(other) => format!("what takes it is `{}`", other.rule),
            None => "nothing takes it; is `on` what the sample is?".to_owned(),
        };
        let message = format!(
            "the rule `{name}` does not take its sample `{}`",
            escape::text(start)
        );
        return Err((message, Some(hint)));
    };
    // The first wins; one as good that says otherwise would win by chance.
    let rival = matches.iter().find(|other| {
        other.rule != *name
            && (other.priority > own.priority
                || (other.priority == own.priority
                    && other.found.soft <= own.found.soft
                    && (&other.found.service, &other.found.product)
                        != (&own.found.service, &own.found.product)))
    });
    if let Some(rival) = rival {
        let message = format!(
            "the rule `{}` (priority {}) takes the sample of `{name}` (priority {})",
            rival.rule, rival.priority, own.priority
        );
        let hint = "make one of the expressions narrower, or give them different priorities";
        return Err((message, Some(hint.to_owned())));
    }
    for (field, expected) in &sample.expect {
        let said = value(own, field);
        if said.as_deref() != Some(expected.as_str()).filter(|text| !text.is_empty()) {
            let said = said.unwrap_or_else(|| "nothing".to_owned());
            let message = format!(
                "the rule `{name}` says {field} `{said}` of its sample, expected `{expected}`"
            );
            return Err((message, None));
        }
    }
    Ok(())
}

fn value(found: &Match, field: &str) -> Option<String> {
    let found = &found.found;
    match field {
        "service" => Some(found.service.clone()),
        "product" => found.product.clone(),
        "version" => found.version.clone(),
        "info" => found.info.clone(),
        "os" => found.os.clone(),
        "hostname" => found.hostname.clone(),
        "device" => found.device.clone(),
        "cpe" => found.cpe.first().cloned(),
        _ => None,
    }
}

/// Everything that takes a sample.
fn taken(set: &RuleSet, rule: &Rule, sample: &Sample) -> Vec<Match> {
    let on = match &sample.on {
        Some(on) => on,
        None => match rule.on.first() {
            Some(on) => on,
            None => return Vec::new(),
        },
    };
    if sample.is_value {
        return set.identify_value(on, &sample.bytes);
    }
    let probe = set.probes().iter().find(|probe| probe.name == *on);
    let (to, protocol) = match (probe, on.split_once('.')) {
        (Some(probe), _) => (on.as_str(), probe.protocol),
        // Any answer that the reader reads will do.
        (None, Some((reader, _))) => {
            let to = readers::reads(reader).unwrap_or(BANNER);
            let probe = set.probes().iter().find(|probe| probe.name == to);
            (to, probe.map_or(Protocol::Tcp, |probe| probe.protocol))
        }
        (None, None) => (BANNER, Protocol::Tcp),
    };
    set.identify(Answer {
        to,
        protocol,
        bytes: &sample.bytes,
    })
}
