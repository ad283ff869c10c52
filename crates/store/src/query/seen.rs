//! When a result was found, or its port changed: `seen>2026-11-01`, `changed:7d`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A span of time in which something was found. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// `>2026-11-01`: then or later.
    Since(Point),
    /// `<2026-11-01`: before.
    Before(Point),
    /// `2026-11-01`: on that day.
    On(Date),
    /// `7d` or `<7d`: at most so long ago.
    Within(Age),
    /// `>7d`: longer ago.
    Older(Age),
}

/// A length of time: `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Age {
    /// How many.
    pub count: u32,
    /// Of what.
    pub unit: Unit,
}

/// A day or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The beginning of a day.
    Day(Date),
    /// A moment (RFC 3339).
    Moment(Timestamp),
}

/// What a time is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `m`
    Minutes,
    /// `h`
    Hours,
    /// `d`
    Days,
    /// `w`
    Weeks,
}

impl Unit {
    const ALL: [(char, Self, i64); 4] = [
        ('m', Self::Minutes, 60),
        ('h', Self::Hours, 3600),
        ('d', Self::Days, 86_400),
        ('w', Self::Weeks, 604_800),
    ];
}

/// It is no time that a query can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATime;

impl Point {
    /// Its first microsecond since 1970.
    fn micros(self) -> i64 {
        match self {
            Self::Moment(moment) => moment.as_microsecond(),
            Self::Day(day) => start_of(day),
        }
    }
}

/// The first microsecond of a day; those that no clock shows are as early as can be.
fn start_of(day: Date) -> i64 {
    TimeZone::UTC
        .to_timestamp(day.at(0, 0, 0, 0))
        .map_or(i64::MIN, Timestamp::as_microsecond)
}

impl Seen {
    /// Whether something that was found at `at`, in microseconds since 1970, fits.
    pub(crate) fn contains(self, at: i64, now: i64) -> bool {
        match self {
            Self::Since(point) => at >= point.micros(),
            Self::Before(point) => at < point.micros(),
            Self::On(day) => {
                let next = day.tomorrow().map_or(i64::MAX, start_of);
                (start_of(day)..next).contains(&at)
            }
            Self::Within(age) => at >= now.saturating_sub(age.micros()),
            Self::Older(age) => at < now.saturating_sub(age.micros()),
        }
    }
}

impl Age {
    /// How long it is, in microseconds.
    pub(super) fn micros(self) -> i64 {
        let seconds = Unit::ALL
            .iter()
            .find(|(_, known, _)| *known == self.unit)
            .map_or(0, |(_, _, seconds)| *seconds);
        seconds * 1_000_000 * i64::from(self.count)
    }

    /// Reads it; `None` for what is none, an error for one that is too long.
    fn read(text: &str) -> Result<Option<Self>, NotATime> {
        let unit = Unit::ALL
            .iter()
            .find(|(letter, ..)| text.ends_with(*letter));
        let Some((count, unit)) =
            unit.and_then(|(letter, unit, _)| Some((text.strip_suffix(*letter)?, *unit)))
        else {
            return Ok(None);
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let count = count.parse().map_err(|_| NotATime)?;
        Ok(Some(Self { count, unit }))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = Unit::ALL.iter().find(|(_, known, _)| *known == self.unit);
        write!(
            f,
            "{}{}",
            self.count,
            letter.map_or('d', |(letter, ..)| *letter)
        )
    }
}

impl FromStr for Seen {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let point = |text: &str| {
            text.parse()
                .map(Point::Day)
                .ok()
                // A date is a timestamp's beginning; only a whole one is taken for a day.
                .filter(|_| text.len() <= "-009999-12-31".len() && !text.contains(['T', 't', ' ']))
                .or_else(|| text.parse().map(Point::Moment).ok())
                .ok_or(NotATime)
        };
        if let Some(since) = text.strip_prefix('>') {
            if let Some(age) = Age::read(since)? {
                return Ok(Self::Older(age));
            }
            return point(since.strip_prefix('=').unwrap_or(since)).map(Self::Since);
        }
        if let Some(before) = text.strip_prefix('<') {
            if let Some(age) = Age::read(before)? {
                return Ok(Self::Within(age));
            }
            return point(before).map(Self::Before);
        }
        if let Some(age) = Age::read(text)? {
            return Ok(Self::Within(age));
        }
        match point(text)? {
            Point::Day(day) => Ok(Self::On(day)),
            Point::Moment(_) => Err(NotATime),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => write!(f, "{day}"),
            Self::Moment(moment) => write!(f, "{moment}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Since(point) => write!(f, ">{point}"),
            Self::Before(point) => write!(f, "<{point}"),
            Self::On(day) => write!(f, "{day}"),
            Self::Within(age) => write!(f, "{age}"),
            Self::Older(age) => write!(f, ">{age}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn days_moments_and_ages_are_read_and_print_as_they_read() {
        for text in [
            ">2026-11-01",
            "<2026-11-01",
            "2026-11-01",
            "7d",
            "90m",
            "0h",
            "2w",
            ">2026-11-01T10:00:00Z",
            ">7d",
        ] {
            assert_eq!(text.parse::<Seen>().unwrap().to_string(), text);
        }
        assert_eq!(">=2026-11-01".parse::<Seen>(), ">2026-11-01".parse());
        assert_eq!("<7d".parse::<Seen>(), "7d".parse(), "younger than that");
        for text in ["", ">", "7", "d", "7y", "2026-13-01", "-7d", "99999999999d"] {
            assert_eq!(text.parse::<Seen>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_and_ends_before_the_next() {
        let now = micros("2026-11-08T12:00:00Z");
        let fits = |text: &str, at: &str| text.parse::<Seen>().unwrap().contains(micros(at), now);
        assert!(fits("2026-11-01", "2026-11-01T00:00:00Z"));
        assert!(fits("2026-11-01", "2026-11-01T23:59:59.999999Z"));
        assert!(!fits("2026-11-01", "2026-11-02T00:00:00Z"));
        assert!(fits(">2026-11-01", "2026-11-01T00:00:00Z"));
        assert!(!fits("<2026-11-01", "2026-11-01T00:00:00Z"));
        assert!(fits("7d", "2026-11-01T12:00:00Z"));
        assert!(!fits("7d", "2026-11-01T11:59:59Z"));
        assert!(fits(">7d", "2026-11-01T11:59:59Z"));
        assert!(!fits(">7d", "2026-11-01T12:00:00Z"));
        assert!(fits(">2026-11-01T10:00:00+02:00", "2026-11-01T08:00:00Z"));
    }
}
