//! Measures a thousand web servers on loopback: how long, and how much memory at the most.
//!
//! `cargo run --release -p portolan-detect --example thousand [COUNT]`. The servers are a
//! process of their own, so that their memory does not count.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portolan_detect::{Detector, Options, RuleSet, Target};
use portolan_model::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Length: 40\r\nConnection: close\r\n\r\n<html><title>A page</title><body></body>";

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("serve") => serve(words.next().ok_or("how many?")?.parse()?),
        Some(count) => measure(count.parse()?),
        None => measure(1000),
    }
}

/// Serves until standard input closes.
fn serve(count: usize) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ports: Result<Vec<u16>, Box<dyn Error>> = runtime.block_on(async {
        let mut ports = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            ports.push(listener.local_addr()?.port());
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut request = [0; 1024];
                        if stream.read(&mut request).await.is_ok_and(|read| read > 0)
                            && request.starts_with(b"GET")
                        {
                            let _ = stream.write_all(PAGE).await;
                        }
                    });
                }
            });
        }
        Ok(ports)
    });
    let mut out = std::io::stdout().lock();
    for port in ports? {
        writeln!(out, "{port}")?;
    }
    out.flush()?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        // Its parent has gone, or wants no more.
        #[expect(clippy::exit, reason = "it has nothing to clean up")]
        std::process::exit(0);
    });
    runtime.block_on(std::future::pending())
}

fn measure(count: usize) -> Result<(), Box<dyn Error>> {
    let limit = descriptors()?;
    let mut servers = Command::new(std::env::current_exe()?)
        .args(["serve", &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(servers.stdout.take().ok_or("no output")?).lines();
    let ports: Vec<u16> = lines
        .take(count)
        .map(|line| Ok(line?.parse()?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let begun = Instant::now();
    let detector = Detector::new(Arc::new(RuleSet::embedded()), Options::at(1_800_000_000));
    let read = begun.elapsed();
    let named = runtime.block_on(async {
        let tasks: Vec<_> = ports
            .iter()
            .map(|&port| {
                let target = Target::new(Ipv4Addr::LOCALHOST.into(), Protocol::Tcp, port);
                let detector = detector.clone();
                tokio::spawn(async move { detector.detect(&target).await })
            })
            .collect();
        let mut named = 0;
        for task in tasks {
            let service = task.await.ok().flatten();
            named += usize::from(service.is_some_and(|service| service.version.is_some()));
        }
        named
    });
    let took = begun.elapsed();
    drop(servers.stdin.take());
    servers.wait()?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{named} of {count} named in {}, {} of them for reading the rules; {} at the most; {limit}",
        seconds(took),
        seconds(read),
        memory()?
    )?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The descriptor limit that this runs under.
fn descriptors() -> Result<String, Box<dyn Error>> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    Ok(line
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" "))
}

/// The most memory that this process has held (`VmHWM`).
fn memory() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.unwrap_or_default().trim().to_owned())
}
