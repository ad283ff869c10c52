//! What several formats say alike: names, services, what is not shown, times and sums.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portolan_model::event::Outcome;
use portolan_model::service::Method;
use portolan_model::{
    HostRecord, PortRecord, PortSet, PortState, Protocol, Reason, ScanRecord, Service,
};

use crate::escape::{thousands, visible};
use crate::format::WriteOptions;

/// More ports than this of one state are counted, not listed; nmap's own threshold.
pub(crate) const LISTED: usize = 25;

/// One port to list: alone in the record, or one of few of its state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) state: PortState,
    pub(crate) reason: Reason,
    /// What else is known, of those that stand alone.
    pub(crate) found: Option<&'a PortRecord>,
}

impl Row<'_> {
    /// What runs there, by what it said or by its number.
    pub(crate) fn service(&self) -> Option<Service> {
        match self.found {
            Some(found) => found.service_or_guess(self.port, self.protocol),
            None => Service::by_number(self.port, self.protocol),
        }
    }

    /// The service's name as people write it.
    pub(crate) fn service_name(&self) -> String {
        self.service()
            .map_or_else(|| "unknown".to_owned(), |service| service_name(&service))
    }

    /// The product, its version, and what else it said.
    pub(crate) fn version(&self) -> String {
        self.found
            .and_then(|found| found.service.as_ref())
            .map(version)
            .unwrap_or_default()
    }
}

/// Ports of one state that are counted, by protocol and reason.
pub(crate) type Counted = BTreeMap<PortState, Vec<(Protocol, Reason, PortSet)>>;

/// The ports of a host that are listed, in order, and those that are counted.
pub(crate) fn split(host: &HostRecord, open_only: bool) -> (Vec<Row<'_>>, Counted) {
    let mut rows: BTreeMap<(Protocol, u16), Row<'_>> = host
        .ports
        .iter()
        .map(|(&(protocol, port), found)| {
            let row = Row {
                protocol,
                port,
                state: found.state,
                reason: found.reason,
                found: Some(found),
            };
            ((protocol, port), row)
        })
        .collect();
    let mut counted = Counted::new();
    for (&(protocol, state, reason), ports) in &host.rest {
        if !ports.is_empty() {
            let ports = ports.to_set();
            counted
                .entry(state)
                .or_default()
                .push((protocol, reason, ports));
        }
    }
    if !open_only {
        counted.retain(|&state, groups| {
            let total: usize = groups.iter().map(|(_, _, ports)| ports.len()).sum();
            if total > LISTED {
                return true;
            }
            for (protocol, reason, ports) in groups {
                for port in ports.iter() {
                    let row = Row {
                        protocol: *protocol,
                        port,
                        state,
                        reason: *reason,
                        found: None,
                    };
                    rows.entry((*protocol, port)).or_insert(row);
                }
            }
            false
        });
    }
    (rows.into_values().collect(), counted)
}

/// `65,475 closed (conn-refused), 60 filtered (no-response)`; several reasons of a state are
/// given with their counts.
pub(crate) fn not_shown(counted: &Counted) -> Option<String> {
    let states: Vec<String> = counted
        .iter()
        .map(|(state, groups)| {
            let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
            for (_, reason, ports) in groups {
                *reasons.entry(*reason).or_default() += ports.len();
            }
            let total: usize = reasons.values().sum();
            let reasons: Vec<String> = if reasons.len() == 1 {
                reasons.keys().map(ToString::to_string).collect()
            } else {
                reasons
                    .iter()
                    .map(|(reason, &count)| format!("{} {reason}", thousands(count as u128)))
                    .collect()
            };
            format!(
                "{} {state} ({})",
                thousands(total as u128),
                reasons.join(", ")
            )
        })
        .collect();
    (!states.is_empty()).then(|| states.join(", "))
}

/// The name for people: a service behind TLS that was recognised is `ssl/http`.
pub fn service_name(service: &Service) -> String {
    let name = if service.name.is_empty() {
        "unknown"
    } else {
        plain_name(service)
    };
    if service.tls {
        format!("ssl/{name}")
    } else {
        name.to_owned()
    }
}

/// The name of what speaks inside TLS: `http` for `https`. Readers of XML look for the plain
/// name and the tunnel, and one of them drops a detected `https`.
pub(crate) fn plain_name(service: &Service) -> &str {
    if service.method != Method::Probed && !service.tls {
        return &service.name;
    }
    match service.name.as_str() {
        "https" | "https-alt" => "http",
        "imaps" => "imap",
        "pop3s" => "pop3",
        "smtps" | "submissions" => "smtp",
        "ldaps" => "ldap",
        "ftps" => "ftp",
        "nntps" => "nntp",
        "telnets" => "telnet",
        "ircs" => "irc",
        "sips" => "sip",
        name => name,
    }
}

