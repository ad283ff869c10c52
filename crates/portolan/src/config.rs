//! Defaults from a TOML file, found by the XDG convention or named by `--config`.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use portolan_model::hint::nearest;
use portolan_model::spec::Template;
use portolan_model::{PortList, PortSpec};
use serde::{Deserialize, Deserializer};

use crate::args::{self, ColorChoice};
use crate::failure::{Failure, Result, io_reason, visible};
use crate::{duration, names};

/// What a configuration file can say; its keys are the names of the long options.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Config {
    /// The default ports.
    #[serde(deserialize_with = "port_list")]
    pub(crate) ports: Option<PortList>,
    /// Ports never scanned.
    #[serde(deserialize_with = "ports")]
    pub(crate) exclude_ports: Option<PortSpec>,
    /// Targets never scanned, beside those of the command line.
    pub(crate) exclude: Vec<String>,
    /// Networks that scans are bound to, beside those of the command line.
    pub(crate) scope: Vec<String>,
    /// Bounds on the pace, as the options of the same name.
    #[serde(deserialize_with = "time")]
    pub(crate) timeout: Option<Duration>,
    pub(crate) concurrency: Option<NonZeroU32>,
    pub(crate) max_rate: Option<NonZeroU64>,
    pub(crate) min_rate: Option<NonZeroU64>,
    pub(crate) retries: Option<u8>,
    #[serde(deserialize_with = "timing")]
    pub(crate) timing: Option<Template>,
    pub(crate) skip_discovery: bool,
    #[serde(deserialize_with = "time")]
    pub(crate) host_timeout: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) udp_budget: Option<Duration>,
    pub(crate) udp_certain: bool,
    /// Names and name servers.
    pub(crate) no_dns: bool,
    pub(crate) resolve_all: bool,
    #[serde(deserialize_with = "servers")]
    pub(crate) dns_servers: Vec<std::net::SocketAddr>,
    /// Output.
    pub(crate) open: bool,
    pub(crate) color: Option<ColorChoice>,
    #[serde(deserialize_with = "scanner")]
    pub(crate) xml_scanner: Option<String>,
}

/// Every key, for the hint at a misspelt one.
const KEYS: &[&str] = &[
    "color",
    "concurrency",
    "dns-servers",
    "exclude",
    "exclude-ports",
    "host-timeout",
    "max-rate",
    "min-rate",
    "no-dns",
    "open",
    "ports",
    "resolve-all",
    "retries",
    "scope",
    "skip-discovery",
    "timeout",
    "timing",
    "udp-budget",
    "udp-certain",
    "xml-scanner",
];

/// Other names of options, which are not keys, and the key of each.
const ALIASES: &[(&str, &str)] = &[
    ("max-parallelism", "concurrency"),
    ("max-retries", "retries"),
    ("threads", "concurrency"),
];

/// What each key takes.
fn expected(key: &str) -> &'static str {
    match key {
        "ports" | "exclude-ports" => "ports in quotes, such as \"22,8000-8100\"",
        "exclude" | "scope" => "a list such as [\"192.0.2.1\", \"198.51.100.0/24\"]",
        "dns-servers" => "a list such as [\"192.0.2.53\"]",
        "concurrency" => "a whole number from 1 to 4294967295",
        "max-rate" | "min-rate" => "a whole number of probes a second, at least 1",
        "retries" => "a whole number from 0 to 255",
        "color" => "\"auto\", \"always\" or \"never\"",
        "no-dns" | "open" | "resolve-all" | "skip-discovery" | "udp-certain" => "true or false",
        _ => "text in quotes",
    }
}

/// The largest file that is read: far more than anyone writes.
const MOST_BYTES: u64 = 1 << 20;

/// Which file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// None.
    None,
    /// This one, which must be there.
    Named(PathBuf),
    /// This one, if it is there.
    Found(PathBuf),
}

