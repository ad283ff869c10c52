//! What detection finds, written as nmap's XML, as those see it who read nmap's XML.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::run;

/// Prints what python-libnmap reads of every service, a line each.
const READ: &str = "
import sys
from libnmap.parser import NmapParser
for host in NmapParser.parse_fromfile(sys.argv[1]).hosts:
    for service in host.services:
        known = service.service_dict
        scripts = {script['id']: script for script in service.scripts_results}
        print(service.service, known.get('product', ''), known.get('version', ''),
              service.tunnel, [cpe.cpestring for cpe in service.cpelist],
              scripts.get('http-title', {}).get('output', ''),
              scripts.get('ssl-cert', {}).get('elements', {}).get('subject', ''), sep='|')
";

/// A server of others, which ends with this.
struct Listener {
    child: Child,
    port: String,
}

impl Listener {
    /// Starts a program and reads its port behind `before` in what it says.
    fn start(program: &str, args: &[&str], directory: &Path, before: &str) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, after) = line.split_once(before)?;
            Some(after.chars().take_while(char::is_ascii_digit).collect())
        });
        Self {
            child,
            port: port.unwrap(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    std::env::var_os("PORTOLAN_READERS_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/readers-venv/bin/python"),
        PathBuf::from,
    )
}

#[test]
#[ignore = "needs the readers that `cargo xtask test` installs"]
fn what_detection_finds_is_valid_and_reaches_the_readers_of_nmap() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::write(
        root.join("index.html"),
        "<html><head><title>Lab & more</title></head></html>",
    )
    .unwrap();
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .args(["-subj", "/CN=lab.example"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let web = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"];
    let web = Listener::start("python3", &web, root, " port ");
    let tls = ["s_server", "-accept", "127.0.0.1:0", "-WWW"];
    let tls = [&tls[..], &["-key", "key.pem", "-cert", "cert.pem"]].concat();
    let tls = Listener::start("openssl", &tls, root, "ACCEPT 127.0.0.1:");
    let file = root.join("scan.xml");
    for listener in [&web, &tls] {
        let name = file.to_str().unwrap();
        let port = listener.port.as_str();
        let shown = run(&["127.0.0.1", "-n", "-sV", "-p", port, "-oX", name]);
        assert!(shown.starts_with("exit 0"), "{shown}");
        let valid = Command::new("xmllint")
            .args(["--nonet", "--noout", "--dtdvalid"])
            .args([Path::new("/usr/share/nmap/nmap.dtd"), &file])
            .output()
            .unwrap();
        assert!(valid.status.success(), "{valid:?}");
        let read = Command::new(python())
            .args([Path::new("-c"), Path::new(READ), &file])
            .env("HOME", root)
            .output()
            .unwrap();
        let read = String::from_utf8(read.stdout).unwrap();
        let fields: Vec<&str> = read.trim_end().split('|').collect();
        assert_eq!(fields.len(), 7, "{read}");
        assert_eq!(fields[0], "http");
        if port == web.port {
            assert_eq!(fields[1..4], ["Python SimpleHTTP", "0.6", ""]);
            assert!(fields[4].starts_with("['cpe:/a:python:python:3"), "{read}");
            assert_eq!(fields[5..], ["Lab & more", ""]);
        } else {
            assert_eq!(fields[3], "ssl");
            assert_eq!(fields[6], "{'commonName': 'lab.example'}");
        }
    }
}
