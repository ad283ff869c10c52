//! What is wrong with a rule file is told with its line and what helps.

use portolan_detect::rules::{RuleSetBuilder, check};

const RULE: &str = "\
[[rule]]
name = 'acme'
service = 'acme'
match = '^ACME (?P<version>[0-9.]+)'
samples = ['ACME 1.2']
";

/// Every fault of a file, with its hint.
fn faults(text: &str) -> Vec<String> {
    let faults = match RuleSetBuilder::default().file("a.toml", text).build() {
        Err(faults) => faults,
        Ok(set) => check(&set, |_| true),
    };
    faults
        .into_iter()
        .map(|fault| match &fault.hint {
            Some(hint) => format!("{fault} ({hint})"),
            None => fault.to_string(),
        })
        .collect()
}

fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(RULE.contains(from));
    faults(&RULE.replace(from, to))
}

#[test]
fn a_rule_without_faults_has_none() {
    assert_eq!(faults(RULE), [""; 0]);
}

#[test]
fn an_expression_that_is_none_is_told_with_its_line() {
    let found = changed("[0-9.]+)", "[0-9.]+");
    assert_eq!(
        found,
        ["a.toml:4: `match` is no expression: unclosed group"]
    );
    let found = changed("(?P<version>[0-9.]+)", r"(\w{1000}){1000}");
    assert!(found[0].contains("size limit"), "{found:?}");
}

#[test]
fn a_capture_that_nothing_uses_is_told_with_the_word_that_was_meant() {
    assert_eq!(
        changed("<version>", "<verison>"),
        ["a.toml:4: the capture `verison` is used nowhere (did you mean `version`?)"]
    );
}

#[test]
fn a_rule_needs_a_sample_that_it_takes() {
    let found = changed("samples = ['ACME 1.2']\n", "");
    assert!(
        found[0].starts_with("a.toml:1: the rule `acme` has no sample"),
        "{found:?}"
    );
    let found = changed("'ACME 1.2'", "'ACNE 1.2'");
    assert!(
        found[0].starts_with("a.toml:5: the rule `acme` does not take its sample `ACNE 1.2`"),
        "{found:?}"
    );
}

#[test]
fn a_sample_that_says_something_else_is_told() {
    assert_eq!(
        changed("'ACME 1.2'", "{ bytes = 'ACME 1.2', version = '1.3' }"),
        ["a.toml:5: the rule `acme` says version `1.2` of its sample, expected `1.3`"]
    );
}

#[test]
fn two_rules_that_take_one_sample_are_rivals() {
    let text = format!(
        "{RULE}\n{}",
        RULE.replace("'acme'", "'other'").replace("^ACME", "^AC?ME")
    );
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("takes the sample of `acme`"), "{found:?}");
    let text = text.replacen("name = 'other'", "name = 'other'\npriority = 40", 1);
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("takes the sample of `other`"),
        "{found:?}"
    );
}

#[test]
fn unknown_keys_sources_and_names_are_told() {
    assert!(changed("service", "sevrice")[0].starts_with("a.toml:3: unknown field `sevrice`"));
    let found = changed("match", "on = 'http.sever'\nmatch");
    assert_eq!(
        found,
        [
            "a.toml:1: the rule `acme` reads `http.sever`, which nothing fills (did you mean `http.server`?)"
        ]
    );
    assert!(changed("'acme'\nmatch", "'Acme'\nmatch")[0].contains("`Acme` is no name"));
    let found = faults(&format!("{RULE}{RULE}"));
    assert_eq!(
        found,
        ["a.toml:6: there is a rule named `acme` already (give it another name)"]
    );
    let found = changed("samples", "cpe = 'cpe:/a:acme:acme'\nsamples");
    assert!(found[0].starts_with("a.toml:5: `cpe:/a:acme:acme` is no CPE 2.3 name"));
}

#[test]
fn probes_are_checked_too() {
    let probe = "[[probe]]\nname = 'ask'\nprotocol = 'tcp'\nsend = 'hi'\nports = '1-5'\n";
    assert_eq!(faults(probe), [""; 0]);
    let changed = |from: &str, to: &str| faults(&probe.replace(from, to));
    assert_eq!(
        changed("'tcp'", "'sctp'"),
        ["a.toml:3: the protocol is `sctp`, expected `tcp` or `udp`"]
    );
    assert!(changed("'hi'", r"'\q'")[0].starts_with(r"a.toml:4: `\q` is no escape"));
    assert!(changed("1-5", "1-70000")[0].starts_with("a.toml:5: "));
    assert!(changed("send = 'hi'\n", "")[0].starts_with("a.toml:1: the probe sends nothing"));
    let found = changed("ports", "intensity = 11\nports");
    assert_eq!(found, ["a.toml:5: `intensity` is 11, expected 1 to 10"]);
}

#[test]
fn a_file_of_ones_own_replaces_what_the_program_has() {
    let own = RULE.replace("'acme'\nservice", "'openssh'\nservice");
    let set = RuleSetBuilder::embedded()
        .file("own.toml", &own)
        .build()
        .unwrap();
    let rule = set
        .rules()
        .iter()
        .find(|rule| rule.name == "openssh")
        .unwrap();
    assert_eq!(
        (rule.file.as_str(), rule.service.as_str()),
        ("own.toml", "acme")
    );
}
