//! Pages as the server sends them, read by a parser.

mod kinds;
mod refused;
mod tags;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use portolan_model::event::{
    Endpoint, Finished, HostName, HostUp, NameKind, Outcome, PortFact, PortsFact, Problem,
    ServiceFact, Started,
};
use portolan_model::service::Method;
use portolan_model::{
    PortSpec, PortState, Protocol, Reason, ScanEvent, ScanSpec, Service, Technique,
};
use portolan_scan::Control;
use portolan_store::{Mode, NewScan, Store};
use scraper::{Html, Selector};
use tower::ServiceExt as _;

use crate::{Abilities, CannotStart, Job, Runner};
use crate::{AppState, Settings};

/// Text that a hostile host may send.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}\u{1b}[31m";

/// A runner whose scans wait until they are told to stop.
#[derive(Debug)]
struct Waiting;

impl Runner for Waiting {
    fn abilities(&self) -> Abilities {
        Abilities {
            techniques: vec![
                (Technique::Connect, None),
                (Technique::Syn, Some("it needs CAP_NET_RAW".to_owned())),
            ],
            detect: Some("this build has no rules".to_owned()),
        }
    }

    fn refuses(&self, spec: &ScanSpec) -> Vec<CannotStart> {
        let nobody = |target: &&portolan_model::Target| target.to_string() == "0.0.0.0";
        let refused = spec.targets.iter().filter(nobody).map(|_| CannotStart {
            message: "this address means no host".to_owned(),
            hint: None,
        });
        refused.collect()
    }

    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart> {
        sink(ScanEvent::Started(started(job.spec.ports.clone())));
        while !control.is_stopped() {
            std::thread::yield_now();
        }
        sink(ScanEvent::Finished(finished(Outcome::Interrupted)));
        Ok(())
    }
}

fn at() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().unwrap()
}

fn started(ports: PortSpec) -> Started {
    Started {
        at: at(),
        techniques: vec![Technique::Connect],
        ports,
        addresses: 1,
        probes: 300,
        seed: 1,
        zones: portolan_model::Zones::NONE,
    }
}

fn finished(outcome: Outcome) -> Finished {
    Finished {
        at: at(),
        outcome,
        elapsed: Duration::from_millis(1500),
        hosts_up: 1,
        hosts_down: 0,
        sent: 300,
        loss: Some(0.0),
        expected_missed: 0.0,
    }
}

/// A site with its history.
struct Site {
    app: Router,
    _data: tempfile::TempDir,
}

struct Page {
    status: StatusCode,
    location: String,
    cookies: Vec<String>,
    html: Html,
    text: String,
}

impl Site {
    /// One with two scans of the same host: 300 closed ports, then also an open one.
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), Mode::Serve).unwrap();
        for is_open in [false, true] {
            let spec = ScanSpec::new(
                vec!["127.0.0.1".parse().unwrap()],
                "1-300,8080".parse().unwrap(),
            );
            let writer = store.begin(NewScan::new(spec, at())).unwrap();
            writer.send(events(is_open)).unwrap();
            writer.flush().unwrap();
        }
        let settings = Settings::new("127.0.0.1:5000".parse().unwrap(), "0.1.0");
        let state = AppState::new(store, Arc::new(Waiting), settings).unwrap();
        Self {
            app: crate::app(state),
            _data: data,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Page {
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let values = |name: header::HeaderName| -> Vec<String> {
            let values = answer.headers().get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect()
        };
        let location = values(header::LOCATION).pop().unwrap_or_default();
        let cookies = values(header::SET_COOKIE);
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        Page {
            status,
            location,
            cookies,
            html: Html::parse_document(&text),
            text,
        }
    }

    async fn get(&self, path: &str) -> Page {
        let request = Request::get(path).header(header::HOST, "127.0.0.1:5000");
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, form: &str) -> Page {
        let request = Request::post(path)
            .header(header::HOST, "127.0.0.1:5000")
            .header(header::ORIGIN, "http://127.0.0.1:5000")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(form.to_owned())).unwrap())
            .await
    }
}

impl Page {
    fn texts(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        let found = self.html.select(&selector);
        found
            .map(|element| element.text().collect::<String>().trim().to_owned())
            .collect()
    }

    fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        let found = self.html.select(&selector);
        found
            .filter_map(|element| element.attr(name))
            .map(str::to_owned)
            .collect()
    }
}

