//! Questions about scans and hosts, and what can be done with them.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use portolan_model::front::Front;
use portolan_model::spec::Discovery;
use portolan_model::{Protocol, ScanSpec, Target, Technique, Zoned};
use portolan_store::{
    Cursor, HostFilter, NewScan, Order, Query, Queued, ResultsRequest, ScanFilter, ScanId, Sort,
    SortKey, hosts::WithOpen,
};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize as _, Serialize};

use super::query::{limit, wrong};
use super::{AppState, AuditQuery, HostsQuery, PageQuery, ResultsQuery, ScansQuery, TimelineQuery};
use crate::api::views::{
    Ability, AuditView, Capabilities, Change, CoursePoint, FieldError, HostDetail, KnownHost,
    KnownPort, LimitsInfo, List, Preview, ResultItem, Scan, ScanHost, ScanProblem, Span,
    TechniqueInfo,
};
use crate::auth::Caller;
use crate::error::{Problem, Result};
use crate::request::{Checked, ScanRequest, addresses_of, size};

/// How long a cancelled scan is waited for, until its answer says that it has ended.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

/// A scan that was asked for.
#[derive(Debug, Clone)]
pub struct Started {
    /// The scan.
    pub scan: Scan,
    /// Whether it is new; else it was asked for before, with the same key.
    pub is_new: bool,
}

fn cursor(text: Option<&String>) -> Option<Cursor> {
    let Ok(cursor) = text.map(|text| text.parse::<Cursor>()).transpose();
    cursor
}

fn moment(field: &str, text: Option<&String>) -> Result<Option<Timestamp>> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse::<Timestamp>()
                .map_err(|error| wrong(field, format!("`{text}` is no time (RFC 3339): {error}")))
        })
        .transpose()
}

/// Reads a query.
///
/// # Errors
/// 400 with the place of what cannot be read.
pub(crate) fn parse_query(text: &str) -> Result<Query> {
    text.parse::<Query>().map_err(|error| Problem {
        errors: vec![FieldError {
            field: "q".to_owned(),
            message: error.to_string(),
            hint: error.hint.clone(),
            offset: Some(error.offset),
        }],
        hint: error.hint.clone(),
        ..Problem::bad_request(error.to_string())
    })
}

impl AppState {
    /// Scans, the latest first.
    ///
    /// # Errors
    /// 400 for what cannot be read.
    pub async fn scans(&self, query: &ScansQuery) -> Result<List<Scan>> {
        let limit = limit(query.limit, 50)?;
        let states = query.state.iter().flat_map(|states| states.split(','));
        let states = states.map(str::trim).filter(|state| !state.is_empty());
        let states: Vec<portolan_store::ScanState> = states
            .map(|state| state.parse().map_err(|why| wrong("state", why)))
            .collect::<Result<_>>()?;
        let (tags, text) = super::tags::asked(query.q.as_deref(), query.tag.as_deref())?;
        let filter = ScanFilter {
            text,
            tags,
            targets: query.targets.clone().filter(|text| !text.is_empty()),
            states,
            since: moment("since", query.since.as_ref())?,
            until: moment("until", query.until.as_ref())?,
        };
        let after = cursor(query.cursor.as_ref());
        let (page, total) = self
            .ask(move |store| {
                Ok((
                    store.scans(&filter, after.as_ref(), limit)?,
                    store.count_scans(&filter)?,
                ))
            })
            .await?;
        let mut list = List::from_page(page, Scan::from);
        for scan in &mut list.items {
            self.manager().complete(scan);
        }
        list.total = Some(total);
        Ok(list)
    }

