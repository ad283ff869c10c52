//! A server for a browser to visit: the real pages, API, history and engine, in this process.
//! Its scans reach loopback and nothing else.

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use portolan_model::event::{Endpoint, HostName, HostUp, NameKind, PortFact, ServiceFact};
use portolan_model::service::Method;
use portolan_model::{
    PortSpec, PortState, Protocol, Reason, ScanEvent, ScanSpec, Service, Technique,
};
use portolan_scan::{Control, Request};

use portolan_server::{Abilities, CannotStart, Job, Role, Runner, Settings};

use portolan_store::{NewScan, ScanId};

use crate::served::Served;
pub(crate) use crate::served::root;

/// Runs scans of loopback by connections.
#[derive(Debug)]
struct Loopback;

impl Runner for Loopback {
    fn abilities(&self) -> Abilities {
        let missing = || Some("this process may not send packets of its own".to_owned());
        Abilities {
            techniques: vec![
                (Technique::Connect, None),
                (Technique::Syn, missing()),
                (Technique::Udp, missing()),
            ],
            detect: None,
        }
    }

    fn run(
        &self,
        job: &Job,
        control: &Control,
        sink: &mut dyn FnMut(ScanEvent),
    ) -> Result<(), CannotStart> {
        let refused = |message: String| CannotStart {
            message,
            hint: None,
        };
        let mut builder = portolan_model::address::AddressSetBuilder::default();
        for target in &job.spec.targets {
            let Some(addresses) = target.addresses() else {
                return Err(refused(format!("`{target}` is not looked up in a test")));
            };
            for (first, last) in addresses.ranges() {
                if !first.is_loopback() || !last.is_loopback() {
                    return Err(refused(format!("`{target}` is not loopback")));
                }
                builder.push_range(first, last);
            }
        }
        let request = Request {
            addresses: builder.build(),
            ports: job.spec.ports.clone(),
            techniques: vec![Technique::Connect],
            pace: job.spec.pace.clone(),
            discovery: job.spec.discovery,
            seed: job.seed,
            settled: job.earlier.settled.clone(),
            shard: None,
            zones: portolan_model::Zones::NONE,
            searches: Vec::new(),
            sweep: None,
            payloads: portolan_scan::udp::Payloads::default(),
            from: job.earlier.place,
        };
        portolan_scan::run(&request, control, sink)
            .map(drop)
            .map_err(|error| refused(error.to_string()))
    }
}

/// A server of the real engine, gone when dropped.
pub(crate) struct Server(Served);

impl Server {
    /// Starts one. With a name and a password, one must log in.
    pub(crate) fn start(user: Option<(&str, &str)>) -> Self {
        Self::with(Arc::new(Loopback), user)
    }

    /// The same, with something else in the place of the engine.
    pub(crate) fn with(runner: Arc<dyn Runner>, user: Option<(&str, &str)>) -> Self {
        let served = Served::start(runner, |address| Settings::new(address, "0.1.0"));
        if let Some((name, password)) = user {
            let hash = portolan_server::auth::password::hash(password).expect("it can be hashed");
            let store = served.state.store();
            store
                .create_user(name, &hash, Role::Admin, now())
                .expect("the first user of that name");
        }
        Self(served)
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        self.0.at(path)
    }

    /// Keeps a finished scan for hosts alone, which found some with names and MAC addresses.
    pub(crate) fn hosts_alone(&self) -> ScanId {
        let mut spec = ScanSpec::new(
            vec!["192.0.2.0/24".parse().expect("a target")],
            PortSpec::common(),
        );
        spec.discovery = portolan_model::spec::Discovery::Only;
        let mut events = vec![ScanEvent::Started(portolan_model::event::Started {
            zones: portolan_model::Zones::NONE,
            at: now(),
            techniques: vec![Technique::Syn],
            ports: PortSpec::common(),
            addresses: 256,
            probes: 256,
            seed: 0,
        })];
        for (last, name) in [
            (1, "router.home"),
            (20, "printer.home"),
            (31, ""),
            (77, "nas.home"),
        ] {
            let address = IpAddr::from([192, 0, 2, last]);
            events.push(ScanEvent::HostUp(HostUp {
                address,
                reason: Reason::ArpResponse,
                rtt: Some(std::time::Duration::from_micros(300 + 7 * u64::from(last))),
                ttl: None,
                at: now(),
            }));
            let mac = format!("02:00:00:00:00:{last:02x}");
            events.push(ScanEvent::HostLink(portolan_model::event::HostLink {
                address,
                mac: mac.parse().expect("a MAC address"),
            }));
            if !name.is_empty() {
                events.push(ScanEvent::HostName(HostName {
                    address,
                    name: name.to_owned(),
                    kind: NameKind::Ptr,
                }));
            }
        }
        events.push(ScanEvent::Finished(portolan_model::event::Finished {
            at: now(),
            outcome: portolan_model::event::Outcome::Complete,
            elapsed: std::time::Duration::from_millis(1200),
            hosts_up: 4,
            hosts_down: 252,
            sent: 508,
            loss: Some(0.0),
            expected_missed: 0.0,
        }));
        self.keep(spec, events)
    }

