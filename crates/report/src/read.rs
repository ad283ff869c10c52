//! Reads results back, whichever of the two formats they are in.

use std::io::BufRead;

use portolan_model::ports::PortBits;
use portolan_model::{Protocol, ScanRecord};

use crate::error::{ReadError, Result};
use crate::escape::visible;
use crate::limits::Limited;
use crate::{jsonl, xml};

/// Reads a result: nmap's XML, of this program, of nmap and of others that write it, or JSON
/// lines. Which of them it is, its first character tells.
///
/// The input may be hostile: sizes and depths are bounded, entities are not expanded.
///
/// # Errors
/// [`ReadError::Empty`] for nothing, [`ReadError::UnknownFormat`] for neither; [`ReadError::Malformed`] with the line and what
/// was expected there; [`ReadError::TooLarge`] past a bound; [`ReadError::Io`] of the input.
pub fn read(input: &mut dyn BufRead) -> Result<ScanRecord> {
    let mut input = Limited::new(input);
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) => return Err(input.exceeded().unwrap_or(ReadError::Io(error))),
        };
        let Some(&first) = available.first() else {
            return Err(ReadError::Empty);
        };
        match first {
            b'<' => return xml::read(input),
            b'{' => return jsonl::read(&mut input),
            b' ' | b'\t' | b'\r' | b'\n' => input.consume(1),
            // The byte order mark that some editors put before UTF-8.
            0xef if available.starts_with(b"\xef\xbb\xbf") => input.consume(3),
            _ => {
                let start: Vec<u8> = available.iter().copied().take(16).collect();
                let text = String::from_utf8_lossy(&start);
                return Err(ReadError::UnknownFormat {
                    found: format!("`{}`", visible(&text)),
                });
            }
        }
    }
}

/// Lets each port of each host be one thing: what stands alone counts before what was said of
/// many, and of two that were said of many, the first.
pub(crate) fn settle(record: &mut ScanRecord) {
    for host in record.hosts.values_mut() {
        for (&(protocol, _, _), ports) in &mut host.rest {
            for &(of, port) in host.ports.keys() {
                if of == protocol {
                    ports.remove(port);
                }
            }
        }
        for protocol in Protocol::ALL {
            let of_protocol = |key: &(Protocol, _, _)| key.0 == *protocol;
            // Most hosts have one set of a protocol, and nothing to compare it with.
            if host.rest.keys().filter(|key| of_protocol(key)).count() < 2 {
                continue;
            }
            let mut seen = PortBits::default();
            for (key, ports) in &mut host.rest {
                if of_protocol(key) {
                    for port in ports.to_set().iter() {
                        if !seen.insert(port) {
                            ports.remove(port);
                        }
                    }
                }
            }
        }
        host.rest.retain(|_, ports| !ports.is_empty());
    }
}
