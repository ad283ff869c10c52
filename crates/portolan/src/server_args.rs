//! The options of what works on the history: the server, its users, and saved scans.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use crate::args::{CommonArgs, OutputArgs};
use crate::duration;

const WHERE: &str = "Where it listens";
const SAFE: &str = "Who may use it";
const BOUNDS: &str = "Bounds";
const DATA: &str = "Where the history is";

/// Where the history is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataArgs {
    /// Keep the history in this directory
    ///
    /// Keep the history in this directory instead of `$XDG_DATA_HOME/portolan` or
    /// `~/.local/share/portolan`.
    #[arg(long, value_name = "DIR", help_heading = DATA, value_hint = ValueHint::DirPath,
          hide_short_help = true)]
    pub(crate) data: Option<PathBuf>,
}

/// Whether a scan of the shell is kept, and where it may go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct KeepArgs {
    /// Keep the scan in the history
    #[arg(long, help_heading = DATA, hide_short_help = true)]
    pub(crate) save: bool,

    /// Keep in a file how far the scan is, for `resume`
    ///
    /// Keep in a file what was found and how far the scan is, from second to second. After
    /// Ctrl-C, a crash or a power cut, `portolan resume FILE` goes on from there. The file is JSON
    /// lines and reads as a result. One that holds a scan that is not complete is not written over.
    #[arg(long, value_name = "FILE", help_heading = DATA, value_hint = ValueHint::FilePath,
          hide_short_help = true)]
    pub(crate) checkpoint: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Where scans may go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ScopeArgs {
    /// Scan only in these networks; `-` before one forbids it
    ///
    /// Scan only in these networks, addresses and ranges, joined by commas; a `-` or `!` before
    /// one forbids it. It adds to `scope` in the configuration file. Names are held against it
    /// once they are looked up.
    #[arg(long, value_name = "NETWORKS", allow_hyphen_values = true, help_heading = BOUNDS,
          hide_short_help = true)]
    pub(crate) scope: Vec<String>,
}

/// What `serve` can be told.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Listen on this address and port
    ///
    /// Listen on this address and port; port 0 is any that is free. Where others can reach it,
    /// there must be a user (`portolan user add`) and encryption.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000",
          help_heading = WHERE)]
    pub(crate) listen: SocketAddr,

    /// Answer to this name too
    ///
    /// Answer to this name too, as it stands in the browser's address. Other names than
    /// `localhost` and the address itself are refused, since a page elsewhere could let its
    /// name lead here.
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    pub(crate) host: Vec<String>,

    /// Encrypt with a certificate that is made and kept in the data directory
    #[arg(long, help_heading = SAFE, conflicts_with = "tls_cert")]
    pub(crate) tls: bool,

    /// Encrypt with this certificate (PEM)
    #[arg(long, value_name = "FILE", help_heading = SAFE, requires = "tls_key",
          value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", help_heading = SAFE, requires = "tls_cert",
          value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,

    /// A proxy stands before it that encrypts
    ///
    /// A proxy stands before it that encrypts, and says in `X-Forwarded-For` where requests
    /// come from. Nothing else may reach the port.
    #[arg(long, help_heading = SAFE)]
    pub(crate) behind_proxy: bool,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    /// Run so many scans at once; others wait
    #[arg(long, value_name = "N", default_value = "2", help_heading = BOUNDS,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) scans: u16,

    /// Drop scans that ended longer ago: `90d`
    #[arg(long, value_name = "TIME", help_heading = BOUNDS, value_parser = days)]
    pub(crate) keep: Option<Duration>,

    /// Drop the oldest scans above this size: `10G`
    #[arg(long, value_name = "SIZE", help_heading = BOUNDS, value_parser = size)]
    pub(crate) max_size: Option<u64>,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What holds for each command of a command: `--data` and the configuration file may stand before
/// and after its name.
#[derive(Debug, Args)]
pub(crate) struct With<C: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: C,

    /// Keep the history in this directory
    #[arg(long, value_name = "DIR", help_heading = DATA, value_hint = ValueHint::DirPath,
          global = true)]
    data: Option<PathBuf>,

    /// Read defaults from this file
    #[arg(long, value_name = "FILE", help_heading = DATA, value_hint = ValueHint::FilePath,
          hide_short_help = true, global = true)]
    config: Option<PathBuf>,

    /// Read no configuration file
    #[arg(long, help_heading = DATA, hide_short_help = true, global = true,
          conflicts_with = "config")]
    no_config: bool,
}

