//! What fuzzing starts from, run as ordinary tests.

use std::fs;
use std::path::Path;

use portolan_wire::fuzz;

/// What a target does with bytes.
type Body = fn(&[u8]);

#[test]
fn the_corpus_of_every_format_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let targets: [(&str, Body); 8] = [
        ("ethernet", fuzz::ethernet),
        ("arp", fuzz::arp),
        ("ip", fuzz::ip),
        ("tcp", fuzz::tcp),
        ("udp", fuzz::udp),
        ("icmpv4", fuzz::icmpv4),
        ("icmpv6", fuzz::icmpv6),
        ("quoted", fuzz::quoted),
    ];
    for (target, body) in targets {
        let files = fs::read_dir(corpus.join(target)).expect("the corpus is part of the project");
        let replayed = files
            .map(|file| body(&fs::read(file.expect("it was listed").path()).expect("it is a file")))
            .count();
        assert!(replayed > 0, "{target}");
    }
}
