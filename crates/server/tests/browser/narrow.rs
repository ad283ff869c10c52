//! The pages on the smallest phones that there are.

use super::driver::{Browser, Scheme};
use super::server::{Server, listeners};
use super::{scan, until_over};

/// What is wider than a window, of a page and of each thing on it that opens.
const WIDER: &str = "
    const wide = document.documentElement.clientWidth;
    const out = [];
    const look = (what) => {
      const found = document.documentElement.scrollWidth;
      if (found > wide) out.push(`${what} makes the page ${found} wide`);
    };
    look('nothing open');
    for (const details of document.querySelectorAll('details')) {
      const was = details.open;
      details.open = true;
      const name = details.querySelector('summary').textContent;
      look(name);
      if (details.matches('.menu')) {
        const { left, right, top } = details.querySelector('div').getBoundingClientRect();
        const below = details.querySelector('summary').getBoundingClientRect().bottom;
        if (left < 0 || right > wide) out.push(`${name} goes from ${left} to ${right}`);
        if (top < below || top > below + 60) out.push(`${name} opens at ${top}, its button ends at ${below}`);
      }
      details.open = was;
    }
    return out.map((line) => `${line}, where there is room for ${wide}`);";

#[test]
#[ignore = "needs chromium and chromedriver"]
fn no_page_and_nothing_that_opens_is_wider_than_a_small_phone() {
    let server = Server::start(None);
    let browser = Browser::start();
    browser.device(1280, 900, Scheme::Light);
    let open = listeners(2);
    let port = open[0].local_addr().expect("it is bound").port();
    let one = scan(&browser, &server, "127.0.0.1", "common", "");
    until_over(&browser);
    let two = scan(&browser, &server, "127.0.0.1-3", &port.to_string(), "");
    until_over(&browser);
    let slow = scan(&browser, &server, "127.0.0.1", "1-60000", "100");
    // A name and a service of 64 KiB without a blank.
    let long = server.keep_hostile(&"longword".repeat(8 << 10));
    let mut broken = Vec::new();
    // 345 is what a bar for scrolling leaves of 360.
    for width in [360, 345, 320] {
        browser.device(width, 740, Scheme::Light);
        for path in [
            "/".to_owned(),
            "/scans".to_owned(),
            format!("/scans/{one}"),
            format!("/scans/{two}?q="),
            format!("/scans/{slow}"),
            format!("/scans/{one}?plain=1"),
            format!("/scans/{two}/ports/127.0.0.1/tcp/{port}"),
            format!("/scans/{long}"),
            format!("/scans/{long}?plain=1"),
            format!("/scans/{long}/ports/127.0.0.1/tcp/8080"),
            "/hosts".to_owned(),
            "/hosts/127.0.0.1".to_owned(),
            format!("/compare?from={one}&to={two}"),
            "/settings".to_owned(),
            "/settings/audit".to_owned(),
            "/api/docs".to_owned(),
            "/login".to_owned(),
            "/nowhere".to_owned(),
        ] {
            browser.go(&server.at(&path));
            browser.until("!document.querySelector('live-scan:not(.ready)')");
            let found = browser.run(WIDER);
            for line in found.as_array().expect("a list") {
                broken.push(format!("{path} at {width}: {line}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
