//! What rule files hold: probes and rules, as values that were checked.

use std::sync::OnceLock;

use portolan_model::{PortSet, Protocol};
use regex::bytes::Regex;

use super::file::compiled;
use super::template::Template;

/// The name under which what a server says unasked is read.
pub const BANNER: &str = "banner";

/// The answer to a probe whose server waits for more after what is sent, and closes the
/// connection upon another beginning.
pub const WAITS: &[u8] = b"(waits for more, and closes on another beginning)";

/// The intensity that is used unless another is asked for.
pub const DEFAULT_INTENSITY: u8 = 7;

/// Something to send, and where.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its name, in kebab case; rules read its answers by this name.
    pub name: String,
    /// Over what it goes.
    pub protocol: Protocol,
    /// What is sent: the first at once, each further one after an answer. `${host}` and
    /// `${port}` stand for the target.
    pub send: Vec<Vec<u8>>,
    /// Whether the server speaks first, and what is sent waits for that.
    pub waits: bool,
    /// A beginning upon which the server closes the connection, while after what is sent it waits
    /// for more: of protocols that say nothing by themselves. Both are tried; where it is so, the
    /// answer is [`WAITS`].
    pub refuses: Option<Vec<u8>>,
    /// Ports it usually fits; there it is sent first.
    pub ports: PortSet,
    /// The services it asks further once they are known by name.
    pub follows: Vec<String>,
    /// From which intensity on it is sent to any other port, 1 to 9; 10 for never.
    pub intensity: u8,
    /// Below this intensity it is sent nowhere, not even to its own ports.
    pub at_least: u8,
    /// Whether it is sent to any other port over TCP where all that comes before it by its
    /// intensity was recognised by nothing.
    pub last_resort: bool,
    /// Whether UDP scans ask its ports by it too.
    pub scan: bool,
    /// The file it comes from.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
}

/// How an answer is recognised and what it says.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, in kebab case, unique over all files.
    pub name: String,
    /// The protocol that it recognises: `ssh`, `http`.
    pub service: String,
    /// What it reads: [`BANNER`], a probe's name, or a reader's field (`http.server`).
    pub on: Vec<String>,
    /// What must be found there.
    pub pattern: String,
    /// `pattern`, compiled when it is first needed.
    pub(super) regex: OnceLock<Regex>,
    pub(crate) product: Option<Template>,
    pub(crate) version: Option<Template>,
    pub(crate) info: Option<Template>,
    pub(crate) os: Option<Template>,
    pub(crate) hostname: Option<Template>,
    pub(crate) device: Option<Template>,
    pub(crate) cpe: Vec<Template>,
    /// Whether the program hides its version by design.
    pub hidden: bool,
    /// Whether it names the protocol only, so that probing goes on.
    pub soft: bool,
    /// Which of several that match wins; the highest.
    pub priority: u8,
    /// How sure it is, 1 to 10.
    pub confidence: u8,
    /// Answers that it must take.
    pub samples: Vec<Sample>,
    /// The file it comes from.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
}

impl Rule {
    /// Its expression, compiled.
    pub(crate) fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            compiled(&self.pattern).expect("what is not compiled when it is read is tested")
        })
    }
}

/// An answer that a rule must take, and what it must say then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The bytes that were received.
    pub bytes: Vec<u8>,
    /// Which of the rule's sources they are: [`BANNER`], a probe, or a field. The first by
    /// default.
    pub on: Option<String>,
    /// Whether `bytes` is the value of the field itself and not the answer that holds it.
    pub is_value: bool,
    /// The fields that must come out, by name.
    pub expect: Vec<(String, String)>,
    /// Its line in the file, from 1.
    pub line: usize,
}
