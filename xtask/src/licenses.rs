//! The licenses and the sources of what we depend on (`deny.toml`).
//!
//! cargo-deny does this where it is installed. It takes minutes to build, so that machines without
//! it apply the same list of licenses here.

use std::fs;

use serde_json::Value;

use crate::process::{cargo, complain, has_cargo_command, read, root, run, say};
use crate::tally::Tally;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Holds every dependency against the rules.
pub(crate) fn check() -> Result<Tally, String> {
    if has_cargo_command("deny") {
        let rules = ["licenses", "bans", "sources"];
        let status = run(cargo()
            .args(["deny", "--all-features", "check"])
            .args(rules))?;
        return Ok(Tally::one(status.success()));
    }
    say("cargo-deny is not installed: licenses and sources are checked from `cargo metadata`");
    let rules = fs::read_to_string(root().join("deny.toml"))
        .map_err(|error| format!("cannot read deny.toml: {error}"))?;
    let allowed = allowed_licenses(&rules);
    let metadata = metadata()?;
    let refused = refused(&metadata, &allowed);
    for line in &refused {
        complain(line);
    }
    Ok(Tally::one(refused.is_empty() && !allowed.is_empty()))
}

/// What cargo knows of the workspace and all it depends on, on the platform that we build for.
pub(crate) fn metadata() -> Result<Value, String> {
    let text = read(cargo().args([
        "metadata",
        "--format-version=1",
        "--all-features",
        "--locked",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]))?;
    serde_json::from_str(&text).map_err(|error| format!("cannot read `cargo metadata`: {error}"))
}

/// The strings of the one `allow = [ … ]` of `deny.toml`.
fn allowed_licenses(rules: &str) -> Vec<String> {
    rules
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "allow = [")
        .skip(1)
        .take_while(|line| *line != "]")
        .filter_map(|line| line.strip_prefix('"')?.split_once('"'))
        .map(|(license, _)| license.to_owned())
        .collect()
}

/// A line for each package that breaks a rule.
fn refused(metadata: &Value, allowed: &[String]) -> Vec<String> {
    // Filtering by platform leaves all packages in the list, but only what is used in the graph.
    let used: Vec<&Value> = metadata["resolve"]["nodes"]
        .as_array()
        .map(|nodes| nodes.iter().map(|node| &node["id"]).collect())
        .unwrap_or_default();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| used.contains(&&package["id"]))
        .filter_map(|package| {
            let name = package["name"].as_str().unwrap_or("?");
            if let Some(source) = package["source"].as_str()
                && source != CRATES_IO
            {
                return Some(format!("{name} comes from {source}, not from crates.io"));
            }
            let license = package["license"].as_str().unwrap_or("");
            if is_allowed(license, allowed) {
                None
            } else {
                Some(format!(
                    "{name} is under `{license}`, which deny.toml does not allow"
                ))
            }
        })
        .collect()
}

/// Whether a license expression (SPDX 2.3, Annex D) can be met by allowed licenses alone. The old
/// form `MIT/Apache-2.0` means *or*.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let result = any_of(&mut words, allowed);
    result == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut result = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        result |= all_of(words, allowed)?;
    }
    Some(result)
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut result = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed)?;
    }
    Some(result)
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let result = any_of(words, allowed)?;
        return words.next_if_eq(&")").map(|_| result);
    }
    if words.next_if_eq(&"WITH").is_some() {
        let with_exception = format!("{word} WITH {}", words.next()?);
        return Some(allowed.contains(&with_exception));
    }
    Some(allowed.iter().any(|license| license == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<String> {
        allowed_licenses(
            "[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\", # why\n]\nother = \"GPL\"",
        )
    }

    #[test]
    fn the_list_is_read_from_the_rules() {
        assert_eq!(allowed(), ["MIT", "ISC"]);
    }

    #[test]
    fn an_expression_is_met_by_allowed_licenses_alone() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(is_allowed(good, &allowed()), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT WITH LLVM-exception",
            "(MIT",
            "MIT ISC",
            "MIT OR",
            "mit",
        ] {
            assert!(!is_allowed(bad, &allowed()), "{bad}");
        }
    }

    #[test]
    fn a_used_package_is_refused_for_its_license_or_its_source_and_an_unused_one_is_not() {
        let metadata = serde_json::json!({
            "packages": [
                { "id": "a", "name": "ours", "source": null, "license": "MIT" },
                { "id": "b", "name": "copyleft", "source": CRATES_IO, "license": "GPL-3.0" },
                { "id": "c", "name": "elsewhere", "source": "git+https://example.org", "license": "MIT" },
                { "id": "d", "name": "for-windows", "source": CRATES_IO, "license": "GPL-3.0" },
            ],
            "resolve": { "nodes": [{ "id": "a" }, { "id": "b" }, { "id": "c" }] },
        });
        let refused = refused(&metadata, &allowed());
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].starts_with("copyleft is under `GPL-3.0`"));
        assert!(refused[1].starts_with("elsewhere comes from git+https://example.org"));
    }
}
