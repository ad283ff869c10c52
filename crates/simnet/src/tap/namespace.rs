//! A network namespace that is removed when it is no longer needed.

use std::process::{Command, Output};

use crate::{Error, Result};

/// A namespace made by this process.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace; one that exists already is somebody else's, and an error.
    pub(super) fn create(name: &str) -> Result<Self> {
        run(&["netns", "add", name])?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in the namespace.
    pub(super) fn ip(&self, words: &str) -> Result<()> {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        run(&arguments)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // There is no one left to tell; what cannot be removed is seen in `ip netns list`.
        let _ = run(&["netns", "del", &self.name]);
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let failed = |message: String| Error::Command {
        command: format!("ip {}", arguments.join(" ")),
        message,
    };
    let output: Output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(failed(message.trim().to_owned()))
}
