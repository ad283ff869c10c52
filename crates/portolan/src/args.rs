//! The command line: one definition for the short help, the long help, the manual page and the
//! completions.

mod values;

use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use portolan_model::Shard;
use portolan_model::spec::Template;

use crate::server_args::{
    DataArgs, ExportArgs, HistoryArgs, KeepArgs, ResumeArgs, ScopeArgs, ServeArgs, ShowArgs,
    TagCommand, TokenCommand, UserCommand, With,
};
use crate::{duration, names};
pub(crate) use values::{TIMING, scan_id, scanner, template};
use values::{at_least_one_u32, at_least_one_u64, probes, results, retries, seed, top_ports};

const WHAT: &str = "What to scan";
const HOW: &str = "How to scan";
const OUTPUT: &str = "What to write";

/// What stands under both helps.
const REMINDER: &str = "\
Scan only what is yours or what you may scan. Every option: portolan --help";

const EXAMPLES: &str = "\
Examples:
  portolan 127.0.0.1                    the common ports of this machine
  portolan 192.0.2.1 1 1024             ports 1 to 1024 of one host
  portolan 192.0.2.0/24 -p 22,80-90     these ports of a network
  portolan -sn 192.0.2.0/24             which hosts are there, and no more
  portolan server.example -p- --open    every port, the open ones shown
  portolan -iL hosts.txt -oX scan.xml   targets from a file, results into one
  portolan list 10.0.0.0/8 -p-          what would be scanned; sends nothing

Exit status: 0 done; 1 done with something left out, which standard error says; \
2 could not start; 130 interrupted, with what was found printed and kept.

Scan only hosts and networks that are yours or that you may scan.";

const SWEEP_EXAMPLES: &str = "\
Examples:
  portolan sweep 10.0.0.0/8 -p 443,8443 --max-rate 200000
  portolan sweep -iL networks.txt -p 22 --exclude-file not-these.txt -oJ found.jsonl
  portolan sweep 10.0.0.0/8 -p 443 --shard 3/8 --seed 7    the third of eight machines
  portolan sweep 0.0.0.0/0 -p 443 --dry-run                what would be asked, and what not

Exit status: as of a scan.

Sweep only networks that are yours or that you may scan.";

/// Charts the open ports of the networks that you run
#[derive(Debug, Parser)]
#[command(
    name = "portolan",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "portolan [scan] TARGET... [OPTIONS]\n       portolan TARGET START END    one host, a range of ports\n       portolan COMMAND ...",
    subcommand_value_name = "COMMAND",
    max_term_width = 100,
    after_help = REMINDER,
    after_long_help = EXAMPLES,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) scan: ScanArgs,

    /// Show help: in short with `-h`, every option with `--help`
    #[arg(short, long, action = ArgAction::Help, global = true, help_heading = OUTPUT,
          hide_short_help = true)]
    help: Option<bool>,

    /// Show the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = OUTPUT,
          hide_short_help = true)]
    version: Option<bool>,
}

