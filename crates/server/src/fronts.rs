//! Options of the shell, in notes of what scans: the members of a request that are the same, and
//! the fields of the form.

/// An option, the member and the field of the same meaning.
const NAMES: [(&str, &str, &str); 7] = [
    ("--max-rate", "max_rate", "Rate limit"),
    ("--timeout", "timeout_ms", "Timeout"),
    ("--concurrency", "concurrency", "Thread Count"),
    ("--connect", "connect", "Connect"),
    ("--detect", "detect", "Detect services and versions"),
    (
        "--skip-discovery",
        "discovery",
        "Ask every port of every address",
    ),
    // The form does not have it.
    ("--udp-certain", "udp_certain", "udp_certain of the API"),
];

/// The text with members in the place of options, each between backticks.
pub(crate) fn for_api(text: String) -> String {
    if !text.contains("`--") {
        return text;
    }
    let parts = text.split('`').enumerate().map(|(place, part)| {
        let renamed =
            (place % 2 == 1).then(|| renamed(part, |(option, _, _)| option, |name| name.1));
        renamed.flatten().unwrap_or_else(|| part.to_owned())
    });
    parts.collect::<Vec<_>>().join("`")
}

/// The field of the form that a member means, with the value that stands behind it.
pub(crate) fn for_page(member: &str) -> Option<String> {
    renamed(member, |(_, member, _)| member, |name| name.2)
}

type Name = (&'static str, &'static str, &'static str);

fn renamed(
    words: &str,
    from: impl Fn(Name) -> &'static str,
    to: impl Fn(Name) -> &'static str,
) -> Option<String> {
    let (name, value) = words.split_once(' ').unwrap_or((words, ""));
    let found = NAMES.into_iter().find(|&known| from(known) == name)?;
    Some(format!("{} {value}", to(found)).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_for_the_shell_names_members_and_fields() {
        let note = "scan again with `--max-rate 100`, or wait for `10.0.0.1`".to_owned();
        assert_eq!(
            for_api(note),
            "scan again with `max_rate 100`, or wait for `10.0.0.1`"
        );
        assert_eq!(for_page("max_rate 100").as_deref(), Some("Rate limit 100"));
        assert_eq!(for_page("10.0.0.1"), None);
    }
}
