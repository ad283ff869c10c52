//! The `history`, `show` and `export` commands: what the store holds.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use jiff::tz::TimeZone;
use portolan_model::{Phase, ScanRecord};
use portolan_report::{WriteOptions, table};
use portolan_server::api::{self, views};
use portolan_store::{Mode, Query, ScanFilter, ScanSummary};

use crate::args::ColorChoice;
use crate::config::Config;
use crate::failure::{Failure, Result, io_reason, visible};
use crate::server_args::{ExportArgs, HistoryArgs, ShowArgs};
use crate::terminal::{Look, grouped};
use crate::{data, outputs};

/// The list of scans, as text.
pub(crate) fn history(args: &HistoryArgs) -> Result<String> {
    let store = data::open(&args.data, Mode::Read)?;
    let (tags, words) = portolan_store::tags::split(&args.words.join(" "))
        .map_err(|error| Failure::new(visible(&error.to_string())))?;
    let filter = ScanFilter {
        text: (!words.is_empty()).then_some(words),
        tags,
        ..ScanFilter::default()
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let page = store.scans(&filter, None, limit).map_err(data::failure)?;
    if args.json {
        return Ok(page
            .items
            .into_iter()
            .fold(String::new(), |mut text, scan| {
                let json = serde_json::to_string(&views::Scan::from(scan)).unwrap_or_default();
                text.push_str(&json);
                text.push('\n');
                text
            }));
    }
    if page.items.is_empty() {
        return Ok(
            "no scans yet: keep one with `--save`, or start one in the web app\n".to_owned(),
        );
    }
    let mut text = format!(
        "{:>6}  {:16}  {:11}  {:>7}  {:>7}  TARGETS\n",
        "ID", "ASKED FOR", "STATE", "OPEN", "CHANGED"
    );
    for scan in &page.items {
        text.push_str(&row(scan));
    }
    Ok(text)
}

fn row(scan: &ScanSummary) -> String {
    let asked = TimeZone::system().to_datetime(scan.created);
    let changes = scan.changes.map_or_else(|| "-".to_owned(), grouped);
    let mut targets: String = visible(&scan.targets).chars().take(60).collect();
    if scan.targets.chars().count() > 60 {
        targets.push('…');
    }
    if !scan.tags.is_empty() {
        let tags: Vec<_> = scan.tags.iter().map(ToString::to_string).collect();
        let _ = write!(targets, "  [{}]", tags.join(", "));
    }
    format!(
        "{:>6}  {}  {:11}  {:>7}  {changes:>7}  {targets}\n",
        scan.id,
        asked.strftime("%Y-%m-%d %H:%M"),
        scan.state,
        grouped(scan.counts.open),
    )
}

/// A scan as a table.
pub(crate) fn show(args: &ShowArgs, config: &Config) -> Result<String> {
    let store = data::open(&args.data, Mode::Read)?;
    let record = record(&store, args.id, args.query.clone())?;
    let scan = store.scan(args.id).map_err(data::failure)?;
    let color = args
        .common
        .color
        .or(config.color)
        .unwrap_or(ColorChoice::Auto);
    let look = Look::detect(color);
    let options = table::TableOptions {
        width: look.width,
        color: look.out_color,
        open_only: args.open || config.open,
    };
    let mut text = Vec::new();
    table::write(&record, &options, &mut text)
        .map_err(|error| Failure::new(format!("cannot write: {}", io_reason(&error))))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if !matches!(scan.state, portolan_store::ScanState::Done) {
        let phase = match scan.phase {
            Some(phase) if phase != Phase::Asking && scan.state.is_over() => {
                format!(", it ended while {phase}")
            }
            Some(phase) if !scan.state.is_over() => format!(", {phase}"),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "scan {} is {}{phase}: this is what it found",
            scan.id, scan.state
        );
    }
    Ok(text)
}

/// Writes a scan as a document.
pub(crate) fn export(args: &ExportArgs) -> Result<()> {
    let what = &args.what;
    let store = data::open(&what.data, Mode::Read)?;
    let record = record(&store, what.id, what.query.clone())?;
    let options = WriteOptions {
        open_only: what.open,
        ..WriteOptions::default()
    };
    if args.output.as_os_str() != "-" {
        return outputs::write_file(&args.output, args.format, &record, &options)
            .map_err(|error| outputs::not_written(&args.output, &error));
    }
    let mut out = io::BufWriter::new(io::stdout());
    match portolan_report::write(args.format, &record, &options, &mut out)
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "cannot write to standard output: {}",
            io_reason(&error)
        ))),
        _ => Ok(()),
    }
}

fn record(
    store: &portolan_store::Store,
    id: portolan_store::ScanId,
    query: Option<Query>,
) -> Result<ScanRecord> {
    api::filtered(store, id, query.unwrap_or_default()).map_err(data::failure)
}