fn events(is_open: bool) -> Vec<ScanEvent> {
    let host: IpAddr = "127.0.0.1".parse().unwrap();
    let endpoint = Endpoint {
        address: host,
        protocol: Protocol::Tcp,
        port: 8080,
    };
    let mut events = vec![
        ScanEvent::Started(started("1-300,8080".parse().unwrap())),
        ScanEvent::HostUp(HostUp {
            address: host,
            reason: Reason::ConnRefused,
            rtt: None,
            ttl: None,
            at: at(),
        }),
        ScanEvent::HostName(HostName {
            address: host,
            name: HOSTILE.to_owned(),
            kind: NameKind::Ptr,
        }),
        ScanEvent::Ports(PortsFact {
            address: host,
            protocol: Protocol::Tcp,
            ports: "1-300".parse::<PortSpec>().unwrap().tcp().clone(),
            state: PortState::Closed,
            reason: Reason::ConnRefused,
            at: at(),
        }),
        ScanEvent::Problem(Problem {
            about: HOSTILE.to_owned(),
            message: "it was not looked up".to_owned(),
            hint: None,
            left_out: false,
        }),
    ];
    if is_open {
        events.push(ScanEvent::Port(PortFact {
            endpoint,
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: Some(Duration::from_micros(420)),
            ttl: Some(64),
            at: at(),
        }));
        events.push(ScanEvent::Service(ServiceFact {
            endpoint,
            service: Service {
                name: "http".to_owned(),
                product: Some(HOSTILE.to_owned()),
                version: Some("9.2".to_owned()),
                extra: Some(HOSTILE.to_owned()),
                method: Method::Probed,
                confidence: 9,
                ..Service::default()
            },
        }));
    } else {
        events.push(ScanEvent::Port(PortFact {
            endpoint,
            state: PortState::Closed,
            reason: Reason::ConnRefused,
            rtt: None,
            ttl: None,
            at: at(),
        }));
    }
    events.push(ScanEvent::Finished(finished(Outcome::Complete)));
    events
}

const PAGES: [&str; 17] = [
    "/",
    "/?target=10.0.0.5/24&timeout=soon",
    "/scans",
    "/scans?q=nothing-like-this",
    "/scans/1",
    "/scans/2?q=&sort=port&order=desc",
    "/scans/2?q=colour:red",
    "/scans/2?plain=1",
    "/scans/2/ports/127.0.0.1/tcp/8080",
    "/hosts",
    "/hosts/127.0.0.1",
    "/compare",
    "/compare?from=1&to=2",
    "/login",
    "/settings",
    "/settings/audit",
    "/api/docs",
];

#[tokio::test]
async fn every_page_is_whole_and_runs_nothing_of_its_own() {
    let site = Site::new();
    for path in PAGES {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert_eq!(page.texts("h1").len(), 1, "{path} has one heading");
        assert!(page.texts("title")[0].ends_with("· Portolan"), "{path}");
        assert_eq!(page.attributes("html", "lang"), ["en"], "{path}");
        assert!(page.attributes("[style]", "style").is_empty(), "{path}");
        assert!(page.texts("style").is_empty(), "{path}");
        for script in page.texts("script") {
            assert_eq!(script, "", "{path} has a script of its own");
        }
        for from in page.attributes("script", "src") {
            assert!(from.starts_with("/assets/"), "{path} loads {from}");
        }
        let every = Selector::parse("*").unwrap();
        for element in page.html.select(&every) {
            for (name, _) in element.value().attrs() {
                assert!(!name.starts_with("on"), "{path} has {name}");
            }
        }
        // Ids are used once: labels and scripts go by them.
        let ids = page.attributes("[id]", "id");
        let once: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), once.len(), "{path} has an id twice: {ids:?}");
        for id in page.attributes("label", "for") {
            assert!(
                ids.contains(&id),
                "{path} has a label for `{id}`, which is not there"
            );
        }
    }
}

#[tokio::test]
async fn the_audit_log_is_a_page_that_says_who_scanned_what() {
    let site = Site::new();
    let empty = site.get("/settings/audit").await;
    assert_eq!(empty.texts("h2")[0], "Nothing was done yet");
    let made = site
        .post("/scans", "target=127.0.0.3&ports=custom&range=80")
        .await;
    let log = site.get("/settings/audit").await;
    assert_eq!(log.texts("td.t-target"), ["scan 127.0.0.3"]);
    assert_eq!(log.attributes("td.t-target a", "href"), [made.location]);
    assert!(log.text.contains("portolan 127.0.0.3 -p 80 -n"));
    assert!(site.get("/settings").await.text.contains("/settings/audit"));
}

