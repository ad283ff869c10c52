//! A chart of one network: a bar for each scanner, as long as it took, and what it found.

use std::fmt::Write;

use super::course::Course;
use super::standing::Standing;

/// Sizes in pixels.
const WIDTH: f64 = 720.0;
const LABELS: f64 = 180.0;
const NOTES: f64 = 190.0;
const ROW: f64 = 30.0;
const TOP: f64 = 44.0;

/// An SVG that follows the reader's choice of light or dark.
pub(crate) fn draw(course: &Course, standings: &[Standing]) -> String {
    let longest = standings
        .iter()
        .map(Standing::wall)
        .fold(f64::MIN_POSITIVE, f64::max);
    let count = u32::try_from(standings.len()).unwrap_or(0);
    let height = TOP + ROW * f64::from(count) + 10.0;
    let title = escape(course.title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n\
         <style>\n\
         text {{ font: 14px system-ui, sans-serif; fill: #1f2933 }}\n\
         .title {{ font-weight: 600 }}\n\
         .all {{ fill: #1d6fa5 }}\n\
         .some {{ fill: #c2571a }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e4e7eb }}\n\
         .all {{ fill: #58b4e8 }}\n\
         .some {{ fill: #f0935a }}\n\
         }}\n\
         </style>\n\
         <text class=\"title\" x=\"0\" y=\"20\">{title}</text>\n"
    );
    let mut y = TOP;
    for standing in standings {
        let length = (standing.wall() / longest * (WIDTH - LABELS - NOTES)).max(1.0);
        let found = standing.least_found();
        let class = if found == standing.open {
            "all"
        } else {
            "some"
        };
        let middle = y + ROW * 0.6;
        let stopped = if standing.stopped > 0 {
            ", stopped"
        } else {
            ""
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"18\" rx=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{middle:.0}\">{:.1} s, {found}/{} found{stopped}</text>",
            LABELS - 8.0,
            escape(standing.tool),
            y + 4.0,
            LABELS + length + 8.0,
            standing.wall(),
            standing.open,
        );
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::course::COURSES;

    #[test]
    fn a_chart_has_a_bar_for_each_scanner_and_both_schemes() {
        let standings = [Standing::new("portolan"), Standing::new("nmap <T4>")];
        let svg = draw(&COURSES[0], &standings);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert!(svg.contains("nmap &lt;T4"));
    }
}
