//! axe-core, which judges the accessibility of pages in the browser tests; from the npm registry.

use crate::process::{command, root, run, say, succeeds_quietly};
use crate::tally::Tally;

/// Where the browser tests look for it.
const SCRIPT: &str = "target/axe/node_modules/axe-core/axe.min.js";

/// Puts axe-core into `target/axe`, once.
pub(crate) fn install() -> Result<Tally, String> {
    if root().join(SCRIPT).exists() {
        say("installed before");
        return Ok(Tally::PASSED);
    }
    if !succeeds_quietly(command("npm").arg("--version")) {
        say("skipped: npm is not there, so the browser tests do not judge accessibility");
        return Ok(Tally::SKIPPED);
    }
    let installed = run(command("npm").args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        "target/axe",
        "axe-core@4",
    ]))?;
    Ok(Tally::one(installed.success()))
}
