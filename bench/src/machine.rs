//! What the figures were measured on: they mean nothing without it.

use std::fs;
use std::process::Command;

use crate::table::Format;
use crate::tools::Tool;

/// Processor, kernel, versions and command, as lines of text.
pub(crate) fn describe(tools: &[Tool], format: Format) -> String {
    let versions: Vec<String> = tools.iter().filter_map(version).collect();
    about(&versions, format)
}

/// The same with versions that are known.
pub(crate) fn about(versions: &[String], format: Format) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut lines = vec![
        format!("machine: {}, {cores} cores", processor()),
        format!("kernel: Linux {}", kernel.trim()),
        format!("command: cargo xtask bench {}", words.join(" ")),
    ];
    lines.extend(versions.iter().cloned());
    let bullet = match format {
        Format::Terminal => "",
        Format::Markdown => "- ",
    };
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("{bullet}{}", line.trim_end()))
        .collect();
    lines.join("\n") + "\n"
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name");
    model.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

/// The first line that a tool says of its version.
fn version(tool: &Tool) -> Option<String> {
    let output = Command::new(&tool.program).arg(tool.version?).output();
    let output = String::from_utf8(output.ok()?.stdout).ok()?;
    let first = output.lines().find(|line| !line.trim().is_empty())?;
    Some(format!("{}: {first}", tool.name))
}
