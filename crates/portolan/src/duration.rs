//! Times as users write them: `500ms`, `2s`, `1m`, `1.5`.

use std::time::Duration;

/// The longest time that is taken: a day. What is longer was meant otherwise.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads a time: a number with a unit (`us`, `ms`, `s`, `m`, `h`), or alone, in seconds.
///
/// # Errors
/// What is wrong with it, to stand after its value in a message.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err("a time cannot be negative".to_owned());
    }
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let nanoseconds: u128 = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => {
            return Err("expected a time such as `500ms`, `2s` or `1m`".to_owned());
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err("expected a time such as `500ms`, `2s` or `1m`".to_owned());
    }
    let too_long = || "a time can be a day at the most".to_owned();
    // By digits and not through a float, so that 0.1 s is 100 ms to the nanosecond.
    let mut total: u128 = 0;
    for digit in whole.bytes() {
        total = total
            .checked_mul(10)
            .and_then(|total| total.checked_add(u128::from(digit - b'0')))
            .filter(|&total| total <= LONGEST.as_nanos())
            .ok_or_else(too_long)?;
    }
    total = total.checked_mul(nanoseconds).ok_or_else(too_long)?;
    let mut place = nanoseconds;
    for digit in fraction.bytes() {
        place /= 10;
        total += place * u128::from(digit - b'0');
    }
    if total > LONGEST.as_nanos() {
        return Err(too_long());
    }
    if total == 0 {
        return Err("a time must be longer than 0".to_owned());
    }
    let seconds = u64::try_from(total / 1_000_000_000).unwrap_or(u64::MAX);
    let rest = u32::try_from(total % 1_000_000_000).unwrap_or(0);
    Ok(Duration::new(seconds, rest))
}

/// A time for people, short: `340 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn show(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() < 1000 => format!("{} ms", time.as_millis()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read_and_a_bare_number_is_seconds() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("2s", 2000),
            ("1m", 60_000),
            ("1.5", 1500),
            (".5s", 500),
            ("0.1", 100),
            ("1h", 3_600_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        assert_eq!(parse("250us"), Ok(Duration::from_micros(250)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(parse("-1"), Err("a time cannot be negative".to_owned()));
        assert_eq!(parse("0"), Err("a time must be longer than 0".to_owned()));
        assert_eq!(
            parse("0.0ms"),
            Err("a time must be longer than 0".to_owned())
        );
        assert_eq!(
            parse("25h"),
            Err("a time can be a day at the most".to_owned())
        );
        assert_eq!(
            parse("99999999999999999999999999999999999999999999"),
            Err("a time can be a day at the most".to_owned())
        );
        for text in ["", "s", ".", "1.2.3", "2 weeks", "1e3", "NaN", "inf", "١s"] {
            assert_eq!(
                parse(text),
                Err("expected a time such as `500ms`, `2s` or `1m`".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn times_are_shown_short() {
        assert_eq!(show(Duration::from_millis(0)), "0 ms");
        assert_eq!(show(Duration::from_millis(340)), "340 ms");
        assert_eq!(show(Duration::from_millis(2412)), "2.4 s");
        assert_eq!(show(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(show(Duration::from_secs(7512)), "2 h 5 min");
    }

    proptest! {
        #[test]
        fn a_printed_number_of_milliseconds_reads_back(milliseconds in 1u64..=86_400_000) {
            let time = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format!("{milliseconds}ms")), Ok(time));
            let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
            prop_assert_eq!(parse(&seconds), Ok(time));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,30}") {
            let _ = parse(&text);
        }
    }
}
