//! Values of options, read and refused in words.

use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};

use portolan_model::spec::Template;

/// What `-T` takes.
pub(crate) const TIMING: &str = "expected a number from 0 to 5, or paranoid, sneaky, polite, \
                                 normal, aggressive or insane";

/// `-T`: a number from 0 to 5 or a name.
///
/// # Errors
/// For anything else.
pub(crate) fn template(text: &str) -> Result<Template, String> {
    let by_name = match text.to_ascii_lowercase().as_str() {
        "paranoid" => Some(Template::Paranoid),
        "sneaky" => Some(Template::Sneaky),
        "polite" => Some(Template::Polite),
        "normal" => Some(Template::Normal),
        "aggressive" => Some(Template::Aggressive),
        "insane" => Some(Template::Insane),
        number => number.parse().ok().and_then(Template::from_number),
    };
    by_name.ok_or_else(|| TIMING.to_owned())
}

/// The name of the scanner in the XML.
///
/// # Errors
/// For one that is empty: readers tell the files of a scanner by it.
pub(crate) fn scanner(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected a name, such as `nmap`".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn at_least_one_u32(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("expected a number from 1 to {}", u32::MAX))
}

pub(super) fn at_least_one_u64(text: &str) -> Result<NonZeroU64, String> {
    text.parse()
        .map_err(|_| format!("expected a number of probes a second, 1 to {}", u64::MAX))
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

pub(super) fn top_ports(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=65_535).contains(count))
        .ok_or_else(|| "expected a number of ports, 1 to 65535".to_owned())
}

/// The number of a scan in the history.
///
/// # Errors
/// For anything else.
pub(crate) fn scan_id(text: &str) -> Result<portolan_store::ScanId, String> {
    text.parse()
        .map_err(|_| "expected the number of a scan, as `portolan history` shows it".to_owned())
}

pub(super) fn probes(text: &str) -> Result<NonZeroU8, String> {
    text.parse()
        .ok()
        .filter(|probes: &NonZeroU8| probes.get() <= 16)
        .ok_or_else(|| "expected a number from 1 to 16".to_owned())
}

pub(super) fn results(text: &str) -> Result<NonZeroU64, String> {
    text.parse()
        .map_err(|_| "expected a number of open ports, at least 1".to_owned())
}

pub(super) fn retries(text: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| "expected a number from 0 to 255".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_is_a_number_or_a_name() {
        assert_eq!(template("4"), Ok(Template::Aggressive));
        assert_eq!(template("Polite"), Ok(Template::Polite));
        assert_eq!(template("6"), Err(TIMING.to_owned()));
        assert!(template("-1").is_err());
    }
}
