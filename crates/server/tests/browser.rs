//! The pages as readers meet them: Debian's Chromium, driven through whole journeys.
//!
//! What needs a browser is ignored by default; `cargo xtask test` runs it. Accessibility is
//! judged by axe-core where it is at hand (`npm install --prefix target/axe axe-core@4`).

#[path = "browser/clicks.rs"]
mod clicks;
#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/millions.rs"]
mod millions;
#[path = "browser/narrow.rs"]
mod narrow;
#[path = "browser/queries.rs"]
mod queries;
#[path = "conformance/served.rs"]
mod served;
#[path = "browser/server.rs"]
mod server;

use driver::{Browser, Scheme};
use server::{Server, listeners, pictures, root};

const NEW_SCAN: &str = "form[action='/'] button[type=submit]:not([name])";

/// Starts a scan by the form, and waits for its page. Gives the scan's number.
fn scan(browser: &Browser, server: &Server, target: &str, ports: &str, rate: &str) -> String {
    browser.go(&server.at("/"));
    browser.until("customElements.get('scan-form')");
    browser.fill("#target", target);
    match ports {
        "common" | "all" => browser.click(&format!("#ports-{ports}")),
        range => {
            browser.click("#ports-custom");
            browser.fill("#range", range);
        }
    }
    if !rate.is_empty() {
        browser.click("details.fold > summary");
        browser.fill("#max_rate", rate);
    }
    browser.until("!document.querySelector('#command').textContent.endsWith('…')");
    browser.click(NEW_SCAN);
    browser.until("document.querySelector('live-scan.ready')");
    let id = browser.run("return document.querySelector('live-scan').dataset.id");
    id.as_str().expect("a scan has a number").to_owned()
}

fn until_over(browser: &Browser) {
    browser.until(
        "['done', 'cancelled', 'incomplete'].includes(document.querySelector('live-scan').dataset.state)",
    );
}

/// Waits until the page knows that a port is open, whether or not its row is in sight.
fn until_open(browser: &Browser, port: u16) {
    browser.until(&format!(
        "document.querySelector('result-table').rows.select('state:open port:{port}').length > 0"
    ));
}

fn no_complaints(browser: &Browser) {
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "the console says {complaints:#?}");
}

