//! UDP ports by the form: what the page shows of them.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::driver::Browser;
use crate::server::Server;

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_scan_of_udp_ports_is_started_by_the_form_and_shown_by_its_page() {
    let service = UdpSocket::bind("127.0.0.1:0").unwrap();
    let open = service.local_addr().unwrap().port();
    let near = open.saturating_sub(20).max(1)..open;
    // One that is heard by nobody, and never answers.
    let silent = near
        .rev()
        .find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok())
        .unwrap();
    let quiet = silent.local_addr().unwrap().port();
    service
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while !over.load(Ordering::Relaxed) {
            if let Ok((len, from)) = service.recv_from(&mut buffer) {
                let _ = service.send_to(&buffer[..len], from);
            }
        }
    });
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), 0);
    let browser = Browser::start();
    browser.go(&format!(
        "{}/?target=127.0.0.1&ports=custom&range=U:{quiet}-{open}&technique=udp",
        server.url
    ));
    // As a link from elsewhere fills it in.
    assert_eq!(
        browser.run("return document.querySelector('#technique-udp').checked"),
        true
    );
    browser.click("form[action='/'] button[type=submit]:not([name])");
    browser.until("document.querySelector('live-scan.ready')");
    browser.until("document.querySelector('.badge').textContent === 'done'");
    assert_eq!(
        browser.run("return document.querySelector('live-scan').dataset.protocols"),
        "udp"
    );
    for (port, state) in [(open, "open"), (quiet, "open|filtered")] {
        let row = browser.run(&format!(
            "const rows = document.querySelector('result-table').rows; \
             const found = [...rows.select('state:{state} port:{port}')]; \
             return found.map((number) => rows.protocol(number)).join()"
        ));
        assert_eq!(row, "udp", "{port} is {state}");
    }
    let table = browser.text("result-table");
    for word in [
        open.to_string(),
        quiet.to_string(),
        "udp-response".to_owned(),
        "no-response".to_owned(),
    ] {
        assert!(table.contains(&word), "{word}: {table}");
    }
    // Both states are chosen at first: the chip takes the silent ones away.
    let chip = ".chip[data-value='open|filtered']";
    browser.until(&format!(
        "!document.querySelector(\"{chip}\").parentElement.hidden"
    ));
    browser.click(chip);
    browser.until(&format!(
        "!document.querySelector('result-table').textContent.includes('{quiet}')"
    ));
    assert!(browser.text("result-table").contains(&open.to_string()));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    is_over.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}
