//! The bodies of the fuzz targets, over random bytes, over the samples of all rules damaged in
//! one place, and over the corpus.

use std::path::Path;
use std::sync::LazyLock;

use portolan_detect::RuleSet;
use portolan_detect::fuzz::{answer, rules, tls};
use proptest::prelude::*;

type Body = fn(&[u8]);

#[test]
fn the_corpus_passes() {
    for (name, body) in [
        ("detect_answer", answer as Body),
        ("detect_tls", tls),
        ("detect_rules", rules),
    ] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(name);
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            body(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}

#[test]
fn a_sample_that_is_cut_off_anywhere_is_taken_or_not_and_no_more() {
    for rule in RuleSet::embedded().rules() {
        for sample in &rule.samples {
            let step = (sample.bytes.len() / 4).max(1);
            for end in (0..sample.bytes.len()).step_by(step) {
                answer(&sample.bytes[..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_does_no_harm(rule: prop::sample::Index, at: prop::sample::Index, byte: u8) {
        static RULES: LazyLock<RuleSet> = LazyLock::new(RuleSet::embedded);
        let mut bytes = rule.get(RULES.rules()).samples[0].bytes.clone();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        answer(&bytes);
        tls(&bytes);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        answer(&bytes);
        tls(&bytes);
        rules(&bytes);
    }

    #[test]
    fn any_text_is_a_file_of_rules_or_has_faults(text in "(?s)(\\[\\[rule\\]\\]|name|match|=|'|\"|\n| |[a-z\\\\({}]){0,60}") {
        rules(text.as_bytes());
    }
}
