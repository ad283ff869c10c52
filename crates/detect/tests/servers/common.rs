//! Servers made of a closure, on loopback, and a detector with small bounds.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portolan_detect::rules::RuleSetBuilder;
use portolan_detect::{Detector, Options, Target};
use portolan_model::{Protocol, Service};
use tokio::net::{TcpListener, TcpStream};

/// A few rules of every kind, so that these tests do not change with the program's own.
pub(crate) const RULES: &str = r"
[[probe]]
name = 'http-get'
protocol = 'tcp'
send = 'GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n'
intensity = 1

[[probe]]
name = 'ping'
protocol = 'tcp'
send = ['PING\r\n', 'VERSION\r\n']

[[probe]]
name = 'udp-ping'
protocol = 'udp'
send = 'PING'

[[probe]]
name = 'smtp-ehlo'
protocol = 'tcp'
waits = true
send = 'EHLO me\r\n'
follows = 'smtp'

[[rule]]
name = 'acme'
service = 'acme'
match = '^ACME (?P<version>[0-9.]+) on (?P<os>[^\r\n]+)'
product = 'Acme'
cpe = 'cpe:2.3:a:acme:acme:{version}'
samples = ['ACME 1.2 on Linux\r\n']

[[rule]]
name = 'pong'
service = 'ping'
on = 'ping'
match = '^PONG\r\n(?P<version>[0-9.]+)'
product = 'Ponger'
samples = ['PONG\r\n1.5\r\n']

[[rule]]
name = 'udp-pong'
service = 'ping'
on = 'udp-ping'
match = '^PONG (?P<version>[0-9.]+)'
product = 'Ponger'
samples = ['PONG 1.5']

[[rule]]
name = 'acme-http'
service = 'http'
on = 'http.server'
match = '^acme-http/(?P<version>.*)$'
product = 'Acme HTTP'
samples = [{ value = 'acme-http/1' }]

[[rule]]
name = 'acme-app'
service = 'http'
on = 'http.title'
match = '^Acme App (?P<version>[0-9.]+)'
product = 'Acme App'
priority = 60
samples = [{ value = 'Acme App 3.1' }]

[[rule]]
name = 'smtp'
service = 'smtp'
match = '^220 (?P<hostname>\S+) ESMTP'
soft = true
samples = ['220 mx ESMTP\r\n']

[[rule]]
name = 'acme-mail'
service = 'smtp'
on = 'smtp-ehlo'
match = 'X-ACME (?P<version>[0-9.]+)'
product = 'Acme Mail'
samples = ['220 mx ESMTP\r\n250-mx\r\n250 X-ACME 4.2\r\n']
";

/// Bounds that a test can wait for.
pub(crate) fn options() -> Options {
    let ms = Duration::from_millis;
    Options {
        budget: ms(5000),
        connect: ms(1000),
        answer: ms(250),
        patience: ms(250),
        talk: ms(400),
        ..Options::at(1_800_000_000)
    }
}

pub(crate) fn detector(options: Options) -> Detector {
    let rules = RuleSetBuilder::default().file("test.toml", RULES).build();
    Detector::new(Arc::new(rules.unwrap()), options)
}

/// A server, and how many connections it has had.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves every connection by `serve`, which is given its number.
    pub(crate) async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream, usize) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, counted.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { at, connections }
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.at.ip(), Protocol::Tcp, self.at.port())
    }

    /// What is found there within small bounds.
    pub(crate) async fn detected(&self) -> Option<Service> {
        detector(options()).detect(&self.target()).await
    }

    pub(crate) fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads until an empty line, or whatever comes in one go.
pub(crate) async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    let mut all = Vec::new();
    let mut chunk = [0; 1024];
    while !all.ends_with(b"\r\n\r\n") && !all.ends_with(b"\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => all.extend_from_slice(&chunk[..read]),
        }
    }
    all
}

/// What a server with a fresh certificate for `box.example` needs.
pub(crate) fn tls_config() -> Arc<rustls::ServerConfig> {
    tls_config_with(|_| {})
}

/// The same, with a certificate that `change` may have made into anything.
pub(crate) fn tls_config_with(change: impl FnOnce(&mut Vec<u8>)) -> Arc<rustls::ServerConfig> {
    let mut parameters = rcgen::CertificateParams::new(vec!["box.example".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(4096, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = parameters.self_signed(&key).unwrap().der().to_vec();
    change(&mut certificate);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(key.into()).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![certificate.into()], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
    Arc::new(config)
}
