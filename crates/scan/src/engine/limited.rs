//! Hosts that hold back what they say of closed ports: a system that sends so many resets a second
//! and no more leaves most of its closed ports silent, and no firewall is there. Of UDP ports, the
//! hosts for which the time was too short to tell of them all. A firewall that refuses TCP ports by
//! ICMP errors leaves most silent too, since systems send few of these.

use std::collections::HashMap;
use std::time::Duration;

use portolan_model::event::Problem;
use portolan_model::{PortState, Protocol, Zoned};

use super::Engine;
use super::state::{Host, State};
use super::waning::{Place, Waning};
use crate::clock::Clock;
use crate::loss::Loss;
use crate::transport::Transport;
use crate::words::grouped;

/// Up to so many hosts have a note of their own, and so many are named where there are more.
const NAMED: usize = 4;

/// So many closed ports that answer late are no sign yet.
const FEW: u32 = 5;

/// Where fewer than this share of the TCP ports asked stayed silent, the limit hid nothing worth a
/// word.
const NOTED: u32 = 100;

/// The hosts that limit their answers, and what shows it.
#[derive(Debug, Default)]
pub(super) struct Limited {
    /// Of hosts of the block: resets, and refusals of a firewall.
    said: HashMap<u32, [Answers; 2]>,
    /// Those of all blocks: how many, how many of them are worth a note, and the first of these with
    /// the ports that stayed silent.
    pub(super) count: u64,
    noted: u64,
    named: Vec<Named>,
    /// Hosts of the block that were not asked until it was sure what their UDP ports are, and how
    /// many errors a second they were seen to send.
    cut: HashMap<u32, Option<f64>>,
    /// The longest that one of all hosts would take to tell of the rest.
    longest: Option<Duration>,
}

/// Answers of one sort that a host sent.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    count: u32,
    /// Those for ports that were silent in a pass and answered in a later one.
    late: u32,
    waning: Waning,
}

impl Answers {
    /// Whether so many came late that loss does not explain it, or fewer and fewer came of all that
    /// was asked, where `asked_all`.
    fn are_limited(self, loss: &Loss, asked_all: bool) -> bool {
        let usual = f64::from(self.count) * loss.expected();
        let are_late = self.late > FEW && f64::from(self.late) > usual + 4.0 * (usual + 1.0).sqrt();
        are_late || asked_all && self.waning.shows()
    }

    /// The share of them that came late.
    fn late_share(self) -> f64 {
        f64::from(self.late) / f64::from(self.count.max(1))
    }
}

/// Where what a host says of a port that is not open is counted.
const fn sort(state: PortState) -> Option<usize> {
    match state {
        PortState::Closed => Some(0),
        PortState::Filtered => Some(1),
        _ => None,
    }
}

/// A host that has a note.
#[derive(Debug)]
struct Named {
    host: Zoned,
    /// Its silent ports.
    left: u32,
    /// Answers a second.
    rate: Option<f64>,
    /// Whether it is the host that holds answers back.
    is_limited: bool,
    /// Whether what it sends are refusals of a firewall.
    refuses: bool,
}

impl Limited {
    /// A port that is not open was told of that had been silent in an earlier pass.
    pub(super) fn answered_late(&mut self, host: u32, state: PortState) {
        if let Some(sort) = sort(state) {
            self.said.entry(host).or_default()[sort].late += 1;
        }
    }

    /// A host answered for a port that is not open; `place` says when that was asked, in the first
    /// pass.
    pub(super) fn answered(&mut self, host: u32, state: PortState, place: Option<Place>) {
        let Some(sort) = sort(state) else {
            return;
        };
        let answers = &mut self.said.entry(host).or_default()[sort];
        answers.count += 1;
        if let Some(place) = place {
            answers.waning.note(place);
        }
    }

    /// Whether it is the refusals of a firewall that a host limits, and not its resets.
    fn refuses(&self, host: u32) -> bool {
        let Some([resets, refusals]) = self.said.get(&host) else {
            return false;
        };
        // What is limited comes late; systems limit ICMP errors more often than resets.
        match (resets.count, refusals.count) {
            (_, 0) => false,
            (0, _) => true,
            _ if refusals.waning.shows() != resets.waning.shows() => refusals.waning.shows(),
            _ => resets.late <= FEW || refusals.late_share() >= resets.late_share(),
        }
    }

    /// The time was over, or the host fell silent, before it was sure what its UDP ports are.
    pub(super) fn cut_short(&mut self, host: u32, rate: Option<f64>) {
        self.cut.insert(host, rate);
    }

