//! Hosts that hold back what they say of closed ports: a system that sends so many resets a second
//! and no more leaves most of its closed ports silent, and no firewall is there.

use std::collections::HashMap;

use portolan_model::event::Problem;
use portolan_model::{PortState, Protocol, Zoned};

use super::Engine;
use super::state::{Host, State};
use crate::clock::Clock;
use crate::loss::Loss;
use crate::transport::Transport;

/// Up to so many hosts have a note of their own, and so many are named where there are more.
const NAMED: usize = 4;

/// So many closed ports that answer late are no sign yet.
const FEW: u32 = 5;

/// The hosts that limit their answers, and what shows it.
#[derive(Debug, Default)]
pub(super) struct Limited {
    /// Of hosts of the block: closed ports that were silent in a pass and answered in a later one.
    late: HashMap<u32, u32>,
    /// Those of all blocks: how many, and the first of them with the ports that stayed silent.
    pub(super) count: u64,
    named: Vec<(Zoned, u32, Option<f64>)>,
    /// Of hosts of the block: how many answers a second they were seen to send at the most.
    pub(super) rates: HashMap<u32, f64>,
}

impl Limited {
    /// A closed port answered that had been silent in an earlier pass.
    pub(super) fn answered_late(&mut self, host: u32) {
        *self.late.entry(host).or_default() += 1;
    }

    /// Whether so many closed ports of the host answered late that loss does not explain it.
    fn shows(&self, host: u32, closed: u32, loss: &Loss) -> bool {
        let late = self.late.get(&host).copied().unwrap_or(0);
        let usual = f64::from(closed) * loss.expected();
        late > FEW && f64::from(late) > usual + 4.0 * (usual + 1.0).sqrt()
    }

    /// The notes for whoever reads the result: what was silent is not to be taken for filtered.
    pub(super) fn notes(&self, protocol: Protocol, silent: PortState) -> Vec<Problem> {
        let answers = match protocol {
            Protocol::Tcp => "resets",
            Protocol::Udp => "ICMP errors",
        };
        let hint = match protocol {
            Protocol::Tcp => {
                "a firewall need not be there; to tell closed ports from others, \
                 scan again with `--max-rate 100`"
            }
            Protocol::Udp => "to wait until it has told of all of them, scan with `--udp-certain`",
        };
        let note = |about: String, message: String| Problem {
            about,
            message,
            hint: Some(hint.to_owned()),
            left_out: false,
        };
        if self.count <= NAMED as u64 {
            let one = |(address, ports, rate): &(Zoned, u32, Option<f64>)| {
                let rate = rate.map_or(String::new(), |rate| {
                    let decimals = usize::from(rate < 5.0);
                    format!(", to about {rate:.decimals$} a second")
                });
                note(
                    address.to_string(),
                    format!(
                        "{address} limits how many {answers} it sends{rate}: \
                         most of its {ports} {silent} ports are likely closed"
                    ),
                )
            };
            return self.named.iter().map(one).collect();
        }
        let names: Vec<String> = self
            .named
            .iter()
            .map(|(host, ..)| host.to_string())
            .collect();
        vec![note(
            names.join(", "),
            format!(
                "{} hosts limit how many {answers} they send ({}, …): \
                 most of their {silent} ports are likely closed",
                self.count,
                names.join(", ")
            ),
        )]
    }
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Looks which hosts of the block limited their answers; what they leave silent is noted.
    pub(super) fn close_limited(&mut self, state: &State<'a>) {
        // Where one host alone is asked, what the pace saw was that host's doing.
        let is_sure = self.pace.is_limited() && state.block.hosts() == 1 && self.counts.up == 1;
        if is_sure {
            self.limited.late.entry(0).or_default();
        }
        let ports = u32::try_from(self.plan.ports().len()).unwrap_or(u32::MAX);
        let mut hosts: Vec<u32> = self.limited.late.keys().copied().collect();
        hosts.sort_unstable();
        for host in hosts {
            let left = state.left.get(host as usize).copied().unwrap_or(0);
            let answered = ports.saturating_sub(left);
            let is_limited = is_sure || self.limited.shows(host, answered, &self.loss);
            if !is_limited || left == 0 || state.host(host) != Host::Up {
                continue;
            }
            self.limited.count += 1;
            if let Some(address) = state.block.address(host)
                && self.limited.named.len() < NAMED
            {
                let rate = self.limited.rates.get(&host).copied();
                let host = self.plan.zoned(address);
                self.limited.named.push((host, left, rate));
            }
        }
        self.limited.late.clear();
        self.limited.rates.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn what_loss_explains_is_no_limit() {
        let mut limited = Limited::default();
        for _ in 0..30 {
            limited.answered_late(7);
        }
        let mut loss = Loss::default();
        for _ in 0..970 {
            loss.answered();
        }
        assert!(limited.shows(7, 1_000, &loss));
        loss.lost(30);
        assert!(!limited.shows(7, 1_000, &loss));
        assert!(!limited.shows(8, 1_000, &loss));
    }

    #[test]
    fn many_hosts_that_limit_their_resets_are_one_note() {
        let mut limited = Limited {
            count: 2,
            named: vec![
                (Zoned::from(IpAddr::from([192, 0, 2, 1])), 980, None),
                (Zoned::from(IpAddr::from([192, 0, 2, 2])), 970, Some(1.04)),
            ],
            ..Limited::default()
        };
        let notes = limited.notes(Protocol::Tcp, PortState::Filtered);
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
        limited.count = 50;
        let notes = limited.notes(Protocol::Udp, PortState::OpenFiltered);
        assert_eq!(
            notes[0].message,
            "50 hosts limit how many ICMP errors they send (192.0.2.1, 192.0.2.2, …): most of \
             their open|filtered ports are likely closed"
        );
    }
}
