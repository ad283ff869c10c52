//! SMB 2 and 3 (MS-SMB2): dialect, signing, and the names that NTLM tells; and the answer of a
//! server that only speaks SMB 1 (MS-CIFS).

use super::{Reader, Reading, ntlm};
use crate::cursor::Cursor;

/// The reader.
pub(crate) const READER: Reader = Reader {
    name: "smb",
    reads: &["smb2-negotiate", "smb1-negotiate"],
    fields: &["dialect", "product", "hostname", "os", "version"],
    read,
};

fn read(bytes: &[u8]) -> Option<Reading> {
    let mut frame = Cursor(bytes);
    // The header of a NetBIOS session (RFC 1002, 4.3.1).
    if frame.be(1)? != 0 {
        return None;
    }
    let length = frame.be(3)?;
    let message = frame.0.get(..length).unwrap_or(frame.0);
    let mut reading = Reading::new("microsoft-ds");
    if message.starts_with(b"\xffSMB\x72") {
        reading.field("dialect", "1");
        reading.fact("smb.dialect", b"1");
        return Some(reading);
    }
    if !message.starts_with(b"\xfeSMB") {
        return None;
    }
    let mut body = Cursor(message.get(64..)?);
    if body.le(2)? != 65 {
        return None;
    }
    let security = body.le(1)?;
    body.le(1)?;
    let dialect = body.le(2)?;
    let dialect = match dialect {
        0x0202 => "2.0.2",
        0x0210 => "2.1",
        0x0300 => "3.0",
        0x0302 => "3.0.2",
        0x0311 => "3.1.1",
        _ => "2",
    };
    reading.field("dialect", dialect);
    reading.fact("smb.dialect", dialect.as_bytes());
    let signing: &[u8] = if security & 2 == 0 {
        b"enabled"
    } else {
        b"required"
    };
    reading.fact("smb.signing", signing);
    if let Some(challenge) = ntlm::challenge(frame.0) {
        challenge.tell(&mut reading);
        // Samba says that it is Windows 6.1, of build 0; no Windows has that.
        match challenge.version {
            Some((6, 1, 0)) => {
                reading.field("product", "Samba smbd");
                reading.hidden = true;
            }
            Some((major, minor, build)) if build > 0 => {
                reading.field("product", "Microsoft Windows SMB");
                reading.field("os", format!("Windows {major}.{minor} build {build}"));
                reading.hidden = true;
            }
            _ => {}
        }
    }
    Some(reading)
}
