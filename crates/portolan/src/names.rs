//! Names to addresses before a scan, and addresses to names while it runs.
//!
//! What this machine knows itself (the hosts file, `localhost`, addresses that mean nothing
//! elsewhere) is answered here, and no name server hears of it. tokio runs only while there is
//! something to ask.

mod dns;
mod local;
mod reverse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portolan_model::front::Front;
use portolan_model::spec::{Family, Names};
use portolan_model::target::HostName;
use portolan_scan::Control;
use tokio::task::JoinSet;

use local::Hosts;
pub(crate) use reverse::{Found, Reverse};

/// How many questions wait for an answer at once.
const AT_ONCE: usize = 64;

/// Name servers that have not answered all for so long are worth a word.
const LONG: u32 = 20;

/// How often a look-up checks whether the user has had enough.
const GLANCE: Duration = Duration::from_millis(50);

/// Who is asked, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The name servers; empty for the system's.
    pub(crate) servers: Vec<SocketAddr>,
    /// The hosts file.
    pub(crate) hosts_file: PathBuf,
    /// How long each question waits for its answer.
    pub(crate) timeout: Duration,
    /// How often each is asked.
    pub(crate) attempts: usize,
    /// Who is told why a name leads nowhere.
    pub(crate) front: Front,
    /// Says what is waited for, where that takes long; nothing once it is over.
    pub(crate) waiting: fn(&str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            hosts_file: "/etc/hosts".into(),
            timeout: Duration::from_secs(2),
            attempts: 2,
            front: Front::Shell,
            waiting: |_| {},
        }
    }
}

/// Why a name leads to no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// There is no such name, or it has no address at all.
    #[error("`{name}` has no address: no such host is known")]
    NotFound {
        /// The name.
        name: HostName,
    },
    /// It has addresses, but none of the family that was asked for.
    #[error("`{name}` has no {family} address")]
    WrongFamily {
        /// The name.
        name: HostName,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// Every name server stayed silent.
    #[error("cannot look up `{name}`: no name server answered")]
    Silent {
        /// The name.
        name: HostName,
    },
    /// The system names no name server.
    #[error("cannot look up `{name}`: no name server is known: {why}")]
    NoServer {
        /// The name.
        name: HostName,
        /// What was wrong with the system's configuration.
        why: String,
    },
    /// A name server refused, or could not find out.
    #[error("cannot look up `{name}`: {why}")]
    Failed {
        /// The name.
        name: HostName,
        /// What it said.
        why: String,
    },
}

impl LookupError {
    /// What the user can do about it, in the words of who shows it.
    pub(crate) fn hint(&self, front: Front) -> String {
        let other = other_server(front);
        match self {
            Self::NotFound { .. } => "check its spelling, or write its address".to_owned(),
            Self::WrongFamily { family, .. } => match (front, *family) {
                (Front::Shell, "IPv4") => "leave out `-4`".to_owned(),
                (Front::Shell, _) => "leave out `-6`".to_owned(),
                _ => "leave out `family`, or write an address".to_owned(),
            },
            Self::Silent { .. } | Self::Failed { .. } | Self::NoServer { .. } => {
                format!("write its address, or {other}")
            }
        }
    }
}

/// How other name servers than the system's are named.
pub(crate) const fn other_server(front: Front) -> &'static str {
    match front {
        Front::Shell => "name another server with `--dns-servers`",
        Front::Api | Front::Page => {
            "name another server as `dns-servers` in the configuration file of this server"
        }
    }
}

/// Whether this machine knows the name itself: its hosts file does, or it is settled for all.
pub(crate) fn is_known_here(name: &HostName) -> bool {
    Hosts::read(&Settings::default().hosts_file)
        .addresses(name)
        .is_some()
}

/// The addresses of each name, those of IPv4 first; or why there are none.
pub(crate) type Forward = BTreeMap<HostName, Result<Vec<IpAddr>, LookupError>>;