/// What to do; scanning where nothing is said.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Scan: the default, here for targets that are named like a command
    #[command(after_help = REMINDER, after_long_help = EXAMPLES)]
    Scan(Box<ScanArgs>),
    /// Find the hosts of whole networks at which a few ports are open
    ///
    /// Find the hosts of whole networks at which a few ports are open, by SYN packets of which
    /// nothing is remembered: it takes the same memory for a /24 and for the whole of IPv4. Open
    /// ports are written as they are found. Reserved and private networks are left out unless a
    /// target names them. Needs the right to raw sockets.
    #[command(after_help = REMINDER, after_long_help = SWEEP_EXAMPLES)]
    Sweep(Box<SweepArgs>),
    /// Show what would be scanned, without sending a packet
    List(Box<ListArgs>),
    /// Compare two results: 0 if they are the same, 1 if they differ
    ///
    /// Compare two results: files in XML or JSON lines, or numbers of scans in the history. The
    /// exit status is 0 if they are the same, 1 if they differ, 2 if one cannot be read, as with
    /// ndiff. It is also 1 where a scan did not finish: what it did not come to may differ.
    Diff {
        /// The earlier result: a file, `-` for standard input, or a scan's number
        #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
        old: PathBuf,
        /// The later one
        #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
        new: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Find out what runs on ports that are known to be open
    ///
    /// Find out what runs on ports that are known to be open, without a scan: service, product,
    /// version, what TLS and SSH show, and what that rests on.
    Detect(Box<DetectArgs>),
    /// Check and write rules for services
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Serve the web app and the API
    Serve(Box<ServeArgs>),
    /// List the scans of the history, the latest first
    History(HistoryArgs),
    /// Show a scan of the history
    Show(ShowArgs),
    /// Write a scan of the history as a document
    Export(ExportArgs),
    /// Go on with a scan that was cut off, cancelled or paused
    Resume(Box<ResumeArgs>),
    /// Tag hosts and scans of the history
    Tag(With<TagCommand>),
    /// Make, list and remove the users of the web app
    User(With<UserCommand>),
    /// Make, list and remove keys for programs
    Token(With<TokenCommand>),
    /// Write completions for a shell to standard output
    Completions {
        /// Which shell: bash, elvish, fish, powershell, zsh
        #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
        shell: Shell,
    },
    /// Write the manual page to standard output
    Man {
        /// The command whose page is wanted instead of the program's own
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
}

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Names, addresses, networks, ranges
    ///
    /// Names, addresses, networks (`192.0.2.0/24`, `2001:db8::/120`), ranges (`192.0.2.1-50`,
    /// `192.0.2.1-192.0.3.20`) and ranges in octets (`10.0.0-3.1,5,9`). One host and two
    /// numbers are that host and a range of ports.
    #[arg(value_name = "TARGET", help_heading = WHAT, value_hint = ValueHint::Hostname)]
    pub(crate) targets: Vec<String>,

    /// Read targets from a file, `-` for stdin [-iL]
    ///
    /// Read targets from a file, `-` for standard input (`-iL`). Targets stand between
    /// white space; what follows a `#` is a comment.
    #[arg(long, value_name = "FILE",
          help_heading = WHAT, value_hint = ValueHint::FilePath)]
    pub(crate) input: Vec<PathBuf>,

    /// Leave these out: like targets, commas between them
    #[arg(long, value_name = "TARGETS", help_heading = WHAT)]
    pub(crate) exclude: Vec<String>,

    /// Leave out the targets in a file
    #[arg(long, value_name = "FILE", help_heading = WHAT,
          value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) exclude_file: Vec<PathBuf>,
}

/// Which ports.
#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    /// Ports: `22,80-90,http`, `-` for all [default: common]
    ///
    /// Ports, commas between them: numbers, ranges (`8000-8100`, `-1024`), `-` or `all` for
    /// every port, service names (`http`), `common` for the ports that people really run
    /// (the default). `T:` before ports makes them and those that follow ports of TCP alone, `U:`
    /// of UDP; without it they are of each protocol that is scanned. What is named is scanned:
    /// `-p U:53,T:80` needs no other option.
    #[arg(short = 'p', long, value_name = "PORTS", help_heading = WHAT)]
    pub(crate) ports: Option<String>,

    /// The N ports that are most often found open
    #[arg(long, value_name = "N", help_heading = WHAT, conflicts_with = "ports",
          value_parser = top_ports, allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) top_ports: Option<u32>,

    /// The 100 ports that are most often found open
    #[arg(short = 'F', long, help_heading = WHAT, conflicts_with_all = ["ports", "top_ports"],
          hide_short_help = true)]
    pub(crate) fast: bool,

    /// Leave these ports out
    #[arg(long, value_name = "PORTS", help_heading = WHAT, hide_short_help = true)]
    pub(crate) exclude_ports: Option<String>,
}

/// Which addresses of a name count, and who is asked for them.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Scan every address of a name, not the first alone
    #[arg(long, help_heading = HOW, hide_short_help = true)]
    pub(crate) resolve_all: bool,

    /// Only IPv4 addresses of names
    #[arg(short = '4', long, help_heading = HOW, conflicts_with = "ipv6", hide_short_help = true)]
    pub(crate) ipv4: bool,

    /// Only IPv6 addresses of names
    #[arg(short = '6', long, help_heading = HOW, hide_short_help = true)]
    pub(crate) ipv6: bool,
}

