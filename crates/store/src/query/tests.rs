use proptest::prelude::*;

use super::*;

fn error(text: &str) -> (usize, String, String) {
    let error = text.parse::<Query>().unwrap_err();
    (error.offset, error.message, error.hint.unwrap_or_default())
}

#[test]
fn terms_are_read_with_lists_ranges_and_quotes() {
    let text = r#"port:22,80,8000-8999 product:OpenSSH -host:10.0.0.1 state:open proto:udp service:http host:10.0.0.0/24 "free text""#;
    let query: Query = text.parse().unwrap();
    assert_eq!(query.terms.len(), 8);
    assert_eq!(
        query.terms[0].filter,
        Filter::Port(vec![(22, 22), (80, 80), (8000, 8999)])
    );
    assert_eq!(query.terms[2].sense, Sense::IsNot);
    assert_eq!(
        query.terms[7].filter,
        Filter::Text(vec!["free text".to_owned()])
    );
    assert_eq!(query.to_string(), text);
}

#[test]
fn an_ipv6_host_keeps_its_colons() {
    let query: Query = "host:2001:db8::1".parse().unwrap();
    assert_eq!(
        query.terms[0].filter,
        Filter::Host(vec!["2001:db8::1".parse().unwrap()])
    );
}

#[test]
fn an_error_points_at_the_character() {
    let (offset, message, hint) = error("state:open prot:22");
    assert_eq!((offset, message.as_str()), (11, "unknown field `prot`"));
    assert_eq!(hint, "did you mean `port:`?");
    let (offset, message, hint) = error("port:22,90-80");
    assert_eq!(
        (offset, message.as_str()),
        (8, "the range `90-80` ends before it begins")
    );
    assert_eq!(hint, "did you mean `80-90`?");
    assert_eq!(error("ä state:opne").0, 9);
    assert_eq!(error("ä state:opne").2, "did you mean `open`?");
    assert_eq!(error("port:70000").0, 5);
    let (offset, message, _) = error("seen:7d,soon");
    assert_eq!(
        (offset, message.as_str()),
        (8, "`soon` is no day, no moment and no age")
    );
    assert_eq!(error("changed:7y").0, 8);
    assert_eq!(error("tls.expires<soon").0, 11);
    let (offset, message, hint) = error("state:open port<0");
    assert_eq!((offset, message.as_str()), (15, "no port is `<0`"));
    assert!(hint.contains("`port<1024`"), "{hint}");
    let (offset, message, _) = error("tag:prod,a/b");
    assert_eq!(offset, 9);
    assert!(message.starts_with("`a/b` is no tag"), "{message}");
    assert_eq!(error("new:yes").0, 4);
    assert_eq!(error("ssh \"half").0, 4);
    assert_eq!(error("port:").1, "a value is missing");
    assert_eq!(error("host:10.0.0.1/24").0, 5);
    assert_eq!(error("-").0, 1);
    assert_eq!(error("a,").0, 2);
}

#[test]
fn fields_with_an_order_are_compared() {
    let same = |short: &str, long: &str| {
        assert_eq!(short.parse::<Query>(), long.parse(), "{short}");
    };
    same("port<1024", "port:0-1023");
    same("-port>=1024", "-port:1024-65535");
    same("port<=22,>8000", "port:0-22,8001-65535");
    same("tls.expires<30d", "tls.expires:<30d");
    same("changed<7d", "changed:7d");
    same("seen>2026-11-01", "seen:>2026-11-01");
    same("service<x", "\"service<x\"");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z:,\"\\\\ -]{0,6}", "\\PC{0,5}"]
}

fn filter() -> impl Strategy<Value = Filter> {
    let texts = || prop::collection::vec(text(), 1..3);
    let host = prop_oneof![
        any::<u32>().prop_map(|bits| Target::Address(std::net::Ipv4Addr::from(bits).into())),
        Just("10.0.0-3.1,5,9".parse().unwrap()),
        Just("2001:db8::/32".parse().unwrap()),
        Just("192.0.2.9-192.0.3.1".parse().unwrap()),
        Just("www.example".parse().unwrap()),
    ];
    prop_oneof![
        prop::collection::vec((any::<u16>(), any::<u16>()), 1..4).prop_map(|ranges| {
            Filter::Port(ranges.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect())
        }),
        prop::collection::vec(host, 1..3).prop_map(Filter::Host),
        prop::sample::subsequence(PortState::ALL.to_vec(), 1..4).prop_map(Filter::State),
        prop::sample::subsequence(Protocol::ALL.to_vec(), 1..2).prop_map(Filter::Protocol),
        prop::sample::subsequence(Reason::ALL.to_vec(), 1..4).prop_map(Filter::Reason),
        texts().prop_map(Filter::Service),
        texts().prop_map(Filter::Product),
        texts().prop_map(Filter::Version),
        texts().prop_map(Filter::Text),
        prop::collection::vec(any::<bool>(), 1..3).prop_map(Filter::New),
        prop::collection::vec(
            prop_oneof![
                Just(">2026-11-01"),
                Just("<2026-11-01T10:20:30.5Z"),
                Just("2026-02-28"),
                Just("12h")
            ]
            .prop_map(|text| text.parse().unwrap()),
            1..3
        )
        .prop_flat_map(|spans: Vec<Seen>| prop_oneof![
            Just(Filter::Seen(spans.clone())),
            Just(Filter::Changed(spans))
        ]),
        prop::sample::subsequence(
            vec!["<30d", ">30d", "30d", "<2026-12-31", "2026-12-31"],
            1..3
        )
        .prop_map(|texts| {
            Filter::Expires(texts.iter().map(|text| text.parse().unwrap()).collect())
        }),
        prop::sample::subsequence(vec!["prod", "a.b", "ö-1"], 1..3).prop_map(|words| {
            Filter::Tag(words.iter().map(|word| word.parse().unwrap()).collect())
        }),
    ]
}

proptest! {
    #[test]
    fn a_query_prints_as_it_reads(terms in prop::collection::vec((any::<bool>(), filter()), 0..5)) {
        let terms = terms.into_iter().map(|(is, filter)| Term {
            sense: if is { Sense::Is } else { Sense::IsNot },
            filter,
        }).collect();
        let query = Query { terms };
        prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(\\PC|[-\":,<>=\\\\ ]|port:|port<|host:|state:|tag:|1-){0,24}") {
        Query::fuzz(&text);
    }
}
