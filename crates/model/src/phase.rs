//! What a scan is at: its ports, its silent UDP ports, or the names of its services.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a scan is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Hosts are looked for, and ports are asked.
    #[default]
    Asking,
    /// Every UDP port was asked, and silent ones are asked on at the pace of their hosts.
    Settling {
        /// The time left for it; `None` for as long as it takes.
        at_most: Option<Duration>,
    },
    /// Every port was asked, and it is found out what runs on the open ones.
    Naming {
        /// Open ports of which that is known, or known to stay silent.
        named: u64,
        /// Open ports in all.
        of: u64,
    },
}

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Settling { .. } => "settling",
            Self::Naming { .. } => "naming",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asking => f.write_str("asking ports"),
            Self::Settling { at_most: None } => f.write_str("settling silent UDP ports"),
            Self::Settling {
                at_most: Some(left),
            } => write!(
                f,
                "settling silent UDP ports, up to {} s",
                left.as_secs_f64().ceil()
            ),
            Self::Naming { named, of } => write!(f, "naming services, {named} of {of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_says_what_is_done_and_how_much_is_left() {
        let settling = |millis| Phase::Settling {
            at_most: Some(Duration::from_millis(millis)),
        };
        assert_eq!(
            settling(29_100).to_string(),
            "settling silent UDP ports, up to 30 s"
        );
        let naming = Phase::Naming { named: 12, of: 40 };
        assert_eq!(naming.to_string(), "naming services, 12 of 40");
        for phase in [Phase::Asking, settling(5), naming] {
            let json = serde_json::to_string(&phase).unwrap();
            assert_eq!(serde_json::from_str::<Phase>(&json).unwrap(), phase);
        }
    }
}
