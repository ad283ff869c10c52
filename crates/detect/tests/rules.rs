//! The rules of the program against their own samples.

use portolan_detect::rules::{RuleSetBuilder, check};

#[test]
fn every_rule_takes_its_samples_and_no_other_does() {
    let set = match RuleSetBuilder::embedded().build() {
        Ok(set) => set,
        Err(faults) => {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            panic!("\n{}", lines.join("\n"));
        }
    };
    assert!(!set.rules().is_empty());
    let faults = check(&set, |_| true);
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| format!("{fault} ({})", fault.hint.as_deref().unwrap_or("")))
        .collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}