    /// A scan as it is now.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn scan(&self, id: i64) -> Result<Scan> {
        let manager = self.manager().clone();
        self.off_thread(move || manager.view(ScanId(id))).await
    }

    /// The results of a scan that fit a query.
    ///
    /// # Errors
    /// 404 where there is none; 400 for what cannot be read.
    pub async fn results(&self, id: i64, query: &ResultsQuery) -> Result<List<ResultItem>> {
        let key = match query.sort.as_deref().filter(|word| !word.is_empty()) {
            None => SortKey::default(),
            Some(word) => {
                let word: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
                    word.into_deserializer();
                SortKey::deserialize(word).map_err(|error| wrong("sort", error.to_string()))?
            }
        };
        let order = match query.order.as_deref() {
            None | Some("" | "asc" | "ascending") => Order::Ascending,
            Some("desc" | "descending") => Order::Descending,
            Some(other) => {
                return Err(wrong(
                    "order",
                    format!("unknown order `{other}`: there are asc and desc"),
                ));
            }
        };
        let request = ResultsRequest {
            query: parse_query(&query.text())?,
            sort: Sort { key, order },
            after: cursor(query.cursor.as_ref()),
            limit: limit(query.limit, 100)?,
        };
        let count = query.count.unwrap_or(false);
        let (page, total) = self
            .ask(move |store| {
                let id = ScanId(id);
                let page = store.results(id, &request)?;
                let total = count
                    .then(|| store.count_results(id, &request.query))
                    .transpose()?;
                Ok((page, total))
            })
            .await?;
        let mut list = List::from_page(page, ResultItem::from);
        list.total = total;
        Ok(list)
    }

    /// How many results of a scan fit a query.
    ///
    /// # Errors
    /// 404 where there is none; 400 for what cannot be read.
    pub async fn count_results(&self, id: i64, query: &str) -> Result<u64> {
        let query = parse_query(query)?;
        self.ask(move |store| store.count_results(ScanId(id), &query))
            .await
    }

    /// The hosts that a scan found, by address.
    ///
    /// # Errors
    /// 404 where there is none; 400 for what cannot be read.
    pub async fn scan_hosts(&self, id: i64, query: &PageQuery) -> Result<List<ScanHost>> {
        let limit = limit(query.limit, 100)?;
        let after = cursor(query.cursor.as_ref());
        let page = self
            .ask(move |store| store.scan_hosts(ScanId(id), after.as_ref(), limit))
            .await?;
        Ok(List::from_page(page, ScanHost::from))
    }

    /// What a scan left out, and what one must know to read it right.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn problems(&self, id: i64) -> Result<Vec<ScanProblem>> {
        let problems = self.ask(move |store| store.problems(ScanId(id))).await?;
        Ok(problems.into_iter().map(ScanProblem::from).collect())
    }

    /// How a scan went over time.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn course(&self, id: i64) -> Result<Vec<CoursePoint>> {
        let course = self.ask(move |store| store.course(ScanId(id))).await?;
        Ok(course.into_iter().map(CoursePoint::from).collect())
    }

    /// What a scan found changed against the scan of the same targets before it.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn changes(&self, id: i64) -> Result<Vec<Change>> {
        let changes = self.ask(move |store| store.changes(ScanId(id))).await?;
        Ok(changes.into_iter().map(Change::from).collect())
    }

    /// One byte for each of the 65,536 ports of a host.
    ///
    /// # Errors
    /// 404 where the scan or the host is not known.
    pub async fn ports_bin(&self, id: i64, host: Zoned, protocol: Protocol) -> Result<Vec<u8>> {
        self.ask(move |store| store.port_map(ScanId(id), host, protocol))
            .await?
            .ok_or_else(|| Problem::not_found(format!("scan {id} did not find the host {host}")))
    }

    /// One byte for each of the 65,536 ports, of all hosts laid over each other.
    ///
    /// # Errors
    /// 404 where the scan is not known.
    pub async fn ports_bin_of_all(&self, id: i64, protocol: Protocol) -> Result<Vec<u8>> {
        self.ask(move |store| store.port_map_of_all(ScanId(id), protocol))
            .await
    }

    /// Hosts over all scans, by address.
    ///
    /// # Errors
    /// 400 for what cannot be read.
    pub async fn hosts(&self, query: &HostsQuery) -> Result<List<KnownHost>> {
        let limit = limit(query.limit, 100)?;
        let (tags, words) = super::tags::asked(query.q.as_deref(), query.tag.as_deref())?;
        let mut filter = HostFilter {
            tags,
            with_open: query.open.unwrap_or(false).then_some(WithOpen),
            ..HostFilter::default()
        };
        let text = |text: &Option<String>| text.as_deref().map(str::trim).map(str::to_owned);
        if let Some(text) = words {
            match text.parse::<Target>() {
                Ok(target) if target.addresses().is_some() => filter.within = Some(target),
                _ => filter.name = Some(text),
            }
        }
        if let Some(text) = text(&query.within).filter(|text| !text.is_empty()) {
            let target = text.parse::<Target>();
            filter.within = Some(target.map_err(|error| wrong("within", error.to_string()))?);
        }
        let after = cursor(query.cursor.as_ref());
        let page = self
            .ask(move |store| store.hosts(&filter, after.as_ref(), limit))
            .await?;
        Ok(List::from_page(page, KnownHost::from))
    }

    /// A host over all scans.
    ///
    /// # Errors
    /// 404 where no scan found it.
    pub async fn host(&self, host: Zoned) -> Result<HostDetail> {
        let found = self
            .ask(move |store| {
                let Some(known) = store.host(host)? else {
                    return Ok(None);
                };
                let ports = store.ports_now(host)?;
                let scans = store.scans_of_host(host, 20)?;
                let scans: Vec<_> = scans
                    .into_iter()
                    .map(|id| store.scan(id))
                    .collect::<portolan_store::Result<_>>()?;
                Ok(Some((known, ports, scans)))
            })
            .await?;
        let (known, ports, scans) =
            found.ok_or_else(|| Problem::not_found(format!("no scan found the host {host}")))?;
        let mut scans: Vec<_> = scans.into_iter().map(Scan::from).collect();
        for scan in &mut scans {
            self.manager().complete(scan);
        }
        Ok(HostDetail {
            host: known.into(),
            ports: ports.into_iter().map(KnownPort::from).collect(),
            scans,
        })
    }

    /// What happened to ports over all scans, the latest first: of one host, or of all.
    ///
    /// # Errors
    /// 400 for what cannot be read.
    pub async fn timeline(
        &self,
        host: Option<Zoned>,
        query: &TimelineQuery,
    ) -> Result<List<Change>> {
        let limit = limit(query.limit, 100)?;
        let since = moment("since", query.since.as_ref())?;
        let after = cursor(query.cursor.as_ref());
        let page = self
            .ask(move |store| store.timeline(host, since, after.as_ref(), limit))
            .await?;
        Ok(List::from_page(page, Change::from))
    }

    /// What a port was over all scans, the latest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn port_history(
        &self,
        host: Zoned,
        protocol: Protocol,
        port: u16,
    ) -> Result<Vec<KnownPort>> {
        let spans = self
            .ask(move |store| store.port_history(host, protocol, port))
            .await?;
        Ok(spans.into_iter().map(KnownPort::from).collect())
    }

    /// What differs between two scans.
    ///
    /// # Errors
    /// 404 where one is not known.
    pub async fn diff(&self, from: i64, to: i64) -> Result<portolan_report::Diff> {
        let ((old_reach, old), (new_reach, new)) = self
            .ask(move |store| store.compare(ScanId(from), ScanId(to)))
            .await?;
        self.off_thread(move || {
            let (old, new) = ((&old, Some(&old_reach)), (&new, Some(&new_reach)));
            Ok(portolan_report::diff::compare(old, new))
        })
        .await
    }

    /// The audit log, the latest first.
    ///
    /// # Errors
    /// 403 for who may not do everything.
    pub async fn audit_log(&self, caller: &Caller, query: &AuditQuery) -> Result<List<AuditView>> {
        caller.require(portolan_store::Role::Admin)?;
        let limit = limit(query.limit, 100)?;
        let after = cursor(query.cursor.as_ref());
        let scan = query.scan.map(ScanId);
        let page = self
            .ask(move |store| store.audit(scan, after.as_ref(), limit))
            .await?;
        Ok(List::from_page(page, AuditView::from))
    }

    /// What this server can do.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn capabilities(&self) -> Result<Capabilities> {
        let abilities = self.abilities();
        let settings = self.settings();
        Ok(Capabilities {
            version: settings.version.clone(),
            techniques: abilities
                .techniques
                .iter()
                .map(|(name, why)| TechniqueInfo {
                    name: *name,
                    available: why.is_none(),
                    why: why.clone(),
                })
                .collect(),
            detect: Ability {
                available: abilities.detect.is_none(),
                why: abilities.detect.clone(),
            },
            scope: settings.scope.words().to_vec(),
            limits: LimitsInfo {
                running_scans: settings.scans.running,
                queued_scans: settings.scans.queued,
                event_streams: settings.limits.streams,
                page: super::query::MOST,
            },
            auth_required: self.auth_required().await?,
        })
    }

    /// Reads a request that is new, and holds it also against the machine that it is to run on.
    fn check_new(
        &self,
        request: &ScanRequest,
        front: Front,
    ) -> std::result::Result<Checked, Vec<FieldError>> {
        let checked = self.check(request, front)?;
        let refused = self.runner().refuses(&checked.spec);
        if refused.is_empty() {
            return Ok(checked);
        }
        let errors = refused.into_iter().map(|refused| FieldError {
            field: "targets".to_owned(),
            message: refused.message,
            hint: refused.hint,
            offset: None,
        });
        Err(errors.collect())
    }

    /// Reads a request, and holds it against what this process can and may do.
    fn check(
        &self,
        request: &ScanRequest,
        front: Front,
    ) -> std::result::Result<Checked, Vec<FieldError>> {
        let checked = request.check(front)?;
        let mut errors = Vec::new();
        let mut refuse = |field: &str, message: String, hint: Option<&str>| {
            errors.push(FieldError {
                field: field.to_owned(),
                message,
                hint: hint.map(str::to_owned),
                offset: None,
            });
        };
        let abilities = self.abilities();
        for technique in &checked.spec.techniques {
            match abilities
                .techniques
                .iter()
                .find(|(known, _)| known == technique)
            {
                Some((_, None)) => {}
                Some((_, Some(why))) => {
                    refuse(
                        "technique",
                        format!("{technique} is not possible: {why}"),
                        Some(match front {
                            Front::Page => "choose Automatic or Connect",
                            Front::Api | Front::Shell => "use auto or connect",
                        }),
                    );
                }
                None => refuse("technique", format!("this build has no {technique}"), None),
            }
        }
        if let (true, Some(why)) = (checked.detect, &abilities.detect) {
            refuse("detect", why.clone(), None);
        }
        let (addresses, names) = addresses_of(&checked.spec.targets);
        let (excluded, _) = addresses_of(&checked.spec.exclude);
        let addresses = addresses.without(&excluded);
        if addresses.is_empty() && names.is_empty() {
            refuse(
                "targets",
                "there is nothing to scan: every target is excluded".to_owned(),
                None,
            );
        }
        if let Err(outside) = self.settings().scope.check(&addresses) {
            let hint = "an administrator sets the scope with `portolan serve --scope`";
            refuse("targets", outside.to_string(), Some(hint));
        }
        let asks_ports = checked.spec.discovery != Discovery::Only;
        if asks_ports && crate::request::ports_asked(&checked.spec) == 0 {
            refuse(
                "ports",
                "the technique asks none of these ports".to_owned(),
                None,
            );
        }
        if errors.is_empty() {
            Ok(checked)
        } else {
            Err(errors)
        }
    }

    /// What a request would scan, or what is wrong with it.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn preview(&self, request: &ScanRequest, front: Front) -> Result<Preview> {
        let needs_token = self.auth_required().await?;
        let mut preview = Preview {
            errors: Vec::new(),
            warnings: Vec::new(),
            addresses: 0,
            names: Vec::new(),
            ports: 0,
            probes: 0,
            seconds: None,
            command: request.command(),
            curl: request.curl(&self.settings().base(), needs_token),
        };
        // What can be counted is counted, also where something else is wrong.
        if let Ok(Checked { spec, .. }) = request.check(front) {
            let (addresses, names, probes) = size(&spec);
            preview.ports = crate::request::ports_asked(&spec);
            preview.seconds = (probes > 0).then(|| estimate(&spec, probes));
            (preview.addresses, preview.names, preview.probes) = (addresses, names, probes);
            if !preview.names.is_empty() {
                preview
                    .warnings
                    .push("names are looked up when the scan starts".to_owned());
            }
            if spec.techniques.is_empty() {
                preview
                    .warnings
                    .extend(
                        self.abilities()
                            .techniques
                            .iter()
                            .find_map(|(technique, why)| {
                                let why = why.as_ref().filter(|_| *technique == Technique::Syn)?;
                                Some(format!("connect is used, syn is not possible: {why}"))
                            }),
                    );
            }
        }
        if let Err(errors) = self.check_new(request, front) {
            preview.errors = errors;
        }
        Ok(preview)
    }

    /// Asks for a scan. With a key, asking twice scans once.
    ///
    /// # Errors
    /// 422 for fields that are wrong, or where the key was used for another request; 429 when
    /// too many wait.
    pub async fn start(
        &self,
        caller: &Caller,
        request: ScanRequest,
        key: Option<String>,
        front: Front,
    ) -> Result<Started> {
        caller.require(portolan_store::Role::Scan)?;
        let checked = self.check_new(&request, front).map_err(Problem::invalid)?;
        let who = caller.who();
        let new = NewScan {
            version: self.version().to_owned(),
            who: caller.name.clone().unwrap_or_default(),
            detect: checked.detect,
            request_key: key.map(|key| format!("{who}:{key}")),
            ..NewScan::new(checked.spec.clone(), Timestamp::now())
        };
        let manager = self.manager().clone();
        let queued = self.off_thread(move || manager.submit(new)).await?;
        let (id, is_new) = match queued {
            Queued::New(id) => (id, true),
            Queued::Known(id) => (id, false),
        };
        if is_new {
            let scanned = request.targets.join(" ");
            self.audit(
                &who,
                &caller.client,
                "scan",
                &scanned,
                Some(id),
                request.command(),
            )
            .await?;
        } else {
            let known = self.ask(move |store| store.scan(id)).await?;
            if known.spec != checked.spec || known.detect != checked.detect {
                return Err(Problem::new(
                    axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                    format!("the idempotency key was used for another request: scan {id}"),
                ));
            }
        }
        Ok(Started {
            scan: self.scan(id.0).await?,
            is_new,
        })
    }

    /// Does something to a scan and keeps who did it.
    async fn act(
        &self,
        caller: &Caller,
        id: i64,
        action: &str,
        work: impl FnOnce(&crate::manager::Manager) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        caller.require(portolan_store::Role::Scan)?;
        let manager = self.manager().clone();
        self.off_thread(move || work(&manager)).await?;
        self.audit(
            &caller.who(),
            &caller.client,
            action,
            &id.to_string(),
            Some(ScanId(id)),
            String::new(),
        )
        .await
    }

    /// Tells a running scan to wait.
    ///
    /// # Errors
    /// 404 where there is none, 409 unless it runs.
    pub async fn pause(&self, caller: &Caller, id: i64) -> Result<Scan> {
        self.act(caller, id, "pause", move |manager| {
            manager.pause(ScanId(id))
        })
        .await?;
        self.scan(id).await
    }

    /// Lets a scan go on.
    ///
    /// # Errors
    /// 404 where there is none, 409 for one that is done, waits or runs.
    pub async fn resume(&self, caller: &Caller, id: i64) -> Result<Scan> {
        let known = self.scan(id).await?;
        // What was in scope when it was asked for may be outside now.
        self.check(&known.request, Front::Api)
            .map_err(Problem::invalid)?;
        self.act(caller, id, "resume", move |manager| {
            manager.resume(ScanId(id))
        })
        .await?;
        self.scan(id).await
    }

    /// Leaves out what is left of the host that has the most left.
    ///
    /// # Errors
    /// 404 where there is none, 409 unless it runs.
    pub async fn skip_host(&self, caller: &Caller, id: i64) -> Result<Scan> {
        self.act(caller, id, "skip", move |manager| {
            manager.skip_host(ScanId(id))
        })
        .await?;
        self.scan(id).await
    }

    /// Ends a scan; what it found is kept.
    ///
    /// # Errors
    /// 404 where there is none, 409 for one that is over.
    pub async fn cancel(&self, caller: &Caller, id: i64) -> Result<Scan> {
        self.act(caller, id, "cancel", move |manager| {
            manager.cancel(ScanId(id), Timestamp::now())
        })
        .await?;
        self.wait(id, CANCEL_WAIT).await
    }

    /// Deletes a scan and what it found.
    ///
    /// # Errors
    /// 404 where there is none, 409 for one that runs or waits.
    pub async fn delete(&self, caller: &Caller, id: i64) -> Result<()> {
        self.act(caller, id, "delete", move |manager| {
            manager.delete(ScanId(id))
        })
        .await
    }

    /// Waits until a scan is over, at most so long; the scan as it then is.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn wait(&self, id: i64, at_most: Duration) -> Result<Scan> {
        if let Some(log) = self.manager().log(ScanId(id)) {
            let mut changed = log.listen();
            let ended = async {
                while !log.is_ended() {
                    if changed.changed().await.is_err() {
                        break;
                    }
                }
            };
            // Whether it ended or the time did, the scan says.
            let _ = tokio::time::timeout(at_most, ended).await;
        }
        self.scan(id).await
    }
}

