//! A scan as it runs, on a terminal: rows as ports are found, problems, and one line of progress
//! that is cleared at the end.

use std::io::{self, Write};

use portolan_model::event::{PortFact, Problem, Progress};
use portolan_model::{PortState, ScanEvent, Zones};
use portolan_report::table::{self, TableOptions};

use super::{Look, hint_line, note_line, problem_lines, progress};

/// Back to the first column, and clear from there to the end of the line.
const CLEAR: &str = "\r\x1b[K";

/// What is shown while a scan runs.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Shown {
    /// Rows on standard output as ports are found.
    pub(crate) rows: bool,
    /// The progress line on standard error.
    pub(crate) progress: bool,
    /// Advice, beside what is left out.
    pub(crate) notes: bool,
    /// What the scan is about to do.
    pub(crate) details: bool,
    /// Hosts as they are found.
    pub(crate) hosts: bool,
}

/// Follows the events of a scan.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing on its own, in any combination"
)]
pub(crate) struct Live<Out, Err> {
    look: Look,
    shown: Shown,
    out: Out,
    err: Err,
    /// Rows that stand on the terminal.
    rows: usize,
    /// Whether anything else stands among or under them.
    is_mixed: bool,
    /// Whether the rows are the result, and no table takes their place.
    is_last: bool,
    /// Where the scan was when it last said so.
    last: Option<Progress>,
    /// The line of progress that stands there now.
    line: String,
    /// Whether it was said what hosts that answer everything mean.
    told_of_liars: bool,
    /// Whether no port is asked for.
    only_hosts: bool,
    /// Whether the user has the scan hold on.
    is_paused: bool,
    /// Over which interfaces link-local addresses are asked.
    zones: Zones,
}

impl<Out: Write, Err: Write> Live<Out, Err> {
    /// Shows nothing yet.
    pub(crate) fn new(look: Look, shown: Shown, out: Out, err: Err) -> Self {
        Self {
            look,
            shown,
            out,
            err,
            rows: 0,
            is_mixed: false,
            is_last: false,
            last: None,
            line: String::new(),
            told_of_liars: false,
            only_hosts: false,
            is_paused: false,
            zones: Zones::NONE,
        }
    }

    /// Writes rows wherever standard output leads, or not, and leaves them there.
    pub(crate) fn show_rows(&mut self, rows: bool) {
        self.shown.rows = rows;
        self.is_last = rows;
    }

    /// Says a line about the scan to whoever pressed a key.
    pub(crate) fn say(&mut self, text: &str) {
        self.tell(&format!("{text}\n"));
    }

