//! Every record reads back as it was written, as far as its format can hold it; and what no
//! one wrote does no harm.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::event::{Finished, NameKind, Outcome, Problem, Started};
use portolan_model::ports::PortBits;
use portolan_model::service::Method;
use portolan_model::{
    HostRecord, PortRecord, PortSet, PortSpec, PortState, Protocol, Reason, ScanRecord, Service,
    Technique,
};
use proptest::prelude::*;

use crate::diff;
use crate::escape::{visible, width};
use crate::table::{self, TableOptions};
use crate::{Format, ReadError, WriteOptions, read, write};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 .-]{0,12}",
        any::<String>(),
        Just("</address><x y=\"'&--\u{1b}[31m\u{202e}\0\r\n\t,|=1+1\\x41".to_owned()),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000, 0i32..1_000_000_000)
        .prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap())
}

fn rtt() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((0u64..10_000_000_000).prop_map(Duration::from_nanos))
}

fn ttl() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(1u8..)
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL)
}

fn service() -> impl Strategy<Value = Service> {
    let option = || prop::option::of(text());
    (
        prop_oneof![Just("http".to_owned()), Just("https".to_owned()), text()],
        (option(), option(), option(), option(), option()),
        prop::collection::vec(text(), 0..3),
        any::<bool>(),
        0u8..=10,
    )
        .prop_map(
            |(name, (product, version, extra, os, hostname), cpe, tls, confidence)| Service {
                name,
                product,
                version,
                extra,
                os,
                hostname,
                cpe,
                tls,
                method: Method::Probed,
                confidence,
                ..Service::default()
            },
        )
}

fn port(first: i64) -> impl Strategy<Value = PortRecord> {
    (
        any::<bool>(),
        reason(),
        rtt(),
        ttl(),
        prop::option::of(service()),
    )
        .prop_map(move |(is_open, reason, rtt, ttl, service)| {
            let is_open = is_open || reason == Reason::NoResponse;
            PortRecord {
                state: if is_open {
                    PortState::Open
                } else {
                    PortState::OpenFiltered
                },
                reason,
                rtt,
                ttl,
                at: Timestamp::from_second(first).unwrap(),
                service,
            }
        })
}

fn host() -> impl Strategy<Value = HostRecord> {
    let ports = prop::collection::btree_map(
        (prop::sample::select(Protocol::ALL), 1u16..2000),
        port(1_000_000_000),
        0..6,
    );
    let rest = prop::collection::vec(
        (
            prop::sample::select(Protocol::ALL),
            prop::sample::select(&[PortState::Closed, PortState::Filtered][..]),
            reason(),
            1u16..20_000,
            0u16..5000,
        ),
        0..5,
    );
    (
        prop::collection::btree_set(text(), 0..3),
        reason(),
        rtt(),
        ttl(),
        0i64..1_000_000_000,
        ports,
        rest,
    )
        .prop_map(|(names, reason, rtt, ttl, before, ports, groups)| {
            let mut rest: BTreeMap<_, PortBits> = BTreeMap::new();
            let mut taken: BTreeMap<Protocol, PortSet> = BTreeMap::new();
            for &(protocol, port) in ports.keys() {
                let taken = taken.entry(protocol).or_default();
                *taken = taken.union(&PortSet::from_range(port, port));
            }
            for (protocol, state, reason, first, more) in groups {
                let taken = taken.entry(protocol).or_default();
                let ports = PortSet::from_range(first, first + more).without(taken);
                *taken = taken.union(&ports);
                if !ports.is_empty() {
                    let into = rest.entry((protocol, state, reason)).or_default();
                    into.extend_set(&ports);
                }
            }
            let last = Timestamp::from_second(1_000_000_000).unwrap();
            HostRecord {
                names: names
                    .into_iter()
                    .map(|name| (name, NameKind::Ptr))
                    .collect(),
                reason,
                rtt,
                ttl,
                mac: None,
                answers_all: None,
                first: last - jiff::SignedDuration::from_secs(before),
                last,
                ports,
                rest,
            }
        })
}

