//! Programs that read our XML, from `PyPI`, in an environment of their own.

use std::fs;
use std::path::PathBuf;

use crate::process::{command, is_root, root, run, say, succeeds_quietly, target_dir};
use crate::tally::Tally;

const REQUIREMENTS: &str = "crates/report/tests/readers/requirements.txt";

/// The Python of the environment, whether or not it was made.
pub(crate) fn python() -> PathBuf {
    environment().join("bin/python")
}

fn environment() -> PathBuf {
    target_dir().join("readers-venv")
}

/// Makes `target/readers-venv`, where the tests of the reports look for readers. It is made once
/// for each version of the list of requirements.
pub(crate) fn install() -> Result<Tally, String> {
    let Ok(wanted) = fs::read(root().join(REQUIREMENTS)) else {
        say(&format!("there is no {REQUIREMENTS}: nothing to install"));
        return Ok(Tally::default());
    };
    let venv = environment();
    let stamp = venv.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        say("installed before");
        return Ok(Tally::PASSED);
    }
    if !is_root() && !succeeds_quietly(command("python3").args(["-c", "import ensurepip, venv"])) {
        say("skipped: Python lacks its module `venv` (Debian's python3-venv)");
        return Ok(Tally::SKIPPED);
    }
    let made = run(command("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    if !made.success() {
        return Ok(Tally::FAILED);
    }
    let installed = run(command(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--requirement", REQUIREMENTS]))?;
    if installed.success() {
        fs::write(&stamp, wanted)
            .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    }
    Ok(Tally::one(installed.success()))
}
