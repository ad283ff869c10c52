//! The form of a scan that cannot be: sent back as it was filled in, with what is wrong beside it.

use axum::http::StatusCode;

use super::Site;

#[tokio::test]
async fn a_refused_form_comes_back_as_it_was_with_the_error_at_its_field() {
    let site = Site::new();
    let page = site
        .post(
            "/",
            "target=0.0.0.0&ports=custom&range=80&technique=connect&threads=7",
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.texts("h1"), ["What do you want to scan?"]);
    assert_eq!(page.texts("#target-error"), ["this address means no host"]);
    assert_eq!(page.attributes("#target", "value"), ["0.0.0.0"]);
    assert_eq!(page.attributes("#target", "aria-invalid"), ["true"]);
    assert_eq!(page.attributes("#range", "value"), ["80"]);
    assert_eq!(page.attributes("#threads", "value"), ["7"]);
    assert!(
        page.attributes("details.fold", "open").is_empty(),
        "nothing in it is wrong"
    );
    assert_eq!(page.attributes("scan-form form", "action"), ["/"]);
    let page = site.post("/", "target=127.0.0.3&threads=many").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.attributes("details.fold", "open").len(), 1);
    assert_eq!(
        page.texts(".error").concat(),
        page.texts("#threads-error")[0]
    );
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_a_page_that_says_why() {
    let site = Site::new();
    for (address, why) in [
        (
            "/scans/abc",
            "there is nothing at this address: abc is no number",
        ),
        (
            "/scans/99999999999999999999",
            "99999999999999999999 is no number",
        ),
        (
            "/scans/1/ports/127.0.0.1/tcp/70000",
            "70000 is no number from 0 to 65535",
        ),
        ("/scans/1/ports/nobody/tcp/80", "there is nothing"),
        ("/hosts/nobody", "there is nothing"),
        ("/scans/abc/map.svg", "abc is no number"),
        ("/scans/%ff", "a part of it is no text"),
        ("/nowhere", "there is no page"),
    ] {
        let page = site.get(address).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{address}");
        assert_eq!(page.texts("h1"), ["Not Found"], "{address}");
        let said = page.texts(".narrow p").concat().to_lowercase();
        assert!(said.contains(&why.to_lowercase()), "{address}: {said}");
        assert_eq!(page.attributes(".narrow a", "href"), ["/", "/scans"]);
    }
    let page = site.get("/scans/1?q=a&q=b").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(page.texts("h1"), ["Bad Request"]);
}

#[tokio::test]
async fn messages_of_the_form_speak_of_its_fields() {
    let site = Site::new();
    let page = site.get("/?target=80").await;
    let error = &page.texts("#target-error")[0];
    assert!(
        error.ends_with("to scan port 80, choose Custom Port Range and write it there"),
        "{error}"
    );
    assert!(!error.contains('`'), "{error}");
    assert_eq!(page.texts("#target-error code")[0], "80");
}

#[tokio::test]
async fn targets_may_stand_between_commas_and_blanks() {
    let site = Site::new();
    let page = site.get("/?target=127.0.0.1,%20127.0.0.2,127.0.0.3").await;
    assert_eq!(page.texts("#target-error"), [""]);
    let command = &page.texts("#command")[0];
    assert!(
        command.starts_with("portolan 127.0.0.1 127.0.0.2 127.0.0.3"),
        "{command}"
    );
}
