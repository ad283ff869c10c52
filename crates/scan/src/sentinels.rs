//! Ports that are known to answer, asked again to see whether the path still carries.

use std::net::IpAddr;
use std::time::Duration;

use portolan_model::PortState;
use portolan_model::event::Endpoint;

/// So many are kept; more would only spread the same few questions.
const MOST: usize = 32;

/// One that stays silent so often while others answer is no sentinel any more.
const PATIENCE: u32 = 8;

/// So many closed ports spread the question widely enough.
const ENOUGH: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Sentinel {
    endpoint: Endpoint,
    /// When it may be asked again.
    ready: Duration,
    /// How often it was asked since it last answered.
    silent: u32,
}

/// The sentinels of a path. Open ports come first: answers of closed ones are often limited.
#[derive(Debug, Default)]
pub(crate) struct Sentinels {
    open: Vec<Sentinel>,
    closed: Vec<Sentinel>,
    /// Whose turn it is.
    turn: usize,
    gap: Duration,
}

impl Sentinels {
    /// None yet; each is asked again after `gap` at the soonest, for a service is at the end of
    /// the question.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            gap,
            ..Self::default()
        }
    }

    /// A port has answered: it may serve.
    pub(crate) fn offer(&mut self, endpoint: Endpoint, state: PortState) {
        let list = match state {
            PortState::Open => &mut self.open,
            PortState::Closed => &mut self.closed,
            _ => return,
        };
        let is_known = list.iter().any(|known| known.endpoint == endpoint);
        if list.len() < MOST && !is_known {
            list.push(Sentinel {
                endpoint,
                ready: Duration::ZERO,
                silent: 0,
            });
        }
    }

    /// An open port.
    pub(crate) fn steady(&self) -> Option<Endpoint> {
        self.open.first().map(|sentinel| sentinel.endpoint)
    }

    /// Whether closed ports are there to ask.
    pub(crate) fn has_closed(&self) -> bool {
        self.closed.len() >= ENOUGH
    }

    /// The next to ask, if one is ready: a closed port if `closed`, else an open one where there
    /// are any. `was_heard` says that something has answered since the last time.
    pub(crate) fn next(
        &mut self,
        now: Duration,
        closed: bool,
        was_heard: bool,
    ) -> Option<Endpoint> {
        let takes_closed = (closed && !self.closed.is_empty()) || self.open.is_empty();
        let list = if takes_closed {
            &mut self.closed
        } else {
            &mut self.open
        };
        let ready = (0..list.len())
            .map(|step| (self.turn + step) % list.len())
            .find(|&place| list[place].ready <= now)?;
        self.turn = ready + 1;
        let some_answer = was_heard || list.iter().any(|sentinel| sentinel.silent == 0);
        if list[ready].silent >= PATIENCE && some_answer {
            list.swap_remove(ready);
            return None;
        }
        let sentinel = &mut list[ready];
        sentinel.ready = now + self.gap;
        sentinel.silent += 1;
        Some(sentinel.endpoint)
    }

    /// A host cannot be asked any more.
    pub(crate) fn forget(&mut self, address: IpAddr) {
        for list in [&mut self.open, &mut self.closed] {
            list.retain(|sentinel| sentinel.endpoint.address != address);
        }
    }

    /// A sentinel answered.
    pub(crate) fn answered(&mut self, endpoint: Endpoint) {
        for sentinel in self.open.iter_mut().chain(&mut self.closed) {
            if sentinel.endpoint == endpoint {
                sentinel.silent = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portolan_model::Protocol;

    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint {
            address: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::Tcp,
            port,
        }
    }

    #[test]
    fn open_ports_are_asked_before_closed_ones_and_not_too_often() {
        let mut sentinels = Sentinels::new(Duration::from_millis(50));
        sentinels.offer(endpoint(7), PortState::Closed);
        assert_eq!(
            sentinels.next(Duration::ZERO, false, false),
            Some(endpoint(7))
        );
        sentinels.offer(endpoint(22), PortState::Open);
        sentinels.offer(endpoint(80), PortState::Open);
        let asked: Vec<_> = (0..3)
            .filter_map(|_| sentinels.next(Duration::ZERO, false, false))
            .collect();
        assert_eq!(asked.len(), 2);
        assert!(asked.contains(&endpoint(22)) && asked.contains(&endpoint(80)));
        assert!(
            sentinels
                .next(Duration::from_millis(50), false, false)
                .is_some()
        );
    }

    #[test]
    fn one_that_went_silent_alone_is_let_go() {
        let mut sentinels = Sentinels::new(Duration::ZERO);
        sentinels.offer(endpoint(22), PortState::Open);
        sentinels.offer(endpoint(80), PortState::Open);
        for _ in 0..100 {
            sentinels.next(Duration::ZERO, false, false);
            sentinels.answered(endpoint(22));
        }
        assert_eq!(
            sentinels.next(Duration::ZERO, false, false),
            Some(endpoint(22))
        );
        assert_eq!(
            sentinels.next(Duration::ZERO, false, false),
            Some(endpoint(22))
        );
    }
}
