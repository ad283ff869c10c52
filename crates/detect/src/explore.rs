//! One TCP endpoint: listen, ask what is likely, then what is possible, until something is
//! recognised.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;
use portolan_model::Protocol;
use tokio::time::{Instant, sleep_until};

use crate::notes::Notes;
use crate::options::{Options, Target, Waits};
use crate::rules::{Answer, BANNER, DEFAULT_INTENSITY, Probe, RuleSet, WAITS};
use crate::talk::{End, Heard, Limited, Stream, connect, hear, say};
use crate::tls::hello::{Greeting, ServerWords, Version};
use crate::{favicon, readers, redirect, ssh, starttls, tls};

/// Ports where the server usually speaks first, so that one that is slow is waited for.
const SPEAKS_FIRST: [u16; 22] = [
    13, 17, 19, 21, 22, 23, 25, 110, 119, 143, 220, 465, 563, 587, 990, 993, 995, 2000, 2525, 3306,
    4190, 5900,
];

/// Ports where TLS is usual from the first byte on.
const TLS_PORTS: [u16; 27] = [
    261, 443, 448, 465, 563, 614, 636, 684, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4443,
    5061, 5223, 5671, 5986, 6443, 6697, 8443, 8883, 9443,
];

/// How long a server that should speak first is listened to before it is asked.
const COURTESY: Duration = Duration::from_secs(2);

/// How many of the first probes are sent once more, one after the other, where all was silent.
const AGAIN: usize = 3;

/// How many times as many connections as are asked on may wait for an answer that is late.
const LATE: usize = 3;

/// What probes follow that ask who speaks TLS without a certificate.
const ANONYMOUS: &str = "tls-anonymous";

/// The probe for web servers.
pub(crate) const HTTP: &str = "http-get";

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Plain,
    Tls,
    /// TLS with a server that has no certificate.
    AnonymousTls,
}

/// What to try.
#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Probe(&'a Probe),
    Tls,
}

/// What came of it.
struct Tried<'a> {
    item: Item<'a>,
    likely: bool,
    heard: Heard,
    words: Option<ServerWords>,
}

/// With when its turn ends.
type Trying<'a> = Pin<Box<dyn Future<Output = (Instant, Tried<'a>)> + Send + 'a>>;

/// How asking ended.
#[derive(Debug)]
enum Asked {
    Done(Outcome),
    /// Something was said, or connections were closed, and nothing was recognised.
    Heard,
    /// Every connection stayed open and silent.
    Silence,
}

/// How exploring ended.
#[derive(Debug)]
enum Outcome {
    /// Something took an answer.
    Recognised,
    /// It speaks TLS.
    Tls(ServerWords, Vec<u8>),
    /// Nothing more to ask.
    Exhausted,
}

/// One endpoint, and all that is needed to ask it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    pub(crate) target: &'a Target,
    pub(crate) options: &'a Options,
    pub(crate) rules: &'a RuleSet,
    pub(crate) notes: &'a Mutex<Notes>,
    pub(crate) waits: Waits,
}

/// Finds out what listens; what is known stands in `notes`, also when this is cut off.
pub(crate) async fn tcp(target: &Target, options: &Options, rules: &RuleSet, notes: &Mutex<Notes>) {
    let Ok((stream, rtt)) = connect(target, options).await else {
        return;
    };
    let endpoint = Endpoint {
        target,
        options,
        rules,
        notes,
        waits: Waits::new(target.rtt.map_or(rtt, |known| known.min(rtt)), options),
    };
    let outcome = endpoint.explore(Via::Plain, Some(Box::new(stream))).await;
    match outcome {
        Outcome::Recognised => endpoint.refine(Via::Plain).await,
        Outcome::Exhausted => {}
        Outcome::Tls(words, bytes) => {
            endpoint.notes().tls(&bytes);
            // What the server shows in the clear is known, whatever happens from here on.
            let known = tls::describe(&words, None, &[], options);
            endpoint.notes().facts(known);
            let facts = tls::facts(target, &words, endpoint.waits, options);
            let via = match words.cipher {
                Some(cipher) if tls::hello::is_anonymous(cipher) => Via::AnonymousTls,
                _ => Via::Tls,
            };
            let inside = async {
                let outcome = endpoint.explore(via, None).await;
                if matches!(outcome, Outcome::Recognised) {
                    endpoint.refine(via).await;
                }
            };
            let facts = async {
                let facts = facts.await;
                let mut notes = endpoint.notes();
                notes.facts(facts);
                // Who says nothing to strangers has said something by shaking hands.
                for (source, fact) in readers::HANDSHAKE {
                    notes.value(rules, source, fact);
                }
            };
            join(facts, inside).await;
        }
    }
}