#[tokio::test]
async fn no_link_leads_nowhere() {
    let site = Site::new();
    let mut known = BTreeSet::new();
    let mut next: Vec<String> = PAGES.iter().map(ToString::to_string).collect();
    while let Some(path) = next.pop() {
        // Sorting links lead on for ever; a bound is enough.
        if !known.insert(path.clone()) || known.len() > 400 {
            continue;
        }
        let page = site.get(&path).await;
        assert!(page.status.is_success(), "{path} answers {}", page.status);
        if path.starts_with("/api/") && path != "/api/docs" {
            continue;
        }
        let links = page.attributes("a[href], link[href], img[src], script[src]", "href");
        let sources = page.attributes("img[src], script[src]", "src");
        for link in links.into_iter().chain(sources) {
            if let Some(id) = link.strip_prefix('#') {
                assert!(
                    page.attributes("[id]", "id")
                        .iter()
                        .any(|known| known == id),
                    "{path} links to #{id}"
                );
            } else {
                assert!(
                    link.starts_with('/'),
                    "{path} links to {link}, which is elsewhere"
                );
                next.push(link);
            }
        }
        for action in page.attributes("form[method=get]:not([data-try])", "action") {
            next.push(action);
        }
    }
    assert!(known.len() > 40, "only {} pages were found", known.len());
}

#[tokio::test]
async fn what_the_network_says_is_shown_as_text_with_nothing_hidden() {
    let site = Site::new();
    for path in [
        "/scans/2",
        "/scans/2/ports/127.0.0.1/tcp/8080",
        "/hosts",
        "/hosts/127.0.0.1",
        "/compare?from=1&to=2",
    ] {
        let page = site.get(path).await;
        assert!(
            page.text.contains("&lt;img src=x"),
            "{path} does not show it"
        );
        assert!(page.attributes("img[onerror]", "src").is_empty(), "{path}");
        assert!(!page.text.contains(['\u{202e}', '\u{1b}']), "{path}");
    }
}

#[tokio::test]
async fn the_form_has_the_words_that_people_know() {
    let page = Site::new().get("/").await;
    let labels = page.texts("label");
    for word in ["Target", "Timeout", "Thread Count"] {
        assert!(
            labels.iter().any(|label| label == word),
            "{word}: {labels:?}"
        );
    }
    for word in ["Common Ports", "Custom Port Range", "All Ports"] {
        assert!(labels.iter().any(|label| label.starts_with(word)), "{word}");
    }
    assert!(page.texts("button").contains(&"Start Scan".to_owned()));
    assert_eq!(page.attributes("#technique-syn", "disabled").len(), 1);
    assert!(labels.iter().any(|label| label.contains("CAP_NET_RAW")));
}

#[tokio::test]
async fn a_form_that_is_wrong_says_so_at_each_field_and_keeps_what_was_typed() {
    let site = Site::new();
    let form = "target=10.0.0.5%2F24&ports=custom&range=99999&timeout=soon&threads=";
    let page = site.post("/scans", form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.texts("#target-error")[0].contains("host bits"),
        "{}",
        page.text
    );
    assert!(page.texts("#range-error")[0].contains("99999"));
    assert!(page.texts("#timeout-error")[0].starts_with("soon is no number"));
    assert_eq!(page.texts("#threads-error"), [""]);
    assert_eq!(page.attributes("#target", "value"), ["10.0.0.5/24"]);
    assert_eq!(page.attributes("#ports-custom", "checked").len(), 1);
}

#[tokio::test]
async fn a_form_that_is_right_starts_a_scan_that_can_be_cancelled() {
    let site = Site::new();
    let page = site.post("/scans", "target=127.0.0.1&ports=common").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert_eq!(page.location, "/scans/3");
    let scan = site.get("/scans/3").await;
    let buttons = scan.texts("#scan-head .actions form button");
    assert!(buttons.contains(&"Cancel".to_owned()), "{buttons:?}");
    let done = site.post("/scans/3/cancel", "").await;
    assert_eq!(
        (done.status, done.location.as_str()),
        (StatusCode::SEE_OTHER, "/scans/3")
    );
}

