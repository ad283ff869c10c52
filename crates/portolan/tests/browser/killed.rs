//! The program as a server, killed under a reader's eyes: what the page says then, and after the
//! next start.

use std::net::TcpListener;

use crate::driver::Browser;
use crate::server::Server;

/// How many results the page has, open ports among them.
fn results(browser: &Browser) -> (u64, u64) {
    let counts = browser.run(
        "const rows = document.querySelector('result-table').rows; return [rows.length, rows.counts[0]]",
    );
    (counts[0].as_u64().unwrap(), counts[1].as_u64().unwrap())
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_of_a_scan_outlives_its_server_and_the_scan_goes_on_from_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), 0);
    let port = server.port();
    let browser = Browser::start();
    // Some thousand ports with the listener among them, slowly enough to be cut off.
    let (first, last) = (open.saturating_sub(2000).max(1), open.saturating_add(2000));
    browser.go(&format!(
        "{}/?target=127.0.0.1&ports=custom&range={first}-{last}&max_rate=1500",
        server.url
    ));
    browser.click("form[action='/'] button[type=submit]:not([name])");
    browser.until("document.querySelector('live-scan.ready')");
    browser.until("document.querySelector('result-table').rows.length > 500");

    server.kill();
    browser.until("!document.querySelector('#stale').hidden");
    let (shown, _) = results(&browser);
    assert!(shown > 500, "what was found has gone from the page");

    let _again = Server::start(data.path(), port);
    browser.until("document.querySelector('.badge').textContent === 'interrupted'");
    browser.until("document.querySelector('#stale').hidden");
    assert!(browser.text("#scan-head").contains("unknown, not closed"));
    let (kept, _) = results(&browser);
    let total = u64::from(last - first) + 1;
    assert!(kept < total, "the scan was too quick to be cut off");
    browser.click("form[data-action=resume] button");
    browser.until("document.querySelector('.badge').textContent === 'done'");
    browser.until(&format!(
        "document.querySelector('result-table').rows.length === {total}"
    ));
    let found = browser.run(&format!(
        "const rows = document.querySelector('result-table').rows; \
         return [...rows.select('state:open port:{open}')].length"
    ));
    assert_eq!(found, 1);
    // What the server counts is what the page has: nothing twice.
    let (_, open_shown) = results(&browser);
    let counted =
        browser.run("return Number(document.querySelector('[data-figure=open]').textContent)");
    assert_eq!(counted, open_shown);
}