impl<'a> Endpoint<'a> {
    /// What is known. A panic elsewhere leaves it as good as it was.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh connection.
    pub(crate) async fn open(&self, via: Via) -> io::Result<Box<dyn Stream>> {
        let (stream, _) = connect(self.target, self.options).await?;
        match via {
            Via::Plain => Ok(Box::new(stream)),
            Via::Tls => {
                let through = tls::through(stream, self.target, self.waits, self.options, &[]);
                Ok(Box::new(through.await?.0))
            }
            Via::AnonymousTls => {
                let through = tls::through_anonymous(stream, self.waits, self.options);
                Ok(Box::new(through.await?))
            }
        }
    }

    pub(crate) async fn connect(&self) -> io::Result<Limited> {
        connect(self.target, self.options)
            .await
            .map(|(stream, _)| stream)
    }

    /// Probes that fit the port, and those that may be sent to any, each in their order.
    fn plan(&self, via: Via) -> (VecDeque<Item<'a>>, VecDeque<Item<'a>>) {
        let (mut likely, mut general) = (VecDeque::new(), VecDeque::new());
        let port = self.target.port;
        if self.options.intensity == 0 || self.options.listen_only.contains(port) {
            return (likely, general);
        }
        let rules: &'a RuleSet = self.rules;
        let mut probes: Vec<&'a Probe> = rules
            .probes()
            .iter()
            .filter(|probe| probe.protocol == Protocol::Tcp)
            .filter(|probe| probe.at_least <= self.options.intensity)
            .collect();
        probes.sort_by_key(|probe| probe.intensity);
        let own_only = self.options.own_only.contains(port);
        let is_thorough = self.options.intensity >= DEFAULT_INTENSITY;
        let mut last = VecDeque::new();
        let tls_first = via == Via::Plain && TLS_PORTS.contains(&port);
        if tls_first {
            likely.push_back(Item::Tls);
        }
        for probe in probes {
            let fits = match via {
                Via::Plain => probe.ports.contains(port),
                Via::Tls => probe.ports.contains(port) || probe.name == HTTP,
                Via::AnonymousTls => {
                    probe.ports.contains(port) || probe.follows.iter().any(|word| word == ANONYMOUS)
                }
            };
            if fits {
                likely.push_back(Item::Probe(probe));
            } else if probe.intensity <= self.options.intensity && !own_only {
                general.push_back(Item::Probe(probe));
            } else if is_thorough && probe.last_resort && !own_only {
                last.push_back(Item::Probe(probe));
            }
        }
        if via == Via::Plain && !tls_first && !own_only {
            // After the first probe, which is that for web servers.
            general.insert(usize::from(!general.is_empty()), Item::Tls);
        }
        general.append(&mut last);
        (likely, general)
    }

