//! Keys for programs: made here for the web app and for the shell.

use jiff::{SignedDuration, Timestamp};
use portolan_store::{NewToken, Role, Store};

use super::secret;
use crate::api::views::FieldError;
use crate::error::{Problem, Result};

/// A token that is not kept yet.
#[derive(Clone)]
pub(crate) struct New {
    /// All of it, to be shown once.
    pub(crate) secret: String,
    /// What is kept of it.
    pub(crate) kept: NewToken,
}

/// A new token; with no scope, it may read.
///
/// # Errors
/// 422 for a name or a time that is out of range.
pub(crate) fn new(
    user: Option<i64>,
    name: &str,
    mut scopes: Vec<Role>,
    days: Option<u16>,
) -> Result<New> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(invalid(
            "name",
            "a token needs a name of 1 to 100 characters",
        ));
    }
    if scopes.is_empty() {
        scopes.push(Role::Read);
    }
    let now = Timestamp::now();
    let expires = match days {
        Some(days @ 1..=36_500) => now
            .checked_add(SignedDuration::from_hours(24 * i64::from(days)))
            .ok(),
        Some(_) => return Err(invalid("days", "a token counts for 1 to 36500 days")),
        None => None,
    };
    let (secret, id, hash) = secret::new_token()?;
    Ok(New {
        secret,
        kept: NewToken {
            id,
            user,
            name: name.to_owned(),
            hash,
            scopes,
            created: now,
            expires,
        },
    })
}

/// Makes and keeps a token; all of it, to be shown once.
///
/// # Errors
/// 422 for a name or a time that is out of range, and what the history says.
pub fn make(
    store: &Store,
    user: Option<i64>,
    name: &str,
    scopes: Vec<Role>,
    days: Option<u16>,
) -> Result<String> {
    let new = new(user, name, scopes, days)?;
    store.create_token(new.kept)?;
    Ok(new.secret)
}

/// A field that is wrong.
pub(crate) fn invalid(field: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: None,
        offset: None,
    }])
}
