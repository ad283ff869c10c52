//! A query means the same wherever it is read: in the page by its scripts, on the server by the
//! store, for the API, the exports, the plain pages and the shell.

use super::driver::{Browser, Scheme};
use super::server::Server;

/// Queries, those among them that cannot be read too.
const QUERIES: &[&str] = &[
    "",
    // Text as it is read: the program with its version, but not across columns.
    r#""OpenSSH 9""#,
    r#""openssh 9.2p1 (debian""#,
    r#""Apache httpd 2.4.57""#,
    r#""ssh OpenSSH""#,
    r#""22/tcp ssh""#,
    r#""open syn-ack""#,
    r#""10.0.0.1 gate""#,
    r#""tcp""#,
    "22/tcp",
    "ssh",
    "-ssh",
    "http,domain",
    "ubuntu",
    "inside.example",
    "cpe",
    "GATE",
    "ÄRGER",
    "ärger",
    "syn",
    "closed",
    "\"\"",
    "-\"\"",
    // Fields.
    "service:http",
    "service:ssh state:closed",
    "-service:ssh",
    "service:\"\"",
    "product:openssh",
    "product:\"OpenSSH 9\"",
    "product:\"\"",
    "-product:OpenSSH state:open",
    "version:9,2.4",
    "version:P1",
    "port:22,80",
    "port:1-100 -port:22",
    "port<1024",
    "port>=443",
    "state:open",
    "state:OPEN,closed",
    "-state:closed",
    "state:open|filtered",
    "proto:udp",
    "proto:TCP",
    "reason:reset",
    "reason:SYN-ACK,udp-response",
    "host:10.0.0.1",
    "host:10.0.0.0/30",
    "host:10.0.0.2-10.0.0.9",
    "host:10.0.0.1-2",
    "host:10.0.*.-2",
    "host:\"10.0.0.1,3\"",
    "host:2001:db8::/32",
    "host:2001:DB8:0::1",
    "host:gate.example",
    "host:Gate",
    "host:gate.example.",
    "host:example",
    "-host:gate",
    "new:true",
    "new:false",
    "seen:1d",
    "seen>1d",
    "seen:>2020-01-01",
    "seen:<2020-01-01",
    "seen:2020-01-01",
    "tls.expires<30d",
    "tls.expires:>2100-01-01",
    "tls.expires<2100-01-01",
    "tag:prod",
    "-tag:prod state:open",
    // What cannot be read.
    "colour:red",
    ":22",
    "a:",
    "port:",
    "port:70000",
    "port:9-8",
    "port:ssh",
    "state:ajar",
    "proto:sctp",
    "reason:why",
    "new:yes",
    "seen:soon",
    "seen:2026-13-01",
    "tls.expires:soon",
    "tag:a/b",
    "host:10.0.0.5/24",
    "host:10.0.0.0/33",
    "host:10.0.0.0/",
    "host:10.0.0.300",
    "host:10.0.0",
    "host:10.0.0.9-1",
    "host:10.0.0.9-10.0.0.1",
    "host:10.0.0.01",
    "host:2001:db8::g",
    "host:-gate",
    "host:a..b",
    "host:gate.7",
    "-",
    "a,",
    "\"open",
    "\"a\"b",
    r"a\b",
    r#""a\b""#,
    r#""a\\b""#,
    "x,b:c",
];

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_query_selects_the_same_rows_in_the_page_and_on_the_server() {
    let server = Server::start(None);
    let id = server.keep_varied();
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    browser.go(&server.at(&format!("/scans/{id}?q=")));
    browser.until("document.querySelector('live-scan.ready')");
    browser.until("document.querySelector('result-table').rows.length === 15");
    let queries = serde_json::to_string(QUERIES).expect("texts are JSON");
    let differences = browser.wait_for(&format!(
        "const done = arguments[0];
         const {{ rows }} = document.querySelector('result-table');
         const inPage = (query) => {{
           try {{
             return Array.from(rows.select(query), (row) =>
               `${{rows.hosts[rows.host[row]].address}} ${{rows.portNumber(row)}}/${{rows.protocol(row)}}`).sort();
           }} catch (error) {{
             return 'cannot be read';
           }}
         }};
         const onServer = async (query) => {{
           const answer = await fetch(`/api/v1/scans/{id}/results?limit=1000&q=${{encodeURIComponent(query)}}`);
           if (!answer.ok) return answer.status === 400 ? 'cannot be read' : `status ${{answer.status}}`;
           return (await answer.json()).items.map((item) => `${{item.host}} ${{item.port}}/${{item.protocol}}`).sort();
         }};
         (async () => {{
           const out = [];
           for (const query of {queries}) {{
             const [page, server] = [inPage(query), await onServer(query)].map(String);
             if (page !== server) out.push(`${{query}} is in the page: ${{page}}; on the server: ${{server}}`);
           }}
           const found = inPage('\"OpenSSH 9\"').length;
           if (found !== 2) out.push(`${{found}} rows have OpenSSH 9`);
           done(out);
         }})();"
    ));
    let differences = differences.as_array().expect("a list");
    assert!(differences.is_empty(), "{differences:#?}");
}
