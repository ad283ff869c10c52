//! The web app: how soon it is there, what it takes, how soon a page hears of an open port, and
//! what a hundred watchers cost the scan that they watch.
//!
//! Scans reach loopback and nothing else. Runs with and without watchers take turns, so that a
//! slow moment of the machine meets both.

mod server;
mod watchers;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::clock::now;
use crate::table::{self, Format, median, sorted};
use server::Server;
use watchers::{Watch, latencies};

/// What is scanned: three addresses of this machine with all their ports.
const TARGET: &str = "127.0.0.1-3";

/// How many ports of it listen.
const LISTENERS: usize = 60;

/// How long the server is left alone before its memory is read.
const QUIET: Duration = Duration::from_secs(2);

/// What is to be measured of the web app.
pub(crate) struct WebOptions {
    /// How often.
    pub(crate) runs: usize,
    /// How many watchers.
    pub(crate) watchers: usize,
    /// The binary; by default the one built next to this program.
    pub(crate) portolan: Option<PathBuf>,
    /// How tables look.
    pub(crate) format: Format,
}

/// Measures all of it and prints the figures.
pub(crate) fn run(options: &WebOptions) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot measure the web app: {error}");
    let program = match &options.portolan {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .map_err(failed)?
            .with_file_name("portolan"),
    };
    let mut lines = start(&program, options.runs).map_err(failed)?;
    for _ in 0..LISTENERS {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        // Connections that nobody accepts fill the system's queue, and then the port is silent.
        thread::spawn(move || listener.incoming().for_each(drop));
    }
    lines.extend(watched(&program, options).map_err(failed)?);
    table::print(&figures(&lines, options.format));
    Ok(())
}

/// A figure: what it is, and what was measured.
type Line = (String, String);

fn start(program: &std::path::Path, runs: usize) -> std::io::Result<Vec<Line>> {
    let mut times = Vec::new();
    let mut idle = 0;
    for _ in 0..runs {
        let begin = now();
        let server = Server::start(program)?;
        let page = server.get("/")?;
        times.push(begin.elapsed());
        assert!(page.contains("</html>"), "the first page is not whole");
        thread::sleep(QUIET);
        idle = idle.max(server.resident_bytes());
    }
    Ok(vec![
        (
            "start to the first page, whole".to_owned(),
            spread(&times, "ms"),
        ),
        (
            "memory of the idle server, the most".to_owned(),
            megabytes(idle),
        ),
    ])
}

fn watched(program: &std::path::Path, options: &WebOptions) -> std::io::Result<Vec<Line>> {
    let server = Server::start(program)?;
    scan(&server)?;
    let (mut alone, mut with) = (Vec::new(), Vec::new());
    let (mut cpu_alone, mut cpu_with, mut cpu_client) = (Vec::new(), Vec::new(), Vec::new());
    let (mut least, mut most) = (u64::MAX, 0);
    for _ in 0..options.runs {
        let before = server.cpu();
        let ended = scan(&server)?;
        alone.push(ended.took);
        cpu_alone.push(server.cpu().saturating_sub(before));
        let watch = Watch::start(server.address, ended.id + 1, options.watchers)?;
        let before = server.cpu();
        with.push(scan(&server)?.took);
        let seen = watch.end();
        cpu_with.push(server.cpu().saturating_sub(before));
        cpu_client.push(seen.cpu);
        least = least.min(seen.least_bytes);
        most = most.max(seen.most_bytes);
    }
    let busy = server.resident_bytes();
    let newest = scan(&server)?.id;
    let heard = latencies(server.address, newest + 1, || scan(&server).map(drop))?;
    let ratio = median(&with).as_secs_f64() / median(&alone).as_secs_f64();
    let watchers = options.watchers;
    Ok(vec![
        (
            format!("scan of {TARGET}, all ports, nobody watches"),
            spread(&alone, "s"),
        ),
        (
            format!("the same with {watchers} watchers"),
            spread(&with, "s"),
        ),
        ("with watchers ÷ without".to_owned(), format!("{ratio:.3}")),
        (
            "processor of the server, without and with".to_owned(),
            format!(
                "{:.2} s, {:.2} s",
                median(&cpu_alone).as_secs_f64(),
                median(&cpu_with).as_secs_f64()
            ),
        ),
        (
            "processor of the watching client".to_owned(),
            format!("{:.2} s", median(&cpu_client).as_secs_f64()),
        ),
        (
            "a watcher received, least and most".to_owned(),
            format!("{} kB, {} kB", least / 1000, most / 1000),
        ),
        (
            "memory of the server after these scans".to_owned(),
            megabytes(busy),
        ),
        (
            format!("open port found → its message read ({} ports)", heard.len()),
            percentiles(&heard),
        ),
    ])
}

/// A scan that ended.
struct Ended {
    id: i64,
    took: Duration,
}

/// Scans and waits for the end.
fn scan(server: &Server) -> std::io::Result<Ended> {
    let answer = server.post(
        "/api/v1/scans?wait=true",
        &json!({"targets": [TARGET], "ports": "all", "technique": "connect"}),
    )?;
    let wrong = || std::io::Error::other(format!("the scan did not end well: {answer}"));
    if answer["state"] != "done" {
        return Err(wrong());
    }
    let millis = answer["elapsed_ms"].as_f64().ok_or_else(wrong)?;
    Ok(Ended {
        id: answer["id"].as_i64().ok_or_else(wrong)?,
        took: Duration::from_secs_f64(millis / 1000.0),
    })
}

fn spread(times: &[Duration], unit: &str) -> String {
    let times = sorted(times);
    let show = |time: Duration| match unit {
        "ms" => format!("{:.0}", time.as_secs_f64() * 1000.0),
        _ => format!("{:.2}", time.as_secs_f64()),
    };
    let (least, most) = (times.first().copied(), times.last().copied());
    format!(
        "{} {unit} ({}–{})",
        show(median(&times)),
        show(least.unwrap_or_default()),
        show(most.unwrap_or_default()),
    )
}

fn percentiles(times: &[Duration]) -> String {
    let times = sorted(times);
    let at = |share: usize| {
        let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default().as_millis()
    };
    format!("median {} ms, p99 {} ms", at(50), at(99))
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

fn figures(lines: &[Line], format: Format) -> String {
    let mut text = String::new();
    if format == Format::Markdown {
        text.push_str("| what | measured |\n| --- | --- |\n");
    }
    for (what, figure) in lines {
        // Writing to a text cannot fail.
        let _ = match format {
            Format::Markdown => writeln!(text, "| {what} | {figure} |"),
            Format::Terminal => writeln!(text, "{what:52} {figure}"),
        };
    }
    text
}
