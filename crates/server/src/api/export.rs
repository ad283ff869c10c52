//! Results and comparisons as documents, written while they are read.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use portolan_model::{Protocol, ScanRecord};
use portolan_report::{Diff, Format, WriteOptions};
use portolan_store::{Query as Filter, ResultsRequest, ScanId, Store};
use tokio::sync::mpsc;

use super::extract::{Path, Query, ScanPath};
use crate::error::{Problem, Result};
use crate::request::ScanRequest;
use crate::state::{AppState, DiffQuery, ExportQuery, parse_query};

/// A piece of a document: large enough to compress, small enough to start at once.
const PIECE: usize = 64 << 10;

/// How many pieces wait for a slow reader.
const PIECES: usize = 4;

/// Write what a scan found as a document
#[utoipa::path(
    get, path = "/api/v1/scans/{id}/export", tag = "results",
    params(ScanPath, ExportQuery),
    responses(
        (status = 200, description = "The document, of the format's media type",
         content((String = "application/jsonl"), (String = "application/xml"), (String = "text/plain"),
                 (String = "text/csv"), (String = "text/markdown"), (String = "text/html")))
    )
)]
pub(crate) async fn export(
    State(state): State<AppState>,
    Path(ScanPath { id }): Path<ScanPath>,
    Query(query): Query<ExportQuery>,
) -> Result<Response> {
    let format = query.format.as_deref().unwrap_or("jsonl");
    let format: Format = format
        .parse()
        .map_err(|error: portolan_report::UnknownFormat| Problem::bad_request(error.to_string()))?;
    let filter = parse_query(query.q.as_deref().unwrap_or_default())?;
    let record = state
        .ask(move |store| filtered(store, ScanId(id), filter))
        .await?;
    let options = WriteOptions {
        open_only: query.open.unwrap_or(false),
        ..WriteOptions::default()
    };
    let name = format!("portolan-{id}.{}", format.extension());
    let body = stream_of(move |out| portolan_report::write(format, &record, &options, out));
    Ok(attachment(body, format.media_type(), &name))
}

/// Compare two scans
#[utoipa::path(
    get, path = "/api/v1/diff", tag = "results", params(DiffQuery),
    responses(
        (status = 200, description = "What differs",
         content((serde_json::Value = "application/json"), (String = "text/plain"), (String = "text/markdown")))
    )
)]
pub(crate) async fn diff(
    State(state): State<AppState>,
    Query(query): Query<DiffQuery>,
) -> Result<Response> {
    let (Some(from), Some(to)) = (query.from, query.to) else {
        return Err(Problem::bad_request(
            "two scans are compared: expected `from` and `to`",
        ));
    };
    let diff = state.diff(from, to).await?;
    write_diff(&diff, query.format.as_deref())
}

/// A comparison as a document.
///
/// # Errors
/// 400 for a format that there is not.
fn write_diff(diff: &Diff, format: Option<&str>) -> Result<Response> {
    let (kind, text) = match format {
        None | Some("" | "json") => ("application/json", diff.json()),
        Some("text" | "txt") => ("text/plain; charset=utf-8", diff.text()),
        Some("markdown" | "md") => ("text/markdown; charset=utf-8", diff.markdown()),
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "unknown format `{other}`: there are json, text and markdown"
            )));
        }
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

/// A body that a browser saves under a name and never shows: what comes from the network must
/// not become a page of this server.
fn attachment(body: Body, media_type: &'static str, name: &str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// A scan with the results alone that fit.
///
/// # Errors
/// What the history says.
pub fn filtered(store: &Store, id: ScanId, filter: Filter) -> portolan_store::Result<ScanRecord> {
    let mut record = store.record(id)?;
    if record.args.is_empty() {
        // Made here: the command line that would have made it.
        let scan = store.scan(id)?;
        record.args = ScanRequest::from_spec(&scan.spec, scan.detect).command();
    }
    if filter.terms.is_empty() {
        return Ok(record);
    }
    let mut kept: HashMap<IpAddr, HashSet<(Protocol, u16)>> = HashMap::new();
    let mut request = ResultsRequest {
        limit: 10_000,
        ..ResultsRequest::new(filter)
    };
    loop {
        let page = store.results(id, &request)?;
        for row in page.items {
            kept.entry(row.address.address)
                .or_default()
                .insert((row.protocol, row.port));
        }
        request.after = page.next;
        if request.after.is_none() {
            break;
        }
    }
    record.hosts.retain(|address, _| kept.contains_key(address));
    for (address, host) in &mut record.hosts {
        let Some(kept) = kept.get(address) else {
            continue;
        };
        host.ports.retain(|place, _| kept.contains(place));
        for ((protocol, _, _), ports) in &mut host.rest {
            *ports = ports
                .iter()
                .filter(|&port| kept.contains(&(*protocol, port)))
                .collect();
        }
        host.rest.retain(|_, ports| !ports.is_empty());
    }
    Ok(record)
}

/// A body that is written by `write` on a thread of its own, no faster than it is read.
fn stream_of(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            sender,
            piece: Vec::with_capacity(PIECE),
        };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = written {
            // The reader must not take half a document for a whole one; one that has gone
            // does not mind.
            let _ = pieces.sender.blocking_send(Err(error));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    // Compression asks once more after the end, which an unfolded stream does not bear.
    Body::from_stream(pieces.fuse())
}

struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