    /// The scan holds on, or goes on.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        self.say(if is_paused {
            "paused: nothing is sent until `p` is pressed again"
        } else {
            "goes on"
        });
    }

    /// Says where the scan is, in a line that stays, and which keys there are: a sweep skips no
    /// host.
    pub(crate) fn say_where(&mut self, is_sweep: bool) {
        let line = self.last.map_or_else(String::new, |now| {
            progress::line(&now, self.only_hosts, self.is_paused, self.look.width) + "\n"
        });
        let skip = if is_sweep {
            ""
        } else {
            "s skips the slowest host, "
        };
        self.tell(&format!(
            "{line}keys: p pauses and goes on, {skip}q ends in order\n"
        ));
    }

    /// Shows one more event.
    ///
    /// # Errors
    /// When standard output cannot be written. Standard error has nobody to tell.
    pub(crate) fn event(&mut self, event: &ScanEvent) -> io::Result<()> {
        if let ScanEvent::Started(started) = event {
            self.only_hosts = started.looks_for_hosts_only();
            self.zones = started.zones.clone();
        }
        match event {
            ScanEvent::Started(started) if self.shown.details => {
                let what = if started.looks_for_hosts_only() {
                    "looking for hosts".to_owned()
                } else {
                    format!(
                        "scanning {} of port and address,",
                        plural(started.probes, "pair")
                    )
                };
                let text = format!(
                    "{what} at {}, by {}\nthe order is that of `--seed {}`\n",
                    plural(started.addresses, "address"),
                    started
                        .techniques
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(" and "),
                    started.seed
                );
                self.tell(&text);
            }
            ScanEvent::HostUp(up) if self.shown.hosts => {
                self.tell(&format!(
                    "{} is up: {}\n",
                    self.zones.zoned(up.address),
                    up.reason
                ));
            }
            ScanEvent::Port(fact) if self.shown.rows && fact.state == PortState::Open => {
                self.row(fact)?;
            }
            // Where rows are the result, what runs there is one more of them.
            ScanEvent::Service(fact) if self.is_last => {
                self.line(|zones, options| table::service_row(fact, zones, options))?;
            }
            ScanEvent::AnswersAll(found) if self.shown.notes => {
                let note = format!("{} {}", self.zones.zoned(found.address), found.words());
                let mut text = note_line(&note, self.look.err_color);
                if !std::mem::replace(&mut self.told_of_liars, true) {
                    let hint = "an answer of such a host shows no listener";
                    text += &hint_line(hint, self.look.err_color);
                }
                self.tell(&text);
            }
            ScanEvent::Problem(problem) => self.problem(problem),
            ScanEvent::Preparing(what) if self.shown.progress => self.status(what),
            ScanEvent::Progress(now) => {
                self.last = Some(*now);
                if !self.shown.progress {
                    return Ok(());
                }
                self.draw(progress::line(
                    now,
                    self.only_hosts,
                    self.is_paused,
                    self.look.width,
                ));
            }
            // Whatever was waited for, it is no longer.
            ScanEvent::Started(_) | ScanEvent::Finished(_) => self.clear(),
            _ => {}
        }
        Ok(())
    }

    /// The terminal may have another size now. Then nobody knows on how many of its lines the
    /// rows stand, and they stay.
    pub(crate) fn resize(&mut self, look: Look) {
        self.is_mixed |= self.rows > 0 && look != self.look;
        self.look = look;
    }

    /// Takes the rows away again, where they all still stand on the screen, so that the table
    /// can stand in their place; otherwise leaves an empty line under them.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn make_room(&mut self) -> io::Result<()> {
        self.clear();
        if self.rows == 0 || self.is_last {
            return Ok(());
        }
        if self.is_mixed || self.rows >= self.look.height {
            writeln!(self.out)?;
        } else {
            write!(self.out, "\x1b[{}A\x1b[J", self.rows)?;
        }
        self.rows = 0;
        self.out.flush()
    }

    /// Takes the line of progress away.
    pub(crate) fn clear(&mut self) {
        if !self.line.is_empty() {
            let _ = write!(self.err, "{CLEAR}");
            let _ = self.err.flush();
            self.line.clear();
        }
    }

    /// Says in the line of progress what is waited for.
    fn status(&mut self, what: &str) {
        let what = crate::failure::visible(what);
        // A full last column would wrap on some terminals.
        self.draw(
            what.chars()
                .take(self.look.width.saturating_sub(1))
                .collect(),
        );
    }

    fn draw(&mut self, line: String) {
        if line != self.line {
            let _ = write!(self.err, "{CLEAR}{line}");
            let _ = self.err.flush();
            self.line = line;
        }
    }

    fn row(&mut self, fact: &PortFact) -> io::Result<()> {
        self.line(|zones, options| table::row(fact, zones, options))
    }

    fn line(&mut self, row: impl FnOnce(&Zones, &TableOptions) -> String) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            let _ = write!(self.err, "{CLEAR}");
            let _ = self.err.flush();
        }
        let options = TableOptions {
            // A full last column would wrap on some terminals.
            width: self.look.width.saturating_sub(1),
            color: self.look.out_color,
            open_only: true,
        };
        writeln!(self.out, "{}", row(&self.zones, &options))?;
        self.out.flush()?;
        self.rows += 1;
        if !line.is_empty() {
            let _ = write!(self.err, "{line}");
            let _ = self.err.flush();
            self.line = line;
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) {
        if problem.left_out || self.shown.notes {
            let text = problem_lines(problem, self.look.err_color);
            self.tell(&text);
        }
    }

    fn tell(&mut self, text: &str) {
        self.clear();
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
        // On the same terminal, it stands between the rows.
        self.is_mixed |= self.rows > 0 && self.look.err_is_terminal;
    }
}