/// About how long a scan takes: from how fast paths usually carry it, to how slow.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn estimate(spec: &ScanSpec, probes: u64) -> Span {
    let (addresses, names) = addresses_of(&spec.targets);
    let is_local = names.iter().all(|name| name == "localhost")
        && addresses
            .ranges()
            .all(|(first, last): (IpAddr, IpAddr)| first.is_loopback() && last.is_loopback());
    // Probes a second: a good network, and a home router.
    let (mut fast, mut slow) = if is_local {
        (100_000.0, 20_000.0)
    } else {
        (10_000.0, 500.0)
    };
    if let Some(most) = spec.pace.max_rate {
        fast = f64::min(fast, most.get() as f64);
        slow = f64::min(slow, most.get() as f64);
    }
    if let Some(least) = spec.pace.min_rate {
        slow = f64::max(slow, least.get() as f64);
        fast = f64::max(fast, slow);
    }
    let serial = match spec.pace.template {
        portolan_model::spec::Template::Paranoid => Some(300.0),
        portolan_model::spec::Template::Sneaky => Some(15.0),
        portolan_model::spec::Template::Polite => Some(0.4),
        _ => None,
    };
    if let Some(gap) = serial {
        (fast, slow) = (1.0 / gap, 1.0 / gap);
    }
    let probes = probes as f64;
    // Then closed UDP ports are told from silent ones, at the pace of the hosts.
    let settling = spec
        .techniques
        .contains(&Technique::Udp)
        .then(|| spec.pace.udp_budget.unwrap_or(portolan_scan::UDP_BUDGET));
    Span {
        low: probes / fast,
        // Silent ports are asked at least twice.
        high: 2.0 * probes / slow + settling.unwrap_or_default().as_secs_f64(),
    }
}

/// A scan and its first results, for who waited.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ScanWithResults {
    /// The scan.
    #[serde(flatten)]
    pub scan: Scan,
    /// Its first 1,000 results, open ports first; missing where nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<ResultItem>>,
    /// Where the results go on, in the order of `sort=state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
