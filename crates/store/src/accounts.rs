//! Who may do what, and who did: users, sessions, tokens and the audit log.
//!
//! Secrets never come here: the caller hashes passwords (with a slow hash) and the random
//! secrets of sessions and tokens (with a fast one), and hands in the hashes.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::{Error, Result};
use crate::page::{Cursor, Page};
use crate::scan::ScanId;
use crate::store::Store;
use crate::time::{micros, timestamp};

/// What someone may do; each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// See results.
    Read,
    /// Start and end scans.
    Scan,
    /// Everything, users and tokens among it.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: &'static [Self] = &[Self::Read, Self::Scan, Self::Admin];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("unknown role `{text}`: there are read, scan and admin"))
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

/// A person who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// What is typed to log in, in any case.
    pub name: String,
    /// The hash of the password, with its parameters.
    pub password: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created: Timestamp,
    /// Whether log-in is refused.
    pub disabled: bool,
}

/// Without the hash, which is nothing for logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The hash of the cookie's secret.
    pub hash: Vec<u8>,
    /// Whose: a user's number.
    pub user: i64,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
    /// From when on it counts no more.
    pub expires: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
    /// Where it came from.
    pub address: String,
}

/// A key for programs, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its public part, by which it is found.
    pub id: String,
    /// Whose: a user's number; `None` for one that belongs to the installation.
    pub user: Option<i64>,
    /// What it is for.
    pub name: String,
    /// The hash of its secret part.
    pub hash: Vec<u8>,
    /// What it may do.
    pub scopes: Vec<Role>,
    /// When it is made.
    pub created: Timestamp,
    /// From when on it counts no more.
    pub expires: Option<Timestamp>,
}

/// A key for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it was made with.
    pub token: NewToken,
    /// When it was last used.
    pub used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// Something that was done, to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// The user or token, or empty.
    pub who: String,
    /// Where it came from, or empty.
    pub address: String,
    /// What was done: `scan`, `delete`, `login`.
    pub action: String,
    /// To what: targets, a name.
    pub subject: String,
    /// The scan it is about.
    pub scan: Option<ScanId>,
    /// More of it, or empty.
    pub detail: String,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; later ones are higher.
    pub id: i64,
    /// What.
    pub entry: NewAudit,
}

