//! Names of hosts that a scan finds, looked up beside it, many at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::local::{Hosts, Known};
use super::{AT_ONCE, Settings, dns};

/// After so many questions in a row without any answer, no more are asked: a dead name server
/// would hold up the end of a large scan by minutes.
const SILENT_IN_A_ROW: u32 = 32;

/// What is found, beside the scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An address goes by a name.
    Name {
        /// The address.
        address: IpAddr,
        /// Its name.
        name: String,
    },
    /// No more names are looked up, and why.
    GaveUp(String),
}

/// Looks up names as hosts are found. The thread and tokio start with the first address that a
/// name server is to be asked about.
pub(crate) struct Reverse {
    settings: Settings,
    hosts: Option<Hosts>,
    worker: Option<Worker>,
    found: Receiver<Found>,
    /// Kept until the worker has its own, so that the channel stays open meanwhile.
    into: Option<Sender<Found>>,
}

struct Worker {
    ask: mpsc::UnboundedSender<IpAddr>,
    leave: Arc<Notify>,
    thread: thread::JoinHandle<()>,
}

impl Reverse {
    /// Ready to look up, and idle.
    pub(crate) fn new(settings: Settings) -> Self {
        let (into, found) = crossbeam_channel::bounded(1024);
        Self {
            settings,
            hosts: None,
            worker: None,
            found,
            into: Some(into),
        }
    }

    /// Where answers come out; it closes when [`finish`](Self::finish) was called and every
    /// question is answered.
    pub(crate) fn found(&self) -> &Receiver<Found> {
        &self.found
    }

    /// Asks for the name of `address`; returns it at once where no name server is needed.
    pub(crate) fn ask(&mut self, address: IpAddr) -> Option<String> {
        let hosts = self
            .hosts
            .get_or_insert_with(|| Hosts::read(&self.settings.hosts_file));
        match hosts.name(address) {
            Known::Name(name) => return Some(name),
            Known::Nameless => return None,
            Known::Ask => {}
        }
        if self.worker.is_none()
            && let Some(into) = self.into.take()
        {
            self.worker = start(&self.settings, into);
        }
        if let Some(worker) = &self.worker {
            // A worker that has given up takes no more questions: nothing is lost by it.
            let _ = worker.ask.send(address);
        }
        None
    }

    /// No more addresses will come: what is open is answered, then the channel closes.
    pub(crate) fn finish(self) -> Finishing {
        let Self { worker, found, .. } = self;
        let worker = worker.map(|worker| (worker.leave, worker.thread));
        Finishing { worker, found }
    }
}

/// The last questions, on their way.
pub(crate) struct Finishing {
    worker: Option<(Arc<Notify>, thread::JoinHandle<()>)>,
    found: Receiver<Found>,
}

impl Finishing {
    /// Where the last answers come out, until it closes.
    pub(crate) fn found(&self) -> &Receiver<Found> {
        &self.found
    }

    /// Drops every open question and ends the worker.
    pub(crate) fn leave(self) {
        if let Some((leave, thread)) = self.worker {
            leave.notify_one();
            // With its receiver gone, a worker that waits for room to answer goes on and ends.
            drop(self.found);
            let _ = thread.join();
        }
    }
}

fn start(settings: &Settings, into: Sender<Found>) -> Option<Worker> {
    let resolver = match dns::Resolver::new(settings) {
        Ok(resolver) => resolver,
        Err(why) => {
            // The channel holds more than this one.
            let _ = into.send(Found::GaveUp(format!("no name server is known: {why}")));
            return None;
        }
    };
    let (ask, asked) = mpsc::unbounded_channel();
    let leave = Arc::new(Notify::new());
    let left = Arc::clone(&leave);
    let thread = thread::Builder::new()
        .name("names".to_owned())
        .spawn(move || {
            // What name servers say comes from the network: no right meets it.
            if portolan_link::drop_capabilities().is_err() {
                return;
            }
            let Ok(runtime) = dns::runtime() else {
                return;
            };
            runtime.block_on(async {
                tokio::select! {
                    () = left.notified() => {}
                    () = answer_all(resolver, asked, into) => {}
                }
            });
        })
        .ok()?;
    Some(Worker { ask, leave, thread })
}

/// Answers every question until the last asker is gone.
async fn answer_all(
    resolver: dns::Resolver,
    mut asked: mpsc::UnboundedReceiver<IpAddr>,
    into: Sender<Found>,
) {
    let resolver = Arc::new(resolver);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let silent = Arc::new(AtomicU32::new(0));
    let gave_up = Arc::new(AtomicBool::new(false));
    let mut open = JoinSet::new();
    while let Some(address) = asked.recv().await {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            break;
        };
        if gave_up.load(Ordering::Relaxed) {
            break;
        }
        while open.try_join_next().is_some() {}
        let (resolver, into) = (Arc::clone(&resolver), into.clone());
        let (silent, gave_up) = (Arc::clone(&silent), Arc::clone(&gave_up));
        open.spawn(async move {
            let _place = place;
            let Ok(name) = resolver.name(address).await else {
                let in_a_row = silent.fetch_add(1, Ordering::Relaxed) + 1;
                if in_a_row >= SILENT_IN_A_ROW && !gave_up.swap(true, Ordering::Relaxed) {
                    let why = "no name server answered".to_owned();
                    let _ = into.send(Found::GaveUp(why));
                }
                return;
            };
            silent.store(0, Ordering::Relaxed);
            if let Some(name) = name {
                let _ = into.send(Found::Name { address, name });
            }
        });
    }
    if !gave_up.load(Ordering::Relaxed) {
        while open.join_next().await.is_some() {}
    }
}