/// Looks up every one of `wanted`, many at once; `None` when `control` was stopped meanwhile.
///
/// Each name comes with all addresses of the family; which of them count is the caller's to
/// choose. It takes at most some seconds a name server that stays silent.
pub(crate) fn forward(
    wanted: impl IntoIterator<Item = (HostName, Names)>,
    settings: &Settings,
    control: &Control,
) -> Option<Forward> {
    let hosts = Hosts::read(&settings.hosts_file);
    let mut answers = Forward::new();
    let mut open = Vec::new();
    for (name, which) in wanted {
        match hosts.addresses(&name) {
            Some(addresses) => {
                let answer = of_family(name.clone(), addresses, which.family);
                answers.insert(name, answer);
            }
            None => open.push((name, which)),
        }
    }
    if open.is_empty() {
        return Some(answers);
    }
    let resolver = match dns::Resolver::new(settings) {
        Ok(resolver) => Arc::new(resolver),
        Err(why) => {
            for (name, _) in open {
                let error = LookupError::NoServer {
                    name: name.clone(),
                    why: why.clone(),
                };
                answers.insert(name, Err(error));
            }
            return Some(answers);
        }
    };
    let runtime = match dns::runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            for (name, _) in open {
                let error = LookupError::Failed {
                    name: name.clone(),
                    why: why.clone(),
                };
                answers.insert(name, Err(error));
            }
            return Some(answers);
        }
    };
    let mut glances = 0;
    let answers = runtime.block_on(async {
        let mut open = open.into_iter();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some((name, which)) = open.next()
            {
                let resolver = Arc::clone(&resolver);
                asked.spawn(async move {
                    let answer = resolver.addresses(&name, which).await;
                    (name, answer)
                });
            }
            if control.is_stopped() {
                return None;
            }
            match tokio::time::timeout(GLANCE, asked.join_next()).await {
                Err(_) => {
                    glances += 1;
                    if glances == LONG {
                        (settings.waiting)(&waiting_for(&resolver, open.len() + asked.len()));
                    }
                }
                Ok(Some(Err(_))) => {}
                Ok(None) => return Some(answers),
                Ok(Some(Ok((name, answer)))) => {
                    answers.insert(name, answer);
                }
            }
        }
    });
    if glances >= LONG {
        (settings.waiting)("");
    }
    answers
}

/// What is said while name servers stay silent.
fn waiting_for(resolver: &dns::Resolver, names: usize) -> String {
    let what = match names {
        1 => "1 name".to_owned(),
        many => format!("{many} names"),
    };
    format!(
        "looking up {what}: waiting for an answer of {}",
        resolver.servers().join(", ")
    )
}

/// The addresses of `family` among those of a name.
fn of_family(
    name: HostName,
    mut addresses: Vec<IpAddr>,
    family: Option<Family>,
) -> Result<Vec<IpAddr>, LookupError> {
    addresses.retain(|address| match family {
        None => true,
        Some(Family::Ipv4) => address.is_ipv4(),
        Some(Family::Ipv6) => address.is_ipv6(),
    });
    addresses.sort_by_key(IpAddr::is_ipv6);
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    match (addresses.is_empty(), family) {
        (false, _) => Ok(addresses),
        (true, None) => Err(LookupError::NotFound { name }),
        (true, Some(Family::Ipv4)) => Err(LookupError::WrongFamily {
            name,
            family: "IPv4",
        }),
        (true, Some(Family::Ipv6)) => Err(LookupError::WrongFamily {
            name,
            family: "IPv6",
        }),
    }
}

/// Reads a name server: an address, with a port where it is not 53.
///
/// # Errors
/// For anything else; a name cannot be looked up before there is a server.
pub(crate) fn server(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    match text.parse::<SocketAddr>() {
        Ok(server) if server.port() > 0 => Ok(server),
        _ => Err("expected an address such as `192.0.2.53` or `192.0.2.53:5353`".to_owned()),
    }
}
