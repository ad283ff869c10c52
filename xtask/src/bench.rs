//! `cargo xtask bench`: builds the scanner as users get it, and measures it next to others.

use std::process::ExitCode;

use crate::process::{self, cargo, command, target_dir};

pub(crate) fn run(options: &[&str]) -> Result<ExitCode, String> {
    let built = process::run(cargo().args([
        "build",
        "--release",
        "--package",
        "portolan",
        "--package",
        "portolan-bench",
        "--package",
        "simnet",
    ]))?;
    if !built.success() {
        return Ok(ExitCode::FAILURE);
    }
    let status = process::run(command(target_dir().join("release/portolan-bench")).args(options))?;
    Ok(ExitCode::from(u8::from(!status.success())))
}
