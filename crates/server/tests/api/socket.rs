//! The server on a socket of this machine: who may reach it, and how.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use portolan_server::auth::password;
use portolan_server::serve::{Encryption, Options, Ready, serve};
use portolan_server::{Abilities, CannotStart, Job, Limits, Role, Runner, ServeError, Settings};
use portolan_store::{Mode, Retention, Store};
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

#[derive(Debug)]
struct Nothing;

impl Runner for Nothing {
    fn abilities(&self) -> Abilities {
        Abilities {
            techniques: Vec::new(),
            detect: None,
        }
    }

    fn run(
        &self,
        _: &Job,
        _: &portolan_scan::Control,
        _: &mut dyn FnMut(portolan_model::ScanEvent),
    ) -> Result<(), CannotStart> {
        Err(CannotStart {
            message: "nothing is scanned here".to_owned(),
            hint: None,
        })
    }
}

fn options(address: &str, encryption: Encryption) -> Options {
    Options {
        settings: Settings::new(address.parse().unwrap(), "1.2.3"),
        encryption,
        retention: Retention::default(),
    }
}

async fn refused(store: &Store, options: Options) -> ServeError {
    serve(
        store.clone(),
        Arc::new(Nothing),
        options,
        |_| {},
        std::future::pending(),
    )
    .await
    .unwrap_err()
}