const USER: &str = "id, name, password, role, created, disabled";
const SESSION: &str = "hash, user, created, used, expires, agent, address";
const TOKEN: &str = "id, user, name, hash, scopes, created, expires, used, revoked";

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`Error::NameTaken`], in any case of letters.
    pub fn create_user(
        &self,
        name: &str,
        password: &str,
        role: Role,
        now: Timestamp,
    ) -> Result<User> {
        let (name, password) = (name.to_owned(), password.to_owned());
        self.write(move |writer| {
            let connection = &writer.connection;
            if user_by_name(connection, &name)?.is_some() {
                return Err(Error::NameTaken { name });
            }
            connection.execute(
                "INSERT INTO user (name, password, role, created) VALUES (?1, ?2, ?3, ?4)",
                params![name, password, role, micros(now)],
            )?;
            user_by_name(connection, &name)?
                .ok_or_else(|| Error::damaged("a user", "it is gone as soon as it was made"))
        })
    }

    /// The user with a name, in any case of letters.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn find_user(&self, name: &str) -> Result<Option<User>> {
        self.read(|connection| user_by_name(connection, name))
    }

    /// The user with a number.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn user(&self, id: i64) -> Result<Option<User>> {
        self.read(|connection| {
            connection
                .prepare_cached(&format!("SELECT {USER} FROM user WHERE id = ?1"))?
                .query_row([id], |row| Ok(read_user(row)))
                .optional()?
                .transpose()
        })
    }

    /// Every user, by name.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn users(&self) -> Result<Vec<User>> {
        self.read(|connection| {
            let mut users =
                connection.prepare(&format!("SELECT {USER} FROM user ORDER BY name"))?;
            let users = users.query_map([], |row| Ok(read_user(row)))?;
            users.map(|user| user?).collect()
        })
    }

    /// Gives a user another password; ends its sessions. Returns whether there is such a user.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_password(&self, user: i64, password: &str) -> Result<bool> {
        let password = password.to_owned();
        self.write(move |writer| {
            let changed = writer.connection.execute(
                "UPDATE user SET password = ?2 WHERE id = ?1",
                params![user, password],
            )?;
            writer
                .connection
                .execute("DELETE FROM session WHERE user = ?1", [user])?;
            Ok(changed > 0)
        })
    }

    /// Changes what a user may do. Returns whether there is such a user.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_role(&self, user: i64, role: Role) -> Result<bool> {
        self.write(move |writer| {
            let changed = writer.connection.execute(
                "UPDATE user SET role = ?2 WHERE id = ?1",
                params![user, role],
            )?;
            Ok(changed > 0)
        })
    }

    /// Refuses a user's log-in from now on, and ends its sessions. Returns whether there is such
    /// a user. Its tokens count no more either, as [`find_token`](Self::find_token) says.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn disable_user(&self, user: i64) -> Result<bool> {
        self.write(move |writer| {
            let changed = writer
                .connection
                .execute("UPDATE user SET disabled = 1 WHERE id = ?1", [user])?;
            writer
                .connection
                .execute("DELETE FROM session WHERE user = ?1", [user])?;
            Ok(changed > 0)
        })
    }

    /// Lets a user log in again. Returns whether there is such a user.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enable_user(&self, user: i64) -> Result<bool> {
        self.write(move |writer| {
            let changed = writer
                .connection
                .execute("UPDATE user SET disabled = 0 WHERE id = ?1", [user])?;
            Ok(changed > 0)
        })
    }

    /// Deletes a user with its sessions and tokens. Returns whether there was one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn delete_user(&self, user: i64) -> Result<bool> {
        self.write(move |writer| {
            let deleted = writer
                .connection
                .execute("DELETE FROM user WHERE id = ?1", [user])?;
            Ok(deleted > 0)
        })
    }

    /// Keeps a session.
    ///
    /// # Errors
    /// When it cannot be written, also because there is no such user.
    pub fn create_session(&self, session: Session) -> Result<()> {
        self.write(move |writer| {
            writer.connection.execute(
                &format!("INSERT INTO session ({SESSION}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
                params![
                    session.hash,
                    session.user,
                    micros(session.created),
                    micros(session.used),
                    micros(session.expires),
                    session.agent,
                    session.address
                ],
            )?;
            Ok(())
        })
    }

    /// The session with a hash and its user, while it counts: not expired, the user not disabled.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn find_session(&self, hash: &[u8], now: Timestamp) -> Result<Option<(Session, User)>> {
        self.read(|connection| {
            let session = connection
                .prepare_cached(&format!(
                    "SELECT {SESSION} FROM session WHERE hash = ?1 AND expires > ?2"
                ))?
                .query_row(params![hash, micros(now)], |row| Ok(read_session(row)))
                .optional()?
                .transpose()?;
            let Some(session) = session else {
                return Ok(None);
            };
            let user = connection
                .prepare_cached(&format!(
                    "SELECT {USER} FROM user WHERE id = ?1 AND NOT disabled"
                ))?
                .query_row([session.user], |row| Ok(read_user(row)))
                .optional()?
                .transpose()?;
            Ok(user.map(|user| (session, user)))
        })
    }

    /// Notes that a session was used, and until when it counts now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn touch_session(&self, hash: &[u8], now: Timestamp, expires: Timestamp) -> Result<()> {
        let hash = hash.to_owned();
        self.write(move |writer| {
            writer.connection.execute(
                "UPDATE session SET used = ?2, expires = ?3 WHERE hash = ?1",
                params![hash, micros(now), micros(expires)],
            )?;
            Ok(())
        })
    }

    /// A user's sessions, the last used first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn sessions(&self, user: i64) -> Result<Vec<Session>> {
        self.read(|connection| {
            let mut sessions = connection.prepare_cached(&format!(
                "SELECT {SESSION} FROM session WHERE user = ?1 ORDER BY used DESC"
            ))?;
            let sessions = sessions.query_map([user], |row| Ok(read_session(row)))?;
            sessions.map(|session| session?).collect()
        })
    }

    /// Ends a session. Returns whether there was one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke_session(&self, hash: &[u8]) -> Result<bool> {
        let hash = hash.to_owned();
        self.write(move |writer| {
            let deleted = writer
                .connection
                .execute("DELETE FROM session WHERE hash = ?1", [hash])?;
            Ok(deleted > 0)
        })
    }

    /// Ends every session of a user: logs out everywhere. Returns how many there were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke_sessions(&self, user: i64) -> Result<usize> {
        self.write(move |writer| {
            Ok(writer
                .connection
                .execute("DELETE FROM session WHERE user = ?1", [user])?)
        })
    }

    /// Deletes sessions that count no more. Returns how many there were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn drop_expired_sessions(&self, now: Timestamp) -> Result<usize> {
        self.write(move |writer| {
            Ok(writer
                .connection
                .execute("DELETE FROM session WHERE expires <= ?1", [micros(now)])?)
        })
    }

    /// Keeps a token.
    ///
    /// # Errors
    /// When it cannot be written, also because its public part is taken.
    pub fn create_token(&self, token: NewToken) -> Result<()> {
        self.write(move |writer| {
            let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
            writer.connection.execute(
                "INSERT INTO token (id, user, name, hash, scopes, created, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    token.id,
                    token.user,
                    token.name,
                    token.hash,
                    scopes.join(" "),
                    micros(token.created),
                    token.expires.map(micros)
                ],
            )?;
            Ok(())
        })
    }

    /// The token with a public part, while it counts: neither revoked nor expired, its user not
    /// disabled. The caller compares the hash of the secret part, in constant time.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn find_token(&self, id: &str, now: Timestamp) -> Result<Option<Token>> {
        self.read(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT {TOKEN} FROM token WHERE id = ?1 AND revoked IS NULL
                         AND (expires IS NULL OR expires > ?2)
                         AND NOT EXISTS (SELECT 1 FROM user WHERE user.id = token.user AND disabled)"
                ))?
                .query_row(params![id, micros(now)], |row| Ok(read_token(row)))
                .optional()?
                .transpose()
        })
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn touch_token(&self, id: &str, now: Timestamp) -> Result<()> {
        let id = id.to_owned();
        self.write(move |writer| {
            writer.connection.execute(
                "UPDATE token SET used = ?2 WHERE id = ?1",
                params![id, micros(now)],
            )?;
            Ok(())
        })
    }

    /// Every token, revoked ones too, the latest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>> {
        self.read(|connection| {
            let mut tokens = connection.prepare(&format!(
                "SELECT {TOKEN} FROM token ORDER BY created DESC, id"
            ))?;
            let tokens = tokens.query_map([], |row| Ok(read_token(row)))?;
            tokens.map(|token| token?).collect()
        })
    }

    /// Revokes a token. Returns whether there was one that counted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool> {
        let id = id.to_owned();
        self.write(move |writer| {
            let revoked = writer.connection.execute(
                "UPDATE token SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL",
                params![id, micros(now)],
            )?;
            Ok(revoked > 0)
        })
    }

    /// Keeps what was done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn log(&self, entry: NewAudit) -> Result<()> {
        self.write(move |writer| {
            writer.connection.execute(
                "INSERT INTO audit (at, who, address, action, subject, scan, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    micros(entry.at),
                    entry.who,
                    entry.address,
                    entry.action,
                    entry.subject,
                    entry.scan,
                    entry.detail
                ],
            )?;
            Ok(())
        })
    }

    /// What was done, the latest first; of one scan, or of all.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a cursor of another list.
    pub fn audit(
        &self,
        scan: Option<ScanId>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AuditEntry>> {
        let before: i64 = after.map_or(Ok(i64::MAX), Cursor::read)?;
        let kept = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.read(|connection| {
            let mut entries = connection.prepare_cached(
                "SELECT id, at, who, address, action, subject, scan, detail FROM audit
                 WHERE id < ?1 AND (?2 IS NULL OR scan = ?2) ORDER BY id DESC LIMIT ?3",
            )?;
            let mut rows = entries.query(params![before, scan, kept])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(AuditEntry {
                    id: row.get(0)?,
                    entry: NewAudit {
                        at: timestamp(row.get(1)?)?,
                        who: row.get(2)?,
                        address: row.get(3)?,
                        action: row.get(4)?,
                        subject: row.get(5)?,
                        scan: row.get(6)?,
                        detail: row.get(7)?,
                    },
                });
            }
            Ok(Page::cut(items, limit, |entry| entry.id))
        })
    }
}