    /// Keeps a scan of these events.
    fn keep(&self, spec: ScanSpec, events: Vec<ScanEvent>) -> ScanId {
        let store = self.0.state.store();
        let writer = store
            .begin(NewScan::new(spec, now()))
            .expect("a scan can be kept");
        writer.send(events).expect("events can be kept");
        writer.flush().expect("they reach the disk");
        writer.id()
    }

    /// Keeps a finished scan of three hosts, 15 ports of both protocols and services that say
    /// much, little and nothing.
    pub(crate) fn keep_varied(&self) -> ScanId {
        let ports = "T:21-25,53,80,443,830,2222,8080,U:53,161";
        let ports: PortSpec = ports.parse().expect("a list of ports");
        let targets = ["10.0.0.1", "10.0.0.2", "2001:db8::1"];
        let targets = targets.map(|target| target.parse().expect("a target"));
        let mut spec = ScanSpec::new(targets.to_vec(), ports.clone());
        spec.techniques = vec![Technique::Connect, Technique::Udp];
        let mut events = vec![ScanEvent::Started(portolan_model::event::Started {
            zones: portolan_model::Zones::NONE,
            at: now(),
            techniques: spec.techniques.clone(),
            ports,
            addresses: 3,
            probes: 39,
            seed: 0,
        })];
        for (address, name) in [
            ("10.0.0.1", "gate.example"),
            ("10.0.0.2", "Ärger"),
            ("2001:db8::1", ""),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            events.push(ScanEvent::HostUp(HostUp {
                address,
                reason: Reason::SynAck,
                rtt: None,
                ttl: None,
                at: now(),
            }));
            if !name.is_empty() {
                events.push(ScanEvent::HostName(HostName {
                    address,
                    name: name.to_owned(),
                    kind: NameKind::Ptr,
                }));
            }
        }
        events.extend(varied_ports());
        events.extend(varied_services());
        events.push(ScanEvent::Finished(portolan_model::event::Finished {
            at: now(),
            outcome: portolan_model::event::Outcome::Complete,
            elapsed: std::time::Duration::from_millis(900),
            hosts_up: 3,
            hosts_down: 0,
            sent: 39,
            loss: Some(0.0),
            expected_missed: 0.0,
        }));
        let id = self.keep(spec, events);
        let tag = "prod".parse().expect("a tag");
        let host: IpAddr = "10.0.0.1".parse().expect("an address");
        let store = self.0.state.store();
        store
            .put_tag(tag, vec![portolan_store::Tagged::Host(host.into())])
            .expect("a tag can be put on a host");
        id
    }

    /// Keeps a finished scan in which a host and a service say hostile things.
    pub(crate) fn keep_hostile(&self, text: &str) -> ScanId {
        let host: IpAddr = "127.0.0.1".parse().expect("an address");
        let target = host.to_string().parse().expect("a target");
        let ports: PortSpec = "8080".parse().expect("a port");
        let spec = ScanSpec::new(vec![target], ports.clone());
        let endpoint = Endpoint {
            address: host,
            protocol: Protocol::Tcp,
            port: 8080,
        };
        let started = portolan_model::event::Started {
            at: now(),
            techniques: vec![Technique::Connect],
            ports,
            addresses: 1,
            probes: 1,
            seed: 0,
            zones: portolan_model::Zones::NONE,
        };
        let finished = portolan_model::event::Finished {
            at: now(),
            outcome: portolan_model::event::Outcome::Complete,
            elapsed: std::time::Duration::from_millis(5),
            hosts_up: 1,
            hosts_down: 0,
            sent: 1,
            loss: Some(0.0),
            expected_missed: 0.0,
        };
        let events = vec![
            ScanEvent::Started(started),
            ScanEvent::HostUp(HostUp {
                address: host,
                reason: Reason::SynAck,
                rtt: None,
                ttl: None,
                at: now(),
            }),
            ScanEvent::HostName(HostName {
                address: host,
                name: text.to_owned(),
                kind: NameKind::Ptr,
            }),
            ScanEvent::Port(PortFact {
                endpoint,
                state: PortState::Open,
                reason: Reason::SynAck,
                rtt: None,
                ttl: Some(64),
                at: now(),
            }),
            ScanEvent::Service(ServiceFact {
                endpoint,
                service: Service {
                    name: "http".to_owned(),
                    product: Some(text.to_owned()),
                    version: Some(text.to_owned()),
                    extra: Some(text.to_owned()),
                    hostname: Some(text.to_owned()),
                    method: Method::Probed,
                    confidence: 10,
                    ..Service::default()
                },
            }),
            ScanEvent::Finished(finished),
        ];
        self.keep(spec, events)
    }
}

