//! What a scanner said of the lab, held against the truth.

use std::collections::BTreeMap;

use super::daemon::Transport;
use super::truth::Endpoint;

/// What a scanner said of a port, with empty texts for what it did not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Whether it rests on an answer, and not on the number of the port.
    pub(crate) probed: bool,
    pub(crate) service: String,
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) tls: bool,
}

/// How one field was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Named as it is.
    Right,
    /// Nothing was said, and something could have been.
    Missed,
    /// Something else was said.
    Wrong,
    /// The wire does not show it, and nothing was said, or nothing that is untrue.
    Open,
}

/// The verdicts for one port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) service: Verdict,
    pub(crate) product: Verdict,
    pub(crate) version: Verdict,
    pub(crate) tls: Verdict,
}

/// Holds a claim against the truth.
pub(crate) fn judge(truth: &Endpoint, claim: &Claim) -> Judged {
    Judged {
        service: if !claim.probed || claim.service.is_empty() || claim.service == "unknown" {
            if truth.service.iter().any(String::is_empty) {
                Verdict::Open
            } else {
                Verdict::Missed
            }
        } else if truth.service.contains(&claim.service) {
            Verdict::Right
        } else {
            Verdict::Wrong
        },
        product: product(truth, &claim.product),
        version: version(truth, &claim.version),
        tls: match (truth.tls, claim.tls) {
            (true, true) => Verdict::Right,
            (true, false) => Verdict::Missed,
            (false, true) => Verdict::Wrong,
            (false, false) => Verdict::Open,
        },
    }
}

fn product(truth: &Endpoint, claim: &str) -> Verdict {
    let claim = claim.to_lowercase();
    let names = || truth.product.iter().filter(|name| !name.is_empty());
    let is_hidden = truth.product.iter().any(String::is_empty);
    let is_named = names().any(|name| claim.contains(&name.to_lowercase()));
    match (is_hidden, claim.is_empty()) {
        (true, true) => Verdict::Open,
        (false, true) => Verdict::Missed,
        _ if is_named => Verdict::Right,
        // Where no product shows, the name of the protocol or of the daemon claims nothing untrue.
        (true, false)
            if truth
                .service
                .iter()
                .chain([&truth.daemon])
                .any(|name| claim.contains(&name.to_lowercase())) =>
        {
            Verdict::Open
        }
        _ => Verdict::Wrong,
    }
}

fn version(truth: &Endpoint, claim: &str) -> Verdict {
    let is_other = || {
        truth
            .other_version
            .as_deref()
            .is_some_and(|other| holds(claim, other))
    };
    match (truth.version.as_deref(), claim.is_empty()) {
        (Some(_), true) => Verdict::Missed,
        (None, true) => Verdict::Open,
        (Some(version), false) if holds(claim, version) => Verdict::Right,
        (None, false) if is_other() => Verdict::Open,
        _ => Verdict::Wrong,
    }
}

/// Whether `claim` names `version`: alone or among other words, but not as part of a longer one.
fn holds(claim: &str, version: &str) -> bool {
    let is_digit = |character: char| character.is_ascii_digit();
    claim.match_indices(version).any(|(at, _)| {
        let before = claim.get(..at).unwrap_or_default();
        let after = claim.get(at + version.len()..).unwrap_or_default();
        !before.ends_with(|character| is_digit(character) || character == '.')
            && !after.starts_with(is_digit)
            && !after
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(is_digit))
    })
}

/// Reads the ports of a document in nmap's XML.
pub(crate) fn read_xml(document: &str) -> BTreeMap<(Transport, u16), Claim> {
    document
        .split("<port ")
        .skip(1)
        .filter_map(|text| {
            let text = text.split("</port>").next()?;
            let (port, rest) = text.split_once('>')?;
            let protocol = match attribute(port, "protocol").as_str() {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            let number = attribute(port, "portid").parse().ok()?;
            let service = rest
                .split_once("<service ")
                .and_then(|(_, rest)| rest.split('>').next())
                .unwrap_or_default();
            let claim = Claim {
                probed: attribute(service, "method") == "probed",
                service: attribute(service, "name"),
                product: attribute(service, "product"),
                version: attribute(service, "version"),
                tls: attribute(service, "tunnel") == "ssl",
            };
            Some(((protocol, number), claim))
        })
        .collect()
}

/// Reads what `portolan detect --json` prints, an object a line.
pub(crate) fn read_json(lines: &str) -> BTreeMap<(Transport, u16), Claim> {
    lines
        .lines()
        .filter_map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            let protocol = match value["protocol"].as_str()? {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                _ => return None,
            };
            let port = u16::try_from(value["port"].as_u64()?).ok()?;
            let service = &value["service"];
            let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
            let claim = Claim {
                probed: text("method") == "probed",
                service: text("name"),
                product: text("product"),
                version: text("version"),
                tls: service["tls"].as_bool().unwrap_or_default(),
            };
            Some(((protocol, port), claim))
        })
        .collect()
}

