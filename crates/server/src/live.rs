//! What a scan has said lately, kept for whoever listens, and for who comes back.
//!
//! A scan writes each of its messages here once. A listener reads at its own pace and
//! remembers where it is: a slow one costs the scan nothing, and one that was away goes on where
//! it was. What no longer fits is dropped, oldest first; who missed it finds it in the history, or
//! is told so.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::watch;

/// The most bytes of messages that a log keeps: 20 hosts with all their ports.
const MOST_BYTES: usize = 8 << 20;

/// A place in a log: between what was heard and what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Which log: one that was made later, also after a new start, has another.
    pub log: u32,
    /// The last message that was heard.
    pub seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.log, self.seq)
    }
}

/// It was no place of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPlace;

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (log, seq) = text.split_once('-').ok_or(NotAPlace)?;
        Ok(Self {
            log: u32::from_str_radix(log, 16).map_err(|_| NotAPlace)?,
            seq: seq.parse().map_err(|_| NotAPlace)?,
        })
    }
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where one is after it.
    pub place: Place,
    /// Its kind and its JSON as they go out (WHATWG HTML, 9.2.6), written once for all who
    /// listen.
    pub text: Bytes,
}

impl Message {
    /// A message as it goes out, but for its id and the blank line that ends it.
    pub fn written(event: &str, data: &str) -> Bytes {
        debug_assert!(!data.contains(['\n', '\r']), "JSON is written on one line");
        format!("event: {event}\ndata: {data}\n").into()
    }
}

/// What a listener gets.
#[derive(Debug, Clone)]
pub enum Heard {
    /// What came since.
    Messages(Vec<Message>),
    /// Some of what came since is gone, or the place is none of this log.
    Missed,
}

/// How long a message is worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Until there is no room.
    Fact,
    /// Until the next one comes: how far a scan is.
    Moment,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    worth: Worth,
}

/// A log of messages with any number of listeners.
#[derive(Debug)]
pub struct Log {
    id: u32,
    kept: Mutex<State>,
    head: watch::Sender<u64>,
    most_bytes: usize,
    /// Held while a message is kept elsewhere and pushed: who listens never waits for it.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Kept>,
    bytes: usize,
    /// The last message that was dropped for want of room.
    dropped: u64,
    next: u64,
    ended: bool,
}

impl Log {
    /// An empty log with a number of its own.
    pub fn new(id: u32) -> Self {
        Self::with_room(id, MOST_BYTES)
    }

    fn with_room(id: u32, most_bytes: usize) -> Self {
        Self {
            id,
            kept: Mutex::default(),
            head: watch::Sender::new(0),
            most_bytes,
            turn: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Messages are pushed and dropped whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message and wakes who listens.
    pub fn push(&self, event: &str, data: &str, worth: Worth) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.add(event, data, worth);
    }

    /// The same after `keep` has kept it elsewhere, under the place that it will have. It is told
    /// whether or not it could be kept.
    ///
    /// # Errors
    /// That of `keep`.
    pub fn push_kept<E>(
        &self,
        event: &str,
        data: &str,
        worth: Worth,
        keep: impl FnOnce(Place) -> Result<(), E>,
    ) -> Result<(), E> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = self.state().next + 1;
        let kept = keep(Place { log: self.id, seq });
        self.add(event, data, worth);
        kept
    }

    fn add(&self, event: &str, data: &str, worth: Worth) {
        let text = Message::written(event, data);
        let mut state = self.state();
        if state.ended {
            return;
        }
        if worth == Worth::Moment
            && let Some(last) = state
                .messages
                .pop_back_if(|last| last.worth == Worth::Moment)
        {
            state.bytes -= last.message.text.len();
        }
        state.next += 1;
        let seq = state.next;
        state.bytes += text.len();
        state.messages.push_back(Kept {
            message: Message {
                place: Place { log: self.id, seq },
                text,
            },
            worth,
        });
        while state.bytes > self.most_bytes
            && state.messages.len() > 1
            && let Some(oldest) = state.messages.pop_front()
        {
            state.bytes -= oldest.message.text.len();
            state.dropped = oldest.message.place.seq;
        }
        drop(state);
        self.head.send_replace(seq);
    }