fn started() -> impl Strategy<Value = Started> {
    (
        time(),
        prop::sample::subsequence(Technique::ALL, 0..=3),
        (1u16.., 0u16..300),
        any::<u128>(),
        any::<u128>(),
        any::<u64>(),
    )
        .prop_map(
            |(at, techniques, (first, more), addresses, probes, seed)| Started {
                at,
                techniques,
                ports: PortSpec::new(
                    PortSet::from_range(first, first.saturating_add(more)),
                    PortSet::from_range(more + 1, more + 9),
                ),
                addresses,
                probes,
                seed,
                zones: portolan_model::Zones::NONE,
            },
        )
}

fn finished() -> impl Strategy<Value = Finished> {
    let outcome = prop_oneof![
        Just(Outcome::Complete),
        Just(Outcome::Incomplete),
        Just(Outcome::Interrupted)
    ];
    (
        (time(), outcome, 0u64..1 << 50),
        (any::<u64>(), any::<u128>(), any::<u64>()),
        (prop::option::of(0u32..=1000), 0u32..10_000),
    )
        .prop_map(
            |((at, outcome, nanos), (hosts_up, hosts_down, sent), (loss, missed))| Finished {
                at,
                outcome,
                elapsed: Duration::from_nanos(nanos),
                hosts_up,
                hosts_down,
                sent,
                loss: loss.map(|loss| f64::from(loss) / 1000.0),
                expected_missed: f64::from(missed) / 100.0,
            },
        )
}

fn record() -> impl Strategy<Value = ScanRecord> {
    let problem = (text(), text(), prop::option::of(text()), any::<bool>()).prop_map(
        |(about, message, hint, left_out)| Problem {
            about,
            message,
            hint,
            left_out,
        },
    );
    (
        text(),
        text(),
        started(),
        prop::collection::btree_map(any::<IpAddr>(), host(), 0..4),
        prop::collection::vec(problem, 0..3),
        prop::option::of(finished()),
    )
        .prop_map(
            |(args, version, started, hosts, problems, finished)| ScanRecord {
                args,
                version,
                started: Some(started),
                hosts,
                problems,
                finished,
            },
        )
}

