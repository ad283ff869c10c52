//! Connections that break while a scan runs: the page goes on, and has each result once.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::driver::Browser;
use crate::server::Server;

/// A way to a server that can be cut.
struct Way {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    /// Listens on a port of loopback for as long as this process lives.
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::default(),
        };
        let open = Arc::clone(&way.open);
        thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    open.lock().unwrap().push(from.try_clone().unwrap());
                    thread::spawn(move || {
                        // One that was cut ends with an error: that is what it is for.
                        let _ = carry(from, to);
                    });
                }
            }
        });
        way
    }

    /// Cuts everything that is open; what comes later is carried again.
    fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock().unwrap());
        open.iter()
            .filter(|stream| stream.shutdown(Shutdown::Both).is_ok())
            .count()
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 8192];
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&bytes[..read])?;
    }
}

const ROWS: &str = "document.querySelector('result-table').rows.length";

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_stream_that_breaks_again_and_again_loses_and_doubles_no_row() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), 0);
    let way = Way::to(server.port());
    let browser = Browser::start();
    let (first, last) = (open.saturating_sub(4000).max(1), open.saturating_add(4000));
    browser.go(&format!(
        "http://127.0.0.1:{}/?target=127.0.0.1&ports=custom&range={first}-{last}&max_rate=500",
        way.port
    ));
    browser.click("form[action='/'] button[type=submit]:not([name])");
    browser.until("document.querySelector('live-scan.ready')");
    // What the page was told by the stream alone: how often each port.
    browser.run(
        "const rows = document.querySelector('live-scan').rows;
         globalThis.told = new Map();
         const tell = (key) => told.set(key, (told.get(key) ?? 0) + 1);
         const { take } = customElements.get('live-scan').prototype;
         customElements.get('live-scan').prototype.take = function (data) {
           for (const item of data.ports ?? []) tell(item.port);
           for (const range of data.rest ?? []) {
             for (const part of range.ports.split(',')) {
               const [from, to] = part.split('-').map(Number);
               for (let port = from; port <= (to ?? from); port += 1) tell(port);
             }
           }
           take.call(this, data);
         };",
    );
    browser.until("globalThis.told.size > 50");
    let begun = browser.run(&format!("return [{ROWS}, told.size]"));
    let missed = begun[0].as_u64().unwrap() - begun[1].as_u64().unwrap();
    for _ in 0..3 {
        assert!(way.cut() > 0, "nothing was open");
        browser.until("!document.querySelector('#stale').hidden");
        let had = browser.run(&format!("return {ROWS}"));
        browser.until("document.querySelector('#stale').hidden");
        browser.until(&format!("{ROWS} > {had} + 200"));
    }
    browser.click("form[data-action=pause] button");
    browser.until("document.querySelector('.badge').textContent === 'paused'");
    // Nothing more comes; the page never read its results anew.
    let id = browser.run("return document.querySelector('live-scan').dataset.id");
    let id = id.as_str().unwrap().to_owned();
    let settled = browser.wait_for(&format!(
        "const done = arguments[0];
         let before = -1;
         const look = async () => {{
           const scan = await (await fetch('/api/v1/scans/{id}')).json();
           if (scan.settled === before) done(before);
           else {{ before = scan.settled; setTimeout(look, 500); }}
         }};
         look();"
    ));
    browser.until(&format!("{ROWS} === {settled}"));
    let heard = browser.run("return [told.size, Math.max(...told.values())]");
    assert_eq!(heard[1], 1, "a port was told more than once");
    assert_eq!(
        heard[0].as_u64().unwrap() + missed,
        settled.as_u64().unwrap(),
        "the stream left something out"
    );
    let shown = browser.text("[data-figure=probes]").replace(',', "");
    assert!(shown.starts_with(&settled.to_string()), "{shown}");
    browser.click("form[data-action=cancel] button");
    browser.until("document.querySelector('.badge').textContent === 'cancelled'");
}