    /// Ends the log: nothing more comes.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        let head = state.next;
        drop(state);
        self.head.send_replace(head);
    }

    /// Whether nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Where the last message left off.
    pub fn head(&self) -> Place {
        Place {
            log: self.id,
            seq: self.state().next,
        }
    }

    /// Before the first message.
    pub const fn start(&self) -> Place {
        Place {
            log: self.id,
            seq: 0,
        }
    }

    /// What came after `place`, at most `most` messages.
    pub fn after(&self, place: Place, most: usize) -> Heard {
        let state = self.state();
        // A message is kept before it is pushed: who has read it there is one ahead of this log.
        let ahead = state.next + 1;
        if place.log != self.id || !(state.dropped..=ahead).contains(&place.seq) {
            return Heard::Missed;
        }
        let first = state
            .messages
            .partition_point(|kept| kept.message.place.seq <= place.seq);
        let messages = state.messages.range(first..).take(most);
        Heard::Messages(messages.map(|kept| kept.message.clone()).collect())
    }

    /// Is told whenever something comes, and when the log ends.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.head.receiver_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(heard: &Heard) -> Vec<String> {
        match heard {
            Heard::Messages(messages) => messages
                .iter()
                .map(|message| {
                    let text = std::str::from_utf8(&message.text).unwrap();
                    let data = text.strip_prefix("event: update\ndata: ").unwrap();
                    data.trim_end().to_owned()
                })
                .collect(),
            Heard::Missed => vec!["missed".to_owned()],
        }
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was() {
        let log = Log::new(7);
        for text in ["a", "b", "c"] {
            log.push("update", text, Worth::Fact);
        }
        assert_eq!(texts(&log.after(log.start(), 9)), ["a", "b", "c"]);
        let place: Place = "00000007-2".parse().unwrap();
        assert_eq!(texts(&log.after(place, 9)), ["c"]);
        assert_eq!(texts(&log.after(log.head(), 9)), Vec::<String>::new());
    }

    #[test]
    fn a_moment_is_replaced_by_the_next_and_facts_stay() {
        let log = Log::new(0);
        log.push("update", "fact", Worth::Fact);
        log.push("update", "10 %", Worth::Moment);
        let there = log.head();
        log.push("update", "20 %", Worth::Moment);
        assert_eq!(texts(&log.after(log.start(), 9)), ["fact", "20 %"]);
        assert_eq!(texts(&log.after(there, 9)), ["20 %"]);
    }

    #[test]
    fn who_was_away_too_long_is_told_so() {
        let log = Log::with_room(1, 60);
        for _ in 0..5 {
            log.push("update", "1234", Worth::Fact);
        }
        assert_eq!(texts(&log.after(log.start(), 9)), ["missed"]);
        let there = Place { log: 1, seq: 3 };
        assert_eq!(texts(&log.after(there, 9)), ["1234", "1234"]);
    }

    #[test]
    fn who_read_a_message_where_it_was_kept_does_not_hear_it_again() {
        let log = Log::new(3);
        log.push("update", "a", Worth::Fact);
        let mut heard = None;
        let ahead = |place| {
            heard = Some((place, log.after(place, 9)));
            Ok::<(), ()>(())
        };
        log.push_kept("update", "b", Worth::Fact, ahead).unwrap();
        let (place, heard) = heard.unwrap();
        assert_eq!(texts(&heard), Vec::<String>::new());
        assert_eq!(texts(&log.after(place, 9)), Vec::<String>::new());
        log.push("update", "c", Worth::Fact);
        assert_eq!(texts(&log.after(place, 9)), ["c"]);
    }

    #[test]
    fn a_message_is_kept_under_the_place_that_it_is_told_at() {
        let log = Log::new(3);
        log.push("update", "a", Worth::Fact);
        let mut kept = None;
        let failed = log.push_kept("update", "b", Worth::Fact, |place| {
            kept = Some(place);
            Err("the disk is full")
        });
        assert_eq!(failed, Err("the disk is full"));
        assert_eq!(kept, Some(log.head()));
        assert_eq!(texts(&log.after(log.start(), 9)), ["a", "b"]);
    }

    #[test]
    fn a_place_of_another_log_is_not_taken_for_one_of_this() {
        let log = Log::new(1);
        log.push("update", "a", Worth::Fact);
        let other = Place { log: 2, seq: 0 };
        assert_eq!(texts(&log.after(other, 9)), ["missed"]);
        let ahead = Place { log: 1, seq: 9 };
        assert_eq!(texts(&log.after(ahead, 9)), ["missed"]);
    }
}