/// The ports that the table shows.
fn shown_ports(browser: &Browser) -> Vec<String> {
    let ports = browser.run(
        "return [...document.querySelectorAll('result-table tbody tr[role=row] td.c-port')].map(cell => cell.textContent)",
    );
    let ports = ports.as_array().expect("a list").iter();
    ports
        .map(|port| port.as_str().expect("a port").to_owned())
        .collect()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_scan_is_started_watched_filtered_opened_exported_and_compared() {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    let open = listeners(3);
    let ports: Vec<u16> = open
        .iter()
        .map(|listener| listener.local_addr().expect("it is bound").port())
        .collect();

    let first = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    browser.until("document.querySelector('.badge').textContent.trim() === 'done'");
    for port in &ports {
        until_open(&browser, *port);
    }
    let picture = browser.run("return document.querySelector('port-map canvas').ariaLabel");
    assert!(
        picture
            .as_str()
            .is_some_and(|label| label.contains("closed")),
        "{picture}"
    );

    // A filter in words, in the page's address.
    browser.fill("#query", &format!("port:{}", ports[0]));
    browser.until("document.querySelectorAll('result-table tbody tr[role=row]').length === 1");
    assert_eq!(shown_ports(&browser), [ports[0].to_string()]);
    let address = browser.run("return new URL(location.href).searchParams.get('q')");
    assert_eq!(address, format!("port:{}", ports[0]));
    browser.fill("#query", "colour:red");
    browser.until("document.querySelector('#query-error').textContent.includes('unknown field')");

    // Chips.
    browser.fill("#query", "");
    browser.click("a.chip[data-value=closed]");
    browser.until("document.querySelector('#query').value === 'state:closed'");
    browser.until("document.querySelector('td.c-state').textContent === 'closed'");
    browser.click("a.chip[data-value=closed]");
    browser.click("a.chip[data-value=open]");
    browser.until("document.querySelector('#query').value === 'state:open'");

    // A row opens to everything known, by the keyboard too.
    browser.run("document.querySelector('result-table table').focus()");
    browser.press(&["\u{e015}", "\u{e007}"]);
    browser.until("document.querySelector('dialog.drawer[open] [data-part=port]')");
    assert!(
        browser
            .text("dialog.drawer")
            .contains("it took the connection")
    );
    browser.press(&["\u{e00c}"]);
    browser.until("!document.querySelector('dialog.drawer[open]')");

    // An export has exactly what the filter shows.
    let link = browser.run("return document.querySelector('[data-export] a[href*=csv]').href");
    let link = link.as_str().expect("a link");
    assert!(link.contains("q=state%3Aopen"), "{link}");
    let csv = browser.wait_for(&format!(
        "const done = arguments[0]; fetch({link:?}).then(r => r.text()).then(done)"
    ));
    let csv = csv.as_str().expect("text");
    for port in &ports {
        assert!(csv.contains(&port.to_string()), "{csv}");
    }
    assert!(!csv.contains("closed"), "{csv}");

    // Again, with one port less: what changed.
    drop(open.into_iter().next());
    let second = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    browser.go(&server.at(&format!("/compare?from={first}&to={second}")));
    let said = browser.text("main");
    assert!(
        said.contains("closed") && said.contains(&ports[0].to_string()),
        "{said}"
    );
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_scan_is_paused_resumed_cancelled_and_taken_up_again() {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    let open = listeners(1);
    let port = open[0].local_addr().expect("it is bound").port();
    // Long enough to be paused, and no longer on a busy machine.
    scan(&browser, &server, "127.0.0.1", "all", "8000");
    browser.click("form[data-action=pause] button");
    browser.until("document.querySelector('.badge').textContent === 'paused'");
    browser.click("form[data-action=resume] button");
    browser.until("document.querySelector('.badge').textContent === 'running'");
    browser.click("form[data-action=cancel] button");
    browser.until("document.querySelector('.badge').textContent === 'cancelled'");
    assert!(browser.text("#scan-head").contains("unknown, not closed"));
    browser.click("form[data-action=resume] button");
    browser.until("document.querySelector('.badge').textContent === 'done'");
    until_open(&browser, port);
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn one_logs_in_and_out() {
    let server = Server::start(Some(("ada", "correct horse battery")));
    let browser = Browser::start();
    browser.go(&server.at("/scans?q=x"));
    browser.until("location.pathname === '/login'");
    browser.fill("#name", "ada");
    browser.fill("#password", "wrong horse battery");
    browser.click("main button");
    browser.until("document.querySelector('[role=alert]')");
    assert!(
        browser
            .text("[role=alert]")
            .to_lowercase()
            .contains("wrong name or password")
    );
    browser.fill("#password", "correct horse battery");
    browser.click("main button");
    browser.until("location.pathname === '/scans' && location.search === '?q=x'");
    let cookie = browser.run("return document.cookie");
    assert!(
        !cookie.as_str().unwrap_or_default().contains("portolan"),
        "scripts see {cookie}"
    );
    browser.click("form[action='/logout'] button");
    browser.until("location.pathname === '/login'");
    browser.go(&server.at("/hosts"));
    browser.until("location.pathname === '/login'");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn what_the_network_says_stays_text() {
    let server = Server::start(None);
    let text = "<img src=x onerror=\"document.title='owned'\">\u{202e}<script>alert(1)</script>";
    let id = server.keep_hostile(text);
    let browser = Browser::start();
    for path in [
        format!("/scans/{id}"),
        format!("/scans/{id}?plain=1"),
        format!("/scans/{id}/ports/127.0.0.1/tcp/8080"),
        "/hosts".to_owned(),
        "/hosts/127.0.0.1".to_owned(),
    ] {
        browser.go(&server.at(&path));
        browser.until("document.querySelector('main')?.innerText.includes('onerror')");
        let made = browser.run("return document.querySelectorAll('main img, main script').length");
        assert_eq!(made, 0, "{path}");
        let title =
            browser.run("return document.title + document.body.textContent.includes('\\u202e')");
        let title = title.as_str().unwrap_or_default().to_owned();
        assert!(
            !title.starts_with("owned") && title.ends_with("false"),
            "{path}: {title}"
        );
    }
    no_complaints(&browser);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn everything_is_there_without_scripts() {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.scripts(false);
    let open = listeners(1);
    let port = open[0].local_addr().expect("it is bound").port();
    browser.go(&server.at("/"));
    browser.fill("#target", "127.0.0.1");
    browser.click("#ports-custom");
    browser.fill("#range", &format!("1-300,{port}"));
    browser.click(NEW_SCAN);
    driver::until("the scan is done", || {
        if browser.text(".badge") == "done" {
            return Some(());
        }
        let here = browser.run("return location.href");
        browser.go(here.as_str().expect("an address"));
        None
    });
    assert!(browser.text("result-table").contains(&port.to_string()));
    browser.click("a.chip[data-value=closed]");
    browser.until("document.querySelectorAll('result-table tbody tr').length === 100");
    browser.click("a.nextpage");
    browser.until("Number(document.querySelector('td.c-port').textContent) > 100");
    browser.click("th[data-key=port] a");
    browser.until("document.querySelector('th[data-key=port]').ariaSort === 'ascending'");
    browser.click("td.c-port a");
    browser.until("document.querySelector('[data-part=port]')");
    assert!(browser.text("main").contains("the host refused"));
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn more_tabs_than_connections_share_one_stream() {
    let server = Server::start(None);
    let browser = Browser::start();
    let open = listeners(1);
    let port = open[0].local_addr().expect("it is bound").port();
    let id = scan(
        &browser,
        &server,
        "127.0.0.1",
        &format!("1-6000,{port}"),
        "400",
    );
    for _ in 0..8 {
        browser.new_tab();
        browser.go(&server.at(&format!("/scans/{id}")));
        browser.until("document.querySelector('live-scan.ready')");
    }
    // The last tab reads no stream of its own, and still sees the scan to its end.
    driver::until("the server says that the scan is done", || {
        let ask = format!(
            "const done = arguments[0]; fetch('/api/v1/scans/{id}').then(r => r.json()).then(scan => done(scan.state))"
        );
        (browser.wait_for(&ask) == "done").then_some(())
    });
    until_over(&browser);
    until_open(&browser, port);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn sixty_five_thousand_rows_are_a_few_elements() {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    let open = listeners(200);
    browser.go(&server.at("/"));
    // How long after it was found each open port was a row.
    let late = "
        customElements.whenDefined('result-table').then(() => {
          const table = customElements.get('result-table').prototype;
          const show = table.show;
          globalThis.late = new Map();
          table.show = function (view) {
            show.call(this, view);
            const now = Date.now();
            for (const row of view) {
              if (row >= 0 && this.rows.at[row] && !late.has(row)) late.set(row, now - this.rows.at[row]);
            }
          };
        });";
    let id = scan(&browser, &server, "127.0.0.1", "all", "20000");
    browser.run(late);
    browser.run("for (const row of document.querySelector('result-table').view) late.set(row, 0)");
    until_over(&browser);
    let figures = browser.run(
        "const all = [...late.values()].filter(ms => ms > 0).sort((a, b) => a - b);
         return {rows: all.length, median: all[all.length >> 1], p99: all[Math.floor(all.length * 0.99)], most: all.at(-1)}",
    );
    browser.go(&server.at(&format!("/scans/{id}?q=")));
    browser.until("document.querySelector('live-scan.ready') && document.querySelector('result-table').rows.length >= 65535");
    let times = browser.run(
        "const scan = document.querySelector('live-scan');
         const table = scan.table;
         const time = (act) => { const start = performance.now(); act(); return Math.round((performance.now() - start) * 10) / 10; };
         const sorts = {};
         for (const key of ['host', 'port', 'protocol', 'state', 'reason', 'service', 'product', 'time']) {
           sorts[key] = time(() => { table.sort = {key, down: true}; scan.render(); });
         }
         const filters = {};
         for (const query of ['state:closed', 'port:8000-8999', 'http', '-service:http', 'host:127.0.0.0/8', '']) {
           filters[query] = time(() => { scan.query = query; scan.render(); });
         }
         return {sorts, filters, nodes: table.querySelectorAll('*').length, heap: Math.round((performance.memory?.usedJSHeapSize ?? 0) / 1e6)}",
    );
    // Down through the rows, 40 a frame; what a frame took, and what of it the table took.
    let frames = browser.wait_for(
        "const done = arguments[0];
         const table = document.querySelector('live-scan').table;
         const proto = Object.getPrototypeOf(table);
         const paint = proto.paint;
         const paints = [];
         proto.paint = function (force) { const start = performance.now(); paint.call(this, force); paints.push(performance.now() - start); };
         const height = table.height;
         const times = [];
         let before = 0;
         const share = (list, part) => { list.sort((a, b) => a - b); return Math.round(list[Math.floor((list.length - 1) * part)] * 10) / 10; };
         const step = (now) => {
           if (before) times.push(now - before);
           before = now;
           table.scroller.scrollTop += 40 * height;
           if (times.length < 600) return requestAnimationFrame(step);
           proto.paint = paint;
           const late = times.filter(ms => ms > 25).length;
           done({place: table.first, frames: times.length, late, median: share(times, 0.5), p99: share(times, 0.99),
                 paints: paints.length, paint: share(paints, 0.5), paint99: share(paints, 0.99)});
         };
         requestAnimationFrame(step);",
    );
    println!("found to row, in ms: {figures}");
    println!("65,535 rows, in ms and MB: {times}");
    println!("scrolling, in ms: {frames}");
    println!("the page's process, in MB: {:?}", browser.page_memory());
    let place = frames["place"].as_u64().expect("a number");
    assert!(place > 10_000, "scrolling came to row {place} only");
    let nodes = times["nodes"].as_u64().expect("a number");
    assert!(nodes <= 200, "the table has {nodes} elements");
    let seen = figures["rows"].as_u64().expect("a number");
    assert!(seen > 100, "only {seen} rows were seen to appear");
    drop(open);
    no_complaints(&browser);
}

/// A network with something on it: on each address some of these ports, as far as they are free.
fn a_network() -> Vec<std::net::TcpListener> {
    let ports = [22u16, 80, 443, 3000, 5432, 8080];
    (2..=20u8)
        .flat_map(|host| {
            ports
                .into_iter()
                .enumerate()
                .filter(move |(number, _)| (usize::from(host) * 7).is_multiple_of(number + 2))
                .map(move |(_, port)| (std::net::Ipv4Addr::new(127, 0, 0, host), port))
        })
        .filter_map(|place| std::net::TcpListener::bind(place).ok())
        .collect()
}

/// What judges accessibility, where it is at hand.
fn axe() -> Option<String> {
    std::fs::read_to_string(root().join("target/axe/node_modules/axe-core/axe.min.js")).ok()
}

/// Puts a tag on a host and one on a scan, for the pictures.
fn tag_some(browser: &Browser, scan: &str) {
    for place in [
        "hosts/127.0.0.1/tags/lab",
        &format!("scans/{scan}/tags/weekly"),
    ] {
        browser.wait_for(&format!(
            "const done = arguments[0]; fetch('/api/v1/{place}', {{ method: 'PUT' }}).then(() => done())"
        ));
    }
}

/// Every page in light, dark and on a phone: no rule of WCAG 2.2 AA broken, nothing wider than
/// the screen, nothing in the console; and a picture of each.
#[test]
#[ignore = "needs chromium and chromedriver"]
fn every_page_is_for_everybody_and_has_its_picture() {
    let axe = axe();
    if axe.is_none() {
        println!(
            "axe-core is absent, accessibility is NOT judged: npm install --prefix target/axe axe-core@4"
        );
    }
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    let mut open = listeners(12);
    let port = open[0].local_addr().expect("it is bound").port();
    let one = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    drop(open.swap_remove(3));
    let other = scan(&browser, &server, "127.0.0.1", "all", "");
    until_over(&browser);
    let network = a_network();
    let busy: Vec<_> = (0..60)
        .filter_map(|_| std::net::TcpListener::bind("127.0.0.2:0").ok())
        .collect();
    let many = scan(
        &browser,
        &server,
        "127.0.0.1-20",
        &format!("1-100,443,3000,5432,8080,{port}"),
        "",
    );
    until_over(&browser);
    let hosts = server.hosts_alone();
    tag_some(&browser, &many);
    let slow = scan(&browser, &server, "127.0.0.2", "1-65000", "500");
    let pages = [
        ("start", "/?target=127.0.0.1&ports=all".to_owned()),
        (
            "start-wrong",
            "/?target=10.0.0.5/24&timeout=soon".to_owned(),
        ),
        ("scans", "/scans".to_owned()),
        ("scan", format!("/scans/{other}")),
        ("scan-all", format!("/scans/{other}?q=")),
        ("scan-network", format!("/scans/{many}?q=")),
        (
            "scan-nothing",
            format!("/scans/{many}?q=port:1%20state:filtered"),
        ),
        ("scan-hosts", format!("/scans/{hosts}")),
        ("scan-plain", format!("/scans/{one}?plain=1&q=")),
        ("scan-running", format!("/scans/{slow}")),
        ("port", format!("/scans/{other}/ports/127.0.0.1/tcp/{port}")),
        ("hosts", "/hosts".to_owned()),
        ("host", "/hosts/127.0.0.1".to_owned()),
        ("compare", format!("/compare?from={one}&to={other}")),
        ("settings", "/settings".to_owned()),
        ("audit", "/settings/audit".to_owned()),
        ("api", "/api/docs".to_owned()),
        ("login", "/login".to_owned()),
        ("absent", "/nowhere".to_owned()),
    ];
    let mut broken = Vec::new();
    for (device, width, height, scheme) in [
        ("light", 1280, 900, Scheme::Light),
        ("dark", 1280, 900, Scheme::Dark),
        ("phone", 390, 844, Scheme::Light),
        ("narrow", 360, 740, Scheme::Dark),
    ] {
        browser.device(width, height, scheme);
        for (name, path) in &pages {
            browser.go(&server.at(path));
            browser.until("document.readyState === 'complete'");
            browser.until("!document.querySelector('live-scan:not(.ready)')");
            if *name == "scan-running" {
                browser.until("document.querySelector('.chart-done').getAttribute('points').split(' ').length > 12");
            }
            browser.picture(&pictures().join(format!("{name}-{device}.png")));
            // The inner width of a phone's window grows with the page: the device's counts.
            let wide = browser.run("return document.documentElement.scrollWidth");
            if wide.as_u64().is_none_or(|wide| wide > u64::from(width)) {
                broken.push(format!(
                    "{name} in {device} is {wide} wide, the screen {width}"
                ));
            }
            if let Some(axe) = &axe {
                browser.run(axe);
                let found = browser.wait_for(
                    "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
                     .then(found => done(found.violations.map(rule => `${rule.id}: ${rule.nodes[0].html.slice(0, 150)} ${rule.nodes[0].failureSummary}`)))",
                );
                for rule in found.as_array().into_iter().flatten() {
                    broken.push(format!("{name} in {device}: {rule}"));
                }
            }
        }
    }
    drop((network, busy));
    let complaints: Vec<_> = browser.complaints();
    broken.extend(
        complaints
            .into_iter()
            .filter(|line| !line.contains("/nowhere")),
    );
    assert!(broken.is_empty(), "{broken:#?}");
}