fn plural(number: u128, noun: &str) -> String {
    let many = if noun.ends_with('s') { "es" } else { "s" };
    let ending = if number == 1 { "" } else { many };
    format!("{} {noun}{ending}", progress::grouped(number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use portolan_model::event::{AnswersAll, Endpoint, Finished, HostUp, Outcome};
    use portolan_model::{Protocol, Reason};

    use super::*;

    const LOOK: Look = Look {
        out_is_terminal: true,
        err_is_terminal: true,
        out_color: false,
        err_color: false,
        width: 80,
        height: 4,
    };

    fn live() -> Live<Vec<u8>, Vec<u8>> {
        let shown = Shown {
            rows: true,
            progress: true,
            notes: true,
            details: false,
            hosts: false,
        };
        Live::new(LOOK, shown, Vec::new(), Vec::new())
    }

    fn open(port: u16) -> ScanEvent {
        ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: "192.0.2.1".parse().unwrap(),
                protocol: Protocol::Tcp,
                port,
            },
            state: PortState::Open,
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn finished() -> ScanEvent {
        ScanEvent::Finished(Finished {
            at: Timestamp::UNIX_EPOCH,
            outcome: Outcome::Complete,
            elapsed: Duration::from_secs(1),
            hosts_up: 1,
            hosts_down: 0,
            sent: 1,
            loss: Some(0.0),
            expected_missed: 0.0,
        })
    }

    fn texts(live: &Live<Vec<u8>, Vec<u8>>) -> (&str, &str) {
        (
            std::str::from_utf8(&live.out).unwrap(),
            std::str::from_utf8(&live.err).unwrap(),
        )
    }

    #[test]
    fn a_sweep_offers_no_key_that_it_has_not() {
        let mut live = live();
        live.say_where(true);
        assert_eq!(
            texts(&live).1,
            "keys: p pauses and goes on, q ends in order\n"
        );
        live.say_where(false);
        assert!(texts(&live).1.contains("s skips the slowest host"));
    }

    #[test]
    fn while_it_is_paused_the_line_says_so() {
        let mut live = live();
        live.pause(true);
        let now = Progress {
            total: 10,
            ..Progress::default()
        };
        live.event(&ScanEvent::Progress(now)).unwrap();
        assert!(texts(&live).1.ends_with("   paused"), "{}", texts(&live).1);
        live.pause(false);
        live.event(&ScanEvent::Progress(now)).unwrap();
        assert!(texts(&live).1.ends_with("/s"), "{}", texts(&live).1);
    }

    #[test]
    fn rows_that_fit_the_screen_give_way_to_the_table() {
        let mut live = live();
        for port in [22, 80] {
            live.event(&open(port)).unwrap();
        }
        live.event(&finished()).unwrap();
        live.make_room().unwrap();
        assert_eq!(
            texts(&live).0,
            "192.0.2.1:22/tcp           open      ssh\n\
             192.0.2.1:80/tcp           open      http\n\x1b[2A\x1b[J"
        );
    }

    #[test]
    fn rows_that_have_scrolled_away_stay() {
        let mut live = live();
        for port in [22, 80, 443, 8080] {
            live.event(&open(port)).unwrap();
        }
        live.make_room().unwrap();
        assert!(
            texts(&live).0.ends_with("http-alt\n\n"),
            "{:?}",
            texts(&live).0
        );
    }

    #[test]
    fn rows_on_a_terminal_of_another_size_stay() {
        let mut live = live();
        live.event(&open(22)).unwrap();
        live.resize(Look {
            width: 40,
            ..live.look
        });
        live.make_room().unwrap();
        assert!(texts(&live).0.ends_with("ssh\n\n"), "{:?}", texts(&live));
        live.event(&ScanEvent::Progress(Progress {
            total: 16_776_960,
            hosts_up: 64,
            ..Progress::default()
        }))
        .unwrap();
        assert!(texts(&live).1.chars().count() < 40 + CLEAR.len());
    }

    #[test]
    fn an_error_among_the_rows_keeps_them() {
        let mut live = live();
        live.event(&open(22)).unwrap();
        live.event(&ScanEvent::Problem(Problem {
            about: "192.0.2.9".to_owned(),
            message: "no route".to_owned(),
            hint: None,
            left_out: true,
        }))
        .unwrap();
        live.make_room().unwrap();
        let (out, err) = texts(&live);
        assert_eq!(out, "192.0.2.1:22/tcp           open      ssh\n\n");
        assert_eq!(err, "error: 192.0.2.9: no route\n");
    }

    #[test]
    fn what_is_waited_for_is_said_until_the_scan_begins() {
        let mut live = live();
        let what = "looking for hosts on the link of eth0";
        live.event(&ScanEvent::Preparing(what.to_owned())).unwrap();
        assert_eq!(texts(&live).1, format!("{CLEAR}{what}"));
        live.event(&ScanEvent::Started(portolan_model::event::Started {
            at: Timestamp::UNIX_EPOCH,
            techniques: Vec::new(),
            ports: portolan_model::PortSpec::common(),
            addresses: 1,
            probes: 1,
            seed: 1,
            zones: Zones::NONE,
        }))
        .unwrap();
        assert!(texts(&live).1.ends_with(&format!("{what}{CLEAR}")));
        live.shown.progress = false;
        let before = live.err.len();
        live.event(&ScanEvent::Preparing(what.to_owned())).unwrap();
        assert_eq!(live.err.len(), before, "not into a file");
    }

    #[test]
    fn hosts_are_told_as_they_are_found_where_that_is_asked_for() {
        let up = ScanEvent::HostUp(HostUp {
            address: "192.0.2.1".parse().unwrap(),
            reason: Reason::ConnRefused,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        });
        let mut live = live();
        live.event(&up).unwrap();
        assert_eq!(texts(&live).1, "");
        live.shown.hosts = true;
        live.event(&up).unwrap();
        assert_eq!(texts(&live).1, "192.0.2.1 is up: conn-refused\n");
    }

    #[test]
    fn a_host_that_answers_everything_is_told_once_with_its_evidence() {
        let mut live = live();
        let found = AnswersAll {
            address: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::Tcp,
            asked: 12,
            answered: 11,
            windowless: 0,
            at: Timestamp::UNIX_EPOCH,
        };
        live.event(&ScanEvent::AnswersAll(found)).unwrap();
        assert_eq!(
            texts(&live).1,
            "note: 192.0.2.1 answers on every port (11 of 12 drawn by lot)\n\
             hint: an answer of such a host shows no listener\n"
        );
    }

    #[test]
    fn progress_is_drawn_over_itself_and_cleared_at_the_end() {
        let mut live = live();
        let half = ScanEvent::Progress(Progress {
            done: 1,
            total: 2,
            ..Progress::default()
        });
        live.event(&half).unwrap();
        live.event(&half).unwrap();
        live.event(&finished()).unwrap();
        let drawn = " 50 %   open 0   1/2   0/s";
        assert_eq!(texts(&live).1, format!("{CLEAR}{drawn}{CLEAR}"));
    }
}