    /// Whether what a host says of ports that are not open shows that it limits it.
    fn shows(&self, host: u32, loss: &Loss, asked_all: bool) -> bool {
        self.said.get(&host).is_some_and(|said| {
            said.iter()
                .any(|answers| answers.are_limited(loss, asked_all))
        })
    }

    /// The notes for whoever reads the result: what was silent is not to be taken for filtered.
    /// `budget` is the time in which UDP ports were told apart.
    pub(super) fn notes(
        &self,
        protocol: Protocol,
        silent: PortState,
        budget: Option<Duration>,
    ) -> Vec<Problem> {
        // What they send, what silent ports are likely, and a hint.
        let words = |refuses: bool| match protocol {
            Protocol::Tcp if refuses => (
                "ICMP errors",
                "refused as well",
                "its firewall refuses ports by ICMP errors, of which a system sends few a second"
                    .to_owned(),
            ),
            Protocol::Tcp => (
                "resets",
                "closed",
                "a firewall need not be there; to tell closed ports from others, \
                 scan again with `--max-rate 100`"
                    .to_owned(),
            ),
            Protocol::Udp => ("ICMP errors", "closed", self.more_time(budget)),
        };
        let note = |about: String, message: String, hint: String| Problem {
            about,
            message,
            hint: Some(hint),
            left_out: false,
        };
        if self.noted <= NAMED as u64 {
            let one = |named: &Named| {
                let (answers, likely, hint) = words(named.refuses);
                let (host, left) = (&named.host, grouped(named.left));
                let rate = named.rate.map_or(String::new(), |rate| {
                    let decimals = usize::from(rate < 5.0);
                    format!(", to about {rate:.decimals$} a second")
                });
                let ports = if named.left == 1 { "port" } else { "ports" };
                let message = match (named.is_limited, named.left) {
                    (true, 1) => format!(
                        "{host} limits how many {answers} it sends{rate}: its {silent} port is \
                         likely {likely}"
                    ),
                    (true, _) => format!(
                        "{host} limits how many {answers} it sends{rate}: most of its {left} \
                         {silent} ports are likely {likely}"
                    ),
                    (false, _) => format!(
                        "the time was too short for {host} to tell of all closed ports: {left} \
                         {ports} of it may be open or closed"
                    ),
                };
                note(host.to_string(), message, hint)
            };
            return self.named.iter().map(one).collect();
        }
        let names: Vec<String> = self
            .named
            .iter()
            .map(|named| named.host.to_string())
            .collect();
        let refuse = self.named.iter().all(|named| named.refuses);
        let (answers, likely, hint) = words(refuse);
        vec![note(
            names.join(", "),
            format!(
                "{} hosts limit how many {answers} they send ({}, …): \
                 most of their {silent} ports are likely {likely}",
                grouped(self.noted),
                names.join(", ")
            ),
            hint,
        )]
    }

    /// How closed UDP ports are told from others after all, and how long that takes.
    fn more_time(&self, budget: Option<Duration>) -> String {
        let Some(longest) = self.longest else {
            return "to wait until it is sure what they are, scan with `--udp-certain`".to_owned();
        };
        let more = longest.as_secs() + 1;
        match budget {
            Some(budget) => format!(
                "to wait until all closed ports are told of, scan with `--udp-certain` (about {} \
                 more), or with a longer time, as in `--udp-budget {}s`",
                time(more),
                (budget.as_secs() + more).div_ceil(10) * 10
            ),
            None => format!("all of them would take about {} more", time(more)),
        }
    }
}

