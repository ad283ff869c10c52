//! Logging in and out, sessions and tokens.

use axum::http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use portolan_store::{Role, Session, User};

use super::{Caller, Client, Via, expiry, password, secret, tokens};
use crate::api::views::{NewTokenView, SessionView, TokenRequest, TokenView};
use crate::error::{Problem, Result};
use crate::state::AppState;

/// The hash of no password, so that a name that is not known takes as long as one that is.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Someone who has just logged in.
#[derive(Debug, Clone)]
pub struct Login {
    /// What the browser is to keep: the value of `Set-Cookie`.
    pub cookie: HeaderValue,
    /// Who they are.
    pub caller: Caller,
}

impl AppState {
    /// Logs a user in.
    ///
    /// # Errors
    /// 401 for a wrong name or password, the two alike; 429 after too many tries.
    pub async fn log_in(&self, name: &str, password: &str, client: &Client) -> Result<Login> {
        let now = Timestamp::now();
        let address = client.address_text();
        let wait = self.throttle().wait(&address, name, now);
        if wait > 0 {
            return Err(Problem::too_many(
                format!(
                    "too many tries: wait {wait} second{}",
                    if wait == 1 { "" } else { "s" }
                ),
                u32::try_from(wait).unwrap_or(u32::MAX),
            ));
        }
        self.throttle().count(&address, name, now);
        let wanted = name.to_owned();
        let user = self.ask(move |store| store.find_user(&wanted)).await?;
        let user = user.filter(|user| !user.disabled);
        let hash = user
            .as_ref()
            .map_or(NOBODY, |user| &user.password)
            .to_owned();
        let is_right = self.verify(password.to_owned(), hash).await?;
        let Some(user) = user.filter(|_| is_right) else {
            let detail = "wrong name or password".to_owned();
            self.audit(name, client, "login failed", name, None, String::new())
                .await?;
            return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
        };
        self.throttle().forget(&address, name);
        let login = self.begin_session(user, client, now).await?;
        self.audit(
            &login.caller.who(),
            client,
            "login",
            name,
            None,
            String::new(),
        )
        .await?;
        Ok(login)
    }