    /// Listens, then asks until something takes an answer.
    async fn explore(&self, via: Via, first: Option<Box<dyn Stream>>) -> Outcome {
        let (likely, general) = self.plan(via);
        let patient = SPEAKS_FIRST.contains(&self.target.port);
        let patience = self.options.patience;
        if likely.is_empty() && general.is_empty() {
            let (outcome, _) = self.listen(via, first, patience).await;
            return outcome.unwrap_or(Outcome::Exhausted);
        }
        let hush = match (patient, likely.is_empty()) {
            (true, _) => COURTESY.min(patience),
            (false, true) => self.waits.hush,
            // What usually waits to be asked is asked.
            (false, false) => Duration::ZERO,
        };
        let (outcome, spare) = self.listen(via, first, hush).await;
        if let Some(outcome) = outcome {
            return outcome;
        }
        let again: Vec<Item<'a>> = likely.iter().chain(&general).take(AGAIN).copied().collect();
        match self.ask_all(via, likely, general, spare).await {
            Asked::Done(outcome) => return outcome,
            Asked::Heard => {}
            // A server that takes one connection at a time has had no chance yet.
            Asked::Silence => {
                for item in again {
                    let tried = self.attempt(item, false, via, None).await;
                    if let Some(outcome) = self.judged(tried, via).await {
                        return outcome;
                    }
                }
            }
        }
        if patient {
            let (outcome, _) = self.listen(via, None, patience).await;
            return outcome.unwrap_or(Outcome::Exhausted);
        }
        Outcome::Exhausted
    }

    /// Sends what is likely at once and what is possible a little later, several at a time.
    async fn ask_all(
        &self,
        via: Via,
        mut likely: VecDeque<Item<'a>>,
        mut general: VecDeque<Item<'a>>,
        mut spare: Option<Box<dyn Stream>>,
    ) -> Asked {
        let general_from = Instant::now() + self.waits.lead;
        let mut silent = true;
        let mut asking_likely = 0;
        // Most answers come at once. What has had its turn goes on to wait for a late one, and the
        // next is asked meanwhile: else a server that says nothing to strangers would use up all
        // the time before the question that it answers.
        let mut turns: VecDeque<Instant> = VecDeque::new();
        let mut running: FuturesUnordered<Trying<'_>> = FuturesUnordered::new();
        let connections = self.options.connections;
        loop {
            let mut waits_for_likely = false;
            let now = Instant::now();
            while turns.front().is_some_and(|end| *end <= now) {
                turns.pop_front();
            }
            while turns.len() < connections && running.len() < connections * LATE {
                let (item, is_likely) = if let Some(item) = likely.pop_front() {
                    (item, true)
                } else {
                    waits_for_likely = asking_likely > 0 && Instant::now() < general_from;
                    if waits_for_likely {
                        break;
                    }
                    let Some(item) = general.pop_front() else {
                        break;
                    };
                    (item, false)
                };
                let turn = now + self.waits.turn;
                turns.push_back(turn);
                asking_likely += usize::from(is_likely);
                // A page may take seconds to be made, and no turn is lost by waiting for it.
                let is_web = matches!(item, Item::Probe(probe) if probe.name == HTTP);
                let answer = if is_likely || is_web || matches!(item, Item::Tls) {
                    self.waits.late
                } else {
                    self.waits.answer
                };
                let waits = Waits {
                    answer,
                    ..self.waits
                };
                let endpoint = Self { waits, ..*self };
                let spare = spare.take();
                running.push(Box::pin(async move {
                    (turn, endpoint.attempt(item, is_likely, via, spare).await)
                }));
            }
            let has_more = !(likely.is_empty() && general.is_empty());
            let next_turn = turns.front().copied().unwrap_or(now);
            let waits_for_turn =
                has_more && turns.len() >= connections && running.len() < connections * LATE;
            let tried = tokio::select! {
                biased;
                tried = running.next() => tried,
                () = sleep_until(general_from), if waits_for_likely => continue,
                () = sleep_until(next_turn), if waits_for_turn => continue,
            };
            let Some((turn, tried)) = tried else {
                return if silent { Asked::Silence } else { Asked::Heard };
            };
            if let Some(at) = turns.iter().position(|end| *end == turn) {
                turns.remove(at);
            }
            asking_likely -= usize::from(tried.likely);
            silent &= tried.heard.bytes.is_empty() && tried.heard.end == End::Quiet;
            if let Some(outcome) = self.judged(tried, via).await {
                return Asked::Done(outcome);
            }
        }
    }

    async fn judged(&self, tried: Tried<'a>, via: Via) -> Option<Outcome> {
        if let Some(words) = tried.words {
            return Some(Outcome::Tls(words, tried.heard.bytes));
        }
        match tried.item {
            Item::Probe(probe) => self.judge(&probe.name, &tried.heard, via).await,
            Item::Tls => None,
        }
    }

