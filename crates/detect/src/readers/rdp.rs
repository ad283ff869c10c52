//! The first answer of `CredSSP` (MS-CSSP, 2.2.1), which a server of remote desktops gives before
//! anyone has logged in: a challenge of NTLM with its names.

use super::{Reader, Reading, ntlm};
use crate::cursor::Cursor;

/// What is sent through TLS where `CredSSP` was chosen: a `TSRequest` of version 6 with the first
/// message of NTLM (MS-NLMP, 2.2.1.1), which holds no name. The challenge is never answered.
pub(crate) const REQUEST: &[u8] =
    b"\x30\x37\xa0\x03\x02\x01\x06\xa1\x30\x30\x2e\x30\x2c\xa0\x2a\x04\x28\
    NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\x63\x45\0\0\0\x0f";

/// By what name its answer is read.
pub(crate) const PROBE: &str = "rdp-credssp";

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "rdp",
    reads: &[PROBE],
    fields: &["hostname"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    // A TSRequest begins with its version.
    let mut request = Cursor(bytes).tagged(0x30)?;
    request.tagged(0xa0)?;
    let challenge = ntlm::challenge(request.0)?;
    let mut reading = Reading::new("ms-wbt-server");
    challenge.tell(&mut reading);
    reading.hidden = true;
    Some(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_as_long_as_it_says() {
        let mut request = Cursor(REQUEST);
        let mut inside = request.tagged(0x30).unwrap();
        assert!(request.0.is_empty());
        assert_eq!(inside.tagged(0xa0).unwrap().0, [2, 1, 6]);
        let mut tokens = inside.tagged(0xa1).unwrap();
        let token = tokens.tagged(0x30).unwrap().tagged(0x30).unwrap();
        let mut token = Cursor(token.0).tagged(0xa0).unwrap();
        assert_eq!(token.tagged(4).unwrap().0.len(), 40);
    }
}
