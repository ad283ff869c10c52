//! A diff as text, as Markdown and as JSON.

use std::fmt::{self, Write as _};

use portolan_model::{PortState, Service, Zoned};

use super::{Change, Diff, HostChange, PortChange, PortName, ServiceChange};
use crate::escape::{markdown, visible};
use crate::view;

impl Diff {
    /// For people, in a terminal: a line a change, `+` for what came, `-` for what went, `~`
    /// for what became something else.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (sign, line) in self.lines() {
            line_of(&mut text, format_args!("{sign} {}", visible(&line)));
        }
        if self.is_empty() {
            text.push_str(if self.not_compared.is_empty() {
                "no changes\n"
            } else {
                "no changes in what can be compared\n"
            });
        }
        for line in &self.not_compared {
            line_of(&mut text, format_args!("not compared: {}", visible(line)));
        }
        text
    }

    /// A list in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Changes\n\n");
        for (sign, line) in self.lines() {
            let word = match sign {
                '+' => "new",
                '-' => "gone",
                _ => "changed",
            };
            line_of(&mut text, format_args!("- **{word}** {}", markdown(&line)));
        }
        if self.is_empty() {
            text.push_str(if self.not_compared.is_empty() {
                "No changes.\n"
            } else {
                "No changes in what can be compared.\n"
            });
        }
        if !self.not_compared.is_empty() {
            text.push_str("\n## Not compared\n\n");
            for line in &self.not_compared {
                line_of(&mut text, format_args!("- {}", markdown(line)));
            }
        }
        text
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a diff is made of JSON");
        text = crate::jsonl::escape_hidden(&text);
        text.push('\n');
        text
    }

    fn lines(&self) -> Vec<(char, String)> {
        let mut lines = Vec::new();
        lines.extend(self.come.iter().map(|host| ('+', host_line(host, "up"))));
        lines.extend(self.gone.iter().map(|host| ('-', host_line(host, "gone"))));
        lines.extend(self.ports.iter().map(port_line));
        lines.extend(
            self.services
                .iter()
                .map(|change| ('~', service_line(change))),
        );
        lines
    }
}

fn line_of(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn host(address: &Zoned, name: Option<&str>) -> String {
    name.map_or_else(|| address.to_string(), |name| format!("{address} ({name})"))
}

fn host_line(change: &HostChange, word: &str) -> String {
    let open: Vec<String> = change.open.iter().map(port_name).collect();
    let ports = if open.is_empty() {
        "no open ports".to_owned()
    } else {
        open.join(", ")
    };
    format!(
        "host {} is {word}: {ports}",
        host(&change.address, change.name.as_deref())
    )
}

fn port_name(port: &PortName) -> String {
    format!("{}/{} {}", port.port, port.protocol, port.service)
}

fn port_line(change: &PortChange) -> (char, String) {
    let sign = match change.change {
        Change::Opened => '+',
        Change::Closed => '-',
        Change::Changed => '~',
    };
    let word = |state: Option<PortState>| state.map_or("not open", PortState::as_str);
    let line = format!(
        "{} {}: {} -> {}",
        host(&change.address, change.name.as_deref()),
        port_name(&change.port),
        word(change.old),
        word(change.new),
    );
    (sign, line)
}

fn service_line(change: &ServiceChange) -> String {
    let words = |service: &Service| {
        let name = view::service_name(service);
        let version = view::version(service);
        if version.is_empty() {
            name
        } else {
            format!("{name} {version}")
        }
    };
    format!(
        "{} {}/{}: {} -> {}",
        host(&change.address, change.name.as_deref()),
        change.port,
        change.protocol,
        words(&change.old),
        words(&change.new),
    )
}
