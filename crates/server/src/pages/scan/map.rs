//! The port map as a picture, for readers without scripts: 256 ports a row, each a square in the
//! colour of its state.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use portolan_model::{PortState, Protocol};

use crate::pages::extract::Path;
use crate::{AppState, Problem};

/// Ports in a row, and rows.
const SIDE: usize = 256;

/// `GET /scans/{id}/map.svg`
pub(in crate::pages) async fn show(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    let scan = state.scan(id).await?;
    let protocol = if scan.technique == "udp" {
        Protocol::Udp
    } else {
        Protocol::Tcp
    };
    let bytes = state.ports_bin_of_all(id, protocol).await?;
    let all: Vec<_> = bytes
        .into_iter()
        .map(|byte| state_of(byte).map(colour))
        .collect();
    Ok(([(CONTENT_TYPE, "image/svg+xml")], picture(&all)).into_response())
}

/// The state in a byte of a host's ports: `1 + 16 × state + reason`, 0 where nothing is known.
const fn state_of(byte: u8) -> Option<PortState> {
    match byte {
        0 => None,
        1..=16 => Some(PortState::Open),
        17..=32 => Some(PortState::Closed),
        33..=48 => Some(PortState::Filtered),
        _ => Some(PortState::OpenFiltered),
    }
}

const fn colour(state: PortState) -> &'static str {
    match state {
        PortState::Closed => "#9aa5b1",
        PortState::Filtered => "#e0a040",
        PortState::OpenFiltered => "#a45fc2",
        PortState::Open => "#005f99",
    }
}

/// A rectangle for each run of ports of one colour within a row, and one for rows that are all
/// the same.
fn picture(ports: &[Option<&'static str>]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIDE} {SIDE}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{SIDE}\" height=\"{SIDE}\" fill=\"#eef1f5\"/>"
    );
    let mut rows = ports.chunks(SIDE).enumerate().peekable();
    while let Some((y, row)) = rows.next() {
        let mut height = 1;
        while rows.next_if(|(_, next)| *next == row).is_some() {
            height += 1;
        }
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if let Some(Some(colour)) = run.first() {
                let width = run.len();
                // Writing to a string cannot fail.
                let _ = write!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
                );
            }
            x += run.len();
        }
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_alike_are_one_rectangle() {
        let mut ports = vec![Some(colour(PortState::Closed)); SIDE * SIDE];
        assert_eq!(picture(&ports).matches("<rect x").count(), 1);
        ports[2 * SIDE + 7] = Some(colour(PortState::Open));
        let svg = picture(&ports);
        assert_eq!(
            svg.matches("<rect x").count(),
            5,
            "above, left, open, right, below"
        );
        assert!(svg.contains("<rect x=\"7\" y=\"2\" width=\"1\" height=\"1\" fill=\"#005f99\"/>"));
        assert_eq!(
            picture(&vec![None; SIDE * SIDE]).matches("<rect x").count(),
            0
        );
    }
}
