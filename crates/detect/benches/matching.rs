//! How long it takes to hold one answer against all rules, and to read all rules at the start.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use portolan_detect::RuleSet;
use portolan_detect::rules::{Answer, BANNER};
use portolan_model::Protocol;

/// Answers of common kinds: what they are, to which probe, the bytes.
fn answers() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut page = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\r\n<html><head><title>Welcome</title></head><body>".to_vec();
    let small = page.clone();
    while page.len() < 8 * 1024 {
        page.extend_from_slice(b"<p class=\"text\">Some words of a page, 12 of them a line</p>\n");
    }
    vec![
        (
            "ssh banner",
            BANNER,
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n".to_vec(),
        ),
        (
            "smtp banner",
            BANNER,
            b"220 mx.example.test ESMTP Postfix (Debian/GNU)\r\n".to_vec(),
        ),
        (
            "unknown banner",
            BANNER,
            b"\x05\x00\x0a hello, this is none that is known\r\n".to_vec(),
        ),
        ("small page", "http-get", small),
        ("page of 8 KiB", "http-get", page),
    ]
}

fn matching(criterion: &mut Criterion) {
    let rules = RuleSet::embedded();
    let mut group = criterion.benchmark_group("one answer against all rules");
    for (name, to, bytes) in answers() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                rules.identify(Answer {
                    to,
                    protocol: Protocol::Tcp,
                    bytes: black_box(&bytes),
                })
            });
        });
    }
    group.finish();
    criterion.bench_function("reading all rules", |bencher| {
        bencher.iter(RuleSet::embedded);
    });
    // Expressions are compiled when they are first needed: those of banners and of web servers.
    criterion.bench_function(
        "reading all rules, then the first banner and page",
        |bencher| {
            bencher.iter(|| {
                let rules = RuleSet::embedded();
                for (name, to, bytes) in answers() {
                    if name != "page of 8 KiB" {
                        let protocol = Protocol::Tcp;
                        black_box(rules.identify(Answer {
                            to,
                            protocol,
                            bytes: &bytes,
                        }));
                    }
                }
                rules
            });
        },
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = matching
}
criterion_main!(benches);
