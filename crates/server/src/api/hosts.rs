//! Hosts over all scans, and what happened to their ports.

use portolan_model::Zoned;

use axum::{Json as Answer, extract::State};
use portolan_model::Protocol;

use super::extract::{Path, Query};
use super::views::{Change, HostDetail, KnownHost, KnownPort, List};
use crate::error::Result;
use crate::state::{AppState, HostsQuery, TimelineQuery};

/// List every host that was ever found
#[utoipa::path(
    get, path = "/api/v1/hosts", tag = "hosts", params(HostsQuery),
    responses(
        (status = 200, description = "A page of hosts", body = List<KnownHost>)
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Query(query): Query<HostsQuery>,
) -> Result<Answer<List<KnownHost>>> {
    state.hosts(&query).await.map(Answer)
}

/// Show a host: its ports as far as is known, and the scans that found it
#[utoipa::path(
    get, path = "/api/v1/hosts/{ip}", tag = "hosts", params(("ip" = String, Path, description = "The host's address")),
    responses(
        (status = 200, description = "The host", body = HostDetail)
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Path(ip): Path<Zoned>,
) -> Result<Answer<HostDetail>> {
    state.host(ip).await.map(Answer)
}

/// List what happened to the ports of a host, the latest first
#[utoipa::path(
    get, path = "/api/v1/hosts/{ip}/timeline", tag = "hosts",
    params(("ip" = String, Path, description = "The host's address"), TimelineQuery),
    responses(
        (status = 200, description = "A page of changes", body = List<Change>)
    )
)]
pub(crate) async fn timeline(
    State(state): State<AppState>,
    Path(ip): Path<Zoned>,
    Query(query): Query<TimelineQuery>,
) -> Result<Answer<List<Change>>> {
    state.timeline(Some(ip), &query).await.map(Answer)
}

/// List what a port was over all scans, the latest first
#[utoipa::path(
    get, path = "/api/v1/hosts/{ip}/ports/{protocol}/{port}", tag = "hosts",
    params(("ip" = String, Path, description = "The host's address"),
           ("protocol" = String, Path, description = "`tcp` or `udp`"),
           ("port" = u16, Path, description = "The port's number")),
    responses(
        (status = 200, description = "Every span of time", body = List<KnownPort>)
    )
)]
pub(crate) async fn port(
    State(state): State<AppState>,
    Path((ip, protocol, port)): Path<(Zoned, Protocol, u16)>,
) -> Result<Answer<List<KnownPort>>> {
    let spans = state.port_history(ip, protocol, port).await?;
    Ok(Answer(List::whole(spans)))
}

/// List what happened to all ports, the latest first
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "hosts", params(TimelineQuery),
    responses(
        (status = 200, description = "A page of changes", body = List<Change>)
    )
)]
pub(crate) async fn changes(
    State(state): State<AppState>,
    Query(query): Query<TimelineQuery>,
) -> Result<Answer<List<Change>>> {
    state.timeline(None, &query).await.map(Answer)
}
