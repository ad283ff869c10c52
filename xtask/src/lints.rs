//! What is seen without running anything: format, lints, links of the documentation.

use crate::process::{cargo, run};
use crate::tally::Tally;

/// `rustfmt`, of the workspace and of the fuzz targets, which are a workspace of their own.
pub(crate) fn format() -> Result<Tally, String> {
    let ours = run(cargo().args(["fmt", "--all", "--check"]))?;
    let fuzz = run(cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    Ok(Tally::one(ours.success() && fuzz.success()))
}

/// Clippy with every warning an error.
pub(crate) fn clippy() -> Result<Tally, String> {
    let status = run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Tally::one(status.success()))
}

/// Links between the pages of the documentation, and whatever else rustdoc warns of.
pub(crate) fn documentation() -> Result<Tally, String> {
    let status = run(cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .args(["--document-private-items", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Tally::one(status.success()))
}
