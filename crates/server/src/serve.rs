//! The application on a socket: connections, encryption, time-outs, and an end in order.

mod patience;
mod plain;
mod stalled;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Version;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use jiff::Timestamp;
use portolan_store::{Retention, Store};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use self::patience::Patience;
use self::stalled::{PIECE, Readers};
use self::tls::Certificate;
use crate::auth::{Client, Peer};
use crate::error::ServeError;
use crate::runner::Runner;
use crate::settings::Settings;
use crate::state::AppState;

/// The head of a request must be there after this time; so long may a connection idle too.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Encryption must be agreed on after this time.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Requests that run when the end comes have this much time.
const LAST_TIME: Duration = Duration::from_secs(5);

/// Old scans are dropped this often.
const PRUNE_PERIOD: Duration = Duration::from_hours(1);

/// How the way to the server is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// By a certificate in files (PEM).
    Files {
        /// The certificate, and those that vouch for it.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// By a certificate that is made, and kept in this directory.
    SelfSigned {
        /// Where it is kept.
        dir: PathBuf,
    },
}

/// A server that listens.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where a browser finds it.
    pub url: String,
    /// Whether one must log in.
    pub log_in: bool,
    /// The certificate's SHA-256, for one that was made: what to compare with what the browser
    /// shows.
    pub fingerprint: Option<String>,
}

/// Everything that a server is started with.
#[derive(Debug)]
pub struct Options {
    /// How it is set up; its address may have port 0 for any that is free.
    pub settings: Settings,
    /// How the way to it is encrypted.
    pub encryption: Encryption,
    /// What is dropped when.
    pub retention: Retention,
}

/// Serves until `stop` ends: then requests and scans end in order.
///
/// # Errors
/// When it cannot start: the address is taken, others could reach it without a log-in or
/// without encryption, a certificate cannot be read.
pub async fn serve(
    store: Store,
    runner: Arc<dyn Runner>,
    options: Options,
    ready: impl FnOnce(&Ready),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Options {
        mut settings,
        encryption,
        retention,
    } = options;
    let address = settings.address;
    settings.is_encrypted = encryption != Encryption::None || settings.behind_proxy;
    let has_user = !store.users()?.is_empty();
    if !address.ip().is_loopback() {
        if !has_user {
            return Err(ServeError::NoUser { address });
        }
        if !settings.is_encrypted {
            return Err(ServeError::NoEncryption { address });
        }
    }
    let secured = tls::configure(&encryption, address.ip())?;
    let bound = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bound)?;
    settings.address = listener.local_addr().map_err(bound)?;
    let told = Ready {
        url: settings.base(),
        log_in: has_user || settings.always_log_in,
        fingerprint: secured.as_ref().and_then(|tls| tls.fingerprint.clone()),
    };
    let connections = Arc::new(Semaphore::new(settings.limits.connections));
    let state = AppState::new(store, runner, settings)?;
    let router = crate::app(state.clone());
    let pruning = tokio::spawn(prune(state.clone(), retention));
    ready(&told);

    let graceful = GracefulShutdown::new();
    let way = Way {
        state: state.clone(),
        router,
        tls: secured.map(|tls| (TlsAcceptor::from(tls.config), tls.certificate)),
    };
    let mut stop = pin!(stop);
    loop {
        // A connection more than there is room for waits in the system's queue.
        let turn = tokio::select! {
            turn = Arc::clone(&connections).acquire_owned() => turn,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (Ok(turn), Ok((stream, peer))) = (turn, accepted) else {
            // No descriptor left, or a client gone already: others may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let way = way.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _turn = turn;
            connect(stream, peer, way, watcher).await;
        });
    }
    drop(listener);
    pruning.abort();
    let closing = state.clone();
    let scans = tokio::task::spawn_blocking(move || closing.close());
    // Who has not finished by then is cut off.
    let _ = tokio::time::timeout(LAST_TIME, graceful.shutdown()).await;
    let _ = scans.await;
    Ok(())
}

/// What every connection is served by.
#[derive(Clone)]
struct Way {
    state: AppState,
    router: Router,
    tls: Option<(TlsAcceptor, Arc<Certificate>)>,
}

async fn connect(stream: TcpStream, peer: SocketAddr, way: Way, watcher: Watcher) {
    // Small messages must not wait for acknowledgements; a system that cannot is as good.
    let _ = stream.set_nodelay(true);
    let longest = way.state.settings().limits.write_time;
    let stream = Patience::new(stream, longest);
    match way.tls {
        None => converse(stream, peer, way.router, watcher, longest).await,
        Some((acceptor, certificate)) => {
            let end = tokio::time::Instant::now() + HANDSHAKE_TIME;
            if plain::is_spoken(stream.get_ref(), end).await {
                return plain::refuse(stream).await;
            }
            refresh(&way.state, certificate).await;
            let handshake = tokio::time::timeout_at(end, acceptor.accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                converse(stream, peer, way.router, watcher, longest).await;
            }
        }
    }
}

/// Takes over a certificate whose files have changed; the audit log says so, and why not.
async fn refresh(state: &AppState, certificate: Arc<Certificate>) {
    let files = Arc::clone(&certificate);
    let Ok(Some(outcome)) = tokio::task::spawn_blocking(move || files.refresh()).await else {
        return;
    };
    let detail = outcome.map_or_else(
        |error| format!("{error}; the one before stays in use"),
        |()| "the new one is in use".to_owned(),
    );
    let path = certificate.path().display().to_string();
    let server = Client::default();
    // A log that cannot be written keeps nobody from connecting.
    let _ = state
        .audit("", &server, "certificate", &path, None, detail)
        .await;
}

/// Answers on a connection until it ends, or one of its answers has waited for its reader for
/// longer than `longest`.
async fn converse<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
    longest: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let readers = Readers::default();
    let those = readers.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        // Over HTTP/1 one answer has the connection, and whether that is read `Patience` knows.
        let readers = (request.version() == Version::HTTP_2).then(|| those.clone());
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let answer = answer.await?;
            Ok::<_, Infallible>(match readers {
                Some(readers) => answer.map(|body| readers.watch(body)),
                None => answer,
            })
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(HEAD_TIME))
        .max_concurrent_streams(100)
        .max_send_buf_size(PIECE)
        .max_header_list_size(64 << 10);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A client that goes away is no error of the server.
    tokio::select! {
        _ = watcher.watch(connection.into_owned()) => {}
        () = readers.stalled(longest) => {}
    }
}

/// Drops old scans, now and from time to time.
async fn prune(state: AppState, retention: Retention) {
    if retention == Retention::default() {
        return;
    }
    let mut period = tokio::time::interval(PRUNE_PERIOD);
    loop {
        period.tick().await;
        // What cannot be dropped now is tried again in an hour.
        let _ = state
            .ask(move |store| store.prune(&retention, Timestamp::now()))
            .await;
    }
}
