//! Asking by a full connection, through ordinary sockets: no rights are needed.
//!
//! Worker threads make the connections; each has its own sockets, its own queue of the kernel's
//! events (epoll), and a short queue of jobs. A short one, since a probe that waits here looks
//! to the pace like one that waits on the path.

mod errors;
mod limit;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use portolan_model::Zones;

use crate::clock::{Clock, SystemClock};
use crate::transport::{Answer, Job, Transport};

pub use limit::raise_descriptor_limit;
use worker::{Bell, Worker};

/// Jobs handed to a worker at once.
const BATCH: usize = 64;

/// Batches that wait for a worker.
const QUEUE: usize = 4;

/// Connects through the system's sockets.
#[derive(Debug)]
pub struct Connections {
    clock: SystemClock,
    workers: Vec<Handle>,
    answers: Receiver<Vec<Answer>>,
    /// Nobody waits for the workers' answers any more, whatever they still have in hand.
    is_over: Arc<AtomicBool>,
    /// Which worker is first in turn.
    turn: usize,
}

#[derive(Debug)]
struct Handle {
    /// `None` once it is told to end.
    jobs: Option<Sender<Vec<Job>>>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Connections {
    /// Starts `threads` workers that hold at most `sockets` sockets between them, and reach
    /// link-local addresses over the interfaces of `zones`.
    ///
    /// # Errors
    /// When a thread or its epoll instance cannot be made.
    pub fn start(
        clock: SystemClock,
        threads: usize,
        sockets: usize,
        zones: &Zones,
    ) -> io::Result<Self> {
        let zones = Arc::new(zones.clone());
        let (report, answers) = crossbeam_channel::unbounded();
        let is_over = Arc::new(AtomicBool::new(false));
        let each = (sockets / threads.max(1)).max(1);
        let workers = (0..threads.max(1))
            .map(|number| {
                let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
                let (worker, bell) = Worker::new(
                    clock,
                    queue,
                    is_over.clone(),
                    report.clone(),
                    each,
                    Arc::clone(&zones),
                )?;
                let thread = std::thread::Builder::new()
                    .name(format!("connect-{number}"))
                    .stack_size(256 * 1024)
                    .spawn(move || worker.run())?;
                Ok(Handle {
                    jobs: Some(jobs),
                    bell,
                    thread: Some(thread),
                })
            })
            .collect::<io::Result<Vec<Handle>>>()?;
        Ok(Self {
            clock,
            workers,
            answers,
            is_over,
            turn: 0,
        })
    }
}

impl Transport for Connections {
    fn room(&mut self) -> usize {
        let free = |worker: &Handle| {
            let jobs = worker.jobs.as_ref();
            jobs.map_or(0, |jobs| QUEUE - jobs.len().min(QUEUE))
        };
        self.workers.iter().map(free).sum::<usize>() * BATCH
    }

    fn submit(&mut self, jobs: &[Job]) {
        let count = self.workers.len();
        // Few jobs go to one worker, many are dealt evenly.
        let share = jobs.len().div_ceil(count).clamp(8, BATCH);
        for chunk in jobs.chunks(share) {
            let mut batch = chunk.to_vec();
            // Room was asked for before; a worker that is full passes its turn.
            for _ in 0..2 * count {
                let worker = &self.workers[self.turn % count];
                self.turn += 1;
                let Some(queue) = &worker.jobs else { break };
                match queue.try_send(batch) {
                    Ok(()) => {
                        worker.bell.ring();
                        batch = Vec::new();
                        break;
                    }
                    Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                        batch = back;
                    }
                }
            }
            if !batch.is_empty()
                && let Some(queue) = &self.workers[self.turn % count].jobs
            {
                let worker = &self.workers[self.turn % count];
                worker.bell.ring();
                // A worker ends only when told to, so that this waits for room, no longer.
                let _ = queue.send(batch);
                worker.bell.ring();
            }
        }
    }

    fn poll(&mut self, until: Duration, answers: &mut Vec<Answer>) {
        let wait = until.saturating_sub(self.clock.now());
        match self.answers.recv_timeout(wait) {
            Ok(batch) => answers.extend(batch),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                return;
            }
        }
        while let Ok(batch) = self.answers.try_recv() {
            answers.extend(batch);
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for worker in &mut self.workers {
            worker.jobs = None;
            worker.bell.ring();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