#[tokio::test]
async fn checking_a_form_shows_the_same_in_the_shell_and_starts_nothing() {
    let site = Site::new();
    let page = site
        .post("/scans", "target=127.0.0.1&ports=all&action=check")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.texts("#command")[0].starts_with("portolan 127.0.0.1"));
    assert!(
        page.texts("#estimate")[0].contains("65,535 probes"),
        "{:?}",
        page.texts("#estimate")
    );
    assert_eq!(site.get("/scans/3").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_large_scan_starts_when_its_number_of_probes_was_said_to_be_meant() {
    let site = Site::new();
    let asked = site.post("/", "target=0.0.0.0/1&ports=common").await;
    assert_eq!(asked.status, StatusCode::OK);
    let said = &asked.texts("#sure")[0];
    assert!(said.contains("probes, about"), "{said}");
    let number = asked.attributes("#go button[name=sure]", "value").remove(0);
    assert_eq!(asked.attributes("#target", "value"), ["0.0.0.0/1"]);
    // The number of other targets counts for nothing.
    let other = site
        .post("/", &format!("target=0.0.0.0/2&ports=common&sure={number}"))
        .await;
    assert_eq!(other.status, StatusCode::OK);
    assert_eq!(other.texts("#sure").len(), 1);
    assert_eq!(site.get("/scans/3").await.status, StatusCode::NOT_FOUND);
    let started = site
        .post("/", &format!("target=0.0.0.0/1&ports=common&sure={number}"))
        .await;
    assert_eq!(started.location, "/scans/3");
    // What is wrong is said first, and what is not large starts.
    let wrong = site.post("/", "target=0.0.0.0/1&ports=x-y").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let small = site
        .post("/", "target=10.0.0.0/8&ports=custom&range=80")
        .await;
    assert_eq!(small.location, "/scans/4", "2^24 are not too many");
}

#[tokio::test]
async fn results_come_in_pages_of_a_hundred_rows() {
    let site = Site::new();
    let mut path = "/scans/2?q=state:closed".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = site.get(&path).await;
        sizes.push(page.texts("result-table tbody tr").len());
        match page.attributes("a.nextpage", "href").pop() {
            Some(next) if sizes.len() < 10 => path = next,
            _ => break,
        }
    }
    assert_eq!(sizes, [100, 100, 100]);
}

#[tokio::test]
async fn a_scan_is_shown_with_its_open_ports_first_and_says_so_in_the_filter() {
    let site = Site::new();
    let page = site.get("/scans/2").await;
    assert_eq!(
        page.attributes("#query", "value"),
        ["state:open,open|filtered"]
    );
    assert_eq!(page.texts("td.c-port"), ["8080"]);
    let nothing = site.get("/scans/1").await;
    assert!(
        nothing.texts("#nothing")[0].contains("Looked at 301 ports: 301 closed"),
        "{:?}",
        nothing.texts("#nothing")
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_said_on_the_page_with_its_place() {
    let page = Site::new().get("/scans/2?q=state:open%20colour:red").await;
    let said = &page.texts("#query-error")[0];
    assert!(
        said.contains("unknown field colour, at character 12: the fields are port,"),
        "{said}"
    );
    assert_eq!(page.attributes("#query", "aria-invalid"), ["true"]);
}

#[tokio::test]
async fn a_comparison_says_what_changed_in_a_sentence() {
    let page = Site::new().get("/compare?scan=2&scan=1").await;
    assert_eq!(page.texts("#diff-title"), ["1 port opened."]);
}

#[tokio::test]
async fn the_theme_is_kept_in_a_cookie_and_is_right_at_the_first_paint() {
    let site = Site::new();
    let chosen = site.post("/settings/look", "theme=dark&keys=off").await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER);
    assert!(
        chosen
            .cookies
            .iter()
            .any(|cookie| cookie.starts_with("theme=dark;")),
        "{:?}",
        chosen.cookies
    );
    let request = Request::get("/settings")
        .header(header::HOST, "127.0.0.1:5000")
        .header(header::COOKIE, "a=b; theme=dark; keys=off");
    let page = site.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.attributes("html", "data-theme"), ["dark"]);
    assert_eq!(page.attributes("html", "data-keys"), ["off"]);
    assert!(
        site.get("/")
            .await
            .attributes("html", "data-theme")
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let site = Site::new();
    for path in [
        "/nowhere",
        "/scans/99",
        "/hosts/192.0.2.1",
        "/scans/2/ports/127.0.0.1/tcp/9999",
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.texts("h1"), ["Not Found"], "{path}");
    }
}