fn written(format: Format, record: &ScanRecord, options: &WriteOptions) -> String {
    let mut out = Vec::new();
    write(format, record, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}

/// What is left of a record in nmap's XML: whole seconds, no time of a single port, no word on
/// loss; hidden characters as `\xHH`.
fn as_xml_holds(record: &ScanRecord) -> ScanRecord {
    let mut held = record.clone();
    let show = |text: &mut String| *text = visible(text).into_owned();
    show(&mut held.args);
    show(&mut held.version);
    // `scaninfo` says the ports of what was asked, and `hosts` the number of addresses.
    let (up, down, total) = crate::view::hosts(record);
    // A silent host of which no port is told is not told of either.
    held.hosts
        .retain(|_, host| host.is_up() || !host.ports.is_empty() || !host.rest.is_empty());
    let started = held.started.as_mut().unwrap();
    started.at = seconds(started.at);
    started.seed = 0;
    let asked = |protocol| {
        let asked = started
            .techniques
            .iter()
            .any(|technique| technique.protocol() == protocol);
        let ports = started.ports.of(protocol).clone();
        if asked { ports } else { PortSet::EMPTY }
    };
    started.ports = PortSpec::new(asked(Protocol::Tcp), asked(Protocol::Udp));
    started.addresses = total;
    let each = (started.ports.tcp().len() + started.ports.udp().len()) as u128;
    started.probes = total.saturating_mul(each);
    for host in held.hosts.values_mut() {
        let mut names: Vec<(String, NameKind)> = Vec::new();
        for (mut name, kind) in std::mem::take(&mut host.names) {
            show(&mut name);
            if !names.contains(&(name.clone(), kind)) {
                names.push((name, kind));
            }
        }
        host.names = names;
        host.rtt = host
            .rtt
            .map(|rtt| Duration::from_micros(u64::try_from(rtt.as_micros()).unwrap()));
        for found in host.ports.values_mut() {
            found.at = host.last;
            found.rtt = None;
            if let Some(service) = &mut found.service {
                service.name = match crate::view::plain_name(service) {
                    "" => "unknown".to_owned(),
                    name => visible(name).into_owned(),
                };
                for text in [
                    &mut service.product,
                    &mut service.version,
                    &mut service.extra,
                    &mut service.os,
                    &mut service.hostname,
                ]
                .into_iter()
                .flatten()
                {
                    show(text);
                }
                service.cpe.iter_mut().for_each(show);
            }
        }
    }
    let outcome = record.outcome();
    let end = crate::view::end(record);
    let elapsed = crate::view::elapsed(record);
    held.problems.clear();
    if outcome == Outcome::Incomplete {
        let left_out: Vec<String> = record
            .problems
            .iter()
            .filter(|problem| problem.left_out)
            .map(|problem| problem.line().into_owned())
            .collect();
        let message = if left_out.is_empty() {
            "something is left out".to_owned()
        } else {
            visible(&left_out.join("; ")).into_owned()
        };
        held.problems.push(Problem {
            about: String::new(),
            message,
            hint: None,
            left_out: true,
        });
    }
    held.finished = Some(Finished {
        at: seconds(end),
        outcome,
        elapsed: Duration::from_secs_f64(format!("{:.2}", elapsed.as_secs_f64()).parse().unwrap()),
        hosts_up: up,
        hosts_down: down,
        sent: 0,
        loss: None,
        expected_missed: 0.0,
    });
    held
}

#[test]
fn a_host_that_stayed_silent_is_down_in_every_format_that_says_so() {
    let at = Timestamp::from_second(1_000_000_000).unwrap();
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let mut record = ScanRecord::new("portolan 192.0.2.7", "0.1.0");
    let mut host = HostRecord::new(Reason::NoResponse, at);
    let key = (Protocol::Tcp, PortState::Filtered, Reason::NoResponse);
    host.rest.insert(key, (80..=90).collect());
    record.hosts.insert(address, host);
    record.finished = Some(Finished {
        at,
        outcome: Outcome::Complete,
        elapsed: Duration::from_secs(1),
        hosts_up: 0,
        hosts_down: 1,
        sent: 22,
        loss: None,
        expected_missed: 0.0,
    });
    let options = WriteOptions::default();
    for (format, wanted) in [
        (Format::Xml, r#"<status state="down" reason="no-response""#),
        (Format::Xml, r#"<hosts up="0" down="1" total="1"/>"#),
        (Format::Grepable, "Host: 192.0.2.7 ()\tStatus: Down\n"),
        (Format::Normal, "Host seems down, received no-response.\n"),
    ] {
        let text = written(format, &record, &options);
        assert!(text.contains(wanted), "{text}");
    }
    let xml = written(Format::Xml, &record, &options);
    let again = read(&mut xml.as_bytes()).unwrap();
    assert_eq!(again.hosts, record.hosts);
    let nothing = ScanRecord {
        hosts: BTreeMap::new(),
        ..record.clone()
    };
    for (old, new) in [(&nothing, &record), (&record, &nothing)] {
        assert!(diff(old, new).is_empty());
    }

    // What the user says is up counts as up, and is not counted twice.
    let host = record.hosts.get_mut(&address).unwrap();
    host.reason = Reason::UserSet;
    let xml = written(Format::Xml, &record, &options);
    assert!(
        xml.contains(r#"<hosts up="1" down="0" total="1"/>"#),
        "{xml}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_lines_read_back_as_the_very_record(record in record()) {
        let lines = written(Format::JsonLines, &record, &WriteOptions::default());
        prop_assert_eq!(read(&mut lines.as_bytes()).unwrap(), record);
    }

    #[test]
    fn xml_reads_back_as_what_xml_can_hold(record in record()) {
        let document = written(Format::Xml, &record, &WriteOptions::default());
        let back = read(&mut document.as_bytes()).unwrap();
        prop_assert_eq!(back, as_xml_holds(&record));
    }

    #[test]
    fn leaving_out_what_is_not_open_keeps_its_count_in_xml(record in record()) {
        let options = WriteOptions { open_only: true, ..WriteOptions::default() };
        let document = written(Format::Xml, &record, &options);
        let back = read(&mut document.as_bytes()).unwrap();
        for &state in PortState::ALL {
            prop_assert_eq!(back.count(state), record.count(state));
        }
        prop_assert!(!document.contains("<state state=\"closed\""));
    }

    #[test]
    fn json_lines_are_valid_at_any_cut(record in record(), cut in 0.0f64..1.0) {
        let lines = written(Format::JsonLines, &record, &WriteOptions::default());
        let first = lines.find('\n').unwrap() + 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let at = first + ((lines.len() - first) as f64 * cut) as usize;
        let cut = lines.as_bytes().get(..at).unwrap();
        // A line that ends within a character is cut off like any other.
        if std::str::from_utf8(cut).is_ok() {
            let back = read(&mut &*cut).unwrap();
            prop_assert_eq!(back.args, record.args);
        }
    }

    #[test]
    fn no_format_writes_what_a_terminal_would_act_on(record in record()) {
        for &format in Format::ALL {
            let document = written(format, &record, &WriteOptions::default());
            let hidden = document.chars().find(|&character| {
                crate::escape::is_hidden(character) && !matches!(character, '\n' | '\t' | '\r')
            });
            prop_assert_eq!(hidden, None, "{}", format);
        }
    }

    #[test]
    fn every_csv_row_has_each_column(record in record()) {
        let document = written(Format::Csv, &record, &WriteOptions::default());
        for line in document.split_terminator("\r\n") {
            let mut quoted = false;
            let columns = 1 + line.chars().filter(|&character| {
                quoted ^= character == '"';
                character == ',' && !quoted
            }).count();
            prop_assert_eq!(columns, 14, "{}", line);
        }
    }

    #[test]
    fn the_table_keeps_within_its_width_and_ends_no_line_in_blanks(
        record in record(),
        columns in 20usize..120,
    ) {
        let mut out = Vec::new();
        let options = TableOptions { width: columns, ..TableOptions::default() };
        table::write(&record, &options, &mut out).unwrap();
        for line in String::from_utf8(out).unwrap().lines() {
            prop_assert!(width(line) <= columns, "{} > {}: {}", width(line), columns, line);
            prop_assert_eq!(line.trim_end(), line);
            prop_assert!(!line.contains('\x1b'));
        }
    }

    #[test]
    fn no_bytes_harm_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::xml(&bytes);
        crate::fuzz::json_lines(&bytes);
    }

    #[test]
    fn a_damaged_document_is_refused_or_read_the_same_again(
        record in record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut document = written(Format::Xml, &record, &WriteOptions::default()).into_bytes();
        let place = at.index(document.len());
        document[place] = byte;
        crate::fuzz::xml(&document);
        let mut lines = written(Format::JsonLines, &record, &WriteOptions::default()).into_bytes();
        let place = at.index(lines.len());
        lines[place] = byte;
        crate::fuzz::json_lines(&lines);
    }
}

fn refused(document: &str) -> String {
    read(&mut document.as_bytes()).unwrap_err().to_string()
}

#[test]
fn what_is_no_result_is_said_to_be_none() {
    assert_eq!(
        refused(""),
        "the input is empty, expected nmap XML or JSON lines of a scan"
    );
    assert_eq!(
        refused("\u{1b}[31m"),
        "the input begins with `\\x1b[31m`, expected nmap XML or JSON lines of a scan"
    );
    assert_eq!(
        refused("<html></html>"),
        "line 1: found the element `html`, expected one `nmaprun` and nothing beside it"
    );
    assert_eq!(
        refused("{}\n"),
        "line 1: found no `type`, expected a record of a scan"
    );
    assert_eq!(
        refused("{\"type\":\"scan.started\",\"v\":2}"),
        "line 1: format version 2 is not known, expected 1"
    );
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    assert_eq!(
        refused("<nmaprun start=\"0\">\n<host><ports>\n<port portid=\"70000\" protocol=\"tcp\"/>"),
        "line 3: found the port `70000`, expected 0 to 65535"
    );
    assert_eq!(
        refused("<nmaprun start=\"0\">\n<host><address addr=\"::g\"/></host></nmaprun>"),
        "line 2: found the address `::g`, expected IPv4 or IPv6"
    );
    assert_eq!(
        refused("<nmaprun start=\"0\">\n<host>\n"),
        "line 3: found the end of the document, expected `</nmaprun>`: it was cut off"
    );
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE nmaprun [<!ENTITY a \"aaaa\">]><nmaprun args=\"&a;\"></nmaprun>";
    assert_eq!(
        refused(bomb),
        "line 1: found a document type with declarations of its own, expected `<!DOCTYPE nmaprun>`: entities are not expanded"
    );
    let unknown = "<nmaprun start=\"0\">&a;</nmaprun>";
    assert!(refused(unknown).starts_with("line 1: found the entity `a`"));
}

#[test]
fn depth_and_numbers_are_bounded() {
    let deep = format!("<nmaprun>{}", "<a>".repeat(100));
    assert_eq!(
        refused(&deep),
        "line 1: the depth of elements is larger than 64"
    );
    let wide = format!("<nmaprun {}>", "a=\"\" ".repeat(100));
    assert_eq!(
        refused(&wide),
        "line 1: the number of attributes is larger than 64"
    );
    let nested = format!("{{\"v\":1,\"type\":{}", "[".repeat(100_000));
    assert!(matches!(
        read(&mut nested.as_bytes()).unwrap_err(),
        ReadError::Malformed { line: 1, .. }
    ));
}

#[test]
fn unknown_types_and_fields_come_from_later_versions() {
    let lines = concat!(
        "{\"v\":1,\"type\":\"host.up\",\"at\":\"2026-11-23T12:00:00Z\",\"address\":\"192.0.2.1\",",
        "\"reason\":\"echo-reply\",\"colour\":\"red\"}\n",
        "{\"type\":\"host.smell\",\"of\":\"roses\"}\n"
    );
    let record = read(&mut lines.as_bytes()).unwrap();
    assert_eq!(record.hosts.len(), 1);
}

#[test]
fn ports_that_an_old_document_only_counts_are_those_asked_and_not_listed() {
    let document = r#"<nmaprun scanner="nmap" start="0" version="5.00">
<scaninfo type="syn" protocol="tcp" numservices="4" services="20-23"/>
<host><status state="up" reason="reset"/><address addr="192.0.2.1" addrtype="ipv4"/>
<ports><extraports state="closed" count="3"><extrareasons reason="resets" count="3"/></extraports>
<port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="64"/></port>
<port protocol="sctp" portid="20"><state state="open" reason="init-ack"/></port></ports></host></nmaprun>"#;
    let record = read(&mut document.as_bytes()).unwrap();
    let host = record.hosts.values().next().unwrap();
    assert_eq!(
        host.rest_of(Protocol::Tcp, PortState::Closed).to_string(),
        "20-21,23"
    );
    assert_eq!(host.ports.len(), 1);
    assert_eq!(host.ports[&(Protocol::Tcp, 22)].ttl, Some(64));
}

#[test]
fn the_published_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/jsonl.schema.json");
    if std::env::var_os("PORTOLAN_UPDATE_SCHEMA").is_some() {
        std::fs::write(path, crate::schema::json_schema()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == crate::schema::json_schema(),
        "docs/jsonl.schema.json is old: run this test with PORTOLAN_UPDATE_SCHEMA=1"
    );
}
