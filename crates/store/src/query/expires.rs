//! When a certificate expires: `tls.expires<30d`, `tls.expires>2026-12-31`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;

use super::seen::{Age, NotATime, Point, Seen};

/// The fact of a service that says when its certificate expires.
pub(crate) const FACT: &str = "tls.cert.not-after";

/// A span of time in which a certificate expires. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expires {
    /// `<30d`: sooner than so long from now; also one that has expired.
    Sooner(Age),
    /// `>30d`: not that soon.
    Later(Age),
    /// `30d`: from now on, within so long.
    Within(Age),
    /// `<2026-12-31`: before.
    Before(Point),
    /// `>2026-12-31`: then or later.
    Since(Point),
    /// `2026-12-31`: on that day.
    On(Date),
}

impl Expires {
    /// Whether a certificate that expires at `at`, in microseconds since 1970, fits.
    pub(crate) fn contains(self, at: i64, now: i64) -> bool {
        let ahead = |age: Age| now.saturating_add(age.micros());
        match self {
            Self::Sooner(age) => at < ahead(age),
            Self::Later(age) => at >= ahead(age),
            Self::Within(age) => (now..=ahead(age)).contains(&at),
            Self::Before(point) => Seen::Before(point).contains(at, now),
            Self::Since(point) => Seen::Since(point).contains(at, now),
            Self::On(day) => Seen::On(day).contains(at, now),
        }
    }
}

/// When a certificate expires, by the fact that says so, in microseconds since 1970.
pub(crate) fn moment(fact: &str) -> Option<i64> {
    fact.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_microsecond)
}

impl FromStr for Expires {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        Ok(match text.parse()? {
            // What is younger than an age in the past is sooner than it in the future.
            Seen::Within(age) if text.starts_with('<') => Self::Sooner(age),
            Seen::Within(age) => Self::Within(age),
            Seen::Older(age) => Self::Later(age),
            Seen::Before(point) => Self::Before(point),
            Seen::Since(point) => Self::Since(point),
            Seen::On(day) => Self::On(day),
        })
    }
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sooner(age) => write!(f, "<{age}"),
            Self::Later(age) => write!(f, ">{age}"),
            Self::Within(age) => write!(f, "{age}"),
            Self::Before(point) => write!(f, "<{point}"),
            Self::Since(point) => write!(f, ">{point}"),
            Self::On(day) => write!(f, "{day}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_ahead_are_read_and_print_as_they_read() {
        for text in [
            "<30d",
            ">2w",
            "12h",
            "<2026-12-31",
            ">2026-12-31",
            "2026-12-31",
        ] {
            assert_eq!(text.parse::<Expires>().unwrap().to_string(), text);
        }
        for text in ["", "<", "soon", "30", "-30d"] {
            assert_eq!(text.parse::<Expires>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn an_age_is_counted_from_now_on() {
        let now = moment("2026-11-01T00:00:00Z").unwrap();
        let fits = |text: &str, at: &str| {
            let at = moment(at).unwrap();
            text.parse::<Expires>().unwrap().contains(at, now)
        };
        assert!(fits("<30d", "2026-11-30T23:59:59Z"));
        assert!(fits("<30d", "2020-01-01T00:00:00Z"), "it has expired");
        assert!(!fits("<30d", "2026-12-01T00:00:00Z"));
        assert!(fits(">30d", "2026-12-01T00:00:00Z"));
        assert!(fits("30d", "2026-12-01T00:00:00Z"));
        assert!(!fits("30d", "2026-10-31T00:00:00Z"));
        assert!(fits("<2026-12-31", "2026-12-30T23:59:59Z"));
        assert!(fits("2026-12-31", "2026-12-31T12:00:00Z"));
        assert_eq!(moment("it never does"), None);
    }
}
