//! One port a row (RFC 4180), for spreadsheets and scripts.

use std::io::{self, Write};

use jiff::Timestamp;
use portolan_model::{
    HostRecord, PortRecord, PortState, Protocol, Reason, ScanRecord, Service, Zoned,
};

use crate::escape::csv;
use crate::format::WriteOptions;

/// The names of the columns, in order.
const HEADER: &str =
    "host,name,protocol,port,state,reason,service,product,version,extra,tls,rtt_ms,ttl,time";

pub(crate) fn write(
    record: &ScanRecord,
    options: &WriteOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    // RFC 4180 ends lines with CR and LF.
    write!(out, "{HEADER}\r\n")?;
    for (&address, host) in &record.hosts {
        let address = &record.zoned(address);
        for (&(protocol, port), found) in &host.ports {
            let row = Row {
                protocol,
                port,
                state: found.state,
                reason: found.reason,
                at: found.at,
            };
            row.write(address, host, Some(found), out)?;
        }
        if options.open_only {
            continue;
        }
        for (&(protocol, state, reason), ports) in &host.rest {
            for port in ports.to_set().iter() {
                let row = Row {
                    protocol,
                    port,
                    state,
                    reason,
                    at: host.last,
                };
                row.write(address, host, None, out)?;
            }
        }
    }
    Ok(())
}

struct Row {
    protocol: Protocol,
    port: u16,
    state: PortState,
    reason: Reason,
    at: Timestamp,
}

impl Row {
    fn write(
        &self,
        address: &Zoned,
        host: &HostRecord,
        found: Option<&PortRecord>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let service = match found {
            Some(found) => found.service_or_guess(self.port, self.protocol),
            None => Service::by_number(self.port, self.protocol),
        }
        .unwrap_or_default();
        let text = |text: &Option<String>| csv(text.as_deref().unwrap_or_default());
        let rtt = found.and_then(|found| found.rtt);
        let ttl = found.and_then(|found| found.ttl);
        write!(
            out,
            "{address},{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
            csv(host.name().unwrap_or_default()),
            self.protocol,
            self.port,
            self.state,
            self.reason,
            csv(&service.name),
            text(&service.product),
            text(&service.version),
            text(&service.extra),
            service.tls,
            rtt.map_or_else(String::new, |rtt| format!("{:.3}", rtt.as_secs_f64() * 1e3)),
            ttl.map_or_else(String::new, |ttl| ttl.to_string()),
            self.at,
        )
    }
}
