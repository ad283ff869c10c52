//! Programs from `PyPI` that read what we write, and that try our API; each kind in an environment
//! of its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{command, is_root, root, run, say, succeeds_quietly, target_dir};
use crate::tally::Tally;

/// The Python of the environment of readers, whether or not it was made.
pub(crate) fn python() -> PathBuf {
    readers().join("bin/python")
}

fn readers() -> PathBuf {
    target_dir().join("readers-venv")
}

/// Makes `target/readers-venv`, where the tests of the reports look for readers.
pub(crate) fn install() -> Result<Tally, String> {
    make(&readers(), "crates/report/tests/readers/requirements.txt")
}

/// Makes `target/api-venv`, where the tests of the server look for schemathesis.
pub(crate) fn install_for_api() -> Result<Tally, String> {
    let venv = root().join("target/api-venv");
    make(&venv, "crates/server/tests/conformance/requirements.txt")
}

/// Makes an environment, once for each version of its list of requirements.
fn make(venv: &Path, requirements: &str) -> Result<Tally, String> {
    let Ok(wanted) = fs::read(root().join(requirements)) else {
        say(&format!("there is no {requirements}: nothing to install"));
        return Ok(Tally::default());
    };
    let stamp = venv.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        say("installed before");
        return Ok(Tally::PASSED);
    }
    if !is_root() && !succeeds_quietly(command("python3").args(["-c", "import ensurepip, venv"])) {
        say("skipped: Python lacks its module `venv` (Debian's python3-venv)");
        return Ok(Tally::SKIPPED);
    }
    let made = run(command("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    if !made.success() {
        return Ok(Tally::FAILED);
    }
    let installed = run(command(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--requirement", requirements]))?;
    if installed.success() {
        fs::write(&stamp, wanted)
            .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    }
    Ok(Tally::one(installed.success()))
}
