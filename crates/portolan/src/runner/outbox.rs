//! Events on their way out of the engine. Those that nobody waits for go together: to wake up their
//! reader for each closed port would cost more than to ask the port.

use crossbeam_channel::{Receiver, Sender};
use portolan_model::{PortState, ScanEvent};

/// So many events go together at the most. The engine says how far it has come every tenth of a
/// second: none waits longer for others.
const TOGETHER: usize = 256;

/// How many lots of events wait between the engine and who reads them; a full channel slows the
/// engine.
const ROOM: usize = 64;

/// Hands events to a channel in the order in which they come; the last when it is dropped.
pub(super) struct Outbox {
    into: Sender<Vec<ScanEvent>>,
    waiting: Vec<ScanEvent>,
}

/// Where events are put, and where they come out.
pub(super) fn outbox() -> (Outbox, Receiver<Vec<ScanEvent>>) {
    let (into, events) = crossbeam_channel::bounded(ROOM);
    let waiting = Vec::new();
    (Outbox { into, waiting }, events)
}

impl Outbox {
    /// Takes an event, and lets it go with all before it unless it may wait.
    pub(super) fn push(&mut self, event: ScanEvent) {
        let may_wait = matches!(&event, ScanEvent::Port(fact) if fact.state != PortState::Open);
        self.waiting.push(event);
        // While whoever reads is behind, nothing is gained by many small lots.
        if self.waiting.len() >= TOGETHER || !may_wait && !self.into.is_full() {
            self.send();
        }
    }

    fn send(&mut self) {
        if !self.waiting.is_empty() {
            // A reader that is gone has stopped the scan as well.
            let _ = self.into.send(std::mem::take(&mut self.waiting));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.send();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portolan_model::event::{Endpoint, PortFact, Progress};
    use portolan_model::{Protocol, Reason};

    use super::*;

    fn port(number: u16, state: PortState) -> ScanEvent {
        ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: [192, 0, 2, 1].into(),
                protocol: Protocol::Tcp,
                port: number,
            },
            state,
            reason: Reason::Reset,
            rtt: None,
            ttl: None,
            at: Timestamp::UNIX_EPOCH,
        })
    }

    fn sent(events: &Receiver<Vec<ScanEvent>>) -> Vec<ScanEvent> {
        events.try_iter().flatten().collect()
    }

    #[test]
    fn closed_ports_wait_for_what_is_waited_for_and_keep_their_place() {
        let progress = || ScanEvent::Progress(Progress::default());
        for urgent in [port(3, PortState::Open), progress()] {
            let (mut outbox, events) = outbox();
            outbox.push(port(1, PortState::Closed));
            outbox.push(port(2, PortState::Filtered));
            assert_eq!(sent(&events), []);
            outbox.push(urgent.clone());
            let before = [port(1, PortState::Closed), port(2, PortState::Filtered)];
            assert_eq!(sent(&events), [&before[..], &[urgent]].concat());
        }
    }

    #[test]
    fn no_more_wait_than_its_bound() {
        let (mut outbox, events) = outbox();
        for number in 1..=1_000 {
            outbox.push(port(number, PortState::Closed));
        }
        assert_eq!(sent(&events).len(), 1_000 / TOGETHER * TOGETHER);
        drop(outbox);
        assert_eq!(sent(&events).len(), 1_000 % TOGETHER);
    }

    #[test]
    fn a_reader_that_is_behind_is_sent_what_there_is_in_one_lot() {
        let (mut outbox, events) = outbox();
        let count = ROOM + TOGETHER - 1;
        for number in 0..count {
            outbox.push(port(u16::try_from(number).unwrap(), PortState::Open));
        }
        assert_eq!(events.len(), ROOM);
        assert_eq!(sent(&events).len(), ROOM);
        drop(outbox);
        let last: Vec<_> = events.try_iter().collect();
        assert_eq!(
            last.iter().map(Vec::len).collect::<Vec<_>>(),
            [TOGETHER - 1]
        );
    }
}