/// Where defaults come from, and what the program says beside its results.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Read defaults from this file
    ///
    /// Read defaults from this file (TOML) instead of `portolan/config.toml` in
    /// `$XDG_CONFIG_HOME` or `~/.config`. Options on the command line win over it.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT,
          value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,

    /// Read no configuration file
    #[arg(long, help_heading = OUTPUT, hide_short_help = true, conflicts_with = "config")]
    pub(crate) no_config: bool,

    /// When to use colour: auto, always, never
    ///
    /// When to use colour: `auto` colours a terminal and obeys `NO_COLOR` and
    /// `CLICOLOR_FORCE`, `always` and `never` do as they say.
    #[arg(long, value_enum, value_name = "WHEN", help_heading = OUTPUT,
          hide_possible_values = true, hide_short_help = true)]
    pub(crate) color: Option<ColorChoice>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorChoice {
    /// On a terminal
    Auto,
    /// Also into files and pipes
    Always,
    /// Never
    Never,
}

/// How a scan asks. The words for what this build cannot do are known so that they can be
/// refused clearly.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct TechniqueArgs {
    /// Scan by full TCP connections, which needs no rights [-sT]
    #[arg(long, help_heading = HOW, hide_short_help = true)]
    pub(crate) connect: bool,

    /// Scan by TCP SYN packets [-sS]
    ///
    /// Scan by TCP SYN packets, which needs the right to raw sockets: the default where this
    /// process has it and the targets are not this machine alone. `-sS` is the same.
    #[arg(long, help_heading = HOW, hide_short_help = true, conflicts_with = "connect")]
    pub(crate) syn: bool,

    /// Scan UDP ports [-sU]
    ///
    /// Scan UDP ports (`-sU`), alone or beside `--syn` or `--connect`. Each port is asked by what
    /// a service there answers to, and what answers is open at once. Then closed ports are told
    /// from silent ones by ICMP, at the pace that each host allows. Needs no rights.
    #[arg(long, help_heading = HOW, hide_short_help = true)]
    pub(crate) udp: bool,

    /// Find out what runs on open ports [-sV]
    ///
    /// Find out what runs on open ports: service, product, version, what TLS and SSH show.
    #[arg(long, help_heading = HOW)]
    pub(crate) detect: bool,

    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

/// How what runs on open ports is found out.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DetectionArgs {
    /// Ask every open port more: from 0, only listen, to 9 [default: 7]
    ///
    /// How much is tried on ports whose number tells nothing: from 0, only listen, to 9, every
    /// probe. What usually runs on a port is asked for from 1 on. `--version-intensity` is the
    /// same.
    #[arg(long, alias = "version-intensity", value_name = "0-9", help_heading = HOW,
          value_parser = clap::value_parser!(u8).range(0..=9), hide_short_help = true)]
    pub(crate) detect_intensity: Option<u8>,

    /// Send probes to ports of printers too
    ///
    /// Send probes to ports 9100 to 9107 too. Printers print what they are sent, so these are
    /// only listened to by default.
    #[arg(long, visible_alias = "allports", help_heading = HOW, hide_short_help = true)]
    pub(crate) detect_printers: bool,

    /// Add the rules in this directory to those of the program
    ///
    /// Add the rules for services in this directory (`*.toml`) to those of the program; one with
    /// a known name replaces that.
    #[arg(long, value_name = "DIR", help_heading = HOW, value_hint = ValueHint::DirPath,
          hide_short_help = true)]
    pub(crate) rules: Option<PathBuf>,
}

/// How fast, at the most and at the least.
#[derive(Debug, Args)]
pub(crate) struct PaceArgs {
    /// Take every address to be up [-Pn]
    ///
    /// Take every address to be up, and scan it (`-Pn`). Without it, where several hosts and
    /// nine ports or more are asked, those that do not answer are not scanned.
    #[arg(long, help_heading = HOW)]
    pub(crate) skip_discovery: bool,