    /// Checks a password, two at a time at the most: each takes 19 MiB and a processor.
    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        let _turn = self
            .hashing()
            .acquire()
            .await
            .map_err(|_| Problem::internal("the server is about to end"))?;
        tokio::task::spawn_blocking(move || password::verify(&password, &hash))
            .await
            .map_err(|_| Problem::internal("the password could not be checked"))
    }

    async fn begin_session(&self, user: User, client: &Client, now: Timestamp) -> Result<Login> {
        let secret = secret::random()?;
        let hash = secret::hash(&secret);
        let session = Session {
            hash: hash.clone(),
            user: user.id,
            created: now,
            used: now,
            expires: expiry(now, now),
            agent: client.agent.clone(),
            address: client.address_text(),
        };
        self.ask(move |store| {
            store.drop_expired_sessions(now)?;
            store.create_session(session)
        })
        .await?;
        Ok(Login {
            cookie: self.cookie(&secret, super::LONGEST_DAYS * 86_400)?,
            caller: Caller {
                name: Some(user.name),
                role: user.role,
                via: Via::Session(hash),
                user: Some(user.id),
                client: client.clone(),
            },
        })
    }

    /// Logs out; the value of `Set-Cookie` that makes the browser forget.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn log_out(&self, caller: &Caller) -> Result<HeaderValue> {
        if let Via::Session(hash) = caller.via.clone() {
            self.ask(move |store| store.revoke_session(&hash)).await?;
            self.audit(
                &caller.who(),
                &caller.client,
                "logout",
                "",
                None,
                String::new(),
            )
            .await?;
        }
        self.cookie("", 0)
    }

    /// RFC 6265, 4.1. `Lax`: links from mails work, and nothing changes by `GET`.
    fn cookie(&self, secret: &str, seconds: i64) -> Result<HeaderValue> {
        let settings = self.settings();
        let secure = if settings.is_encrypted {
            "; Secure"
        } else {
            ""
        };
        let name = settings.cookie_name();
        let text =
            format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).map_err(|error| Problem::internal(error.to_string()))
    }

    /// The caller's sessions, the last used first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>> {
        let Some(user) = caller.user else {
            return Ok(Vec::new());
        };
        let now = Timestamp::now();
        let sessions = self.ask(move |store| store.sessions(user)).await?;
        Ok(sessions
            .into_iter()
            .filter(|session| session.expires > now)
            .map(|session| SessionView {
                // Enough of the hash to tell one from another, and nothing to log in with.
                id: handle(&session.hash),
                created: session.created,
                used: session.used,
                expires: session.expires,
                agent: session.agent,
                address: session.address,
                current: matches!(&caller.via, Via::Session(hash) if *hash == session.hash),
            })
            .collect())
    }

    /// Ends one of the caller's sessions.
    ///
    /// # Errors
    /// 404 where there is none.
    pub async fn end_session(&self, caller: &Caller, id: &str) -> Result<()> {
        let (Some(user), id) = (caller.user, id.to_owned()) else {
            return Err(Problem::not_found("there is no such session"));
        };
        let ended = self
            .ask(move |store| {
                let sessions = store.sessions(user)?;
                let found = sessions.iter().find(|session| handle(&session.hash) == id);
                found.map_or(Ok(false), |session| store.revoke_session(&session.hash))
            })
            .await?;
        if ended {
            Ok(())
        } else {
            Err(Problem::not_found("there is no such session"))
        }
    }

    /// The caller's tokens, or all for who may do everything.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenView>> {
        let tokens = self.ask(portolan_store::Store::tokens).await?;
        Ok(tokens
            .into_iter()
            .filter(|token| may_see(caller, token.token.user))
            .map(TokenView::from)
            .collect())
    }

    /// Makes a token that may do no more than its maker.
    ///
    /// # Errors
    /// 403 for rights that the caller has not; 422 for fields that are wrong.
    pub async fn create_token(
        &self,
        caller: &Caller,
        request: TokenRequest,
    ) -> Result<NewTokenView> {
        let mut scopes = Vec::new();
        for scope in &request.scopes {
            let scope: Role = scope
                .parse()
                .map_err(|why: String| tokens::invalid("scopes", &why))?;
            caller.require(scope)?;
            scopes.push(scope);
        }
        let new = tokens::new(caller.user, &request.name, scopes, request.days)?;
        let kept = new.kept.clone();
        self.ask(move |store| store.create_token(kept)).await?;
        let tokens::New { secret, kept } = new;
        let detail = format!("token {}", kept.id);
        self.audit(
            &caller.who(),
            &caller.client,
            "token made",
            &kept.name,
            None,
            detail,
        )
        .await?;
        Ok(NewTokenView {
            token: secret,
            kept: TokenView::from(portolan_store::Token {
                token: kept,
                used: None,
                revoked: None,
            }),
        })
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// 404 where there is none that the caller may see.
    pub async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<()> {
        let wanted = id.to_owned();
        let mine = self
            .ask(portolan_store::Store::tokens)
            .await?
            .into_iter()
            .any(|token| token.token.id == wanted && may_see(caller, token.token.user));
        let now = Timestamp::now();
        let revoked = mine
            && self
                .ask(move |store| store.revoke_token(&wanted, now))
                .await?;
        if !revoked {
            return Err(Problem::not_found(
                "there is no such token that still counts",
            ));
        }
        self.audit(
            &caller.who(),
            &caller.client,
            "token revoked",
            id,
            None,
            String::new(),
        )
        .await
    }
}

fn may_see(caller: &Caller, owner: Option<i64>) -> bool {
    caller.role == Role::Admin || (owner.is_some() && owner == caller.user)
}

fn handle(hash: &[u8]) -> String {
    secret::hex(hash.get(..8).unwrap_or_default())
}