impl Source {
    /// By the options, else by the XDG Base Directory Specification: `$XDG_CONFIG_HOME` when
    /// it is absolute, else `~/.config`.
    pub(crate) fn new(
        named: Option<&Path>,
        no_config: bool,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        if no_config {
            return Self::None;
        }
        if let Some(path) = named {
            return Self::Named(path.to_owned());
        }
        let absolute = |name| {
            env(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")));
        match base {
            Some(base) => Self::Found(base.join("portolan").join("config.toml")),
            None => Self::None,
        }
    }
}

/// Reads the file of `source`; the defaults where there is none. One that nobody named and that
/// may not be read, such as that of the user whose rights were given up, is a warning.
///
/// # Errors
/// When it cannot be read, or holds what is not known, with its name, line and key.
pub(crate) fn load(source: &Source) -> Result<(Config, Option<Failure>)> {
    let path = match source {
        Source::None => return Ok((Config::default(), None)),
        Source::Named(path) | Source::Found(path) => path,
    };
    let shown = path.display();
    let refused = |why: &str| {
        Failure::new(format!(
            "cannot read the configuration file `{shown}`: {why}"
        ))
    };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(source, Source::Found(_))
                && matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
        {
            return Ok((Config::default(), None));
        }
        Err(error)
            if matches!(source, Source::Found(_))
                && error.kind() == io::ErrorKind::PermissionDenied =>
        {
            let warning = refused(&io_reason(&error));
            return Ok((Config::default(), Some(warning)));
        }
        Err(error) => {
            let failure = refused(&io_reason(&error));
            return Err(match source {
                Source::Found(_) => failure.hint("to go without it, use `--no-config`"),
                _ => failure,
            });
        }
    };
    let parsed = String::from_utf8(bytes)
        .map_err(|_| refused("it is not UTF-8 text"))
        .and_then(|text| parse(&text, &shown.to_string()));
    match parsed {
        Ok(config) => Ok((config, None)),
        // Who did not name it may not know of it.
        Err(failure) if matches!(source, Source::Found(_)) => Err(Failure {
            hint: Some(match failure.hint {
                Some(hint) => format!(
                    "{hint}{} To go without the file, use `--no-config`",
                    if hint.ends_with(['?', '.']) { "" } else { "." }
                ),
                None => "correct the file, or go without it: `--no-config`".to_owned(),
            }),
            ..failure
        }),
        Err(failure) => Err(failure),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Reads the text of the file that is called `name`.
pub(crate) fn parse(text: &str, name: &str) -> Result<Config> {
    toml::from_str(text).map_err(|error| explain(&error, text, name))
}

/// Turns the reader's error into one line with file, line and key.
fn explain(error: &toml::de::Error, text: &str, name: &str) -> Failure {
    let span = error.span().unwrap_or(0..0);
    let (number, line) = line_of(text, &span);
    let at = format!("`{name}`, line {number}");
    let key = line.split_once('=').map(|(key, _)| key.trim());
    let value = text.get(span).unwrap_or(line).trim();
    if error.message().starts_with("unknown field") {
        let failure = Failure::new(format!("{at}: unknown key `{value}`"));
        let alias = ALIASES.iter().find(|(alias, _)| *alias == value);
        let known = alias.map(|&(_, key)| key);
        return failure.hint(
            match known.or_else(|| nearest(value, KEYS.iter().copied())) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("the keys are {}", KEYS.join(", ")),
            },
        );
    }
    let message = error.message().lines().next().unwrap_or("it is not TOML");
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Failure::new(format!("{at}: {message}"));
    };
    // The reader's own words are those of a programmer.
    let is_plain = !["invalid type", "invalid value", "unknown variant"]
        .iter()
        .any(|words| message.starts_with(words));
    if KEYS.contains(&key) && !is_plain {
        let (value, expected) = (visible(value), expected(key));
        return Failure::new(format!("{at}: `{key}` is {value}, expected {expected}"));
    }
    let failure = Failure::new(format!("{at}: `{key}`: {}", visible(message)));
    // A hint on ports is of no use to whoever has forgotten a quote or a bracket.
    if text.parse::<toml::Table>().is_err() {
        return failure;
    }
    let ports = value.trim_matches('"').parse::<PortSpec>();
    match (key, ports.err().and_then(|error| error.hint())) {
        ("ports" | "exclude-ports", Some(hint)) => failure.hint(hint),
        _ => failure,
    }
}

/// The line in which `span` begins, counting from 1.
fn line_of<'a>(text: &'a str, span: &Range<usize>) -> (usize, &'a str) {
    let before = text.get(..span.start).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    (number, text.lines().nth(number - 1).unwrap_or(""))
}