#[tokio::test]
async fn where_others_reach_it_there_must_be_a_user_and_encryption() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Mode::Serve).unwrap();
    let error = refused(&store, options("0.0.0.0:0", Encryption::None)).await;
    assert_eq!(
        error.to_string(),
        "cannot listen on 0.0.0.0:0: others can reach it, and there is no user"
    );
    let hash = password::hash("correct horse").unwrap();
    store
        .create_user("ann", &hash, Role::Admin, Timestamp::now())
        .unwrap();
    let error = refused(&store, options("0.0.0.0:0", Encryption::None)).await;
    assert!(matches!(error, ServeError::NoEncryption { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--behind-proxy"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Mode::Serve).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = refused(&store, options(&address, Encryption::None)).await;
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    assert!(error.hint().unwrap().contains("--listen"));
}

/// A server that listens, until `stop` is dropped.
struct Listening {
    address: SocketAddr,
    ready: Ready,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), ServeError>>,
    dir: tempfile::TempDir,
}

async fn listen(
    encryption: impl FnOnce(&std::path::Path) -> Encryption,
    limits: Limits,
) -> Listening {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Mode::Serve).unwrap();
    let mut options = options("127.0.0.1:0", encryption(dir.path()));
    options.settings.limits = limits;
    let (tell, told) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(
        store,
        Arc::new(Nothing),
        options,
        |ready: &Ready| drop(tell.send(ready.clone())),
        async move {
            let _ = stopped.await;
        },
    ));
    let ready = told.await.unwrap();
    let address = ready.url.rsplit('/').next().unwrap().parse().unwrap();
    Listening {
        address,
        ready,
        stop,
        task,
        dir,
    }
}

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn it_answers_and_ends_in_order() {
    let server = listen(|_| Encryption::None, Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    drop(server.stop);
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn clients_that_say_nothing_take_the_places_that_there_are_and_no_more() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = listen(|_| Encryption::None, limits).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // It has a place once it is answered to.
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            .await
            .unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        silent.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(GET).await.unwrap();
    let nothing = third.try_read(&mut [0; 1]);
    assert_eq!(nothing.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    silent.pop();
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// Asks over TLS, trusting this certificate alone.
async fn speak(server: &Listening, pem: &[u8]) -> std::io::Result<String> {
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address).await?;
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(GET).await?;
    let mut answer = Vec::new();
    // The other end may close without a word once it has answered.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_certificate_is_made_and_the_way_is_encrypted() {
    let own = |dir: &std::path::Path| Encryption::SelfSigned {
        dir: dir.to_owned(),
    };
    let server = listen(own, Limits::default()).await;
    assert!(server.ready.url.starts_with("https://"));
    assert!(server.ready.fingerprint.is_some());
    let pem = std::fs::read(server.dir.path().join("tls-cert.pem")).unwrap();
    let answer = speak(&server, &pem).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
}

const EVENTS: &[u8] = b"GET /api/v1/events?topics=scans HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Opens an event stream and waits for its first message.
async fn follow(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(EVENTS).await.unwrap();
    let mut read = Vec::new();
    while !read.windows(5).any(|part| part == b"hello") {
        let mut part = [0; 512];
        let length = stream.read(&mut part).await.unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(part.get(..length).unwrap());
    }
    stream
}

#[tokio::test]
async fn a_thousand_idle_event_streams_keep_nobody_from_being_answered() {
    // Both ends of a thousand connections are here.
    let (soft, hard) = (
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
    );
    let wanted = 2500;
    if soft.is_some_and(|soft| soft < wanted) {
        assert!(
            hard.is_none_or(|hard| hard >= wanted),
            "this test opens {wanted} descriptors, and the hard limit is {hard:?}"
        );
        let limit = rustix::process::Rlimit {
            current: Some(wanted),
            maximum: hard,
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let limits = Limits {
        connections: 1100,
        streams: 1000,
        streams_each: 1000,
        ..Limits::default()
    };
    let server = listen(|_| Encryption::None, limits).await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        streams.push(follow(server.address).await);
    }
    let ask = async |request: &[u8]| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask(GET).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let one_more =
        String::from_utf8_lossy(EVENTS).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let refused = ask(one_more.as_bytes()).await;
    assert!(
        refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{refused}"
    );
    // Their places come back when they go.
    streams.clear();
    for _ in 0..1000 {
        let metrics =
            ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
        if metrics.contains("\nportolan_event_streams 0\n") {
            return;
        }
    }
    panic!("the places did not come back");
}

#[tokio::test]
async fn who_never_reads_a_large_answer_loses_the_connection() {
    let limits = Limits {
        connections: 1,
        write_time: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let server = listen(|_| Encryption::None, limits).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    // One request after the other on one connection, and none of the answers is read: at last
    // the system's buffers are full.
    let page = b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut sent = 0;
    while sent < 2000 && stuck.write_all(page).await.is_ok() {
        sent += 1;
    }
    // The only place there is comes free, though the other end never closed.
    let mut other = TcpStream::connect(server.address).await.unwrap();
    other.write_all(GET).await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// How long anything of this file may take before it counts as never.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);

#[tokio::test]
async fn who_opens_streams_over_http2_and_never_reads_them_loses_the_connection() {
    let limits = Limits {
        write_time: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let server = listen(|_| Encryption::None, limits).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    // The client reads its socket and answers pings; it gives each stream room for one byte, and
    // then for no more.
    let (mut sender, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(1)
            .handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let mut answers = Vec::new();
    for path in ["/api/openapi.json", "/api/v1/events?topics=scans"].repeat(20) {
        let request = axum::http::Request::get(format!("http://127.0.0.1{path}"))
            .body(axum::body::Body::empty())
            .unwrap();
        match sender.send_request(request).await {
            Ok(answer) => answers.push(answer),
            // It was cut off already.
            Err(_) => break,
        }
    }
    assert!(!answers.is_empty());
    let ended = tokio::time::timeout(PATIENCE, connection).await;
    assert!(ended.is_ok(), "the connection is still there");
    // What its streams held is given back.
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).await.unwrap();
        if metrics.contains("\nportolan_event_streams 0\n") {
            return;
        }
    }
    panic!("the places of its event streams did not come back");
}

#[tokio::test]
async fn who_speaks_http_to_the_encrypted_port_is_told_so() {
    let own = |dir: &std::path::Path| Encryption::SelfSigned {
        dir: dir.to_owned(),
    };
    let server = listen(own, Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(answer.contains("https://"), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
}

#[tokio::test]
async fn a_new_certificate_counts_from_the_next_connection_on() {
    let own = |dir: &std::path::Path| Encryption::SelfSigned {
        dir: dir.to_owned(),
    };
    let server = listen(own, Limits::default()).await;
    let path = server.dir.path().join("tls-cert.pem");
    let first = std::fs::read(&path).unwrap();
    assert!(speak(&server, &first).await.is_ok());
    // Another one is made elsewhere, and put in its place.
    let other = listen(own, Limits::default()).await;
    for name in ["tls-key.pem", "tls-cert.pem"] {
        std::fs::copy(other.dir.path().join(name), server.dir.path().join(name)).unwrap();
    }
    let second = std::fs::read(&path).unwrap();
    assert_ne!(first, second);
    assert!(speak(&server, &second).await.is_ok());
    assert!(speak(&server, &first).await.is_err());
}