    /// Find out which hosts are up, no more [-sn]
    #[arg(long, help_heading = HOW,
          conflicts_with_all = ["ports", "top_ports", "fast", "skip_discovery", "exclude_ports"])]
    pub(crate) hosts_only: bool,

    /// From 0, careful, to 5, hurried [default: 3]
    ///
    /// nmap's timing templates, by number or name: 0 paranoid, 1 sneaky, 2 polite, 3 normal
    /// (the default), 4 aggressive, 5 insane. From 3 on the pace adapts to what the path carries.
    #[arg(short = 'T', long = "timing", value_name = "0-5", help_heading = HOW,
          value_parser = template)]
    pub(crate) timing: Option<Template>,

    /// Wait so long for an answer: `500ms`, or seconds
    #[arg(long, value_name = "TIME", help_heading = HOW,
          value_parser = duration::parse, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,

    /// Ask so many at once [--threads]
    ///
    /// Let at most so many probes wait for an answer at once. `--threads` is the same.
    #[arg(long, aliases = ["threads", "max-parallelism"], value_name = "N",
          help_heading = HOW, value_parser = at_least_one_u32, allow_hyphen_values = true)]
    pub(crate) concurrency: Option<NonZeroU32>,

    /// Send at most so many probes a second
    #[arg(long, value_name = "N", help_heading = HOW,
          value_parser = at_least_one_u64, allow_hyphen_values = true)]
    pub(crate) max_rate: Option<NonZeroU64>,

    /// Send at least so many probes a second, whatever the path carries
    #[arg(long, value_name = "N", help_heading = HOW,
          value_parser = at_least_one_u64, allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) min_rate: Option<NonZeroU64>,

    /// Ask a silent port again so often
    ///
    /// Ask a silent port again so often. Without it, as often as the loss that was measured
    /// asks for. `--max-retries` is the same.
    #[arg(long, alias = "max-retries", value_name = "N", help_heading = HOW,
          value_parser = retries, allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) retries: Option<u8>,

    /// Decide the order; the same seed gives the same order
    #[arg(long, value_name = "N", help_heading = HOW, hide_short_help = true,
          value_parser = seed, allow_hyphen_values = true)]
    pub(crate) seed: Option<u64>,

    /// Give a host up after so long; what it answered is kept
    ///
    /// Give a host up so long after it was found: what it answered until then is kept, and what
    /// is left out is said.
    #[arg(long, value_name = "TIME", help_heading = HOW,
          value_parser = duration::parse, allow_hyphen_values = true, hide_short_help = true)]
    pub(crate) host_timeout: Option<Duration>,

    /// Tell closed UDP ports from silent ones for so long [default: 30s]
    ///
    /// After every UDP port was asked, tell closed ports from silent ones for so long, 30 seconds
    /// by default: most hosts tell of few closed ports a second. At 50 a second, 1,000 ports take
    /// 20 seconds. What is not known by then is `open|filtered`.
    #[arg(long, value_name = "TIME", help_heading = HOW, value_parser = duration::parse,
          allow_hyphen_values = true, hide_short_help = true, conflicts_with = "udp_certain")]
    pub(crate) udp_budget: Option<Duration>,

    /// Tell closed UDP ports from silent ones however long it takes
    ///
    /// Tell closed UDP ports from silent ones however long it takes: a host that tells of one
    /// closed port a second, as Linux does by default, needs 1,000 seconds for 1,000 ports.
    #[arg(long, help_heading = HOW, hide_short_help = true)]
    pub(crate) udp_certain: bool,

    /// Scan one of several parts, as `3/8`; needs --seed
    ///
    /// Scan one of several parts: `3/8` is the third of eight. Parts with the same targets, ports
    /// and --seed are disjoint, and together they are the whole: one for each machine.
    #[arg(long, value_name = "N/OF", help_heading = HOW, hide_short_help = true)]
    pub(crate) shard: Option<Shard>,
}

/// How a sweep asks.
#[derive(Debug, Args)]
pub(crate) struct SweepHowArgs {
    /// Send at most so many probes a second
    ///
    /// Send at most so many probes a second. Below that the rate follows what the path carries.
    /// Without it nothing is sent faster than 1,000 a second until something has answered.
    #[arg(long, value_name = "N", help_heading = HOW,
          value_parser = at_least_one_u64, allow_hyphen_values = true)]
    pub(crate) max_rate: Option<NonZeroU64>,

    /// Ask each silent port so often [default: by the loss]
    ///
    /// Ask each silent port so often, far apart in time. Without it, once where nothing is lost
    /// on the path, and up to four times where the measured loss asks for it.
    #[arg(long, value_name = "N", help_heading = HOW, value_parser = probes,
          allow_hyphen_values = true)]
    pub(crate) probes: Option<NonZeroU8>,

    /// End after so many open ports
    #[arg(long, value_name = "N", help_heading = HOW, value_parser = results,
          allow_hyphen_values = true)]
    pub(crate) max_results: Option<NonZeroU64>,

    /// Decide the order; the same seed gives the same order
    #[arg(long, value_name = "N", help_heading = HOW)]
    pub(crate) seed: Option<u64>,

    /// Sweep one of several parts, as `3/8`; needs --seed
    ///
    /// Sweep one of several parts: `3/8` is the third of eight. Parts with the same targets, ports
    /// and --seed are disjoint, and together they are the whole: one for each machine.
    #[arg(long, value_name = "N/OF", help_heading = HOW)]
    pub(crate) shard: Option<Shard>,

    /// Say what would be asked and what is left out, and send nothing
    #[arg(long, help_heading = HOW)]
    pub(crate) dry_run: bool,

    /// Find out what runs on open ports, as they are found [-sV]
    ///
    /// Find out what runs on open ports as they are found: service, product, version, what TLS and
    /// SSH show. Each is asked over connections of its own.
    #[arg(long, help_heading = HOW)]
    pub(crate) detect: bool,

    #[command(flatten)]
    pub(crate) detection: DetectionArgs,
}

