//! Who asks, and what they may do.

mod login;
pub mod password;
mod secret;
mod throttle;
pub mod tokens;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::{Span, Timestamp};
use portolan_store::Role;

use crate::error::{Problem, Result};
use crate::state::AppState;

pub use login::Login;
pub(crate) use throttle::Throttle;

/// A session ends when it was not used for so long.
const IDLE_HOURS: i64 = 12;

/// A session ends after this, however it was used.
const LONGEST_DAYS: i64 = 30;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name, or the token's; `None` where nobody logs in.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// How they showed who they are.
    pub via: Via,
    /// The user's number, where there is one.
    pub user: Option<i64>,
    /// Where the request came from.
    pub client: Client,
}

/// How callers show who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Not at all: this server is open, on this machine alone.
    Open,
    /// By the cookie of a session, whose hash this is.
    Session(Vec<u8>),
    /// By a token, whose public part this is.
    Token(String),
}

impl Via {
    /// The word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Session(_) => "session",
            Self::Token(_) => "token",
        }
    }
}

impl Caller {
    /// Whoever asks an open server.
    pub const fn open(client: Client) -> Self {
        Self {
            name: None,
            role: Role::Admin,
            via: Via::Open,
            user: None,
            client,
        }
    }

    /// Whether they may do what `role` may.
    ///
    /// # Errors
    /// 403 where they may not.
    pub fn require(&self, role: Role) -> Result<()> {
        if self.role >= role {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "this needs the right to {role}, and you have the right to {}",
            self.role
        )))
    }

    /// The name for the audit log; empty where nobody logs in.
    pub fn who(&self) -> String {
        let name = self.name.clone().unwrap_or_default();
        match &self.via {
            Via::Token(id) => format!("token {id} ({name})"),
            _ => name,
        }
    }
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Its address, as far as it is known.
    pub address: Option<IpAddr>,
    /// What the program calls itself, cut at 200 bytes. It may be anything: hostile.
    pub agent: String,
}

impl Client {
    /// The address in words; empty where it is not known.
    pub fn address_text(&self) -> String {
        self.address
            .map(|address| address.to_string())
            .unwrap_or_default()
    }
}

/// The other end of a connection, as the server that accepted it says.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl FromRequestParts<AppState> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> std::result::Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        Ok(client(peer, &parts.headers, state.settings().behind_proxy))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(not_logged_in)
    }
}

fn client(peer: Option<IpAddr>, headers: &HeaderMap, behind_proxy: bool) -> Client {
    // The last address is the one that the proxy itself saw; those before it anyone can write.
    let forwarded = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    let agent = headers
        .get(USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned())
        .unwrap_or_default();
    Client {
        address: forwarded.filter(|_| behind_proxy).or(peer),
        agent: agent.chars().take(200).collect(),
    }
}

fn not_logged_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this needs a log-in or a token")
        .with_hint("log in at `/login`, or send `Authorization: Bearer prt_…`")
}

/// What anyone may see: the way in, and whether the server lives.
fn is_public(path: &str) -> bool {
    matches!(
        path,
        "/login" | "/healthz" | "/favicon.ico" | "/favicon.svg"
    ) || path.starts_with("/assets/")
}

/// Whether a request only asks about itself, or for the way in and out.
fn is_own_session(path: &str) -> bool {
    matches!(path, "/api/v1/session" | "/logout") || path.starts_with("/api/v1/sessions")
}

