//! What fuzzing starts from, run as an ordinary test.

use std::fs;
use std::path::Path;

use portolan_store::Query;

#[test]
fn the_corpus_of_queries_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/query");
    let files = fs::read_dir(corpus).expect("the corpus is part of the project");
    let replayed = files
        .map(|file| {
            let bytes = fs::read(file.expect("it was listed").path()).expect("it is a file");
            // What is not text never gets as far as a query.
            if let Ok(text) = std::str::from_utf8(&bytes) {
                Query::fuzz(text);
            }
        })
        .count();
    assert!(replayed > 0);
}
