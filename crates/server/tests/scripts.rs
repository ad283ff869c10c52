//! The scripts' own tests, which node runs; without node this says so and is content.

use std::path::Path;
use std::process::Command;

#[test]
fn the_scripts_pass_their_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tests");
    let tests: Vec<_> = std::fs::read_dir(folder)
        .expect("the tests are there")
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    assert!(!tests.is_empty());
    match Command::new("node").arg("--test").args(&tests).output() {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        ),
        Err(error) => println!("skipped: the scripts are not tested, node cannot run: {error}"),
    }
}
