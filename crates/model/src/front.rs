//! Who shows an error: what can be done about it is said in the words of that place.

/// Where somebody reads what is wrong with what they asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Front {
    /// The command line, which has options: `-p 80`.
    #[default]
    Shell,
    /// The API, whose requests have members: `ports`.
    Api,
    /// A page, whose forms have fields: *Custom Port Range*.
    Page,
}