impl<C: Subcommand> With<C> {
    /// Its command, where the history is, and where defaults come from.
    pub(crate) fn apart(self) -> (C, DataArgs, CommonArgs) {
        let common = CommonArgs {
            config: self.config,
            no_config: self.no_config,
            color: None,
        };
        (self.command, DataArgs { data: self.data }, common)
    }
}

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user; the password is asked for, or read from standard input
    Add {
        /// The name to log in with
        #[arg(value_name = "NAME")]
        name: String,
        /// What the user may do: read, scan or admin
        #[arg(long, value_name = "ROLE", default_value = "admin")]
        role: portolan_store::Role,
    },
    /// List users
    List,
    /// Give a user another password; every session of theirs ends
    Password {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Delete a user with their sessions and tokens
    Remove {
        /// The user's name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// What can be done with keys for programs.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and write it to standard output, this once
    Add {
        /// What it is for
        #[arg(value_name = "NAME")]
        name: String,
        /// The user it belongs to, beyond whose rights it cannot go
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// What it may do: read, scan or admin
        #[arg(
            long,
            value_name = "SCOPE",
            default_value = "read",
            value_delimiter = ','
        )]
        scope: Vec<portolan_store::Role>,
        /// For how many days it counts
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=36500))]
        days: Option<u16>,
    },
    /// List tokens
    List,
    /// Revoke a token
    Remove {
        /// Its public part, as `list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What can be done with tags.
#[derive(Debug, Subcommand)]
pub(crate) enum TagCommand {
    /// Put a tag on hosts and scans of the history
    Add(TaggedArgs),
    /// Take a tag off
    Remove(TaggedArgs),
    /// List tags, with how many hosts and scans have them
    List,
}

/// A tag, and what it is about.
#[derive(Debug, Args)]
pub(crate) struct TaggedArgs {
    /// The tag: letters, digits, `-`, `_` and `.`
    #[arg(value_name = "TAG")]
    pub(crate) tag: portolan_store::Tag,

    /// Addresses, networks and ranges: every host of the history in them
    #[arg(value_name = "HOST")]
    pub(crate) hosts: Vec<portolan_model::Target>,

    /// The number of a scan
    #[arg(long, value_name = "ID", value_parser = crate::args::scan_id)]
    pub(crate) scan: Vec<portolan_store::ScanId>,
}

/// What `history` can be told.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Only scans with these words in targets or command line; `tag:prod` for a tag
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,

    /// At most so many, the latest first
    #[arg(long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,

    /// Write one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// A scan of the history, and what of it.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The scan's number
    #[arg(value_name = "ID", value_parser = crate::args::scan_id)]
    pub(crate) id: portolan_store::ScanId,

    /// Only results for which this holds: `port:22,80 state:open`
    ///
    /// Only results for which this holds: `port:22,80 state:open -host:10.0.0.1 "free text"`.
    /// Terms must all hold, commas join alternatives, `-` turns a term round. The fields are port,
    /// host, state, proto, reason, service, product, version, seen, new, changed, tls.expires and
    /// tag; `port<1024`, `changed:7d` and `tls.expires<30d` compare.
    #[arg(long, value_name = "QUERY", value_parser = query)]
    pub(crate) query: Option<portolan_store::Query>,

    /// Open ports only
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What `export` can be told.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) what: ShowArgs,

    /// jsonl, xml, grepable, normal, csv, markdown or html
    #[arg(short, long, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: portolan_report::Format,

    /// Write to this file; `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
}

/// What `resume` can be told.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The scan's number, or the file of `--checkpoint`
    #[arg(value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) what: PathBuf,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// A filter of results; what is wrong with one is said with its place and what may be meant.
fn query(text: &str) -> Result<portolan_store::Query, String> {
    text.parse().map_err(|error: portolan_store::QueryError| {
        let place = text
            .get(..error.offset)
            .map_or(0, |before| before.chars().count());
        let hint = error
            .hint
            .map_or_else(String::new, |hint| format!(": {hint}"));
        format!("{}, at character {}{hint}", error.message, place + 1)
    })
}

/// `90d`, `12w`, or a time as elsewhere.
fn days(text: &str) -> Result<Duration, String> {
    let hours = |number: &str, hours: u64| {
        let number: u64 = number.parse().ok()?;
        (1..=36_500)
            .contains(&number)
            .then(|| Duration::from_hours(number * hours))
    };
    let long = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(number), _) => Some(hours(number, 24)),
        (_, Some(number)) => Some(hours(number, 24 * 7)),
        _ => None,
    };
    match long {
        Some(span) => span.ok_or_else(|| "expected a time such as `90d` or `12w`".to_owned()),
        None => duration::parse(text),
    }
}

/// `500M`, `10G`: powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as `500M` or `10G`".to_owned();
    let upper = text.trim().to_ascii_uppercase();
    let (number, unit) = match upper.trim_end_matches('B').trim_end_matches('I') {
        all if all.ends_with('K') => (all.trim_end_matches('K'), 1u64 << 10),
        all if all.ends_with('M') => (all.trim_end_matches('M'), 1 << 20),
        all if all.ends_with('G') => (all.trim_end_matches('G'), 1 << 30),
        all if all.ends_with('T') => (all.trim_end_matches('T'), 1 << 40),
        all => (all, 1),
    };
    let number: u64 = number.trim().parse().map_err(|_| expected())?;
    number
        .checked_mul(unit)
        .filter(|&size| size > 0)
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_days_and_sizes_are_read() {
        assert_eq!(days("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(days("2w"), Ok(Duration::from_hours(14 * 24)));
        assert_eq!(days("12h"), Ok(Duration::from_hours(12)));
        assert!(days("d").is_err() && days("-1d").is_err());
        assert_eq!(size("10G"), Ok(10 << 30));
        assert_eq!(size("500 MiB"), Ok(500 << 20));
        assert!(size("0").is_err() && size("many").is_err());
    }
}
