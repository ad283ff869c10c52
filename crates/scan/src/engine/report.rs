//! What is told: progress, and what stayed silent.

use std::time::Duration;

use portolan_model::event::{HostUp, PathSeen, PortsFact, Problem, Progress, Reached, ScanEvent};
use portolan_model::spec::Discovery;
use portolan_model::{PortState, Reason};

use super::Engine;
use super::discover::{EARLY, Heard, LOOKS};
use super::state::{Host, State};
use super::walk::{Pass, Walk};
use crate::clock::Clock;
use crate::request::LISTED_SILENT;
use crate::transport::Transport;
use crate::words::grouped;

/// Time between two places that a scan can go on from.
const REACHED: Duration = Duration::from_millis(250);

/// A time in words that says no more than is known.
fn rounded(time: Duration) -> String {
    match time.as_secs_f64().round() {
        ..=1.0 => "a second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Reports what stayed silent, and what is left of the block's hosts.
    pub(super) fn close_block(&mut self, state: &State<'a>, passes: u32, discovered: bool) {
        let is_silence_left = state.unsettled > 0;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let missed = if is_silence_left {
            let missed = self.measured().missed(self.counts.open, passes);
            missed.min(state.unsettled as f64)
        } else {
            0.0
        };
        self.counts.missed = self.counts.missed.max(missed);
        self.close_limited(state);
        let lists_silent = self.lists_silent() && !discovered;
        if !self.is_over() {
            self.counts.done += u128::from(state.settled_count + state.unsettled);
            self.taken.end();
            self.come_to(self.counts.done);
        }
        let now = self.clock.timestamp(self.clock.now());
        let asked = u32::try_from(self.plan.ports().len()).unwrap_or(u32::MAX);
        for host in 0..state.block.hosts() {
            let Some(address) = state.block.address(host) else {
                continue;
            };
            let known = state.host(host);
            if self.is_over() {
                self.counts.down += u128::from(matches!(known, Host::Down(_)));
                continue;
            }
            let reason = match known {
                Host::Up => Reason::NoResponse,
                Host::Unknown if lists_silent => Reason::NoResponse,
                Host::Down(reason) if lists_silent => reason,
                Host::Unreachable | Host::CutOff | Host::GivenUp => continue,
                _ => {
                    self.counts.down += 1;
                    continue;
                }
            };
            if known != Host::Up {
                self.counts.down += 1;
                if self.plan.addresses().len() == 1 && self.options.discovery == Discovery::Auto {
                    let heard = match known {
                        Host::Unknown if state.left[host as usize] < asked => Heard::Refusals,
                        Host::Unknown => Heard::Nothing,
                        _ => Heard::NotThere,
                    };
                    self.tell_silent(address, heard);
                }
                if self.options.discovery == Discovery::Skip {
                    (self.sink)(ScanEvent::HostUp(HostUp {
                        address,
                        reason: Reason::UserSet,
                        rtt: None,
                        ttl: None,
                        at: now,
                    }));
                }
            }
            if state.left[host as usize] == 0 || self.options.discovery == Discovery::Only {
                continue;
            }
            (self.sink)(ScanEvent::Ports(PortsFact {
                address,
                protocol: self.plan.protocol(),
                ports: state.silent_ports(host, self.plan.ports()),
                // Only silence leaves it open whether something listens there.
                state: if reason == Reason::NoResponse {
                    self.options.silent
                } else {
                    PortState::Filtered
                },
                reason,
                at: now,
            }));
            (self.sink)(ScanEvent::HostDone { address, at: now });
        }
    }

    /// Whether so few addresses are asked that each is told of, whether or not it answers.
    pub(super) fn lists_silent(&self) -> bool {
        self.plan.addresses().len() <= LISTED_SILENT
    }

    /// What is to be known of a path that shuts after a burst.
    pub(super) fn note_of_shutting(&self) -> Option<Problem> {
        let (time, packets) = self.pace.shuts()?;
        Some(Problem {
            about: self.plan.addresses().to_string(),
            message: format!(
                "something on the way drops everything for about {} after some {} packets within a \
                 second: the scan waited, and went on more slowly",
                rounded(time),
                grouped(packets)
            ),
            hint: Some(format!(
                "a firewall takes the scan for an attack; `--max-rate {}` likely keeps below what it \
                 counts",
                (packets / 2).max(1)
            )),
            left_out: false,
        })
    }

    /// Says what was learnt of the path.
    pub(super) fn report_path(&mut self) {
        let rtt = self.pace.rtt();
        (self.sink)(ScanEvent::Path(PathSeen {
            rtt: rtt.srtt(),
            lowest_rtt: rtt.lowest(),
            carries: self.pace.narrowest(),
            carried: self.pace.carried(),
            overruns: self.pace.overruns(),
            passes: self.pass_shown,
            limited_hosts: self.limited.count,
            dropped: self.dropped.max(self.transport.lost()),
        }));
    }

    pub(super) fn report_progress_of(&mut self, state: &State<'a>, pass: &Pass, now: Duration) {
        if pass.walk != Walk::Hosts {
            // A silent pair counts by the passes that it has behind it.
            let passes = u128::from(self.passes().max(pass.number));
            let (walked, length) = match pass.walk {
                Walk::Found => (self.found.walked(), state.pairs_asked()),
                Walk::Hosts | Walk::Pairs => (pass.next, pass.end),
            };
            let walked = walked.min(length);
            let unsettled = u128::from(state.unsettled);
            // Of the first pass it is known how many were asked and kept silent: most pairs that
            // are not settled were not asked yet.
            let silent = if pass.number == 1 {
                let silent = walked.saturating_sub(state.settled_count);
                u128::from(silent).min(unsettled) / passes
            } else {
                let behind = u128::from(pass.number - 1) * u128::from(length) + u128::from(walked);
                unsettled * behind / (passes * u128::from(length)).max(1)
            };
            let done = self.counts.done + u128::from(state.settled_count) + silent;
            self.come_to(done);
        }
        self.report_progress(now);
    }

    /// Says from time to time where the scan can be gone on from: the place of a while ago, so that
    /// answers that are late have come.
    pub(super) fn report_reached(&mut self, pass: &Pass, now: Duration) {
        if now < self.reached.0 + REACHED {
            return;
        }
        let walked = self.stretches.iter().flat_map(|(_, walked)| walked);
        let waiting = walked.chain(&pass.again).chain(&pass.later);
        let place = Reached {
            step: self.block.into(),
            pass: pass.number,
            position: match pass.walk {
                Walk::Found => self.found.level(waiting),
                // Ports of hosts that were found already are in other places, and few.
                Walk::Hosts => {
                    let looks = waiting.filter(|stretch| stretch.start >= LOOKS);
                    looks.map(|stretch| stretch.start).fold(pass.next, u64::min)
                }
                Walk::Pairs => {
                    let pairs = waiting.filter(|stretch| stretch.start < EARLY);
                    pairs.map(|stretch| stretch.start).fold(pass.next, u64::min)
                }
            },
        };
        let (_, before) = self.reached;
        self.reached = (now, place);
        self.tell_reached(before);
    }

    /// Says at once that the scan has come to a place.
    pub(super) fn note_reached(&mut self, now: Duration, place: Reached) {
        self.reached = (now, place);
        self.tell_reached(place);
    }

    /// Once this machine has failed to ask something, the scan is gone on with from before it: it
    /// may have a way there by then.
    fn tell_reached(&mut self, place: Reached) {
        if !self.unreached.is_left_out() {
            (self.sink)(ScanEvent::Reached(place));
        }
    }

    pub(super) fn report_progress(&mut self, now: Duration) {
        if self.control.is_paused() {
            self.idle += now.saturating_sub(self.reported);
        }
        self.reported = now;
        let total = u128::from(self.plan.len()).saturating_sub(self.counts.skipped);
        let done = self.done_shown.min(total);
        // What an earlier part did took none of this one's time.
        let taken = self.taken.pairs();
        let gained = done.saturating_sub(taken);
        let elapsed = self.ran(now);
        self.recent.note(elapsed, self.counts.sent, gained);
        let rest = total.saturating_sub(taken);
        let left = self.recent.left(rest, self.control.is_paused());
        let loss = self.measured().measured().unwrap_or(0.0);
        let phase = self.phase(now);
        (self.sink)(ScanEvent::Progress(Progress {
            done,
            total,
            open: self.counts.open,
            hosts_up: self.counts.up,
            sent: self.counts.sent,
            rate: self.recent.rate(self.control.is_paused()),
            in_flight: self.pace.in_flight(),
            pass: self.pass_shown,
            rtt: self.pace.rtt().srtt(),
            loss,
            elapsed,
            left,
            phase,
        }));
    }
}
