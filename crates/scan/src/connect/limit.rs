//! How many sockets a process may hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are left for files, terminals and name servers.
const RESERVED: u64 = 64;

/// More sockets than this serve no path: at 100,000 probes a second they cover 200 ms.
const MOST: u64 = 20_000;

/// Raises the limit on open descriptors to the hard limit, and says how many sockets fit under
/// it.
pub fn raise_descriptor_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is refused, the limit stays as it is, and the window fits under that.
    let _ = setrlimit(Resource::Nofile, raised);
    let now = getrlimit(Resource::Nofile).current.unwrap_or(MOST);
    let sockets = now.saturating_sub(RESERVED).clamp(8, MOST);
    usize::try_from(sockets).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let sockets = raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!(sockets >= 8);
    }
}
