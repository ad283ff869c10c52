//! The server's numbers in Prometheus's text format, version 0.0.4.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::state::AppState;

/// Counts that only go up.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
}

/// Counts an answer.
pub(crate) async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let class = usize::from(response.status().as_u16() / 100);
    if let Some(count) = state.metrics().answers.get(class) {
        count.fetch_add(1, Ordering::Relaxed);
    }
    response
}

impl Metrics {
    /// Every number.
    pub(crate) fn text(&self, state: &AppState) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let one = |value: u64| [(String::new(), value)];
        let version = state.version().replace(['\\', '"', '\n'], "");
        family(
            "portolan_build_info",
            "gauge",
            "The program's version.",
            &[(format!("{{version=\"{version}\"}}"), 1)],
        );
        let load = state.manager().load();
        family(
            "portolan_scans_running",
            "gauge",
            "Scans that run.",
            &one(load.running as u64),
        );
        family(
            "portolan_scans_queued",
            "gauge",
            "Scans that wait.",
            &one(load.queued as u64),
        );
        family(
            "portolan_event_streams",
            "gauge",
            "Open event streams.",
            &one(state.open_streams() as u64),
        );
        family(
            "portolan_store_size_bytes",
            "gauge",
            "Bytes of the history on disk.",
            &one(state.store().size_bytes()),
        );
        let answers: Vec<_> = (1..6)
            .map(|class| {
                let count = self
                    .answers
                    .get(class)
                    .map_or(0, |count| count.load(Ordering::Relaxed));
                (format!("{{status=\"{class}xx\"}}"), count)
            })
            .collect();
        family(
            "portolan_http_requests_total",
            "counter",
            "Answered requests.",
            &answers,
        );
        if let Some(bytes) = resident_bytes() {
            family(
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                &one(bytes),
            );
        }
        text
    }
}

/// Memory that this process takes, as Linux says (proc(5), `/proc/pid/status`).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
