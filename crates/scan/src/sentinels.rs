//! Ports that are known to answer, asked again to see whether the path still carries.

use std::time::Duration;

use portolan_model::PortState;
use portolan_model::event::Endpoint;

/// So many are kept; more would only spread the same few questions.
const MOST: usize = 32;

/// One that stays silent so often while others answer is no sentinel any more.
const PATIENCE: u32 = 8;

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

    /// The next to ask, if one is ready.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Endpoint> {
        let list = if self.open.is_empty() {
            &mut self.closed
        } else {
            &mut self.open
        };
        let ready = (0..list.len())
            .map(|step| (self.turn + step) % list.len())
            .find(|&place| list[place].ready <= now)?;
        self.turn = ready + 1;
        let some_answer = list.iter().any(|sentinel| sentinel.silent == 0);
        if list[ready].silent >= PATIENCE && some_answer {
            list.swap_remove(ready);
            return None;
        }
        let sentinel = &mut list[ready];
        sentinel.ready = now + self.gap;
        sentinel.silent += 1;
        Some(sentinel.endpoint)
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
        assert_eq!(sentinels.next(Duration::ZERO), Some(endpoint(7)));
        sentinels.offer(endpoint(22), PortState::Open);
        sentinels.offer(endpoint(80), PortState::Open);
        let asked: Vec<_> = (0..3)
            .filter_map(|_| sentinels.next(Duration::ZERO))
            .collect();
        assert_eq!(asked.len(), 2);
        assert!(asked.contains(&endpoint(22)) && asked.contains(&endpoint(80)));
        assert!(sentinels.next(Duration::from_millis(50)).is_some());
    }

    #[test]
    fn one_that_went_silent_alone_is_let_go() {
        let mut sentinels = Sentinels::new(Duration::ZERO);
        sentinels.offer(endpoint(22), PortState::Open);
        sentinels.offer(endpoint(80), PortState::Open);
        for _ in 0..100 {
            sentinels.next(Duration::ZERO);
            sentinels.answered(endpoint(22));
        }
        assert_eq!(sentinels.next(Duration::ZERO), Some(endpoint(22)));
        assert_eq!(sentinels.next(Duration::ZERO), Some(endpoint(22)));
    }
}