    /// Listens for at most `wait`; what it decides, and the connection where nothing was said.
    async fn listen(
        &self,
        via: Via,
        first: Option<Box<dyn Stream>>,
        wait: Duration,
    ) -> (Option<Outcome>, Option<Box<dyn Stream>>) {
        let stream = match first {
            Some(stream) => Ok(stream),
            None => self.open(via).await,
        };
        let Ok(mut stream) = stream else {
            return (None, None);
        };
        let mut heard = Heard {
            bytes: Vec::new(),
            end: End::Quiet,
        };
        if !wait.is_zero() {
            let options = self.options;
            heard.end = hear(&mut *stream, &mut heard.bytes, wait, self.waits, options).await;
        }
        let is_silent = heard.bytes.is_empty() && heard.end == End::Quiet;
        let outcome = self.judge(BANNER, &heard, via).await;
        (outcome, is_silent.then_some(stream))
    }

    /// What an answer decides.
    async fn judge(&self, to: &str, heard: &Heard, via: Via) -> Option<Outcome> {
        let answer = Answer {
            to,
            protocol: Protocol::Tcp,
            bytes: &heard.bytes,
        };
        if !self.notes().answer(self.rules, answer) {
            return None;
        }
        // A web server that was asked in the clear and speaks TLS says 400.
        let doubtful = self.notes().fact("http.status") == Some("400");
        if doubtful
            && via == Via::Plain
            && let Some((words, bytes)) = self.greet().await
            && words.version.is_some()
        {
            return Some(Outcome::Tls(words, bytes));
        }
        Some(Outcome::Recognised)
    }

    async fn greet(&self) -> Option<(ServerWords, Vec<u8>)> {
        self.greet_on(None).await
    }

    async fn greet_on(&self, spare: Option<Box<dyn Stream>>) -> Option<(ServerWords, Vec<u8>)> {
        let mut stream = match spare {
            Some(stream) => stream,
            None => self.open(Via::Plain).await.ok()?,
        };
        let greeting = Greeting {
            name: self.target.name.as_deref(),
            newest: Version::Tls13,
            only: false,
        };
        tls::greet(&mut *stream, &greeting, self.waits, self.options).await
    }

