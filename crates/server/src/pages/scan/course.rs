//! How a scan went over time, as a picture: what was done, and how fast.
//!
//! It is drawn here, so that it shows without scripts, on reload, and for scans that ended; while a
//! scan runs, scripts fetch it anew.

use maud::{Markup, html};

use super::super::words::{count, percent, span};
use crate::api::views::{CoursePoint, Scan};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 110.0;

/// A scan that was over sooner, in milliseconds, has no course to speak of.
const SHORTEST: f64 = 100.0;

/// Whether there is more to see than a beginning and an end.
fn is_line(course: &[CoursePoint]) -> bool {
    course
        .last()
        .is_some_and(|last| last.elapsed_ms >= SHORTEST)
}

/// The picture with its title; nothing for an ended scan that told of no course.
pub(super) fn render(scan: &Scan, course: &[CoursePoint]) -> Markup {
    if scan.is_over() && course.is_empty() {
        return html! {};
    }
    html! {
        section.card aria-labelledby="chart-title" {
            h2 #chart-title { "Progress over time" }
            (picture(scan, course))
        }
    }
}

/// The picture alone, or in words why there is none.
pub(super) fn picture(scan: &Scan, course: &[CoursePoint]) -> Markup {
    let lines = Lines::of(course);
    let words = lines.words();
    html! {
        progress-chart data-from=(format!("/scans/{}/course", scan.id)) {
            @if is_line(course) {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
                    aria-label=(format!("The course of the scan: {words}")) {
                    polygon.chart-area points=(lines.area()) {}
                    polyline.chart-rate points=(lines.rate) {}
                    polyline.chart-done points=(lines.done) {}
                }
                p.small.soft.nowrap { (words) }
                p.soft.small { "Line: done. Dashes: rate." }
            } @else {
                p.small.soft { (too_short(scan)) }
            }
        }
    }
}

/// What stands in the place of a line.
fn too_short(scan: &Scan) -> String {
    match scan.elapsed_ms.filter(|_| scan.is_over()) {
        Some(ms) => format!("It took {}: too short for a line.", span(ms)),
        None if scan.is_over() => "It was too short for a line.".to_owned(),
        None => "The line begins once the scan has run for a moment.".to_owned(),
    }
}

/// Both lines as the points of SVG polylines, and what they say.
#[derive(Debug, Default)]
struct Lines {
    done: String,
    rate: String,
    peak: f64,
    last: Option<CoursePoint>,
}

impl Lines {
    fn of(course: &[CoursePoint]) -> Self {
        let (Some(&first), Some(&last)) = (course.first(), course.last()) else {
            return Self::default();
        };
        let span = last.elapsed_ms.max(1.0);
        let peak = course.iter().map(|point| point.rate).fold(0.0, f64::max);
        let line = |height: fn(&CoursePoint, f64) -> f64| {
            // The first progress is told when the scan has run for a moment.
            let begin = CoursePoint {
                elapsed_ms: 0.0,
                share: 0.0,
                ..first
            };
            let begin = (first.elapsed_ms > 0.0).then_some(&begin);
            let places = begin.into_iter().chain(course).map(|point| {
                let x = point.elapsed_ms / span * WIDTH;
                let y = (1.0 - height(point, peak)) * HEIGHT;
                format!("{x:.1},{y:.1}")
            });
            places.collect::<Vec<_>>().join(" ")
        };
        Self {
            done: line(|point, _| point.share),
            rate: line(|point, peak| point.rate / peak.max(1.0)),
            peak,
            last: Some(last),
        }
    }

    fn area(&self) -> String {
        if self.done.is_empty() {
            return String::new();
        }
        format!("0,{HEIGHT} {} {WIDTH},{HEIGHT}", self.done)
    }

    fn words(&self) -> String {
        self.last.map_or_else(
            || "nothing yet".to_owned(),
            |last| {
                let done = format!(
                    "{} done after {}",
                    percent(last.share),
                    span(last.elapsed_ms)
                );
                match whole(self.peak) {
                    0 => done,
                    peak => format!("{done}; fastest {}/s", count(peak)),
                }
            },
        )
    }
}

/// A rate as people say it, without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and a rate is no negative number"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(elapsed_ms: f64, share: f64, rate: f64) -> CoursePoint {
        CoursePoint {
            elapsed_ms,
            share,
            rate,
        }
    }

    #[test]
    fn a_course_fills_the_picture_from_left_to_right_and_from_the_bottom_up() {
        let lines = Lines::of(&[
            at(0.0, 0.0, 10.0),
            at(500.0, 0.5, 40.0),
            at(1000.0, 1.0, 20.0),
        ]);
        assert_eq!(lines.done, "0.0,110.0 180.0,55.0 360.0,0.0");
        assert_eq!(lines.rate, "0.0,82.5 180.0,0.0 360.0,55.0");
        assert_eq!(lines.words(), "100 % done after 1.0 s; fastest 40/s");
    }

    #[test]
    fn a_course_of_one_point_is_a_line_from_the_beginning() {
        let course = [at(400.0, 1.0, 9.0)];
        assert!(is_line(&course));
        let lines = Lines::of(&course);
        assert_eq!(lines.done, "0.0,110.0 360.0,0.0");
        assert_eq!(lines.rate, "0.0,0.0 360.0,0.0");
    }

    #[test]
    fn a_scan_of_a_moment_has_no_course() {
        assert!(!is_line(&[]) && !is_line(&[at(0.0, 1.0, 9.0)]));
        assert!(!is_line(&[at(0.0, 0.0, 0.0), at(4.0, 1.0, 0.0)]));
        assert!(is_line(&[at(0.0, 0.0, 0.0), at(400.0, 1.0, 9.0)]));
    }

    #[test]
    fn no_course_and_a_standstill_are_pictures_too() {
        assert_eq!(Lines::of(&[]).words(), "nothing yet");
        let still = Lines::of(&[at(5.0, 0.0, 0.0), at(5.0, 0.0, 0.0)]);
        assert!(
            !still.done.contains("NaN") && !still.rate.contains("NaN"),
            "{still:?}"
        );
    }
}
