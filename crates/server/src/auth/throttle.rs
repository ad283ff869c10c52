//! How often a log-in may be tried: the more tries fail, the longer the next one waits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// From one address, so many tries may fail without a wait.
const FREE_BY_ADDRESS: u32 = 5;

/// For one name, from wherever: more, since anybody can use them up for it.
const FREE_BY_NAME: u32 = 20;

/// The longest wait, in seconds.
const LONGEST: i64 = 900;

/// Failed tries are forgotten after this many seconds without another.
const FORGOTTEN: i64 = 3600;

/// How many addresses and names are remembered; the oldest make room.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
    until: Timestamp,
}

/// Remembers failed tries.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<String, Failures>>,
}

impl Throttle {
    fn keys(address: &str, name: &str) -> [(String, u32); 2] {
        [
            (format!("address {address}"), FREE_BY_ADDRESS),
            (format!("name {}", name.to_lowercase()), FREE_BY_NAME),
        ]
    }

    /// For how many seconds the next try must wait; 0 when it may be made.
    pub(crate) fn wait(&self, address: &str, name: &str, now: Timestamp) -> i64 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Self::keys(address, name)
            .iter()
            .filter_map(|(key, _)| failures.get(key))
            .map(|known| known.until.duration_since(now).as_secs())
            .max()
            .unwrap_or(0)
            .max(0)
    }

    /// Counts a try before it is made, as if it failed: tries at the same time count too.
    pub(crate) fn count(&self, address: &str, name: &str, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free) in Self::keys(address, name) {
            if failures.len() >= REMEMBERED && !failures.contains_key(&key) {
                let oldest = failures.iter().min_by_key(|(_, known)| known.last);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    failures.remove(&oldest);
                }
            }
            let known = failures.entry(key).or_insert(Failures {
                count: 0,
                last: now,
                until: now,
            });
            if now.duration_since(known.last).as_secs() > FORGOTTEN {
                known.count = 0;
            }
            known.count += 1;
            known.last = now;
            let over = known.count.saturating_sub(free);
            let seconds = match over {
                0 => 0,
                over => (1i64 << over.min(20)).min(LONGEST),
            };
            known.until = now
                .checked_add(jiff::SignedDuration::from_secs(seconds))
                .unwrap_or(now);
        }
    }

    /// Forgets the tries of who got in.
    pub(crate) fn forget(&self, address: &str, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in Self::keys(address, name) {
            failures.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn five_tries_are_free_and_each_further_one_doubles_the_wait() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.count("192.0.2.1", "ann", at(0));
        }
        assert_eq!(throttle.wait("192.0.2.1", "ann", at(0)), 0);
        throttle.count("192.0.2.1", "ann", at(0));
        assert_eq!(throttle.wait("192.0.2.1", "bob", at(0)), 2);
        throttle.count("192.0.2.1", "ann", at(2));
        assert_eq!(throttle.wait("192.0.2.1", "ann", at(2)), 4);
        // From elsewhere, the same name is not shut out yet.
        assert_eq!(throttle.wait("192.0.2.2", "ann", at(2)), 0);
        for _ in 0..40 {
            throttle.count("192.0.2.1", "ann", at(3));
        }
        assert_eq!(throttle.wait("192.0.2.1", "ann", at(3)), 900);
    }

    #[test]
    fn who_gets_in_begins_anew() {
        let throttle = Throttle::default();
        for _ in 0..6 {
            throttle.count("192.0.2.1", "ann", at(0));
        }
        throttle.forget("192.0.2.1", "ANN");
        assert_eq!(throttle.wait("192.0.2.1", "ann", at(0)), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..6000 {
            throttle.count(&number.to_string(), &number.to_string(), at(number));
        }
        assert!(throttle.failures.lock().unwrap().len() <= REMEMBERED);
    }
}
