//! Random secrets, and what is kept of them: their SHA-256. They are long enough that nothing
//! slower is needed.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::{Problem, Result};

/// What tokens begin with, so that scanners of secrets find a lost one.
const PREFIX: &str = "prt_";

/// 32 random bytes, in hexadecimal.
///
/// # Errors
/// 500 when the system gives none.
pub(crate) fn random() -> Result<String> {
    hex_of::<32>()
}

fn hex_of<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Problem::internal(format!("the system gives no random numbers: {error}"))
    })?;
    Ok(hex(&bytes))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is kept of a secret.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Whether two hashes are the same, in the same time whether or not.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// A new token: the whole of it to be shown once, its public part, and the hash of the rest.
///
/// # Errors
/// 500 when the system gives no random numbers.
pub(crate) fn new_token() -> Result<(String, String, Vec<u8>)> {
    let (id, secret) = (hex_of::<6>()?, random()?);
    let kept = hash(&secret);
    Ok((format!("{PREFIX}{id}_{secret}"), id, kept))
}

/// The public part of a token, and the hash of the rest; `None` for what is no token.
pub(crate) fn parse_token(token: &str) -> Option<(String, Vec<u8>)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    Some((id.to_owned(), hash(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_what_is_kept_of_it() {
        let (token, id, kept) = new_token().unwrap();
        assert!(token.starts_with("prt_"));
        assert_eq!(token.len(), 4 + 12 + 1 + 64);
        assert_eq!(parse_token(&token), Some((id, kept)));
        assert_eq!(parse_token("prt_abc"), None);
        assert_eq!(parse_token("Bearer x"), None);
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
