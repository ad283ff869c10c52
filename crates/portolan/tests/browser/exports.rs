//! What the page exports, read by readers that are none of ours: Python's own.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::driver::Browser;
use crate::server::Server;

/// Prints the open ports of each format, from standard input as its name says.
const READER: &str = r#"
import csv, io, json, re, sys
from html.parser import HTMLParser
from xml.etree import ElementTree

format, text = sys.argv[1], sys.stdin.buffer.read().decode()
if format == "csv":
    open_ports = [row["port"] for row in csv.DictReader(io.StringIO(text, newline="")) if row["state"] == "open"]
elif format == "jsonl":
    facts = [json.loads(line) for line in text.splitlines()]
    open_ports = [fact["port"] for fact in facts if fact.get("state") == "open" and "port" in fact]
elif format == "xml":
    ports = ElementTree.fromstring(text).iter("port")
    open_ports = [port.get("portid") for port in ports if port.find("state").get("state") == "open"]
elif format == "html":
    class Words(HTMLParser):
        words, depth = [], []
        void = {"meta", "link", "br", "hr", "img", "input", "col"}
        def handle_starttag(self, tag, attributes):
            if tag not in self.void: self.depth.append(tag)
        def handle_endtag(self, tag):
            assert self.depth.pop() == tag, tag
        def handle_data(self, data):
            self.words.append(data)
    words = Words()
    words.feed(text)
    assert not words.depth, words.depth
    open_ports = re.findall(r"\b(\d+)\s+tcp\b", " ".join(words.words))
elif format == "grepable":
    open_ports = re.findall(r"(\d+)/open/", text)
else:
    lines = [line for line in text.splitlines() if re.search(r"\bopen\b", line)]
    open_ports = [port for line in lines for port in re.findall(r"\b(\d+)/tcp\b", line)]
print(json.dumps(sorted({int(port) for port in open_ports})))
"#;

fn read(format: &str, text: &str) -> Vec<u64> {
    let mut python = Command::new("python3")
        .args(["-c", READER, format])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let answer = python.wait_with_output().unwrap();
    assert!(answer.status.success(), "{format} cannot be read:\n{text}");
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_format_of_the_page_is_read_by_others_and_holds_what_the_filter_shows() {
    let open: Vec<_> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut ports: Vec<u64> = open
        .iter()
        .map(|listener| listener.local_addr().unwrap().port().into())
        .collect();
    ports.sort_unstable();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), 0);
    let browser = Browser::start();
    let list: Vec<_> = ports.iter().map(ToString::to_string).collect();
    browser.go(&format!(
        "{}/?target=127.0.0.1&ports=custom&range=1-50,{}",
        server.url,
        list.join(",")
    ));
    browser.click("form[action='/'] button[type=submit]:not([name])");
    browser.until("document.querySelector('live-scan.ready')");
    browser.until("document.querySelector('.badge').textContent === 'done'");
    let without = ports[1];
    browser.fill("#query", &format!("state:open -port:{without}"));
    browser.until("document.querySelector('#shown').textContent.startsWith('2 ')");
    let links = browser.run(
        "return [...document.querySelectorAll('#scan-head [data-export] a')].map(link => link.href)",
    );
    let links: Vec<&str> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link.as_str().unwrap())
        .collect();
    assert!(links.len() >= 7, "{links:?}");
    for link in links {
        let format = link.split_once("format=").unwrap().1;
        let format = format.split('&').next().unwrap();
        let answer = browser.wait_for(&format!(
            "const done = arguments[0];
             fetch({link:?}).then(async (r) => done([r.headers.get('content-disposition'), await r.text()]))"
        ));
        let name = answer[0].as_str().unwrap();
        assert!(name.starts_with("attachment; filename="), "{name}");
        let found = read(format, answer[1].as_str().unwrap());
        assert_eq!(found, [ports[0], ports[2]], "{format}");
    }
}
