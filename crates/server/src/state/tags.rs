//! Tags: what people call hosts and scans.

use axum::http::StatusCode;
use portolan_store::{Store, Tag, TagTerm, Tagged, tags};

use super::AppState;
use super::query::wrong;
use crate::api::views::{FieldError, TagView};
use crate::auth::Caller;
use crate::error::{Problem, Result};

/// Reads a tag.
///
/// # Errors
/// 422 for a word that is none.
fn read(word: &str) -> Result<Tag> {
    word.trim().parse().map_err(|error: tags::NotATag| Problem {
        errors: vec![FieldError {
            field: "tag".to_owned(),
            message: error.to_string(),
            hint: None,
            offset: None,
        }],
        ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    })
}

/// The tags that a list is searched for, in `q` and by a field of their own, and the other words of
/// `q`.
///
/// # Errors
/// 400 for a word that is no tag.
pub(super) fn asked(q: Option<&str>, tag: Option<&str>) -> Result<(Vec<TagTerm>, Option<String>)> {
    let read = |field: &str, text: &str| {
        tags::split(text).map_err(|error| wrong(field, error.to_string()))
    };
    let (mut terms, words) = read("q", q.unwrap_or_default())?;
    if let Some(tag) = tag.map(str::trim).filter(|tag| !tag.is_empty()) {
        terms.extend(read("tag", &format!("tag:{tag}"))?.0);
    }
    Ok((terms, Some(words).filter(|words| !words.is_empty())))
}

impl AppState {
    /// Every tag with how many have it, by alphabet.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub async fn tags(&self) -> Result<Vec<TagView>> {
        let tags = self.ask(Store::all_tags).await?;
        Ok(tags.into_iter().map(TagView::from).collect())
    }

    /// Puts a tag on hosts and scans.
    ///
    /// # Errors
    /// 404 where one is not known; 422 for a word that is no tag; 409 for more than may be.
    pub async fn put_tag(&self, caller: &Caller, word: &str, on: Vec<Tagged>) -> Result<()> {
        caller.require(portolan_store::Role::Scan)?;
        let tag = read(word)?;
        let subject = subject(&on);
        let put = tag.clone();
        self.ask(move |store| store.put_tag(put, on)).await?;
        self.audit(
            &caller.who(),
            &caller.client,
            "tag",
            &subject,
            None,
            tag.to_string(),
        )
        .await
    }

    /// Takes a tag off hosts and scans.
    ///
    /// # Errors
    /// 404 where one is not known; 422 for a word that is no tag.
    pub async fn take_tag(&self, caller: &Caller, word: &str, off: Vec<Tagged>) -> Result<()> {
        caller.require(portolan_store::Role::Scan)?;
        let tag = read(word)?;
        let subject = subject(&off);
        let taken = tag.clone();
        self.ask(move |store| store.take_tag(taken, off)).await?;
        self.audit(
            &caller.who(),
            &caller.client,
            "untag",
            &subject,
            None,
            tag.to_string(),
        )
        .await
    }
}

/// What is tagged, in words for the audit log.
fn subject(tagged: &[Tagged]) -> String {
    let words: Vec<_> = tagged
        .iter()
        .map(|one| match one {
            Tagged::Host(host) => host.to_string(),
            Tagged::Scan(id) => format!("scan {id}"),
        })
        .collect();
    words.join(" ")
}
