//! What fuzzing starts from, run as ordinary tests.

use std::fs;
use std::path::Path;

/// Hands every file of a corpus to the body of its target; how many there were.
fn replay(target: &str, body: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = fs::read_dir(corpus.join(target)).expect("the corpus is part of the project");
    files
        .map(|file| body(&fs::read(file.expect("it was listed").path()).expect("it is a file")))
        .count()
}

#[test]
fn the_corpus_of_xml_holds() {
    assert!(replay("xml", portolan_report::fuzz::xml) > 0);
}

#[test]
fn the_corpus_of_json_lines_holds() {
    assert!(replay("json_lines", portolan_report::fuzz::json_lines) > 0);
}