/// Everything that a sweep can be told.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) targets: TargetArgs,
    #[command(flatten)]
    pub(crate) ports: PortArgs,
    #[command(flatten)]
    pub(crate) how: SweepHowArgs,
    #[command(flatten)]
    pub(crate) names: NameArgs,
    #[command(flatten)]
    pub(crate) reverse: ReverseArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Names of what was found.
#[derive(Debug, Args)]
pub(crate) struct ReverseArgs {
    /// Do not look up the names of hosts that are found
    #[arg(short = 'n', long, help_heading = HOW, conflicts_with = "dns")]
    pub(crate) no_dns: bool,

    /// Look them up, whatever the configuration file says
    #[arg(short = 'R', long, help_heading = HOW, hide_short_help = true)]
    pub(crate) dns: bool,

    /// Ask these name servers: addresses, commas between them
    ///
    /// Ask these name servers instead of the system's: addresses, with a port where it is not
    /// 53 (`192.0.2.53:5353`, `[2001:db8::53]:5353`), commas between them.
    #[arg(long, value_name = "SERVERS", help_heading = HOW, value_delimiter = ',',
          value_parser = names::server, hide_short_help = true)]
    pub(crate) dns_servers: Vec<SocketAddr>,
}

/// What is written, and where to.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct OutputArgs {
    /// Show open ports only
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) open: bool,

    /// Show what each state rests on, which every output always does
    #[arg(long, help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) reason: bool,

    /// Write JSON lines to standard output, as `-oJ -`
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Write nmap's XML, `-` for standard output [-oX]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    pub(crate) xml: Vec<PathBuf>,

    /// Write JSON lines, one fact a line, as they are found [-oJ]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) jsonl: Vec<PathBuf>,

    /// Write nmap's grepable lines [-oG]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath,
          hide_short_help = true)]
    pub(crate) grepable: Vec<PathBuf>,

    /// Write the table as text [-oN]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath,
          hide_short_help = true)]
    pub(crate) normal: Vec<PathBuf>,

    /// Write CSV, one port a row
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) csv: Vec<PathBuf>,

    /// Write a Markdown report
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath,
          hide_short_help = true)]
    pub(crate) markdown: Vec<PathBuf>,

    /// Write a report as one HTML page
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) html: Vec<PathBuf>,

    /// Write BASE.xml, .jsonl, .gnmap and .nmap [-oA]
    #[arg(long, value_name = "BASE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    pub(crate) all_formats: Vec<PathBuf>,

    /// Call the scanner so in the XML
    ///
    /// Call the scanner so in the XML. Its readers look for `nmap`, which is the default: some
    /// find nothing under another name.
    #[arg(long, value_name = "NAME", help_heading = OUTPUT, hide_short_help = true,
          value_parser = scanner)]
    pub(crate) xml_scanner: Option<String>,

    /// Say more; twice: hosts as they are found
    ///
    /// Say more: what is scanned in which order, and how sure the result is. Twice (`-vv`):
    /// hosts as they are found as well.
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// Results only: no progress, no summary
    #[arg(short, long, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
}

