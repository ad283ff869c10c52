//! The bodies of the fuzz targets: what must hold for any bytes that stand where text of ours
//! belongs. Each panics where it does not hold.
//!
//! They are functions of the library so that the corpus is replayed by an ordinary test.

use crate::ports::PortSpec;
use crate::target::Target;

/// A target that is read prints as text that is read as the same target, and each of its
/// addresses is found where it stands. One that is refused says why.
pub fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let target = match text.parse::<Target>() {
        Ok(target) => target,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.hint().as_deref(), Some(""));
            return;
        }
    };
    let printed = target.to_string();
    assert_eq!(
        printed.parse().as_ref(),
        Ok(&target),
        "{text:?} prints as {printed:?}"
    );
    let Some(addresses) = target.addresses() else {
        return;
    };
    let count = addresses.len();
    for index in [0, count / 2, count.saturating_sub(1)] {
        let address = addresses.at(index).expect("it is less than the length");
        assert_eq!(addresses.index_of(address), Some(index), "{text:?}");
    }
    assert_eq!(addresses.at(count), None, "{text:?}");
}

/// A list of ports that is read prints as a list that is read as the same ports, none of them 0.
/// One that is refused says why.
pub fn ports(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let ports = match text.parse::<PortSpec>() {
        Ok(ports) => ports,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.hint().as_deref(), Some(""));
            return;
        }
    };
    for set in [ports.tcp(), ports.udp()] {
        assert_eq!(set.len(), set.iter().count(), "{text:?}");
        assert!(!set.contains(0), "{text:?} holds port 0");
    }
    let printed = ports.to_string();
    assert_eq!(
        printed.parse().as_ref(),
        Ok(&ports),
        "{text:?} prints as {printed:?}"
    );
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    /// Hands every file of a corpus to the body of its target; how many there were.
    fn replay(target: &str, body: fn(&[u8])) -> usize {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let files = fs::read_dir(corpus.join(target)).unwrap();
        files
            .map(|file| body(&fs::read(file.unwrap().path()).unwrap()))
            .count()
    }

    #[test]
    fn the_corpus_of_targets_holds() {
        assert!(replay("target", super::target) > 0);
    }

    #[test]
    fn the_corpus_of_ports_holds() {
        assert!(replay("ports", super::ports) > 0);
    }

    proptest! {
        #[test]
        fn any_text_that_looks_like_a_target_holds(text in "[0-9a-f:./,*\\[\\]-]{0,24}") {
            super::target(text.as_bytes());
        }

        #[test]
        fn any_text_that_looks_like_ports_holds(text in "([TU]:)?[0-9,-]{0,16}|[a-z,TU:-]{0,16}") {
            super::ports(text.as_bytes());
        }
    }
}
