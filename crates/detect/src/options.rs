//! What to detect, and within which bounds.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use portolan_model::{PortSet, Protocol};

use crate::rules::DEFAULT_INTENSITY;

/// Something that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Over what it is asked.
    pub protocol: Protocol,
    /// The name by which it is asked (HTTP `Host`, TLS server name), where one was typed.
    pub name: Option<String>,
    /// The round-trip time, where it is known.
    pub rtt: Option<Duration>,
    /// What it has said already, when a scan asked it over UDP.
    pub said: Vec<u8>,
    /// The number of the interface that a link-local address is reached over (RFC 3493, 3.3).
    pub scope: u32,
}

impl Target {
    /// A port of an address.
    pub const fn new(address: IpAddr, protocol: Protocol, port: u16) -> Self {
        Self {
            address,
            port,
            protocol,
            name: None,
            rtt: None,
            said: Vec::new(),
            scope: 0,
        }
    }

    pub(crate) const fn socket(&self) -> SocketAddr {
        match self.address {
            IpAddr::V6(address) => {
                SocketAddr::V6(SocketAddrV6::new(address, self.port, 0, self.scope))
            }
            IpAddr::V4(_) => SocketAddr::new(self.address, self.port),
        }
    }

    /// The host as a URL has it (RFC 3986, 3.2.2).
    pub(crate) fn host(&self) -> String {
        match (&self.name, self.address) {
            (Some(name), _) => name.clone(),
            (None, IpAddr::V6(address)) => format!("[{address}]"),
            (None, IpAddr::V4(address)) => address.to_string(),
        }
    }

    /// The host and the port, unless it is the usual one of the web (RFC 9110, 7.2): what a server
    /// builds its own addresses from.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            80 | 443 => self.host(),
            port => format!("{}:{port}", self.host()),
        }
    }
}

/// Bounds and choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which probes go to ports that they do not usually fit, 0 to 9; 0 only listens.
    pub intensity: u8,
    /// How many endpoints are asked at a time.
    pub endpoints: usize,
    /// How many connections go to one endpoint at a time.
    pub connections: usize,
    /// How long one endpoint may take.
    pub budget: Duration,
    /// The longest wait for a connection.
    pub connect: Duration,
    /// The longest wait for the first byte of an answer.
    pub answer: Duration,
    /// The longest wait for a server that should speak first.
    pub patience: Duration,
    /// The longest that one answer may go on.
    pub talk: Duration,
    /// The most bytes of one answer.
    pub bytes: usize,
    /// Ports that are listened to and never sent anything: printers print what they are sent.
    pub listen_only: PortSet,
    /// Ports that are sent nothing but the probes that name them: what stands there takes the
    /// letters of other protocols for commands, as a radio (Hamlib's rigctld) does.
    pub own_only: PortSet,
    /// The time, in seconds since 1970, by which certificates have expired or not.
    pub now: i64,
}

impl Options {
    /// The usual bounds, at a time in seconds since 1970.
    pub fn at(now: i64) -> Self {
        Self {
            intensity: DEFAULT_INTENSITY,
            endpoints: 200,
            connections: 5,
            budget: Duration::from_secs(8),
            connect: Duration::from_secs(3),
            answer: Duration::from_millis(1500),
            patience: Duration::from_secs(6),
            talk: Duration::from_secs(3),
            bytes: 32 * 1024,
            listen_only: PortSet::from_range(9100, 9107),
            own_only: PortSet::from_range(4532, 4533),
            now,
        }
    }
}

/// The waits of one endpoint, from its round-trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waits {
    /// How long to listen before anything is sent.
    pub(crate) hush: Duration,
    /// How long to wait for the first byte of an answer.
    pub(crate) answer: Duration,
    /// How long to wait for one that is likely to come, and may be long in the making.
    pub(crate) late: Duration,
    /// How long a silence ends an answer.
    pub(crate) quiet: Duration,
    /// How long a question keeps the next one from being asked.
    pub(crate) turn: Duration,
    /// How much earlier the likely probes go out.
    pub(crate) lead: Duration,
}

impl Waits {
    pub(crate) fn new(rtt: Duration, options: &Options) -> Self {
        let ms = Duration::from_millis;
        Self {
            hush: (rtt * 3 + ms(100)).min(ms(1000)).min(options.patience),
            answer: (options.answer + rtt * 4).min(options.talk),
            late: (options.answer * 2 + rtt * 4).min(options.talk),
            quiet: (rtt * 2 + ms(50)).min(ms(500)).min(options.talk),
            turn: (rtt * 3 + ms(250)).min(ms(1250)).min(options.answer),
            lead: (rtt * 3 + ms(150)).min(ms(1000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_the_port_unless_it_is_the_usual_one() {
        let target = |port| Target::new(std::net::Ipv6Addr::LOCALHOST.into(), Protocol::Tcp, port);
        assert_eq!(target(8080).authority(), "[::1]:8080");
        assert_eq!(target(443).authority(), "[::1]");
    }

    #[test]
    fn waits_follow_the_round_trip_time() {
        let options = Options::at(0);
        let near = Waits::new(Duration::from_millis(1), &options);
        let far = Waits::new(Duration::from_millis(200), &options);
        assert_eq!(near.hush, Duration::from_millis(103));
        assert_eq!(far.hush, Duration::from_millis(700));
        assert!(far.answer > near.answer && far.quiet > near.quiet);
    }
}