/// Finds out who asks, and whether they may: reading needs the right to read, changing the
/// right to scan; what needs more says so itself.
pub(crate) async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = client(peer, request.headers(), state.settings().behind_proxy);
    let found = find(&state, request.headers(), client.clone()).await;
    let caller = found.as_ref().ok().and_then(Option::as_ref);
    // Files that never change cost nothing, and a probe of life must always be answered.
    let is_free = path.starts_with("/assets/") || path == "/healthz";
    if let Err(problem) = state.count_request(caller, &client)
        && !is_free
    {
        return problem.into_response();
    }
    match found {
        Ok(Some(caller)) => {
            let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
            let is_preview = path == "/api/v1/scans/preview";
            let needed = if is_safe || is_preview || is_own_session(&path) || is_public(&path) {
                Role::Read
            } else {
                Role::Scan
            };
            if let Err(problem) = caller.require(needed) {
                return problem.into_response();
            }
            request.extensions_mut().insert(caller);
        }
        Ok(None) if is_public(&path) => {}
        Ok(None) if path == "/api/v1/session" && *request.method() == Method::POST => {}
        Ok(None) if *request.method() == Method::GET && !is_for_programs(&path) => {
            let to = request.uri().path_and_query().map_or("/", |to| to.as_str());
            return Redirect::to(&format!("/login?next={}", encoded(to))).into_response();
        }
        Ok(None) => return not_logged_in().into_response(),
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

fn is_for_programs(path: &str) -> bool {
    path == "/metrics" || (path.starts_with("/api/") && path != "/api/docs")
}

/// A text as part of a query (RFC 3986, 2.1).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Who asks; `None` where they did not say and must.
async fn find(state: &AppState, headers: &HeaderMap, client: Client) -> Result<Option<Caller>> {
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        let token = authorization
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        let found = match token {
            Some(token) => by_token(state, token, client).await?,
            None => None,
        };
        return found.map(Some).ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "the token is not known, expired or revoked",
            )
        });
    }
    if let Some(secret) = cookie(headers, state.settings().cookie_name())
        && let Some(caller) = by_session(state, &secret, client.clone()).await?
    {
        return Ok(Some(caller));
    }
    Ok((!state.auth_required().await?).then(|| Caller::open(client)))
}

async fn by_token(state: &AppState, token: String, client: Client) -> Result<Option<Caller>> {
    let Some((id, hash)) = secret::parse_token(&token) else {
        return Ok(None);
    };
    let now = Timestamp::now();
    let found = state
        .ask(move |store| {
            let Some(token) = store.find_token(&id, now)? else {
                return Ok(None);
            };
            if !secret::same(&token.token.hash, &hash) {
                return Ok(None);
            }
            let owner = match token.token.user {
                Some(user) => store.user(user)?,
                None => None,
            };
            // Once a minute is enough to know whether a token is still in use.
            if token
                .used
                .is_none_or(|used| now.duration_since(used).as_secs() > 60)
            {
                store.touch_token(&id, now)?;
            }
            Ok(Some((token.token, owner)))
        })
        .await?;
    Ok(found.and_then(|(token, owner)| {
        let most = token.scopes.iter().copied().max()?;
        // A token may never do more than the one it belongs to.
        let role = owner.as_ref().map_or(most, |owner| most.min(owner.role));
        Some(Caller {
            name: Some(token.name),
            role,
            via: Via::Token(token.id),
            user: token.user,
            client,
        })
    }))
}

async fn by_session(state: &AppState, secret: &str, client: Client) -> Result<Option<Caller>> {
    let hash = secret::hash(secret);
    let now = Timestamp::now();
    let looked_up = hash.clone();
    let found = state
        .ask(move |store| {
            let found = store.find_session(&looked_up, now)?;
            if let Some((session, _)) = &found
                && now.duration_since(session.used).as_secs() > 60
            {
                store.touch_session(&looked_up, now, expiry(session.created, now))?;
            }
            Ok(found)
        })
        .await?;
    Ok(found.map(|(_, user)| Caller {
        name: Some(user.name),
        role: user.role,
        via: Via::Session(hash),
        user: Some(user.id),
        client,
    }))
}

/// Until when a session counts that was made and used then.
fn expiry(created: Timestamp, used: Timestamp) -> Timestamp {
    let idle = used.checked_add(Span::new().hours(IDLE_HOURS));
    let longest = created.checked_add(Span::new().hours(24 * LONGEST_DAYS));
    idle.unwrap_or(used).min(longest.unwrap_or(created))
}

/// A cookie's value (RFC 6265, 5.4).
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests;
