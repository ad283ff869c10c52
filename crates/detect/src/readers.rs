//! Readers of answers that no expression can read: binary protocols, and HTTP.
//!
//! A reader turns bytes into named fields, or declines. Rules read those fields by
//! `reader.field`; fields named `product`, `version`, `info`, `os`, `hostname` and `device` also
//! stand by themselves, where no rule says more.

mod afp;
mod amqp;
mod bitcoin;
mod dns;
pub mod http;
mod ldap;
mod modbus;
mod mongodb;
mod mumble;
mod mysql;
mod netbios;
mod ntlm;
mod ntp;
mod postgresql;
pub(crate) mod rdp;
mod rpc;
mod smb;
mod snmp;
mod stun;
mod tds;
mod tns;
mod x11;

use std::collections::BTreeMap;

use crate::escape;
use crate::found::{FIELD_CHARS, Found};
use crate::rules::Answer;

/// What turns an answer into fields.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Its name, the first half of `reader.field`.
    pub name: &'static str,
    /// The probes whose answers it reads; the first is what samples are taken for. Empty for
    /// every answer over TCP, whatever was asked.
    pub reads: &'static [&'static str],
    /// The fields that it may fill.
    pub fields: &'static [&'static str],
    /// Reads an answer; `None` for one that is not of its protocol. It must be total.
    pub read: fn(&[u8]) -> Option<Reading>,
}

/// What a reader understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The protocol's name.
    pub service: &'static str,
    /// Fields in their order, by name.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// Facts to show, by name: `http.title`.
    pub facts: BTreeMap<String, String>,
    /// Its place among rules that match the same answer.
    pub priority: u8,
    /// Whether the protocol hides versions by design.
    pub hidden: bool,
}

impl Reading {
    /// An answer of `service`, and nothing more yet. It yields to every rule that names a
    /// product, and wins over rules that are soft.
    pub fn new(service: &'static str) -> Self {
        Self {
            service,
            fields: Vec::new(),
            facts: BTreeMap::new(),
            priority: 30,
            hidden: false,
        }
    }

    /// Adds a field.
    pub fn field(&mut self, name: &'static str, value: impl Into<Vec<u8>>) {
        self.fields.push((name, value.into()));
    }

    /// Adds a fact, bounded and with control characters made visible; an empty one is left out.
    pub fn fact(&mut self, name: &str, value: &[u8]) {
        let value = escape::field(value, FIELD_CHARS);
        if !value.is_empty() {
            self.facts.insert(name.to_owned(), value);
        }
    }

    /// What it says without any rule.
    pub fn found(&self) -> Found {
        let field = |name: &str| {
            let (_, value) = self.fields.iter().find(|(field, _)| *field == name)?;
            Some(escape::field(value, FIELD_CHARS)).filter(|text| !text.is_empty())
        };
        let product = field("product");
        Found {
            service: self.service.to_owned(),
            soft: product.is_none() && !self.hidden,
            product,
            version: field("version"),
            info: field("info"),
            os: field("os"),
            hostname: field("hostname"),
            device: field("device"),
            cpe: Vec::new(),
            hidden: self.hidden,
            confidence: 10,
            facts: self.facts.clone(),
        }
    }
}

/// Every reader.
pub const ALL: &[Reader] = &[
    afp::READER,
    amqp::READER,
    bitcoin::READER,
    dns::READER,
    http::READER,
    ldap::READER,
    modbus::READER,
    mongodb::READER,
    mumble::READER,
    mysql::READER,
    netbios::READER,
    ntp::READER,
    postgresql::READER,
    rdp::READER,
    rpc::READER,
    smb::READER,
    snmp::READER,
    stun::READER,
    tds::READER,
    tns::READER,
    x11::READER,
];

/// What rules may read of a handshake of TLS, and the fact that holds it: the protocol that was
/// agreed on, the name in the certificate, the cipher suite.
pub const HANDSHAKE: [(&str, &str); 3] = [
    ("tls.alpn", "tls.alpn"),
    ("tls.subject", "tls.cert.subject.cn"),
    ("tls.cipher", "tls.cipher"),
];

/// What rules may read of the icon of a web page, and the fact that holds it.
pub(crate) const ICON: (&str, &str) = ("http.favicon", crate::favicon::FACT);

/// What rules may read that is no part of one answer, and the facts that hold it.
fn values() -> impl Iterator<Item = (&'static str, &'static str)> {
    HANDSHAKE.into_iter().chain([ICON])
}

/// What the readers understand of an answer.
pub fn read(answer: Answer<'_>) -> Vec<(&'static str, Reading)> {
    use portolan_model::Protocol;
    ALL.iter()
        .filter(|reader| match reader.reads {
            [] => answer.protocol == Protocol::Tcp,
            reads => reads.contains(&answer.to),
        })
        .filter_map(|reader| Some((reader.name, (reader.read)(answer.bytes)?)))
        .collect()
}

/// Whether a reader, a handshake of TLS or the icon of a page fills `reader.field`.
pub fn has_field(source: &str) -> bool {
    let of_value = values().any(|(name, _)| name == source);
    let of_reader = source.split_once('.').is_some_and(|(name, field)| {
        ALL.iter()
            .any(|reader| reader.name == name && reader.fields.contains(&field))
    });
    of_value || of_reader
}

/// Every `reader.field`.
pub fn fields() -> Vec<String> {
    let of = |reader: &Reader| {
        let name = reader.name;
        reader
            .fields
            .iter()
            .map(move |field| format!("{name}.{field}"))
    };
    let of_values = values().map(|(name, _)| name.to_owned());
    ALL.iter().flat_map(of).chain(of_values).collect()
}

/// A probe whose answers the reader of this name reads.
pub fn reads(name: &str) -> Option<&'static str> {
    let reader = ALL.iter().find(|reader| reader.name == name)?;
    reader.reads.first().copied()
}
