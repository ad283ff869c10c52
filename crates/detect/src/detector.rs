//! Many endpoints at once, within bounds.

use std::sync::{Arc, Mutex, PoisonError};

use portolan_model::{Protocol, Service};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::notes::Notes;
use crate::options::{Options, Target};
use crate::rules::RuleSet;
use crate::{explore, udp};

/// Asks endpoints what they are. Clones share one bound on how many are asked at a time.
#[derive(Debug, Clone)]
pub struct Detector {
    rules: Arc<RuleSet>,
    options: Arc<Options>,
    room: Arc<Semaphore>,
}

impl Detector {
    /// A detector that goes by `rules`, within `options`.
    pub fn new(rules: Arc<RuleSet>, options: Options) -> Self {
        let room = Arc::new(Semaphore::new(options.endpoints.max(1)));
        Self {
            rules,
            options: Arc::new(options),
            room,
        }
    }

    /// What it goes by.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Its bounds.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Finds out what runs at `target`, as soon as there is room. `None` where nothing was
    /// heard; what no rule takes comes with its bytes and the name that goes with its number.
    pub async fn detect(&self, target: &Target) -> Option<Service> {
        let _room = self.room.acquire().await.ok()?;
        let notes = Mutex::new(Notes::default());
        let (options, rules) = (&*self.options, &*self.rules);
        // What is known when the time is up is the result.
        let _ = timeout(options.budget, async {
            match target.protocol {
                Protocol::Tcp => explore::tcp(target, options, rules, &notes).await,
                Protocol::Udp => udp::udp(target, options, rules, &notes).await,
            }
        })
        .await;
        let notes = notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        notes.service(target)
    }
}
