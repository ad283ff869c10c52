//! Crates build with no features, the default ones and all of them.

use crate::licenses::metadata;
use crate::process::{cargo, run, say};
use crate::tally::Tally;

/// Checks the sets of features that the lints did not: they build with all.
pub(crate) fn check() -> Result<Tally, String> {
    if !any_member_has_features(&metadata()?) {
        say("no crate of the workspace has a feature: the lints saw all there is");
        return Ok(Tally::PASSED);
    }
    let none = run(cargo().args(["check", "--workspace", "--no-default-features", "--locked"]))?;
    let default = run(cargo().args(["check", "--workspace", "--locked"]))?;
    Ok(Tally::one(none.success() && default.success()))
}

fn any_member_has_features(metadata: &serde_json::Value) -> bool {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["source"].is_null())
        .any(|package| {
            package["features"]
                .as_object()
                .is_some_and(|all| !all.is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_dependencies_do_not_count() {
        let mut metadata = serde_json::json!({ "packages": [
            { "source": "registry+https://example.org", "features": { "std": [] } },
            { "source": null, "features": {} },
        ]});
        assert!(!any_member_has_features(&metadata));
        metadata["packages"][1]["features"] = serde_json::json!({ "xdp": [] });
        assert!(any_member_has_features(&metadata));
    }
}