/// Everything that a scan can be told.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    pub(crate) targets: TargetArgs,
    #[command(flatten)]
    pub(crate) ports: PortArgs,
    #[command(flatten)]
    pub(crate) technique: TechniqueArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) names: NameArgs,
    #[command(flatten)]
    pub(crate) reverse: ReverseArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What `list` can be told.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) targets: TargetArgs,
    #[command(flatten)]
    pub(crate) ports: PortArgs,

    /// List UDP ports, as a scan with `--udp` asks them [-sU]
    #[arg(long, help_heading = HOW)]
    pub(crate) udp: bool,

    /// Show the order of this seed, as a scan with it has it
    #[arg(long, value_name = "N", help_heading = HOW, value_parser = seed,
          allow_hyphen_values = true)]
    pub(crate) seed: Option<u64>,

    /// Look up no names, which `list` never does
    #[arg(short = 'n', long, help_heading = HOW, hide_short_help = true)]
    pub(crate) no_dns: bool,

    /// Write one JSON object
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What `detect` can be told.
#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Hosts with a port: `192.0.2.1:22`, `[2001:db8::1]:443`, `192.0.2.1:53/udp`
    #[arg(value_name = "HOST:PORT", required = true, help_heading = WHAT)]
    pub(crate) endpoints: Vec<String>,

    #[command(flatten)]
    pub(crate) detection: DetectionArgs,

    /// Write JSON, one object a line
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Show every fact, and the bytes that each result rests on
    #[arg(short, long, help_heading = OUTPUT)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Check rule files against their samples and those of the program
    Check {
        /// The files
        #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Write the beginning of a rule for an answer that none takes
    ///
    /// Write the beginning of a rule for an answer that none takes, as `portolan detect` shows
    /// it. Versions in it become captures.
    New {
        /// The answer, with `\\r`, `\\n`, `\\xHH` for what is not plain
        #[arg(value_name = "ANSWER", allow_hyphen_values = true)]
        answer: String,
        /// The rule's name
        #[arg(long, value_name = "NAME", default_value = "new-rule")]
        name: String,
        /// The service that it recognises
        #[arg(long, value_name = "SERVICE", default_value = "unknown")]
        service: String,
        /// What the answer was to
        #[arg(long, value_name = "PROBE", default_value = "banner")]
        on: String,
    },
    /// List the probes and fields that rules can read
    Fields,
}

/// The whole definition, for help, completions and the manual page.
pub(crate) fn command() -> clap::Command {
    tidy(Cli::command())
}

/// The definition, with what holds for all of its options and commands alike.
fn tidy(command: clap::Command) -> clap::Command {
    let command = match (command.get_about(), command.get_long_about()) {
        (Some(short), Some(long)) => {
            let long = without_first(&short.to_string(), &long.to_string());
            command.long_about(long)
        }
        _ => command,
    };
    command
        .mut_args(|option| {
            let option = match (option.get_help(), option.get_long_help()) {
                (Some(short), Some(long)) => {
                    let long = without_first(&short.to_string(), &long.to_string());
                    option.long_help(long)
                }
                _ => option,
            };
            // A flag that is given twice says the same twice.
            if matches!(option.get_action(), ArgAction::SetTrue) {
                let itself = option.get_id().clone();
                option.overrides_with(itself)
            } else {
                option
            }
        })
        .mut_subcommands(tidy)
}

/// A long help without the short one that it begins with: it stands by itself.
fn without_first(short: &str, long: &str) -> String {
    let rest = long.strip_prefix(short).map(str::trim_start);
    match rest {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => long.to_owned(),
    }
}

/// Commands that stand in one line of the short help, which is to fit one screen.
const MORE: [&str; 10] = [
    "detect",
    "rules",
    "show",
    "export",
    "resume",
    "tag",
    "user",
    "token",
    "completions",
    "man",
];

/// The definition for the short help: the same, with some commands named and no more.
pub(crate) fn brief() -> clap::Command {
    MORE.iter()
        .fold(command(), |command, name| {
            command.mut_subcommand(*name, |command| command.hide(true))
        })
        .after_help(format!("More: {}\n{REMINDER}", MORE.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn the_short_help_fits_one_screen_of_80_by_40() {
        let help = brief().term_width(80).render_help().to_string();
        let lines: Vec<&str> = help.lines().collect();
        let longest = lines.iter().map(|line| line.chars().count()).max();
        assert!(lines.len() <= 40, "{} lines:\n{help}", lines.len());
        assert!(longest <= Some(80), "{longest:?} columns:\n{help}");
    }

    #[test]
    fn a_word_that_is_no_command_is_a_target() {
        let cli = Cli::try_parse_from(["portolan", "192.0.2.1", "list"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.scan.targets.targets, ["192.0.2.1", "list"]);
        let cli = Cli::try_parse_from(["portolan", "scan", "list"]).unwrap();
        assert!(
            matches!(cli.command, Some(Command::Scan(args)) if args.targets.targets == ["list"])
        );
    }
}