/// The value of an attribute; empty where it is not there.
fn attribute(tag: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    let padded = format!(" {tag}");
    padded
        .split_once(&start)
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or_default()
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nginx() -> Endpoint {
        Endpoint {
            daemon: "nginx".to_owned(),
            port: 80,
            protocol: Transport::Tcp,
            service: vec!["http".to_owned()],
            product: vec!["nginx".to_owned()],
            version: Some("1.22.1".to_owned()),
            other_version: None,
            tls: false,
        }
    }

    fn claim(product: &str, version: &str) -> Claim {
        Claim {
            probed: true,
            service: "http".to_owned(),
            product: product.to_owned(),
            version: version.to_owned(),
            tls: false,
        }
    }

    #[test]
    fn a_version_is_right_only_when_it_is_whole() {
        let verdict = |version| judge(&nginx(), &claim("nginx", version)).version;
        assert_eq!(verdict("1.22.1"), Verdict::Right);
        assert_eq!(verdict("1.22.1 (Ubuntu)"), Verdict::Right);
        assert_eq!(verdict("1.22.1.v2026"), Verdict::Right);
        assert_eq!(verdict("1.22.10"), Verdict::Wrong);
        assert_eq!(verdict("1.22.1.2"), Verdict::Wrong);
        assert_eq!(verdict("11.22.1"), Verdict::Wrong);
        assert_eq!(verdict("1.22"), Verdict::Wrong);
        assert_eq!(verdict(""), Verdict::Missed);
    }

    #[test]
    fn a_version_that_the_wire_hides_is_wrong_whatever_it_is() {
        let hidden = Endpoint {
            version: None,
            ..nginx()
        };
        assert_eq!(
            judge(&hidden, &claim("nginx", "1.22.1")).version,
            Verdict::Wrong
        );
        assert_eq!(judge(&hidden, &claim("nginx", "")).version, Verdict::Open);
    }

    #[test]
    fn the_name_of_a_port_is_no_detection() {
        let guess = Claim {
            probed: false,
            ..claim("", "")
        };
        assert_eq!(judge(&nginx(), &guess).service, Verdict::Missed);
    }

    #[test]
    fn what_says_nothing_may_have_no_name() {
        let silent = Endpoint {
            service: vec![String::new()],
            ..nginx()
        };
        let guess = Claim {
            probed: false,
            ..claim("", "")
        };
        assert_eq!(judge(&silent, &guess).service, Verdict::Open);
        assert_eq!(judge(&silent, &claim("", "")).service, Verdict::Wrong);
    }

    #[test]
    fn another_product_is_wrong_also_where_none_shows() {
        let bare = Endpoint {
            product: vec![String::new()],
            ..nginx()
        };
        assert_eq!(judge(&bare, &claim("Apache", "")).product, Verdict::Wrong);
        assert_eq!(judge(&bare, &claim("", "")).product, Verdict::Open);
        assert_eq!(judge(&nginx(), &claim("", "")).product, Verdict::Missed);
    }

    #[test]
    fn ports_are_read_from_lines_of_json() {
        let lines = r#"{"address":"127.0.0.1","protocol":"udp","port":53,"service":{"name":"domain","product":"Unbound","version":"1.17.1","method":"probed"}}
            {"address":"127.0.0.1","protocol":"udp","port":137,"service":null}"#;
        let claims = read_json(lines);
        let dns = &claims[&(Transport::Udp, 53)];
        assert!(dns.probed && !dns.tls);
        assert_eq!(dns.version, "1.17.1");
        assert_eq!(claims[&(Transport::Udp, 137)], Claim::default());
    }

    #[test]
    fn ports_are_read_from_xml() {
        let document = r#"<ports><extraports state="closed" count="1"/>
            <port protocol="tcp" portid="443"><state state="open" reason="syn-ack" reason_ttl="0"/>
            <service name="http" product="a &amp; b" version="1" tunnel="ssl" method="probed" conf="10"><cpe>x</cpe></service></port>
            <port protocol="udp" portid="53"><state state="open"/></port></ports>"#;
        let claims = read_xml(document);
        assert_eq!(claims.len(), 2);
        let https = &claims[&(Transport::Tcp, 443)];
        assert!(https.tls && https.probed);
        assert_eq!(https.product, "a & b");
        assert_eq!(claims[&(Transport::Udp, 53)], Claim::default());
    }
}