fn port_list<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<PortList>, D::Error> {
    PortList::deserialize(from).map(Some)
}

fn ports<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<PortSpec>, D::Error> {
    PortSpec::deserialize(from).map(Some)
}

/// A time as on the command line: text with a unit, or a number of seconds.
fn time<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Duration>, D::Error> {
    let text = match toml::Value::deserialize(from)? {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        _ => return Err(serde::de::Error::custom("expected a time such as \"2s\"")),
    };
    duration::parse(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

fn timing<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Template>, D::Error> {
    let text = match toml::Value::deserialize(from)? {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        _ => return Err(serde::de::Error::custom(args::TIMING)),
    };
    args::template(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

fn scanner<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    args::scanner(&String::deserialize(from)?)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

fn servers<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Vec<std::net::SocketAddr>, D::Error> {
    Vec::<String>::deserialize(from)?
        .iter()
        .map(|text| names::server(text).map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, Option<String>) {
        let failure = parse(text, "config.toml").unwrap_err();
        (failure.message, failure.hint)
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            r#"
            ports = "22,80"
            exclude-ports = "9100"
            exclude = ["192.0.2.1"]
            timeout = "500ms"
            concurrency = 100
            max-rate = 1000
            min-rate = 10
            retries = 2
            timing = 4
            skip-discovery = true
            no-dns = true
            resolve-all = true
            dns-servers = ["192.0.2.53", "192.0.2.54:5353"]
            open = true
            color = "never"
            host-timeout = "5m"
            udp-budget = "90s"
            udp-certain = true
            xml-scanner = "portolan"
            "#,
            "config.toml",
        )
        .unwrap();
        assert_eq!(config.ports.unwrap().ports.tcp().len(), 2);
        assert_eq!(config.timeout, Some(Duration::from_millis(500)));
        assert_eq!(config.timing, Some(Template::Aggressive));
        assert_eq!(config.host_timeout, Some(Duration::from_mins(5)));
        assert_eq!(config.udp_budget, Some(Duration::from_secs(90)));
        assert!(config.udp_certain);
        assert_eq!(config.dns_servers[1].port(), 5353);
        assert_eq!(config.color, Some(ColorChoice::Never));
        assert!(config.open && config.no_dns && config.resolve_all && config.skip_discovery);
    }

    #[test]
    fn the_list_of_keys_is_the_keys() {
        for key in KEYS {
            let unknown = refused(&format!("{key} = {{ x = 1 }}")).0;
            assert!(!unknown.contains("unknown key"), "{unknown}");
        }
        let refusal = toml::from_str::<Config>("zzz = 1").unwrap_err().to_string();
        assert_eq!(
            refusal.matches('`').count() / 2,
            KEYS.len() + 1,
            "{refusal}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line_with_the_nearest() {
        assert_eq!(
            refused("open = true\n\nmax-rat = 5\n"),
            (
                "`config.toml`, line 3: unknown key `max-rat`".to_owned(),
                Some("did you mean `max-rate`?".to_owned())
            )
        );
        assert_eq!(
            refused("[scan]\nopen = true\n").0,
            "`config.toml`, line 1: unknown key `scan`"
        );
    }

    #[test]
    fn a_bad_value_is_refused_by_key_and_line() {
        assert_eq!(
            refused("open = true\ntimeout = \"-1\"\n").0,
            "`config.toml`, line 2: `timeout`: a time cannot be negative"
        );
        assert_eq!(
            refused("ports = \"0\"\n").0,
            "`config.toml`, line 1: `ports`: port 0 is out of range: ports are 1 to 65535"
        );
        for (line, told) in [
            (
                "retries = \"many\"",
                "`retries` is \"many\", expected a whole number from 0 to 255",
            ),
            (
                "concurrency = 0",
                "`concurrency` is 0, expected a whole number from 1 to 4294967295",
            ),
            (
                "max-rate = -5",
                "`max-rate` is -5, expected a whole number of probes a second, at least 1",
            ),
            (
                "exclude = \"192.0.2.1\"",
                "`exclude` is \"192.0.2.1\", expected a list such as \
                 [\"192.0.2.1\", \"198.51.100.0/24\"]",
            ),
            (
                "open = \"yes\"",
                "`open` is \"yes\", expected true or false",
            ),
            (
                "color = \"red\"",
                "`color` is \"red\", expected \"auto\", \"always\" or \"never\"",
            ),
            (
                "ports = 80",
                "`ports` is 80, expected ports in quotes, such as \"22,8000-8100\"",
            ),
        ] {
            assert_eq!(refused(line).0, format!("`config.toml`, line 1: {told}"));
        }
        assert_eq!(
            refused("ports = \"htttp\"\n"),
            (
                "`config.toml`, line 1: `ports`: no service is named `htttp`".to_owned(),
                Some("did you mean `http`?".to_owned())
            )
        );
        assert_eq!(
            refused("threads = 5\n"),
            (
                "`config.toml`, line 1: unknown key `threads`".to_owned(),
                Some("did you mean `concurrency`?".to_owned())
            )
        );
        assert_eq!(
            refused("ports = [\n"),
            (
                "`config.toml`, line 1: `ports`: unclosed array, expected `]`".to_owned(),
                None
            )
        );
        assert_eq!(refused("ports = \"22\n").1, None);
        assert_eq!(
            refused("timing = \"fast\"\n").0,
            "`config.toml`, line 1: `timing`: expected a number from 0 to 5, or paranoid, sneaky, \
             polite, normal, aggressive or insane"
        );
        assert_eq!(
            refused("xml-scanner = \"\"\n").0,
            "`config.toml`, line 1: `xml-scanner`: expected a name, such as `nmap`"
        );
        assert!(
            refused("open = \n")
                .0
                .starts_with("`config.toml`, line 1: `open`: ")
        );
    }

    #[test]
    fn the_file_is_looked_for_by_the_xdg_convention() {
        let env = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(*value))
            }
        };
        let found = |path: &str| Source::Found(PathBuf::from(path));
        let both: &[_] = &[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(
            Source::new(None, false, env(both)),
            found("/x/portolan/config.toml")
        );
        assert_eq!(
            Source::new(
                None,
                false,
                env(&[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")])
            ),
            found("/h/.config/portolan/config.toml")
        );
        assert_eq!(Source::new(None, false, env(&[])), Source::None);
        assert_eq!(Source::new(None, true, env(both)), Source::None);
    }

    #[test]
    fn a_named_file_must_be_there_and_a_looked_for_one_need_not() {
        let missing = PathBuf::from("/nonexistent/portolan.toml");
        assert_eq!(
            load(&Source::Found(missing.clone())),
            Ok((Config::default(), None))
        );
        assert_eq!(
            load(&Source::Named(missing)).unwrap_err().message,
            "cannot read the configuration file `/nonexistent/portolan.toml`: \
             no such file or directory"
        );
    }

    #[test]
    fn a_broken_file_that_was_not_named_says_how_to_go_without_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        let hint = |text: &str, source: fn(PathBuf) -> Source| {
            fs::write(&file, text).unwrap();
            load(&source(file.clone())).unwrap_err().hint
        };
        assert_eq!(
            hint("ports = \"0\"", Source::Found).unwrap(),
            "correct the file, or go without it: `--no-config`"
        );
        assert_eq!(
            hint("opne = true", Source::Found).unwrap(),
            "did you mean `open`? To go without the file, use `--no-config`"
        );
        assert_eq!(hint("ports = \"0\"", Source::Named), None);
    }
}