/// The program, its version and what else it said: `OpenSSH 9.2p1 (protocol 2.0)`.
pub fn version(service: &Service) -> String {
    let mut words: Vec<String> = [&service.product, &service.version]
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .cloned()
        .collect();
    if let Some(extra) = service.extra.as_ref().filter(|extra| !extra.is_empty()) {
        words.push(format!("({extra})"));
    }
    // Said rather than left empty: there is no use in looking further.
    if service.hidden && service.product.is_some() && service.version.is_none() {
        words.push("(version hidden)".to_owned());
    }
    words.join(" ")
}

/// `0.41`, in seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

/// A time between a probe and its answer: `0.12 ms`, `34 ms`, `1.5 s`.
pub(crate) fn round_trip(rtt: Duration) -> String {
    let ms = rtt.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// `Mon Nov 23 12:30:47 2026`, as C's `ctime` and nmap write it.
pub(crate) fn ctime(at: Timestamp, zone: &TimeZone) -> String {
    jiff::ZonedDateTime::new(at, zone.clone())
        .strftime("%a %b %e %H:%M:%S %Y")
        .to_string()
}

/// `2026-11-23 12:30:47 +00:00`, for people.
pub(crate) fn local(at: Timestamp, zone: &TimeZone) -> String {
    jiff::ZonedDateTime::new(at, zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %:z")
        .to_string()
}

/// When the scan began: as said, or as the first host tells.
pub(crate) fn start(record: &ScanRecord) -> Timestamp {
    if let Some(started) = &record.started {
        return started.at;
    }
    let first = record.hosts.values().map(|host| host.first).min();
    first.unwrap_or_else(|| end(record))
}

/// When it ended: as said, or when a host was last heard of.
pub(crate) fn end(record: &ScanRecord) -> Timestamp {
    if let Some(finished) = &record.finished {
        return finished.at;
    }
    let last = record.hosts.values().map(|host| host.last).max();
    let started = record.started.as_ref().map(|started| started.at);
    last.max(started).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How long it took: as said, or from the first to the last thing heard.
pub(crate) fn elapsed(record: &ScanRecord) -> Duration {
    match &record.finished {
        Some(finished) => finished.elapsed,
        None => Duration::try_from(end(record).duration_since(start(record))).unwrap_or_default(),
    }
}

/// Hosts up, down, and both together.
pub(crate) fn hosts(record: &ScanRecord) -> (u64, u128, u128) {
    let seen = record.hosts.values().filter(|host| host.is_up()).count() as u64;
    let listed = record.hosts.len() as u128;
    let (up, asked) = match &record.finished {
        // A host that the user says is up, and that stayed silent, was counted as down.
        Some(finished) => (
            finished.hosts_up.max(seen),
            finished
                .hosts_down
                .saturating_add(u128::from(finished.hosts_up)),
        ),
        None => (seen, 0),
    };
    let total = asked.max(listed).max(u128::from(up));
    (up, total - u128::from(up), total)
}

/// The first line of nmap's formats that people read: what ran, when and how it was called.
pub(crate) fn initiated(record: &ScanRecord, options: &WriteOptions) -> String {
    format!(
        "# Portolan {} scan initiated {} as: {}",
        visible(&record.version),
        ctime(start(record), &options.time_zone),
        visible(&record.args),
    )
}

/// `1 IP address (1 host up) scanned in 0.41 seconds`.
pub(crate) fn summary(record: &ScanRecord) -> String {
    let (up, _, total) = hosts(record);
    let addresses = if total == 1 { "address" } else { "addresses" };
    let hosts = if up == 1 { "host" } else { "hosts" };
    let end = match record.outcome() {
        Outcome::Interrupted => "scanned, then interrupted, in",
        Outcome::Complete | Outcome::Incomplete => "scanned in",
    };
    format!(
        "{total} IP {addresses} ({up} {hosts} up) {end} {} seconds",
        seconds(elapsed(record))
    )
}

/// The host as people call it: `localhost (127.0.0.1)`, or the address alone.
pub(crate) fn title(record: &ScanRecord, address: IpAddr, host: &HostRecord) -> String {
    let address = record.zoned(address);
    match host.name() {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    }
}
