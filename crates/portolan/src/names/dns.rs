//! Questions to name servers, through hickory.

use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use portolan_model::spec::{Family, Names};
use portolan_model::target::HostName;

use super::{AT_ONCE, LookupError, Settings, of_family};

/// A resolver with its name servers.
pub(super) struct Resolver {
    inner: TokioResolver,
    servers: Vec<String>,
}

/// What a question led to, beside records.
enum Refused {
    /// There is nothing of this kind under this name.
    Nothing,
    /// No server answered in time.
    Silent,
    /// A server or the way to it failed.
    Failed(String),
}

/// A runtime for look-ups on the calling thread.
///
/// # Errors
/// Why the system gives none, in words.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| crate::failure::io_reason(&error))
}

impl Resolver {
    /// A resolver of the servers in `settings`, or of the system's.
    ///
    /// # Errors
    /// Why there is no name server, in words.
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let (config, mut options) = if settings.servers.is_empty() {
            hickory_resolver::system_conf::read_system_conf()
                .map_err(|error| format!("/etc/resolv.conf: {}", reason(&error)))?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            (config, ResolverOpts::default())
        };
        let mut servers: Vec<String> = Vec::new();
        for server in config.name_servers() {
            let server = server.ip.to_string();
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        // The hosts file was asked before.
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = settings.timeout;
        options.attempts = settings.attempts;
        options.max_active_requests = AT_ONCE * 2;
        options.cache_size = 512;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder
            .build()
            .map(|inner| Self { inner, servers })
            .map_err(|error| reason(&error))
    }

    /// The addresses of its name servers.
    pub(super) fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The addresses of a name, IPv4 first. IPv6 is asked for where it counts: by itself, with
    /// all addresses, or where there is no IPv4.
    pub(super) async fn addresses(
        &self,
        name: &HostName,
        which: Names,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let mut found = Vec::new();
        let mut worst = None;
        for (family, kind) in [
            (Family::Ipv4, RecordType::A),
            (Family::Ipv6, RecordType::AAAA),
        ] {
            let is_enough = !which.all && !found.is_empty();
            if is_enough || which.family.is_some_and(|only| only != family) {
                continue;
            }
            match self.ask(name.as_str(), kind).await {
                Ok(records) => found.extend(records.iter().filter_map(RData::ip_addr)),
                Err(Refused::Nothing) => {}
                Err(refused) => worst = Some(refused),
            }
        }
        match worst {
            Some(Refused::Silent) if found.is_empty() => {
                Err(LookupError::Silent { name: name.clone() })
            }
            Some(Refused::Failed(why)) if found.is_empty() => Err(LookupError::Failed {
                name: name.clone(),
                why,
            }),
            // With a family asked for, a name of the other family alone is told apart from
            // one that does not exist only by asking more; the answer suffices.
            _ => of_family(name.clone(), found, which.family),
        }
    }

    /// The name of an address (RFC 1035, 3.5): `Ok(None)` where it has none, and an error
    /// where no server answered or one failed.
    pub(super) async fn name(&self, address: IpAddr) -> Result<Option<String>, NoAnswer> {
        let records = match self.inner.reverse_lookup(address).await {
            Ok(lookup) => lookup,
            Err(error) => {
                return match refused(&error) {
                    Refused::Nothing => Ok(None),
                    // Many servers refuse what they are not in charge of: an answer.
                    Refused::Failed(_) if matches!(error, NetError::Dns(_)) => Ok(None),
                    Refused::Silent | Refused::Failed(_) => Err(NoAnswer),
                };
            }
        };
        Ok(records.answers().iter().find_map(|record| {
            let RData::PTR(pointer) = &record.data else {
                return None;
            };
            // Letters that no host name has are escaped (RFC 1035, 5.1), so that nothing in
            // it reaches a terminal as it is.
            let name = pointer.0.to_ascii();
            let name = name.strip_suffix('.').unwrap_or(&name);
            (!name.is_empty()).then(|| name.to_owned())
        }))
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Refused> {
        match self.inner.lookup(name, kind).await {
            Ok(lookup) => Ok(lookup
                .answers()
                .iter()
                .map(|record| record.data.clone())
                .collect()),
            Err(error) => Err(refused(&error)),
        }
    }
}

/// No name server gave any answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoAnswer;

fn refused(error: &NetError) -> Refused {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(_)) => Refused::Nothing,
        NetError::Timeout | NetError::NoConnections => Refused::Silent,
        _ => Refused::Failed(reason(error)),
    }
}

fn reason(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::ResponseCode(code)) => {
            format!("the name server answered {:?}", code.to_str())
        }
        NetError::Io(error) => crate::failure::io_reason(error),
        other => other.to_string(),
    }
}
