//! Keeps a scan for ever and says on standard output what is acknowledged, until it is killed:
//! one half of the test of crashes.
//!
//! Its one argument is the data directory. It prints the number of the last port that is in the
//! file, one a line; port N is told with checkpoint N.

use std::io::Write as _;

use jiff::Timestamp;
use portolan_model::event::{Endpoint, PortFact};
use portolan_model::{PortSpec, PortState, Protocol, Reason, ScanEvent, ScanSpec};
use portolan_store::{Mode, NewScan, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args_os()
        .nth(1)
        .ok_or("the data directory is missing")?;
    let store = Store::open(dir.as_ref(), Mode::Write)?;
    let at = Timestamp::UNIX_EPOCH;
    let spec = ScanSpec::new(vec!["192.0.2.1".parse()?], PortSpec::common());
    let writer = store.begin(NewScan::new(spec, at))?;
    for number in 1..=u16::MAX {
        writer.send(vec![ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: "192.0.2.1".parse()?,
                protocol: Protocol::Tcp,
                port: number,
            },
            state: if number % 5 == 0 {
                PortState::Open
            } else {
                PortState::Closed
            },
            reason: Reason::SynAck,
            rtt: None,
            ttl: None,
            at,
        })])?;
        writer.checkpoint(at, number.to_be_bytes().to_vec())?;
        if number % 7 == 0 {
            writer.flush()?;
            writeln!(std::io::stdout(), "{number}")?;
        }
    }
    Ok(())
}