fn user_by_name(connection: &Connection, name: &str) -> Result<Option<User>> {
    connection
        .prepare_cached(&format!("SELECT {USER} FROM user WHERE name = ?1"))?
        .query_row([name], |row| Ok(read_user(row)))
        .optional()?
        .transpose()
}

fn read_user(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        password: row.get(2)?,
        role: row.get(3)?,
        created: timestamp(row.get(4)?)?,
        disabled: row.get(5)?,
    })
}

fn read_session(row: &Row<'_>) -> Result<Session> {
    Ok(Session {
        hash: row.get(0)?,
        user: row.get(1)?,
        created: timestamp(row.get(2)?)?,
        used: timestamp(row.get(3)?)?,
        expires: timestamp(row.get(4)?)?,
        agent: row.get(5)?,
        address: row.get(6)?,
    })
}

fn read_token(row: &Row<'_>) -> Result<Token> {
    let scopes: String = row.get(4)?;
    let moment = |micros: Option<i64>| micros.map(timestamp).transpose();
    Ok(Token {
        token: NewToken {
            id: row.get(0)?,
            user: row.get(1)?,
            name: row.get(2)?,
            hash: row.get(3)?,
            scopes: scopes
                .split_whitespace()
                .map(|scope| {
                    scope.parse().map_err(|why| Error::Damaged {
                        what: "a token",
                        why,
                    })
                })
                .collect::<Result<_>>()?,
            created: timestamp(row.get(5)?)?,
            expires: moment(row.get(6)?)?,
        },
        used: moment(row.get(7)?)?,
        revoked: moment(row.get(8)?)?,
    })
}