    /// Tries one thing, on the connection `spare` where there is one.
    async fn attempt(
        &self,
        item: Item<'a>,
        likely: bool,
        via: Via,
        spare: Option<Box<dyn Stream>>,
    ) -> Tried<'a> {
        let mut heard = Heard {
            bytes: Vec::new(),
            end: End::Closed,
        };
        let mut words = None;
        match item {
            Item::Probe(probe) => {
                if let Some(answer) = self.ask_on(probe, via, spare).await {
                    heard = answer;
                }
            }
            Item::Tls => {
                if let Some((said, bytes)) = self.greet_on(spare).await {
                    heard.bytes = bytes;
                    words = Some(said);
                }
            }
        }
        Tried {
            item,
            likely,
            heard,
            words,
        }
    }

    /// Sends a probe over a fresh connection, and hears the answer.
    pub(crate) async fn ask(&self, probe: &Probe, via: Via) -> Option<Heard> {
        self.ask_on(probe, via, None).await
    }

    async fn ask_on(
        &self,
        probe: &Probe,
        via: Via,
        spare: Option<Box<dyn Stream>>,
    ) -> Option<Heard> {
        let messages: Vec<Vec<u8>> = probe
            .send
            .iter()
            .map(|message| filled(message, self.target))
            .collect();
        // One that waits for the server to speak wants to hear it from the beginning.
        let spare = spare.filter(|_| !probe.waits);
        let heard = self.converse(&messages, probe.waits, via, spare);
        let Some(refuses) = &probe.refuses else {
            return heard.await;
        };
        let other = [filled(refuses, self.target)];
        let (heard, other) = join(heard, self.converse(&other, probe.waits, via, None)).await;
        let says_nothing = |heard: &Option<Heard>, end| {
            heard
                .as_ref()
                .is_some_and(|heard| heard.bytes.is_empty() && heard.end == end)
        };
        if says_nothing(&heard, End::Quiet) && says_nothing(&other, End::Closed) {
            return Some(Heard {
                bytes: WAITS.to_vec(),
                end: End::Quiet,
            });
        }
        heard
    }

    /// Says each message after the answer to the one before.
    pub(crate) async fn converse(
        &self,
        messages: &[Vec<u8>],
        waits: bool,
        via: Via,
        spare: Option<Box<dyn Stream>>,
    ) -> Option<Heard> {
        let mut stream = match spare {
            Some(stream) => stream,
            None => self.open(via).await.ok()?,
        };
        let mut bytes = Vec::new();
        let mut end = End::Quiet;
        if waits {
            let patience = self.options.patience;
            end = hear(&mut *stream, &mut bytes, patience, self.waits, self.options).await;
        }
        for message in messages {
            if end != End::Quiet {
                break;
            }
            say(&mut *stream, message, self.waits.answer).await;
            let before = bytes.len();
            let answer = self.waits.answer;
            end = hear(&mut *stream, &mut bytes, answer, self.waits, self.options).await;
            if bytes.len() == before {
                break;
            }
        }
        Some(Heard { bytes, end })
    }

    /// Asks further what is known by its service.
    async fn refine(&self, via: Via) {
        let Some(found) = self.notes().best() else {
            return;
        };
        if self.options.intensity == 0 || self.options.listen_only.contains(self.target.port) {
            return;
        }
        let service = found.service.as_str();
        let port = self.target.port;
        let open = found.version.is_none() && !found.hidden;
        let probes = self.rules.probes().iter().filter(|probe| {
            let fits = probe.ports.contains(port);
            // `http` is every web server, `http/Grafana` that product.
            let follows = probe.follows.iter().any(|followed| {
                followed == service
                    || followed.split_once('/').is_some_and(|(name, product)| {
                        name == service && found.product.as_deref() == Some(product)
                    })
            });
            probe.protocol == Protocol::Tcp
                && probe.at_least <= self.options.intensity
                && open
                && probe.name != HTTP
                && ((follows && (fits || probe.ports.is_empty())) || (fits && found.soft))
        });
        let asked = async {
            // One after the other in small groups: this is a guest in somebody's house.
            let probes: Vec<&Probe> = probes.collect();
            for group in probes.chunks(self.options.connections.max(1)) {
                join_all(group.iter().map(|probe| async {
                    if let Some(heard) = self.ask(probe, via).await {
                        let answer = Answer {
                            to: &probe.name,
                            protocol: Protocol::Tcp,
                            bytes: &heard.bytes,
                        };
                        self.notes().answer(self.rules, answer);
                    }
                }))
                .await;
                let known = self.notes().best();
                if known.is_some_and(|found| found.version.is_some() || found.hidden) {
                    break;
                }
            }
        };
        let further = async {
            let facts: BTreeMap<String, String> = match (service, via) {
                ("http", _) => {
                    redirect::follow(self, via).await;
                    self.icon(via).await;
                    BTreeMap::new()
                }
                ("ssh", Via::Plain) => ssh::facts(self).await,
                (service, Via::Plain) => starttls::facts(self, service).await,
                _ => BTreeMap::new(),
            };
            self.notes().facts(facts);
        };
        join(asked, further).await;
    }
}

impl Endpoint<'_> {
    /// Takes in the icon of a web page.
    async fn icon(&self, via: Via) {
        if let Some(hash) = favicon::hash_of(self, via).await {
            let mut notes = self.notes();
            notes.facts(BTreeMap::from([(favicon::FACT.to_owned(), hash)]));
            let (source, fact) = readers::ICON;
            notes.value(self.rules, source, fact);
        }
    }
}

/// A message with the target in its places.
pub(crate) fn filled(message: &[u8], target: &Target) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut rest = message;
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"${host}") {
            out.extend_from_slice(target.host().as_bytes());
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"${authority}") {
            out.extend_from_slice(target.authority().as_bytes());
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"${port}") {
            out.extend_from_slice(target.port.to_string().as_bytes());
            rest = after;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    out
}
