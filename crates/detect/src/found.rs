//! What a rule or a reader says of a service, before it becomes a
//! [`Service`](portolan_model::Service).

use std::collections::BTreeMap;

/// The most characters of one field; longer ones are cut.
pub const FIELD_CHARS: usize = 200;

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The protocol's name: `ssh`, `http`.
    pub service: String,
    /// The program: `OpenSSH`.
    pub product: Option<String>,
    /// Its version, as it gave it.
    pub version: Option<String>,
    /// What else it said, in short.
    pub info: Option<String>,
    /// The system it runs on, as far as it said.
    pub os: Option<String>,
    /// The name it gives its host.
    pub hostname: Option<String>,
    /// The kind of device: `router`, `printer`.
    pub device: Option<String>,
    /// CPE 2.3 names, whole.
    pub cpe: Vec<String>,
    /// Whether the program hides its version by design.
    pub hidden: bool,
    /// Whether only the protocol is known, and asking further may tell more.
    pub soft: bool,
    /// How sure it is, 0 to 10.
    pub confidence: u8,
    /// Further facts by name: `http.title`, `tls.cert.subject`.
    pub facts: BTreeMap<String, String>,
}

impl Found {
    /// Takes over what `other` knows and this does not; product, version and CPE stay together
    /// and are taken only where this names no product.
    pub fn fill_from(&mut self, other: &Self) {
        if self.product.is_none() && other.product.is_some() {
            self.product.clone_from(&other.product);
            self.version.clone_from(&other.version);
            self.info = other.info.clone().or_else(|| self.info.take());
            self.cpe.clone_from(&other.cpe);
            self.hidden = other.hidden;
            self.soft = other.soft;
            self.confidence = self.confidence.max(other.confidence);
        } else if self.product == other.product && self.version.is_none() {
            self.version.clone_from(&other.version);
            if self.version.is_some() {
                self.hidden = false;
                self.cpe.clone_from(&other.cpe);
            }
        }
        for (mine, theirs) in [
            (&mut self.os, &other.os),
            (&mut self.hostname, &other.hostname),
            (&mut self.device, &other.device),
        ] {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
        for (name, value) in &other.facts {
            self.facts
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
}
