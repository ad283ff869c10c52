//! How many requests a caller may send: so many a second over time, more in a burst.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// How many callers are remembered.
const REMEMBERED: usize = 10_000;

/// Requests of each caller, as the moment at which they are paid off: the generic cell rate
/// algorithm (ITU-T I.371, annex A), which needs one number a caller and no timer.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Microseconds since 1970.
    paid: Mutex<HashMap<String, i64>>,
}

impl Rates {
    /// Counts a request of `key`, where there is room for it.
    ///
    /// # Errors
    /// After how many seconds there is room again.
    pub(crate) fn take(
        &self,
        key: &str,
        now: Timestamp,
        per_second: u32,
        burst: u32,
    ) -> Result<(), u32> {
        if per_second == 0 {
            return Ok(());
        }
        let now = now.as_microsecond();
        let cost = 1_000_000 / i64::from(per_second);
        let room = cost * i64::from(burst.max(1));
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        if paid.len() >= REMEMBERED && !paid.contains_key(key) {
            paid.retain(|_, until| *until > now);
            // Still full of callers in a hurry: the one that is nearest to being forgotten goes.
            if paid.len() >= REMEMBERED
                && let Some(next) = paid.iter().min_by_key(|(_, until)| **until)
            {
                let next = next.0.clone();
                paid.remove(&next);
            }
        }
        let until = paid.entry(key.to_owned()).or_insert(now);
        // A clock that was set back must not shut anybody out for long.
        *until = (*until).clamp(now, now + room);
        let over = *until + cost - now - room;
        if over > 0 {
            return Err(u32::try_from(over / 1_000_000 + 1).unwrap_or(u32::MAX));
        }
        *until += cost;
        Ok(())
    }
}

/// Who is counted as one: an address, or the network of 2^64 that an IPv6 host may choose from.
pub(crate) fn key(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millis).unwrap()
    }

    #[test]
    fn a_burst_is_taken_and_then_so_many_a_second() {
        let rates = Rates::default();
        for _ in 0..20 {
            assert_eq!(rates.take("a", at(0), 10, 20), Ok(()));
        }
        assert_eq!(rates.take("a", at(0), 10, 20), Err(1));
        assert_eq!(rates.take("b", at(0), 10, 20), Ok(()));
        // Room for one in a tenth of a second, and for ten in a whole one.
        assert_eq!(rates.take("a", at(100), 10, 20), Ok(()));
        assert_eq!(rates.take("a", at(100), 10, 20), Err(1));
        let taken = (0..20).filter(|_| rates.take("a", at(1100), 10, 20).is_ok());
        assert_eq!(taken.count(), 10);
    }

    #[test]
    fn nothing_is_counted_where_there_is_no_limit() {
        let rates = Rates::default();
        assert!((0..10_000).all(|_| rates.take("a", at(0), 0, 0).is_ok()));
        assert!(rates.paid.lock().unwrap().is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let rates = Rates::default();
        for _ in 0..5 {
            rates.take("a", at(10_000_000), 10, 5).unwrap();
        }
        assert_eq!(rates.take("a", at(0), 10, 5), Err(1));
        assert_eq!(rates.take("a", at(1000), 10, 5), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let rates = Rates::default();
        for number in 0..REMEMBERED + 500 {
            rates.take(&number.to_string(), at(0), 10, 20).unwrap();
        }
        assert!(rates.paid.lock().unwrap().len() <= REMEMBERED);
    }

    #[test]
    fn a_host_with_many_addresses_is_one_caller() {
        let of = |text: &str| key(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
