//! What runs there, in everything that is shown and written.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use super::run;

/// A server that greets with `banner`, or answers whatever request comes with `page`.
pub(crate) fn serve(banner: &'static [u8], page: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let _ = stream.write_all(banner);
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line.ends_with("\r\n\r\n") && line.starts_with("GET") {
                        let _ = stream.write_all(page);
                        return;
                    }
                }
            });
        }
    });
    at
}

pub(crate) const SSH: &[u8] = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";

/// A web server that would like to run things wherever it is shown.
const HOSTILE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: =cmd|' /C calc'!A1\x1b]0;x\x07\r\nConnection: close\r\n\r\n\
    <title></title><title></script><script>alert(1)</script>\x1b[2J\xff</title>";

#[test]
fn a_scan_tells_service_product_and_version() {
    let port = serve(SSH, b"").port().to_string();
    let shown = run(&["127.0.0.1", "-n", "-sV", "-p", &port]);
    assert!(shown.contains("ssh      OpenSSH 9.2p1"), "{shown}");
    let written = run(&["127.0.0.1", "-n", "-sV", "-p", &port, "-q", "-oX", "-"]);
    assert!(
        written.contains(r#"<service name="ssh" product="OpenSSH" version="9.2p1""#)
            && written.contains(r#"method="probed" conf="10""#)
            && written.contains("<cpe>cpe:/a:openbsd:openssh:9.2p1"),
        "{written}"
    );
    let written = run(&["127.0.0.1", "-n", "-sV", "-p", &port, "-q", "--json"]);
    assert!(
        written.contains(r#""evidence":{"rule":""#)
            && written.contains(r#""bytes":"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\\r\\n""#),
        "{written}"
    );
}

#[test]
fn an_open_port_stays_when_nothing_is_recognised() {
    let port = serve(b"\x00\x01?\n", b"").port().to_string();
    let shown = run(&[
        "127.0.0.1",
        "-n",
        "-sV",
        "-p",
        &port,
        "--version-intensity",
        "0",
    ]);
    assert!(
        shown.contains(&format!("{port}/tcp")) && shown.contains("open"),
        "{shown}"
    );
    assert!(shown.starts_with("exit 0"), "{shown}");
}

#[test]
fn what_a_server_says_harms_no_reader() {
    let port = serve(b"", HOSTILE).port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (csv, html, xml, markdown) = (file("a.csv"), file("a.html"), file("a.xml"), file("a.md"));
    let json = file("a.jsonl");
    let (normal, grepable) = (file("a.nmap"), file("a.gnmap"));
    let shown = run(&[
        "127.0.0.1",
        "-n",
        "-sV",
        "-p",
        &port,
        "--csv",
        &csv,
        "--html",
        &html,
        "-oX",
        &xml,
        "--markdown",
        &markdown,
        "-oJ",
        &json,
        "-oN",
        &normal,
        "-oG",
        &grepable,
    ]);
    assert!(shown.starts_with("exit 0"), "{shown}");
    let verbose = run(&["detect", "-v", &format!("127.0.0.1:{port}")]);
    assert!(verbose.contains("http.status: 200"), "{verbose}");
    let mut texts = vec![shown, verbose];
    for name in [&csv, &html, &xml, &markdown, &json, &normal, &grepable] {
        texts.push(std::fs::read_to_string(name).unwrap());
    }
    for text in &texts {
        // Grepable lines hold their fields between tabs.
        let is_fine = |character: char| !character.is_control() || "\r\n\t".contains(character);
        assert!(text.chars().all(is_fine), "{text:?}");
    }
    for text in &texts[3..6] {
        assert!(!text.contains("<script>alert"), "{text}");
    }
    for line in texts[7].lines().chain(texts[8].lines()) {
        assert!(!line.contains('\x1b') && !line.contains('\u{9b}'), "{line}");
    }
    assert!(texts[4].contains("http-server-header"), "{}", texts[4]);
    // A spreadsheet takes the quotes of a cell away before it looks.
    let is_formula = |cell: &str| {
        cell.trim_start_matches('"')
            .starts_with(['=', '+', '@', '-'])
    };
    assert!(!texts[2].split([',', '\n']).any(is_formula), "{}", texts[2]);
}

#[test]
fn detect_asks_endpoints_alone() {
    let at = serve(SSH, b"").to_string();
    let shown = run(&["detect", &at]);
    assert!(
        shown.starts_with("exit 0\n--- stdout\n127.0.0.1:"),
        "{shown}"
    );
    assert!(shown.contains("  ssh             OpenSSH 9.2p1"), "{shown}");
    let json = run(&["detect", "--json", &at, &at]);
    assert_eq!(json.matches(r#""product":"OpenSSH""#).count(), 2, "{json}");
}

#[test]
fn what_no_rule_takes_becomes_a_rule() {
    let at = serve(b"+++ Acme-Thing 4.5.6 ready\r\n", b"");
    let shown = run(&["detect", "--detect-intensity", "0", &at.to_string()]);
    let answer = r"+++ Acme-Thing 4.5.6 ready\r\n";
    let command = format!("portolan rules new --on banner '{answer}'");
    assert!(shown.contains(&command), "{shown}");

    let made = run(&[
        "rules",
        "new",
        "--name",
        "acme",
        "--service",
        "thing",
        answer,
    ]);
    let rule = made.strip_prefix("exit 0\n--- stdout\n").unwrap();
    let rule = rule.strip_suffix("--- stderr\n").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.toml");
    std::fs::write(&file, rule.replace("the program's name", "Acme Thing")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        run(&["rules", "check", file]),
        "exit 0\n--- stdout\n1 rule, all samples taken\n--- stderr\n"
    );
    let rules = directory.path().to_str().unwrap();
    let shown = run(&[
        "detect",
        "--rules",
        rules,
        "--detect-intensity",
        "0",
        &at.to_string(),
    ]);
    assert!(
        shown.contains("thing           Acme Thing 4.5.6"),
        "{shown}"
    );
}

#[test]
fn a_wrong_rule_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    std::fs::write(
        &file,
        "[[rule]]\nname = 'a'\nservice = 'b'\nmatch = '('\nsamples = ['x']\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        run(&["rules", "check", file]),
        format!(
            "exit 1\n--- stdout\n{file}:4: `match` is no expression: unclosed group\n--- stderr\n"
        )
    );
}

#[test]
fn what_was_found_before_a_cut_is_asked_by_who_goes_on() {
    let port = serve(SSH, b"").port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scan.jsonl");
    let name = file.to_str().unwrap();
    let args = ["127.0.0.1", "-n", "-sV", "-p", &port, "--checkpoint", name];
    assert!(run(&args).starts_with("exit 0"));
    // The port was found, and the scan was cut off before it had answered what runs there.
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.contains(r#""type":"service""#), "{whole}");
    let cut: String = whole
        .lines()
        .filter(|line| {
            !line.contains(r#""type":"service""#) && !line.contains(r#""type":"scan.done""#)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(&file, cut).unwrap();
    let shown = run(&["resume", name]);
    assert!(shown.contains("ssh      OpenSSH 9.2p1"), "{shown}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains(r#""product":"OpenSSH""#), "{kept}");
    // What is known is not asked again.
    let again = run(&["resume", name, "--csv", "-"]);
    assert!(again.contains("OpenSSH"), "{again}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.matches(r#""type":"service""#).count(), 1, "{kept}");
}
