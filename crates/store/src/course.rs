//! How a scan went over time: few points, however long it takes.

use std::time::Duration;

use portolan_model::event::Progress;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::{Error, Result};
use crate::scan::ScanId;
use crate::store::{Store, must_exist};
use crate::time::{span, span_micros};

/// Points that are kept: with more, every second one goes, and fewer are taken from then on.
const MOST: usize = 240;

/// No more than a point in this time, at first.
const STEP: Duration = Duration::from_millis(200);

/// How far a scan was at some time, and how fast it went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Time since the start; that of a scan that went on is the time that it ran.
    pub elapsed: Duration,
    /// The share of pairs that were settled, 0 to 1.
    pub share: f64,
    /// Probes sent a second.
    pub rate: f64,
}

impl Store {
    /// How a scan went over time: at most 241 moments in order, the last one as it is now.
    ///
    /// # Errors
    /// [`Error::NoSuchScan`].
    pub fn course(&self, id: ScanId) -> Result<Vec<Moment>> {
        self.read(|connection| {
            must_exist(connection, id)?;
            Ok(Course::load(connection, id)?.moments)
        })
    }
}

/// The course of a scan while it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course {
    moments: Vec<Moment>,
    /// Time that earlier parts of the scan took.
    before: Duration,
}

impl Course {
    /// The stored course of a scan, to be gone on with.
    pub(crate) fn load(connection: &Connection, scan: ScanId) -> Result<Self> {
        let json: Option<String> = connection
            .prepare_cached("SELECT points FROM course WHERE scan = ?1")?
            .query_row([scan], |row| row.get(0))
            .optional()?;
        let points: Vec<(i64, f64, f64)> = json
            .map_or(Ok(Vec::new()), |json| serde_json::from_str(&json))
            .map_err(|error| Error::damaged("the course of a scan", error))?;
        let moments: Vec<_> = points
            .into_iter()
            .map(|(elapsed, share, rate)| Moment {
                elapsed: span(elapsed),
                share,
                rate,
            })
            .collect();
        Ok(Self {
            before: moments
                .last()
                .map_or(Duration::ZERO, |moment| moment.elapsed),
            moments,
        })
    }

    pub(crate) fn save(&self, connection: &Connection, scan: ScanId) -> Result<()> {
        let points: Vec<_> = self
            .moments
            .iter()
            .map(|moment| {
                // Five digits are finer than any screen.
                let share = (moment.share * 1e5).round() / 1e5;
                (
                    span_micros(moment.elapsed),
                    share,
                    (moment.rate * 10.0).round() / 10.0,
                )
            })
            .collect();
        let json = serde_json::to_string(&points)
            .map_err(|error| Error::damaged("the course of a scan", error))?;
        connection
            .prepare_cached("INSERT OR REPLACE INTO course (scan, points) VALUES (?1, ?2)")?
            .execute(params![scan, json])?;
        Ok(())
    }

    /// Takes a moment, where enough time has gone by; the newest always stands at the end.
    #[expect(clippy::cast_precision_loss, reason = "a share for a picture")]
    pub(crate) fn take(&mut self, progress: &Progress) {
        let elapsed = self.before + progress.elapsed;
        let share = if progress.total == 0 {
            0.0
        } else {
            (progress.done as f64 / progress.total as f64).min(1.0)
        };
        let moment = Moment {
            elapsed,
            share,
            rate: if progress.rate.is_finite() {
                progress.rate
            } else {
                0.0
            },
        };
        // The last one is provisional: it is replaced until it is far enough from the one before.
        if let [.., before, last] = self.moments.as_mut_slice()
            && last.elapsed.saturating_sub(before.elapsed) < Self::step(elapsed)
        {
            if elapsed >= last.elapsed {
                *last = moment;
            }
            return;
        }
        if self
            .moments
            .last()
            .is_some_and(|last| elapsed <= last.elapsed)
        {
            return;
        }
        self.moments.push(moment);
        if self.moments.len() > MOST {
            let last = self.moments.len() - 1;
            let mut place = 0;
            self.moments.retain(|_| {
                let keep = place % 2 == 0 || place == last;
                place += 1;
                keep
            });
        }
    }

    /// The scan has come to its end, whatever its last progress said: of addresses at which nobody
    /// is, no port counts.
    pub(crate) fn complete(connection: &Connection, scan: ScanId) -> Result<()> {
        let mut course = Self::load(connection, scan)?;
        let Some(last) = course.moments.last_mut() else {
            return Ok(());
        };
        last.share = 1.0;
        course.save(connection, scan)
    }

    /// The least time between points of a scan that has run for so long.
    fn step(elapsed: Duration) -> Duration {
        STEP.max(elapsed / u32::try_from(MOST).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64, done: u128) -> Progress {
        Progress {
            done,
            total: 1000,
            rate: 50.0,
            elapsed: Duration::from_millis(millis),
            ..Progress::default()
        }
    }

    #[test]
    fn a_day_takes_as_few_points_as_a_minute_and_ends_with_the_newest() {
        let mut course = Course::default();
        for second in 0..86_400 {
            course.take(&at(second * 1000, u128::from(second) * 1000 / 86_400));
        }
        assert!(course.moments.len() <= MOST, "{}", course.moments.len());
        assert!(course.moments.len() >= MOST / 4, "{}", course.moments.len());
        assert!(
            course
                .moments
                .windows(2)
                .all(|pair| pair[0].elapsed < pair[1].elapsed)
        );
        let last = course.moments.last().unwrap();
        assert_eq!(last.elapsed, Duration::from_secs(86_399));
    }

    #[test]
    fn a_short_scan_keeps_its_beginning_and_its_end() {
        let mut course = Course::default();
        for step in 0..20 {
            course.take(&at(step * 50, u128::from(step) * 50));
        }
        let spans: Vec<_> = course
            .moments
            .iter()
            .map(|moment| moment.elapsed.as_millis())
            .collect();
        assert_eq!(spans.first(), Some(&0));
        assert_eq!(spans.last(), Some(&950));
        assert!(spans.len() <= 7, "{spans:?}");
    }

    #[test]
    fn a_scan_that_goes_on_adds_to_what_there_is() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE course (scan INTEGER PRIMARY KEY, points TEXT)")
            .unwrap();
        let mut course = Course::default();
        course.take(&at(0, 0));
        course.take(&at(1000, 400));
        course.save(&connection, ScanId(7)).unwrap();
        let mut course = Course::load(&connection, ScanId(7)).unwrap();
        course.take(&at(0, 400));
        course.take(&at(500, 1000));
        let last = course.moments.last().unwrap();
        assert_eq!(last.elapsed, Duration::from_millis(1500));
        assert!((last.share - 1.0).abs() < 1e-9);
    }
}
