//! Tags on pages: as chips, put on and taken off by forms.

use axum::http::StatusCode;

use super::Site;

#[tokio::test]
async fn tags_are_put_on_a_scan_and_a_host_and_shown_as_chips() {
    let site = Site::new();
    let made = site.post("/scans/2/tags", "put=Prod").await;
    assert_eq!(made.location, "/scans/2");
    let made = site.post("/hosts/127.0.0.1/tags", "put=db").await;
    assert_eq!(made.location, "/hosts/127.0.0.1");
    let scan = site.get("/scans/2").await;
    assert_eq!(scan.texts(".tags .chip a"), ["prod"]);
    assert_eq!(
        scan.attributes(".tags .chip a", "href"),
        ["/scans?q=tag:prod"]
    );
    assert_eq!(scan.attributes("live-scan", "data-tags"), ["prod"]);
    let found = site.get("/scans?q=tag:prod").await;
    assert_eq!(found.texts("td.t-target .chip"), ["prod"]);
    assert_eq!(found.texts("tbody tr").len(), 1);
    let hosts = site.get("/hosts?q=tag:db").await;
    assert_eq!(hosts.texts("td.t-target .chip"), ["db"]);
    let none = site.get("/hosts?q=tag:prod").await;
    assert_eq!(none.texts(".empty h2"), ["Nothing matches"]);
    let rows = site.get("/scans/1?q=tag:db%20port:1-3").await;
    assert_eq!(rows.texts("td.c-port"), ["1", "2", "3"]);

    site.post("/scans/2/tags", "take=prod").await;
    let scan = site.get("/scans/2").await;
    assert!(scan.texts(".tags .chip").is_empty());
    let log = site.get("/settings/audit").await;
    assert!(log.text.contains("untag"), "{}", log.text);
}

#[tokio::test]
async fn the_hosts_that_are_picked_are_tagged_together() {
    let site = Site::new();
    let made = site
        .post("/hosts/tags", "q=127.0.0.0/8&host=127.0.0.1&put=lab")
        .await;
    assert_eq!(made.location, "/hosts?q=127.0.0.0%2F8");
    let hosts = site.get("/hosts").await;
    assert_eq!(hosts.texts("td.t-target .chip"), ["lab"]);
    site.post("/hosts/tags", "host=127.0.0.1&put=lab&take=yes")
        .await;
    assert!(site.get("/hosts").await.texts(".chip.tag").is_empty());
    let none = site.post("/hosts/tags", "put=lab").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    assert!(none.text.contains("No host is picked"), "{}", none.text);
}

#[tokio::test]
async fn a_word_that_is_no_tag_is_said_to_be_none() {
    let site = Site::new();
    let page = site.post("/scans/2/tags", "put=a%20b").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("is no tag"), "{}", page.text);
    let page = site.get("/scans?q=tag:a%2Fb").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_map_is_a_picture_where_no_script_draws_it() {
    let site = Site::new();
    let page = site.get("/scans/2").await;
    assert!(page.text.contains("/scans/2/map.svg"), "{}", page.text);
    let map = site.get("/scans/2/map.svg").await;
    assert_eq!(map.status, StatusCode::OK);
    // Port 8080 is 144 in the 31st row after the first.
    let open = "x=\"144\" y=\"31\" width=\"1\" height=\"1\"";
    assert!(map.text.contains(open), "{}", map.text);
}
