//! What a reader does with pages, click by click and key by key.

use std::net::TcpListener;

use super::driver::{self, Browser, Scheme};
use super::server::{Server, listeners};
use super::{NEW_SCAN, no_complaints, scan, shown_ports, until_open, until_over};

/// Keys as `WebDriver` names them.
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const DOWN: &str = "\u{e015}";

fn start() -> (Server, Browser) {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    (server, browser)
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_large_scan_is_asked_about_once_more_until_its_targets_change() {
    let (server, browser) = start();
    browser.go(&server.at("/"));
    browser.until("customElements.get('scan-form')");
    browser.fill("#target", "127.0.0.0/8");
    browser.click(NEW_SCAN);
    browser.until("document.querySelector('#sure')?.innerText.includes('This is a large scan:')");
    browser.until("document.querySelector('#go button[name=sure]')");
    browser.until("customElements.get('scan-form')");
    browser.fill("#target", "127.0.0.1");
    browser.until("!document.querySelector('#sure')");
    browser.until("document.querySelector('#go button').textContent === 'Start Scan'");
    browser.click(NEW_SCAN);
    browser.until("document.querySelector('live-scan.ready')");
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_form_says_at_each_field_what_is_wrong_while_it_is_typed() {
    let (server, browser) = start();
    browser.go(&server.at("/"));
    browser.until("customElements.get('scan-form')");
    browser.fill("#target", "127.0.0.5/33");
    browser.until("document.querySelector('#target-error').textContent.includes('33')");
    browser.until("document.querySelector('#target').ariaInvalid === 'true'");
    browser.fill("#target", "127.0.0.0/24");
    browser.until("document.querySelector('#target-error').textContent === ''");
    browser.until("!document.querySelector('#target').ariaInvalid");
    browser.until("document.querySelector('#command').textContent === 'portolan 127.0.0.0/24 -n'");
    browser.until(
        "document.querySelector('#all-ports').textContent.includes('16,776,960 in all, about')",
    );
    browser.click("#ports-custom");
    browser.fill("#range", "80,70000");
    browser.until("document.querySelector('#range-error').textContent.includes('70000')");
    browser.fill("#range", "80,https");
    browser.until("document.querySelector('#range-error').textContent === ''");
    browser.click("details.fold > summary");
    browser.fill("#timeout", "soon");
    browser.until("document.querySelector('#timeout-error').textContent.includes('soon')");
    // What the server may not do is there, and says why.
    assert!(
        browser
            .run("return document.querySelector('#technique-syn').disabled")
            .as_bool()
            .expect("a choice")
    );
    assert!(
        browser
            .text("label[for=technique-syn]")
            .contains("may not send packets")
    );
    browser.fill("#timeout", "700");
    browser.until("document.querySelector('#command').textContent.includes('--timeout 700ms')");
    browser.click("copy-button[data-from=command] button");
    browser.until(
        "document.querySelector('copy-button[data-from=command] button').textContent === 'Copied'",
    );
    // Sent all the same, what is wrong stands where it is wrong.
    browser.fill("#target", "127.0.0.1/33");
    browser.click(NEW_SCAN);
    browser.until("document.querySelector('#target-error')?.textContent");
    assert_eq!(browser.text("h1"), "What do you want to scan?");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_error_at_a_field_moves_nothing_below_it() {
    let (server, browser) = start();
    for width in [1280, 360] {
        browser.device(width, 900, Scheme::Light);
        browser.go(&server.at("/"));
        browser.until("customElements.get('scan-form')");
        browser.click("#ports-custom");
        browser.click("details.fold > summary");
        let places = "return ['#ports-common', '#ports-all', '#exclude', '.actions'].map((place) => \
             document.querySelector(place).getBoundingClientRect().top + scrollY)";
        let before = browser.run(places);
        for (field, wrong) in [
            ("target", "http://127.0.0.1:8080/"),
            ("range", "70000"),
            ("timeout", "soon"),
        ] {
            browser.fill(&format!("#{field}"), wrong);
            browser.until(&format!(
                "document.querySelector('#{field}-error').textContent !== ''"
            ));
            assert_eq!(browser.run(places), before, "{field} at {width}");
        }
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_host_is_tagged_and_its_ports_are_found_by_the_tag_and_by_their_change() {
    let (server, browser) = start();
    let open = listeners(2);
    let id = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    browser.go(&server.at("/hosts/127.0.0.1"));
    browser.click(".tags summary");
    browser.fill(".tags input[name=put]", "Prod");
    browser.click(".tags details button");
    browser.until("document.querySelector('.tags .chip a')?.textContent === 'prod'");
    browser.go(&server.at(&format!("/scans/{id}?q=tag:prod%20state:open%20changed:1d")));
    browser.until("document.querySelector('live-scan.ready')");
    let port = open[0].local_addr().expect("it is bound").port();
    browser.until(&format!(
        "[...document.querySelectorAll('td.c-port')].some((cell) => cell.textContent === '{port}')"
    ));
    browser.fill("#query", "-tag:prod");
    browser.until("!document.querySelector('#nothing').hidden");
    browser.fill("#query", "changed>1d state:open");
    browser.until("!document.querySelector('#nothing').hidden");
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn hosts_alone_are_looked_for_and_shown() {
    let (server, browser) = start();
    browser.go(&server.at("/"));
    browser.until("customElements.get('scan-form')");
    browser.fill("#target", "127.0.0.1-4");
    browser.click("#ports-none");
    browser
        .until("document.querySelector('#command').textContent === 'portolan 127.0.0.1-4 -sn -n'");
    browser.until("document.querySelector('#estimate').textContent.includes('who is there')");
    browser.click(NEW_SCAN);
    browser.until("document.querySelector('.badge')?.textContent === 'done'");
    browser.until("document.querySelectorAll('#found tbody tr').length === 4");
    let answers = browser.wait_for(
        "const done = arguments[0];
         const links = [...document.querySelectorAll('[data-export] a[download]')];
         Promise.all(links.map((link) => fetch(link.href).then((answer) => answer.text()))).then(done)",
    );
    let answers = answers.as_array().expect("a list");
    // CSV has a line a port, and there is none.
    assert_eq!(answers.len(), 6);
    for answer in answers {
        let text = answer.as_str().expect("text");
        assert!(text.contains("127.0.0.3"), "{text}");
    }
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_host_of_ipv6_is_scanned_filtered_and_opened() {
    let (server, browser) = start();
    let listener = TcpListener::bind("[::1]:0").expect("this machine has ::1");
    let port = listener.local_addr().expect("it is bound").port();
    scan(&browser, &server, "::1", &format!("1-100,{port}"), "");
    until_over(&browser);
    until_open(&browser, port);
    browser.fill("#query", &format!("host:::1 port:{port}"));
    browser.until("document.querySelectorAll('result-table tbody tr[role=row]').length === 1");
    assert_eq!(shown_ports(&browser), [port.to_string()]);
    assert_eq!(browser.text("result-table td.c-host"), "::1");
    browser.click("result-table tbody tr[role=row]");
    browser.until("document.querySelector('dialog.drawer[open] [data-part=port]')");
    let page = browser.run("return document.querySelector('dialog.drawer header a').href");
    browser.go(page.as_str().expect("an address"));
    assert!(browser.text("main").contains("it took the connection"));
    browser.go(&server.at("/hosts/::1"));
    assert!(browser.text("main").contains(&port.to_string()));
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_slowest_host_is_skipped_and_that_is_said() {
    let (server, browser) = start();
    scan(&browser, &server, "127.0.0.2-4", "1-20000", "2000");
    browser.until("document.querySelector('form[data-action=skip] button')");
    browser.click("form[data-action=skip] button");
    browser.until("document.querySelector('#problems').textContent.includes('it was skipped')");
    browser.until("!document.querySelector('form[data-action=skip] button').disabled");
    browser.click("form[data-action=cancel] button");
    until_over(&browser);
    assert!(browser.text("#problems").contains("it was skipped"));
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn keys_lead_everywhere() {
    let (server, browser) = start();
    let open = listeners(2);
    let ports: Vec<u16> = open
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .collect();
    scan(
        &browser,
        &server,
        "127.0.0.1",
        &format!("1-50,{},{}", ports[0], ports[1]),
        "",
    );
    until_over(&browser);
    until_open(&browser, ports[0]);
    until_open(&browser, ports[1]);
    browser.press(&["?"]);
    browser.until("document.querySelector('dialog#keys').open");
    assert!(
        browser
            .text("dialog#keys")
            .contains("go to the map of ports")
    );
    browser.press(&[ESCAPE]);
    browser.until("!document.querySelector('dialog#keys').open");
    browser.press(&["t"]);
    browser.until("document.activeElement === document.querySelector('result-table table')");
    browser.press(&[DOWN]);
    browser.until("document.querySelector('result-table tr.active')");
    browser.press(&[ENTER]);
    browser.until("document.querySelector('dialog.drawer[open] [data-part=port]')");
    browser.press(&[ESCAPE]);
    browser.until("!document.querySelector('dialog.drawer[open]')");
    browser.press(&["e"]);
    browser.until("document.querySelector('details[data-export]').open");
    browser.press(&[ESCAPE]);
    browser.until("!document.querySelector('details[data-export]').open");
    // In the map the next open port is read out, and chosen.
    let first = ports.iter().min().expect("two ports");
    browser.press(&["m", "n"]);
    browser.until(&format!(
        "document.querySelector('port-map [role=status]').textContent.startsWith('port {first}: open')"
    ));
    browser.press(&[ENTER]);
    browser.until(&format!(
        "document.querySelector('#query').value === 'port:{first}'"
    ));
    browser.press(&["/"]);
    browser.until("document.activeElement.id === 'query'");
    // In a field a letter is a letter.
    browser.press(&["n"]);
    browser.until("document.querySelector('#query').value === 'n'");
    browser.run("document.activeElement.blur()");
    browser.press(&["g", "h"]);
    browser.until("location.pathname === '/hosts'");
    browser.press(&["g", "c"]);
    browser.until("location.pathname === '/compare'");
    browser.press(&["n"]);
    browser.until("location.pathname === '/'");
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_scan_is_exported_in_every_format_made_again_compared_and_deleted() {
    let (server, browser) = start();
    let open = listeners(1);
    let port = open[0].local_addr().expect("it is bound").port();
    let first = scan(&browser, &server, "127.0.0.1", &format!("1-50,{port}"), "");
    until_over(&browser);
    until_open(&browser, port);
    let answers = browser.wait_for(
        "const done = arguments[0];
         const links = [...document.querySelectorAll('[data-export] a[download]')];
         Promise.all(links.map(async (link) => {
           const answer = await fetch(link.href);
           return [answer.status, answer.headers.get('content-disposition') ?? '', await answer.text()];
         })).then(done)",
    );
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), 7);
    for answer in answers {
        assert_eq!(answer[0], 200, "{answer}");
        assert!(
            answer[1]
                .as_str()
                .is_some_and(|name| name.contains("filename")),
            "{answer}"
        );
        assert!(
            answer[2]
                .as_str()
                .is_some_and(|text| text.contains(&port.to_string())),
            "{answer}"
        );
    }
    // The form comes filled in as the scan was.
    browser.click(".actions a.button");
    browser.until("document.querySelector('#target')?.value === '127.0.0.1'");
    browser.until(&format!(
        "document.querySelector('#range').value.includes('{port}')"
    ));
    drop(open);
    browser.click(NEW_SCAN);
    browser.until(&format!(
        "document.querySelector('live-scan.ready')?.dataset.id > {first}"
    ));
    until_over(&browser);
    browser.until("[...document.querySelectorAll('.actions a.button')].some(a => a.textContent === 'Compare')");
    browser.run("[...document.querySelectorAll('.actions a.button')].find(a => a.textContent === 'Compare').click()");
    browser.until("location.pathname === '/compare'");
    assert!(browser.text("#diff-title").contains("1 port closed"));
    // Two are picked in the list, and compared.
    browser.go(&server.at("/scans"));
    driver::until("both scans are picked", || {
        browser.run(
            "document.querySelectorAll('input[name=scan]').forEach(box => box.checked = true)",
        );
        (browser.run("return document.querySelectorAll('input[name=scan]:checked').length") == 2)
            .then_some(())
    });
    browser.click("form[action='/compare'] button");
    browser.until("document.querySelector('#diff-title')?.textContent.includes('1 port closed')");
    browser.go(&server.at(&format!("/scans/{first}")));
    browser.click("summary.danger");
    browser.click("form[action$='/delete'] button");
    browser.until("location.pathname === '/scans'");
    assert!(!browser.text("main").contains(&format!("#{first} ")));
    browser.go(&server.at(&format!("/scans/{first}")));
    let said = browser.text("main");
    assert!(
        said.contains(&format!("There is no scan {first}")),
        "{said}"
    );
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn what_is_printed_is_every_row_and_not_the_ones_in_sight_alone() {
    let (server, browser) = start();
    let id = scan(&browser, &server, "127.0.0.1", "1-300", "");
    until_over(&browser);
    browser.go(&server.at(&format!("/scans/{id}?q=")));
    browser.until("document.querySelector('result-table')?.rows?.length >= 300");
    let rows = "return document.querySelectorAll('result-table tbody tr[role=row]').length";
    let few = browser.run(rows).as_u64().expect("a number");
    assert!(few < 50, "{few} rows are elements");
    browser.run("dispatchEvent(new Event('beforeprint'))");
    assert_eq!(browser.run(rows), 300);
    browser.run("dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.run(rows).as_u64(), Some(few));
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn nothing_jumps_while_results_come_in() {
    let (server, browser) = start();
    let open = listeners(40);
    scan(&browser, &server, "127.0.0.1", "all", "20000");
    browser.run(
        "globalThis.shifts = [];
         new PerformanceObserver((list) => {
           for (const shift of list.getEntries()) {
             if (!shift.hadRecentInput) shifts.push([shift.value, shift.sources.map(({node}) => node?.id || node?.className || node?.nodeName)]);
           }
         }).observe({type: 'layout-shift', buffered: true});",
    );
    until_over(&browser);
    browser.until("document.querySelector('.badge').textContent === 'done'");
    let shifts = browser.run("return shifts");
    let sum: f64 = shifts
        .as_array()
        .expect("a list")
        .iter()
        .map(|shift| shift[0].as_f64().expect("a number"))
        .sum();
    // What the web's own measure calls good.
    assert!(sum < 0.1, "{shifts}");
    drop(open);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_page_with_everything_it_loads_is_under_150_kilobytes() {
    let (server, browser) = start();
    let id = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    // What is kept would cost nothing.
    browser.forget_files();
    for path in ["/".to_owned(), format!("/scans/{id}")] {
        browser.go(&server.at(&path));
        browser.until("document.readyState === 'complete'");
        browser.until("!document.querySelector('live-scan:not(.ready)')");
        let bytes = browser.run(
            "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
             // What a scan found is not the page.
             return all.filter(({name}) => !name.includes('/api/')).reduce((sum, entry) => sum + entry.encodedBodySize, 0)",
        );
        let bytes = bytes.as_u64().expect("a number");
        println!("{path} loads {bytes} bytes");
        assert!(
            (20_000..150_000).contains(&bytes),
            "{path} loads {bytes} bytes"
        );
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_empty_table_says_whether_it_will_stay_so() {
    let server = Server::start(None);
    let browser = Browser::start();
    // Nothing listens there.
    let id = scan(&browser, &server, "127.0.0.77", "61000-61399", "200");
    let says = |title: &str, text: &str| {
        browser.until(&format!(
            "document.querySelector('#nothing h2').textContent === {title:?} \
             && /^{text}$/.test(document.querySelector('#nothing p').textContent)"
        ));
    };
    says(
        "No open port yet",
        r"\d+ ports? settled so far: \d+ closed\.",
    );
    until_over(&browser);
    let whole = r"Looked at 400 ports: 400 closed\.";
    says("No open port", whole);
    browser.fill("#query", "port:7");
    says(
        "Nothing matches port:7",
        r"400 results without this filter\.",
    );
    // The server says the same.
    browser.go(&server.at(&format!("/scans/{id}?plain=1")));
    says("No open port", whole);
    no_complaints(&browser);
}
