//! Portolan and nmap over the lab, one after the other, and the table of how right they were.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use portolan_testnet::Namespace;

use super::compare::{Claim, Judged, Verdict, judge, read_json, read_xml};
use super::daemon::Transport;
use super::truth::{self, Endpoint};
use crate::process::{self, cargo, complain, root, say, target_dir};

/// Longer than any of them has needed by far; then it is killed.
const PATIENCE: &str = "3000";

/// Between these lines of the page stands what `--write` puts there.
const BEGIN: &str = "<!-- detect-lab: begin -->";
const END: &str = "<!-- detect-lab: end -->";

/// Builds the program as users get it; where it is.
pub(crate) fn build() -> Result<PathBuf, String> {
    let built = process::run(cargo().args(["build", "--release", "--package", "portolan"]))?;
    built
        .success()
        .then(|| target_dir().join("release/portolan"))
        .ok_or_else(|| "portolan cannot be built".to_owned())
}

/// Lets both scan the lab, shows how they did, and with `write` puts the table into the page.
pub(crate) fn run(
    namespace: &Namespace,
    truth: &[Endpoint],
    lab: &Path,
    program: &Path,
    write: bool,
) -> Result<(), String> {
    for scanner in scanners(program) {
        scanner.scan(namespace, truth, lab)?;
    }
    judge_last(truth, lab, write)
}

/// Judges what both said last, as it stands in `lab`.
pub(crate) fn judge_last(truth: &[Endpoint], lab: &Path, write: bool) -> Result<(), String> {
    let mut scores = Vec::new();
    for scanner in scanners(Path::new("")) {
        scores.push(scanner.score(truth, lab)?);
    }
    for score in &scores {
        score.complain();
    }
    let table = table_of(truth, &scores);
    say(&table);
    if write {
        write_page(&root().join("docs/performance.md"), &table)?;
    }
    Ok(())
}

fn scanners(program: &Path) -> [Scanner<'_>; 2] {
    [
        Scanner {
            name: "portolan",
            program,
            asks_known_ports: true,
        },
        Scanner {
            name: "nmap",
            program: Path::new("nmap"),
            asks_known_ports: false,
        },
    ]
}

struct Scanner<'a> {
    name: &'static str,
    program: &'a Path,
    /// Whether it can be told that ports are open. Over UDP that is what is wanted: to find out
    /// which are is another matter, and takes another time.
    asks_known_ports: bool,
}

/// What a scanner said, judged.
struct Score {
    name: &'static str,
    judged: Vec<(Endpoint, Claim, Judged)>,
    tcp: Duration,
    udp: Duration,
}

impl Scanner<'_> {
    /// Lets it scan, and keeps what it said and how long it took in `lab`.
    fn scan(&self, namespace: &Namespace, truth: &[Endpoint], lab: &Path) -> Result<(), String> {
        for transport in [Transport::Tcp, Transport::Udp] {
            let ports = ports_of(truth, transport);
            let (file, time) = self.files(transport, lab);
            // What an earlier run left is no answer of this one.
            let _ = fs::remove_file(&file);
            let _ = fs::remove_file(&time);
            if ports.is_empty() {
                continue;
            }
            let mut command = namespace.command("timeout");
            command.arg(PATIENCE).arg(self.program).stdin(Stdio::null());
            if self.knows(transport) {
                let output = File::create(&file)
                    .map_err(|error| format!("cannot write `{}`: {error}", file.display()))?;
                command.args(["detect", "--json"]).stdout(output);
                command.args(ports.iter().map(|port| format!("127.0.0.1:{port}/udp")));
            } else {
                let listed: Vec<String> = ports.iter().map(u16::to_string).collect();
                let scan = match transport {
                    Transport::Tcp => "-sT",
                    Transport::Udp => "-sU",
                };
                command.args(["-sV", "-n", "-Pn", scan, "-p"]);
                command.arg(listed.join(",")).arg("-oX").arg(&file);
                command.arg("127.0.0.1").stdout(Stdio::null());
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a program outside is timed, for the reader of the table"
            )]
            let start = Instant::now();
            let status = command
                .status()
                .map_err(|error| format!("cannot run {}: {error}", self.name))?;
            let took = start.elapsed().as_secs_f64().to_string();
            fs::write(&time, took)
                .map_err(|error| format!("cannot write `{}`: {error}", time.display()))?;
            if !file.exists() {
                return Err(format!(
                    "{} ended with {status} and wrote nothing",
                    self.name
                ));
            }
        }
        Ok(())
    }

    /// Judges what it said last.
    fn score(&self, truth: &[Endpoint], lab: &Path) -> Result<Score, String> {
        let mut claims = BTreeMap::new();
        let mut times = [Duration::ZERO; 2];
        for (transport, took) in [Transport::Tcp, Transport::Udp].into_iter().zip(&mut times) {
            if ports_of(truth, transport).is_empty() {
                continue;
            }
            let (file, time) = self.files(transport, lab);
            let read = |path: &Path| {
                fs::read(path)
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))
            };
            let document = read(&file)?;
            let seconds = read(&time)?;
            *took = seconds
                .trim()
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| format!("`{}` holds no seconds: {seconds}", time.display()))?;
            claims.extend(if self.knows(transport) {
                read_json(&document)
            } else {
                read_xml(&document)
            });
        }
        let judged = truth.iter().map(|endpoint| {
            let key = (endpoint.protocol, endpoint.port);
            let claim = claims.get(&key).cloned().unwrap_or_default();
            let judged = judge(endpoint, &claim);
            (endpoint.clone(), claim, judged)
        });
        Ok(Score {
            name: self.name,
            judged: judged.collect(),
            tcp: times[0],
            udp: times[1],
        })
    }

    fn knows(&self, transport: Transport) -> bool {
        self.asks_known_ports && transport == Transport::Udp
    }

    /// Where its answers and the seconds that it took are kept.
    fn files(&self, transport: Transport, lab: &Path) -> (PathBuf, PathBuf) {
        let file = |end| lab.join(format!("{}-{}.{end}", self.name, transport.name()));
        (file("txt"), file("seconds"))
    }
}

