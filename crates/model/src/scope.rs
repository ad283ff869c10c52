//! Where scans may go: an optional allow-list and a deny-list of networks.

use std::net::IpAddr;
use std::str::FromStr;

use crate::address::{AddressSet, AddressSetBuilder};
use crate::target::{Target, TargetError};

/// Where scans may go. By default, anywhere.
///
/// It is asked with addresses, after names were looked up, so that a name leads nowhere that its
/// address may not.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only there; `None` for everywhere.
    allow: Option<AddressSet>,
    /// Not there, whatever is allowed.
    deny: AddressSet,
    words: Vec<String>,
}

/// A word that describes no part of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// It is no address, network or range.
    #[error("cannot read the scope `{text}`")]
    NotATarget {
        /// The word.
        text: String,
        /// Why.
        source: TargetError,
    },
    /// A name, which may stand for other addresses tomorrow.
    #[error("the scope `{text}` is a name: expected an address, a network or a range")]
    Name {
        /// The word.
        text: String,
    },
    /// An interface: a scope is about addresses, on whatever link.
    #[error("the scope `{text}` names an interface: expected addresses alone, as `{without}`")]
    Zone {
        /// The word.
        text: String,
        /// The word without the interface.
        without: String,
    },
}

/// Addresses that a scan may not go to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} is outside the scope{}", of_how_many(*count, *total))]
pub struct OutOfScope {
    /// The first of them.
    pub first: IpAddr,
    /// How many there are.
    pub count: u128,
    /// Of how many that were asked for.
    pub total: u128,
}

/// How many addresses are meant, where they are several.
fn of_how_many(count: u128, total: u128) -> String {
    match (count, total) {
        (_, 1) => String::new(),
        (1, _) => format!(" (1 of {total} addresses is)"),
        _ => format!(" ({count} of {total} addresses are)"),
    }
}

impl Scope {
    /// A scope from words: networks, addresses and ranges, several joined by commas; with a `-`
    /// or `!` before it, a word forbids. Without any that allows, everything else is allowed.
    ///
    /// # Errors
    /// [`ScopeError`] with the word that cannot be read.
    pub fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<Self, ScopeError> {
        let (mut allow, mut deny) = (AddressSetBuilder::default(), AddressSetBuilder::default());
        let mut is_limited = false;
        let mut kept = Vec::new();
        for word in words {
            let parts = word.as_ref().split(|c: char| c == ',' || c.is_whitespace());
            for part in parts.filter(|part| !part.is_empty()) {
                let denied = part.strip_prefix(['-', '!']);
                is_limited |= denied.is_none();
                let (text, into) = denied.map_or((part, &mut allow), |text| (text, &mut deny));
                let target = Target::from_str(text).map_err(|source| ScopeError::NotATarget {
                    text: part.to_owned(),
                    source,
                })?;
                if target.zone().is_some() {
                    return Err(ScopeError::Zone {
                        text: part.to_owned(),
                        without: target.unzoned().to_string(),
                    });
                }
                let addresses = target.addresses().ok_or_else(|| ScopeError::Name {
                    text: part.to_owned(),
                })?;
                into.push_set(&addresses);
                kept.push(part.to_owned());
            }
        }
        Ok(Self {
            allow: is_limited.then(|| allow.build()),
            deny: deny.build(),
            words: kept,
        })
    }

    /// The words it was made from; none for a scope without bounds.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether every address may be scanned.
    ///
    /// # Errors
    /// [`OutOfScope`] where one may not.
    pub fn check(&self, addresses: &AddressSet) -> Result<(), OutOfScope> {
        let mut outside = AddressSetBuilder::default();
        if let Some(allow) = &self.allow {
            outside.push_set(&addresses.without(allow));
        }
        // What is denied of what is asked: all of it without the rest of it.
        outside.push_set(&addresses.without(&addresses.without(&self.deny)));
        let outside = outside.build();
        outside.at(0).map_or(Ok(()), |first| {
            Err(OutOfScope {
                first,
                count: outside.len(),
                total: addresses.len(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> AddressSet {
        text.parse::<Target>().unwrap().addresses().unwrap()
    }

    #[test]
    fn without_words_everything_is_in_scope() {
        let scope = Scope::new::<&str>([]).unwrap();
        assert_eq!(scope.check(&addresses("0.0.0.0/0")), Ok(()));
    }

    #[test]
    fn what_is_not_allowed_is_out_of_scope() {
        let scope = Scope::new(["192.0.2.0/24,2001:db8::/64"]).unwrap();
        assert_eq!(scope.check(&addresses("192.0.2.0/25")), Ok(()));
        let refused = scope.check(&addresses("192.0.2.0/23")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "192.0.3.0 is outside the scope (256 of 512 addresses are)"
        );
    }

    #[test]
    fn what_is_denied_is_out_of_scope_though_allowed() {
        let scope = Scope::new(["192.0.2.0/24", "-192.0.2.7"]).unwrap();
        assert_eq!(scope.check(&addresses("192.0.2.8/29")), Ok(()));
        assert_eq!(
            scope.check(&addresses("192.0.2.0/24")).unwrap_err().count,
            1
        );
        let only_denied = Scope::new(["!192.0.2.7"]).unwrap();
        assert_eq!(only_denied.check(&addresses("198.51.100.1")), Ok(()));
    }

    #[test]
    fn a_name_is_no_scope() {
        assert_eq!(
            Scope::new(["example.org"]).unwrap_err().to_string(),
            "the scope `example.org` is a name: expected an address, a network or a range"
        );
    }

    #[test]
    fn an_interface_is_no_part_of_a_scope() {
        assert_eq!(
            Scope::new(["-fe80::1%eth0"]).unwrap_err().to_string(),
            "the scope `-fe80::1%eth0` names an interface: expected addresses alone, as `fe80::1`"
        );
    }
}