/// A time in seconds or minutes, to read.
fn time(seconds: u64) -> String {
    let (count, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7_200 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3_600), "hour"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Looks which hosts of the block limited their answers; what they leave silent is noted.
    pub(super) fn close_limited(&mut self, state: &State<'a>) {
        let is_udp = self.plan.protocol() == Protocol::Udp;
        let ports = u32::try_from(self.plan.ports().len()).unwrap_or(u32::MAX);
        // What a host was asked of its UDP ports until it was sure is what they are.
        let mut hosts: Vec<u32> = if is_udp {
            self.limited.cut.keys().copied().collect()
        } else {
            self.limited.said.keys().copied().collect()
        };
        hosts.sort_unstable();
        for host in hosts {
            let left = state.left.get(host as usize).copied().unwrap_or(0);
            let rate = self.limited.cut.get(&host).copied().flatten();
            // One whose UDP ports were told of one by one until the end holds the others back.
            // Where all went silent, that is no limit; and all that answered is early in the order
            // where the rest was not asked.
            let shows = !self.lost_contact
                && (self.limited).shows(host, &self.loss, !self.control.is_stopped());
            let is_limited = rate.is_some() || shows;
            if !(is_limited || is_udp) || left == 0 || state.host(host) != Host::Up {
                continue;
            }
            self.limited.count += 1;
            if let Some(rate) = rate {
                let takes = Duration::from_secs_f64((f64::from(left) / rate.max(1e-3)).min(1e6));
                self.limited.longest = self.limited.longest.max(Some(takes));
            }
            if !is_udp && left < ports.div_ceil(NOTED) {
                continue;
            }
            self.limited.noted += 1;
            if let Some(address) = state.block.address(host)
                && self.limited.named.len() < NAMED
            {
                self.limited.named.push(Named {
                    host: self.plan.zoned(address),
                    left,
                    rate,
                    is_limited,
                    refuses: self.limited.refuses(host),
                });
            }
        }
        self.limited.cut.clear();
        self.limited.said.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn what_loss_explains_is_no_limit() {
        let mut limited = Limited::default();
        for count in 0..1_000_u32 {
            limited.answered(7, PortState::Closed, None);
            if count < 30 {
                limited.answered_late(7, PortState::Closed);
            }
        }
        let mut loss = Loss::default();
        for _ in 0..970 {
            loss.answered();
        }
        assert!(limited.shows(7, &loss, true));
        loss.lost(30);
        assert!(!limited.shows(7, &loss, true));
        assert!(!limited.shows(8, &loss, true));
    }

    fn named(number: u8, left: u32, rate: Option<f64>) -> Named {
        Named {
            host: Zoned::from(IpAddr::from([192, 0, 2, number])),
            left,
            rate,
            is_limited: true,
            refuses: false,
        }
    }

    #[test]
    fn a_firewall_that_refuses_by_icmp_errors_is_not_called_closed_ports() {
        let mut limited = Limited::default();
        for _ in 0..6 {
            limited.answered(0, PortState::Filtered, None);
        }
        limited.answered(0, PortState::Closed, None);
        limited.noted = 1;
        limited.named.push(Named {
            refuses: limited.refuses(0),
            ..named(1, 4_997, None)
        });
        let notes = limited.notes(Protocol::Tcp, PortState::Filtered, None);
        assert_eq!(
            notes[0].message,
            "192.0.2.1 limits how many ICMP errors it sends: most of its 4,997 filtered ports are \
             likely refused as well"
        );
        let hint = notes[0].hint.as_deref().unwrap();
        assert!(!hint.contains("need not be there"), "{hint}");
    }

    #[test]
    fn one_port_is_told_of_as_one_and_the_hint_says_how_long_the_rest_takes() {
        let limited = Limited {
            noted: 2,
            named: vec![
                named(1, 1, Some(1.0)),
                Named {
                    is_limited: false,
                    ..named(2, 300, None)
                },
            ],
            longest: Some(Duration::from_mins(5)),
            ..Limited::default()
        };
        let budget = Some(Duration::from_secs(30));
        let notes = limited.notes(Protocol::Udp, PortState::OpenFiltered, budget);
        assert_eq!(
            notes[0].message,
            "192.0.2.1 limits how many ICMP errors it sends, to about 1.0 a second: its \
             open|filtered port is likely closed"
        );
        assert_eq!(
            notes[1].message,
            "the time was too short for 192.0.2.2 to tell of all closed ports: 300 ports of it \
             may be open or closed"
        );
        assert_eq!(
            notes[0].hint.as_deref(),
            Some(
                "to wait until all closed ports are told of, scan with `--udp-certain` (about 6 \
                 minutes more), or with a longer time, as in `--udp-budget 340s`"
            )
        );
    }

    #[test]
    fn many_hosts_that_limit_their_resets_are_one_note() {
        let mut limited = Limited {
            noted: 2,
            named: vec![named(1, 980, None), named(2, 970, Some(1.04))],
            ..Limited::default()
        };
        let notes = limited.notes(Protocol::Tcp, PortState::Filtered, None);
        assert_eq!(notes.len(), 2);
        assert_eq!(
            notes[0].message,
            "192.0.2.1 limits how many resets it sends: most of its 980 filtered ports are \
             likely closed"
        );
        assert!(!notes[0].left_out);
        assert_eq!(
            notes[1].message,
            "192.0.2.2 limits how many resets it sends, to about 1.0 a second: most of its 970 \
             filtered ports are likely closed"
        );
        limited.noted = 50;
        let notes = limited.notes(Protocol::Udp, PortState::OpenFiltered, None);
        assert_eq!(
            notes[0].message,
            "50 hosts limit how many ICMP errors they send (192.0.2.1, 192.0.2.2, …): most of \
             their open|filtered ports are likely closed"
        );
    }
}
