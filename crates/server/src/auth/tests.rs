use super::*;

#[test]
fn behind_a_proxy_the_address_is_the_one_that_the_proxy_saw() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-forwarded-for",
        "198.51.100.9, 203.0.113.7".parse().unwrap(),
    );
    let peer = Some("127.0.0.1".parse().unwrap());
    assert_eq!(client(peer, &headers, true).address_text(), "203.0.113.7");
    assert_eq!(client(peer, &headers, false).address_text(), "127.0.0.1");
}

#[test]
fn a_session_ends_by_disuse_and_at_its_longest() {
    let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
    assert_eq!(expiry(at(0), at(5)), at(17));
    assert_eq!(expiry(at(0), at(719)), at(720));
}

#[test]
fn a_cookie_is_found_among_others() {
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, "theme=dark; portolan=abc".parse().unwrap());
    assert_eq!(cookie(&headers, "portolan").as_deref(), Some("abc"));
    assert_eq!(cookie(&headers, "port"), None);
}

#[test]
fn where_one_came_from_survives_the_log_in() {
    assert_eq!(
        encoded("/scans/7?q=port:22 a&b"),
        "/scans/7%3Fq%3Dport%3A22%20a%26b"
    );
}
