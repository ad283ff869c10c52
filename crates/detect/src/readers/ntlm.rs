//! The names in an NTLM challenge (MS-NLMP, 2.2.1.2), wherever it stands.

use super::Reading;
use crate::cursor::{Cursor, utf16};

/// The most pairs of names that are read.
const PAIRS: usize = 16;

/// What a challenge says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Challenge {
    /// Names by their facts.
    pub(crate) names: Vec<(&'static str, String)>,
    /// Major and minor version and build of the system.
    pub(crate) version: Option<(usize, usize, usize)>,
}

/// Finds a challenge in `bytes`.
pub(crate) fn challenge(bytes: &[u8]) -> Option<Challenge> {
    const START: &[u8] = b"NTLMSSP\0\x02\0\0\0";
    let at = bytes
        .windows(START.len())
        .position(|window| window == START)?;
    let message = bytes.get(at..)?;
    let mut fields = Cursor(message.get(40..48)?);
    let (length, _, offset) = (fields.le(2)?, fields.le(2)?, fields.le(4)?);
    let mut challenge = Challenge::default();
    let end = offset.checked_add(length)?;
    let mut info = Cursor(message.get(offset..end)?);
    for _ in 0..PAIRS {
        let (Some(kind @ 1..), Some(length)) = (info.le(2), info.le(2)) else {
            break;
        };
        let Some(value) = info.take(length) else {
            break;
        };
        let name = match kind {
            1 => "ntlm.computer",
            2 => "ntlm.domain",
            3 => "ntlm.dns-computer",
            4 => "ntlm.dns-domain",
            5 => "ntlm.dns-forest",
            _ => continue,
        };
        challenge.names.push((name, utf16(value)));
    }
    // The version is there where the payload begins behind it.
    if offset >= 56
        && let Some(version) = message.get(48..56)
    {
        let mut version = Cursor(version);
        challenge.version = Some((version.le(1)?, version.le(1)?, version.le(2)?));
    }
    Some(challenge)
}

impl Challenge {
    /// Adds what it says.
    pub(crate) fn tell(&self, reading: &mut Reading) {
        for (name, value) in &self.names {
            reading.fact(name, value.as_bytes());
        }
        let hostname = self
            .names
            .iter()
            .find(|(name, value)| *name == "ntlm.dns-computer" && !value.is_empty())
            .or_else(|| self.names.iter().find(|(name, _)| *name == "ntlm.computer"));
        if let Some((_, value)) = hostname {
            reading.field("hostname", value.as_bytes());
        }
        if let Some((major, minor, build)) = self.version {
            reading.fact(
                "ntlm.version",
                format!("{major}.{minor}.{build}").as_bytes(),
            );
        }
    }
}
