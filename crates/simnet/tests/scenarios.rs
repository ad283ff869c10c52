//! The scenarios that come with the crate.

use std::path::PathBuf;

use simnet::{Scenario, Truth};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[test]
fn every_scenario_is_read_and_has_something_to_find() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        assert!(!scenario.about.is_empty(), "{path:?}");
        let truth = Truth::new(&scenario);
        let open = truth.open_tcp().chain(truth.open_udp()).next();
        assert!(open.is_some(), "{path:?}");
        names.push(path);
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn what_is_written_is_read_again() {
    let scenario = Scenario::read(&folder().join("mixed.toml")).unwrap();
    let text = serde_json::to_string(&scenario).unwrap();
    let again: Scenario = serde_json::from_str(&text).unwrap();
    assert_eq!(again, scenario);
}

#[test]
fn a_field_that_does_not_exist_is_refused() {
    let error = "rtt = 4".parse::<Scenario>().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("unknown field `rtt`"), "{cause}");
}

#[test]
fn a_value_out_of_range_is_named() {
    let error = "path.forward.loss = 1.5".parse::<Scenario>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`loss` is 1.5, expected a probability from 0 to 1"
    );
}
