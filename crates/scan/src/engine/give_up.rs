//! Hosts that are not waited for any longer: what they answered stands, the rest is left out.

use std::time::Duration;

use portolan_model::event::{Problem, ScanEvent};

use super::Engine;
use super::state::{Host, State};
use crate::clock::Clock;
use crate::transport::Transport;
use crate::words::grouped;

impl<'a, T: Transport, C: Clock> Engine<'a, T, C> {
    /// Gives up the hosts whose time is over, and the one that the user is tired of.
    pub(super) fn give_up_hosts(&mut self, state: &mut State<'a>, now: Duration) {
        if let Some(longest) = self.options.host_timeout
            && now >= self.block_started + longest
        {
            let late = |state: &State<'a>, host: u32| {
                let up_at = self.up_at.get(&host).copied();
                up_at.is_some_and(|up_at| now >= up_at + longest) && state.lacks(host)
            };
            let hosts: Vec<u32> = (0..state.block.hosts())
                .filter(|&host| late(state, host))
                .collect();
            for host in hosts {
                self.give_up(state, host, &format!("it took longer than {longest:?}"));
            }
        }
        if self.control.take_skip()
            && let Some(host) = (0..state.block.hosts())
                .filter(|&host| state.host(host) == Host::Up && state.lacks(host))
                .max_by_key(|&host| state.left.get(host as usize).copied())
        {
            self.give_up(state, host, "it was skipped");
        }
    }

    /// Asks a host no further.
    fn give_up(&mut self, state: &mut State<'a>, host: u32, why: &str) {
        let Some(address) = state.block.address(host) else {
            return;
        };
        let left = state.left.get(host as usize).copied().unwrap_or(0);
        self.counts.skipped += state.set_host(host, Host::GivenUp);
        self.given_up += 1;
        let shown = self.plan.zoned(address);
        (self.sink)(ScanEvent::Problem(Problem {
            about: shown.to_string(),
            message: format!(
                "{shown} is not asked any further: {why}; {} of its ports are left out",
                grouped(left)
            ),
            hint: None,
            // The user wished it so: the end says that not every port was asked.
            left_out: false,
        }));
        (self.sink)(ScanEvent::HostDone {
            address,
            at: self.clock.timestamp(self.clock.now()),
        });
    }
}
