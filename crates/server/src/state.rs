//! What handlers and pages ask: one value that all of them share.

mod query;
mod scans;
mod tags;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use jiff::Timestamp;
use portolan_store::{NewAudit, ScanId, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::auth::{Caller, Client, Throttle};
use crate::error::{Problem, Result};
use crate::manager::Manager;
use crate::metrics::Metrics;
use crate::runner::{Abilities, Runner};
use crate::security::rate::{self, Rates};
use crate::settings::Settings;

pub use query::{
    AuditQuery, DiffQuery, ExportQuery, HostsQuery, PageQuery, ResultsQuery, ScansQuery,
    TimelineQuery,
};
pub(crate) use scans::parse_query;
pub use scans::{ScanWithResults, Started};

/// How many passwords are checked at once.
const HASHING: usize = 2;

/// What handlers and pages ask. Copies share it.
#[derive(Debug, Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    manager: Manager,
    settings: Settings,
    abilities: Abilities,
    runner: Arc<dyn Runner>,
    throttle: Throttle,
    rates: Rates,
    hashing: Semaphore,
    streams: Arc<Semaphore>,
    streams_by: Arc<Mutex<HashMap<String, usize>>>,
    metrics: Metrics,
    closing: watch::Sender<bool>,
}

/// The right to one event stream, given back when dropped.
#[derive(Debug)]
pub(crate) struct StreamPass {
    by: String,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for StreamPass {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.by) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.by);
            }
        }
    }
}

/// A number for the first log, that no earlier start is likely to have used.
fn first_log() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library's hasher is keyed by the system's random numbers.
    let random = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or_default()
}

impl AppState {
    /// The state of a server over a history, with what runs its scans.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn new(
        store: Store,
        runner: Arc<dyn Runner>,
        settings: Settings,
    ) -> portolan_store::Result<Self> {
        let abilities = runner.abilities();
        // A log's number tells it from those before the last start.
        let first_log = first_log();
        let manager = Manager::new(
            store.clone(),
            Arc::clone(&runner),
            settings.scope.clone(),
            settings.scans,
            first_log,
        )?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                manager,
                abilities,
                runner,
                throttle: Throttle::default(),
                rates: Rates::default(),
                hashing: Semaphore::new(HASHING),
                streams: Arc::new(Semaphore::new(settings.limits.streams)),
                streams_by: Arc::default(),
                metrics: Metrics::default(),
                closing: watch::Sender::new(false),
                settings,
            }),
        })
    }

    /// The history.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The scans that run and wait.
    pub fn manager(&self) -> &Manager {
        &self.inner.manager
    }

    /// How the server is set up.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The program's version.
    pub fn version(&self) -> &str {
        &self.inner.settings.version
    }

    /// What the process can do.
    pub fn abilities(&self) -> &Abilities {
        &self.inner.abilities
    }

    /// What runs scans.
    pub(crate) fn runner(&self) -> &dyn Runner {
        &*self.inner.runner
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }

    /// Counts a request of a caller, or of an address that did not say who it is.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub(crate) fn count_request(&self, caller: Option<&Caller>, client: &Client) -> Result<()> {
        let limits = &self.settings().limits;
        let key = match caller.map(Caller::who).filter(|who| !who.is_empty()) {
            Some(who) => format!("user {who}"),
            None => rate::key(client.address),
        };
        let (most, burst) = (limits.requests_per_second, limits.request_burst);
        self.inner
            .rates
            .take(&key, Timestamp::now(), most, burst)
            .map_err(|seconds| {
                Problem::too_many(format!("more than {most} requests a second"), seconds)
            })
    }

    pub(crate) fn hashing(&self) -> &Semaphore {
        &self.inner.hashing
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Asks the history, off the threads that serve.
    ///
    /// # Errors
    /// What the history says.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> portolan_store::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.inner.store.clone();
        self.off_thread(move || question(&store).map_err(Problem::from))
            .await
    }

    /// Runs work that waits for the disk, off the threads that serve.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Problem::internal("the server failed: the request was not carried out"))?
    }

    /// Whether one must log in: where others can reach the server, and wherever there is a user.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn auth_required(&self) -> Result<bool> {
        if self.settings().always_log_in {
            return Ok(true);
        }
        let users = self.ask(Store::users).await?;
        Ok(!users.is_empty())
    }

    /// Keeps in the audit log what was done.
    ///
    /// # Errors
    /// When it cannot be written: then it is not done either.
    pub(crate) async fn audit(
        &self,
        who: &str,
        client: &Client,
        action: &str,
        subject: &str,
        scan: Option<ScanId>,
        detail: String,
    ) -> Result<()> {
        let cut = |text: &str| text.chars().take(1000).collect();
        let entry = NewAudit {
            at: Timestamp::now(),
            who: cut(who),
            address: client.address_text(),
            action: action.to_owned(),
            subject: cut(subject),
            scan,
            detail,
        };
        self.ask(move |store| store.log(entry)).await
    }

    /// Whether another event stream may be opened.
    ///
    /// # Errors
    /// 503 when there are too many, 429 when the caller has too many.
    pub(crate) fn stream_pass(&self, caller: &Caller) -> Result<StreamPass> {
        let by = match (&caller.name, caller.client.address) {
            (Some(name), _) => name.clone(),
            (None, address) => address
                .map(|address: IpAddr| address.to_string())
                .unwrap_or_default(),
        };
        let permit = Arc::clone(&self.inner.streams)
            .try_acquire_owned()
            .map_err(|_| Problem {
                retry_after: Some(10),
                ..Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many event streams are open",
                )
            })?;
        let counts = Arc::clone(&self.inner.streams_by);
        {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(by.clone()).or_default();
            let most = self.settings().limits.streams_each;
            if *count >= most {
                return Err(Problem::too_many(
                    format!("{most} event streams of yours are open already"),
                    10,
                ));
            }
            *count += 1;
        }
        Ok(StreamPass {
            by,
            counts,
            _permit: permit,
        })
    }

    /// Is told when the server is about to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.inner.closing.subscribe()
    }

    /// Ends in order: event streams end, and scans that run are paused, to go on after the next
    /// start. Waits for them; returns whether all have laid down their work.
    pub fn close(&self) -> bool {
        self.inner.closing.send_replace(true);
        self.inner.manager.close()
    }

    /// How many event streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        self.settings().limits.streams - self.inner.streams.available_permits()
    }
}
