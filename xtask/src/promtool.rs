//! promtool, which reads our metrics; out of Debian's package of Prometheus.
//!
//! The package is unpacked and not installed: installing it would start a service.

use std::fs;

use crate::process::{command, root, run, say, succeeds_quietly};
use crate::tally::Tally;

/// Where the tests of the server look for it.
const FOLDER: &str = "target/promtool";

/// Puts promtool into `target/promtool`, once.
pub(crate) fn install() -> Result<Tally, String> {
    let folder = root().join(FOLDER);
    if folder.join("usr/bin/promtool").exists() {
        say("installed before");
        return Ok(Tally::PASSED);
    }
    if !succeeds_quietly(command("apt-get").arg("--version")) {
        say("skipped: this is no Debian, so the metrics are not held against promtool");
        return Ok(Tally::SKIPPED);
    }
    let failed = |error: std::io::Error| format!("cannot unpack promtool: {error}");
    fs::create_dir_all(&folder).map_err(failed)?;
    let fetched = run(command("apt-get")
        .args(["download", "--quiet", "prometheus"])
        .current_dir(&folder))?;
    if !fetched.success() {
        say("skipped: apt-get cannot download the package `prometheus`");
        return Ok(Tally::SKIPPED);
    }
    let mut unpacked = false;
    for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let extracted = run(command("dpkg-deb").arg("--extract").arg(&path).arg(&folder))?;
            unpacked |= extracted.success();
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    // The server of the package is many times as large, and is not asked.
    let server = folder.join("usr/bin/prometheus");
    if server.exists() {
        fs::remove_file(server).map_err(failed)?;
    }
    Ok(Tally::one(unpacked))
}
