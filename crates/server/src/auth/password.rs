//! Passwords, as Argon2id keeps them (RFC 9106): 19 MiB, two passes, one lane.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

/// The fewest characters of a password.
pub const SHORTEST: usize = 8;

/// The most bytes: longer ones only cost time.
pub const LONGEST: usize = 1024;

/// Why a password cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// It is too easily guessed.
    #[error("the password has {found} characters: expected {SHORTEST} or more")]
    TooShort {
        /// How many it has.
        found: usize,
    },
    /// It is longer than anyone types.
    #[error("the password has {found} bytes: expected {LONGEST} or fewer")]
    TooLong {
        /// How many it has.
        found: usize,
    },
    /// It could not be hashed.
    #[error("the password cannot be hashed: {why}")]
    Hash {
        /// Why.
        why: String,
    },
}

/// The hash of a new password, with its parameters and a salt of its own. Takes about 50 ms.
///
/// # Errors
/// [`PasswordError`] for one that is too short or too long.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let (found, bytes) = (password.chars().count(), password.len());
    if found < SHORTEST {
        return Err(PasswordError::TooShort { found });
    }
    if bytes > LONGEST {
        return Err(PasswordError::TooLong { found: bytes });
    }
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash {
            why: error.to_string(),
        })
}

/// Whether a password is the one that was hashed. Takes about 50 ms, whatever the answer.
pub fn verify(password: &str, hash: &str) -> bool {
    if password.len() > LONGEST {
        return false;
    }
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let hash = hash("correct horse").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(verify("correct horse", &hash));
        assert!(!verify("correct house", &hash));
        assert!(!verify("correct horse", "no hash"));
    }

    #[test]
    fn a_short_password_is_refused() {
        let refused = hash("1234567").unwrap_err().to_string();
        assert_eq!(refused, "the password has 7 characters: expected 8 or more");
    }
}