fn ports_of(truth: &[Endpoint], transport: Transport) -> Vec<u16> {
    truth
        .iter()
        .filter(|endpoint| endpoint.protocol == transport)
        .map(|endpoint| endpoint.port)
        .collect()
}

impl Score {
    /// Says each thing that is not right.
    fn complain(&self) {
        for (endpoint, claim, judged) in &self.judged {
            let mut said = Vec::new();
            let mut hold = |what: &str, verdict: Verdict, claim: &str| {
                if matches!(verdict, Verdict::Missed | Verdict::Wrong) {
                    said.push(format!("{what} {verdict:?} ({claim})").to_lowercase());
                }
            };
            hold("service", judged.service, &claim.service);
            hold("product", judged.product, &claim.product);
            hold("version", judged.version, &claim.version);
            hold("TLS", judged.tls, "");
            if !said.is_empty() {
                complain(&format!("{}: {endpoint}: {}", self.name, said.join(", ")));
            }
        }
    }

    /// How many are right, of how many that could be.
    fn share(
        &self,
        verdict: impl Fn(&Judged) -> Verdict,
        countable: impl Fn(&Endpoint) -> bool,
    ) -> String {
        let all = || {
            self.judged
                .iter()
                .filter(|(endpoint, ..)| countable(endpoint))
        };
        let right = all()
            .filter(|(_, _, judged)| verdict(judged) == Verdict::Right)
            .count();
        let of = all().count();
        let percent = (right * 100).checked_div(of).unwrap_or(0);
        format!("{right}/{of} ({percent} %)")
    }

    fn wrong(&self) -> usize {
        self.judged
            .iter()
            .filter(|(endpoint, _, judged)| {
                // What says nothing has no name; a name for it is as wrong as another's product.
                let is_silent = endpoint.service.iter().any(String::is_empty);
                judged.product == Verdict::Wrong
                    || judged.version == Verdict::Wrong
                    || (is_silent && judged.service == Verdict::Wrong)
            })
            .count()
    }
}

fn table_of(truth: &[Endpoint], scores: &[Score]) -> String {
    let (tcp, udp) = truth::count(truth);
    let mut daemons: Vec<_> = truth.iter().map(|endpoint| &endpoint.daemon).collect();
    daemons.sort();
    daemons.dedup();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Score) -> String| {
        rows.push((name.to_owned(), scores.iter().map(cell).collect()));
    };
    row("service right", &|score| {
        score.share(
            |judged| judged.service,
            |endpoint| !endpoint.service.iter().any(String::is_empty),
        )
    });
    row("product right, where the wire shows one", &|score| {
        score.share(
            |judged| judged.product,
            |endpoint| !endpoint.product.iter().any(String::is_empty),
        )
    });
    row("version right, where the wire shows one", &|score| {
        score.share(
            |judged| judged.version,
            |endpoint| endpoint.version.is_some(),
        )
    });
    row("TLS seen", &|score| {
        score.share(|judged| judged.tls, |endpoint| endpoint.tls)
    });
    row("wrong product or version", &|score| {
        score.wrong().to_string()
    });
    row(&format!("time, {tcp} TCP ports"), &|score| {
        seconds(score.tcp)
    });
    row(&format!("time, {udp} UDP ports"), &|score| {
        seconds(score.udp)
    });

    let mut text = format!(
        "`cargo xtask detect-lab --score`: {} daemons of Debian 12 and 13 on loopback, {tcp} TCP and {udp} UDP ports.\n\n|",
        daemons.len()
    );
    for score in scores {
        let _ = write!(text, " | {}", score.name);
    }
    text.push_str(" |\n| ---");
    text.push_str(&" | ---".repeat(scores.len()));
    text.push_str(" |\n");
    for (name, cells) in rows {
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text.trim_end().to_owned()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn write_page(path: &Path, table: &str) -> Result<(), String> {
    let page = fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let written = with_table(&page, table)
        .ok_or_else(|| format!("`{}` has no lines `{BEGIN}` and `{END}`", path.display()))?;
    fs::write(path, written).map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// The page with a new table between the two marks.
fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_takes_the_place_of_the_old_one() {
        let page = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let written = with_table(&page, "new").unwrap();
        assert_eq!(written, format!("above\n{BEGIN}\nnew\n{END}\nbelow\n"));
        assert_eq!(with_table("nothing", "new"), None);
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = fs::read_to_string(root().join("docs/performance.md")).unwrap();
        assert!(with_table(&page, "new").is_some());
    }
}