/// Ports of both protocols in every state.
fn varied_ports() -> Vec<ScanEvent> {
    let mut events = Vec::new();
    let open = PortState::Open;
    for (address, port, state, reason) in [
        ("10.0.0.1", 22, open, Reason::SynAck),
        ("10.0.0.1", 80, open, Reason::SynAck),
        ("10.0.0.1", 443, open, Reason::SynAck),
        ("10.0.0.1", 21, PortState::Closed, Reason::Reset),
        ("10.0.0.1", 23, PortState::Closed, Reason::Reset),
        ("10.0.0.1", 25, PortState::Closed, Reason::Reset),
        ("10.0.0.1", 8080, PortState::Filtered, Reason::NoResponse),
        ("10.0.0.2", 22, open, Reason::SynAck),
        ("10.0.0.2", 2222, open, Reason::SynAck),
        ("10.0.0.2", 53, open, Reason::SynAck),
        ("10.0.0.2", 830, PortState::Closed, Reason::Reset),
        ("2001:db8::1", 22, PortState::Closed, Reason::Reset),
        ("2001:db8::1", 80, open, Reason::SynAck),
        ("10.0.0.1", 53, open, Reason::UdpResponse),
        (
            "2001:db8::1",
            161,
            PortState::OpenFiltered,
            Reason::NoResponse,
        ),
    ] {
        let is_udp = matches!(
            (port, reason),
            (53, Reason::UdpResponse) | (161, Reason::NoResponse)
        );
        events.push(ScanEvent::Port(PortFact {
            endpoint: Endpoint {
                address: address.parse().expect("an address"),
                protocol: if is_udp { Protocol::Udp } else { Protocol::Tcp },
                port,
            },
            state,
            reason,
            rtt: None,
            ttl: None,
            at: now(),
        }));
    }
    events
}

/// What some of them say.
fn varied_services() -> Vec<ScanEvent> {
    let mut events = Vec::new();
    for (address, port, said) in [
        ("10.0.0.1", 22, ["ssh", "OpenSSH", "9.2p1", "Debian"]),
        ("10.0.0.1", 80, ["http", "Apache httpd", "2.4.57", "Ubuntu"]),
        ("10.0.0.1", 443, ["http", "nginx", "", ""]),
        ("10.0.0.2", 22, ["ssh", "OpenSSH", "9.6", ""]),
        ("10.0.0.2", 2222, ["ssh", "", "", ""]),
        ("2001:db8::1", 80, ["http", "ÄRGER httpd", "", ""]),
    ] {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let [name, product, version, extra] = said;
        let mut service = Service {
            name: name.to_owned(),
            product: some(product),
            version: some(version),
            extra: some(extra),
            method: Method::Probed,
            confidence: 10,
            ..Service::default()
        };
        if product == "nginx" {
            service.tls = true;
            let (fact, expires) = ("tls.cert.not-after", "2027-01-01T00:00:00Z");
            service.facts.insert(fact.to_owned(), expires.to_owned());
        } else if product == "ÄRGER httpd" {
            service.hostname = Some("inside.example".to_owned());
            service.os = Some("Linux".to_owned());
            service.cpe = vec!["cpe:/a:example:httpd".to_owned()];
        }
        events.push(ScanEvent::Service(ServiceFact {
            endpoint: Endpoint {
                address: address.parse().expect("an address"),
                protocol: Protocol::Tcp,
                port,
            },
            service,
        }));
    }
    events
}

/// Something that listens on loopback at these ports, until dropped; ports that are taken are
/// replaced by free ones.
pub(crate) fn listeners(count: usize) -> Vec<TcpListener> {
    (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
        .collect()
}

/// Where pictures go.
pub(crate) fn pictures() -> PathBuf {
    root().join("target/screenshots")
}

fn now() -> Timestamp {
    Timestamp::now()
}
