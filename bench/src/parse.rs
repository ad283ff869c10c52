//! The open ports in what each tool prints. Lines that are something else are passed over.

use std::collections::BTreeSet;

use serde_json::Value;

/// A number a line.
pub(crate) fn numbers(output: &str) -> BTreeSet<u16> {
    output
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

/// Portolan's JSON lines: a `port` event for each port that is open.
pub(crate) fn json_lines(output: &str) -> BTreeSet<u16> {
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["type"] == "port" && event["state"] == "open")
        .filter_map(|event| event["port"].as_u64()?.try_into().ok())
        .collect()
}

/// nmap's grepable lines: `Host: 192.0.2.1 ()<tab>Ports: 22/open/tcp//ssh///, 80/…`.
pub(crate) fn grepable(output: &str) -> BTreeSet<u16> {
    output
        .lines()
        .filter_map(|line| line.split_once("Ports: "))
        .filter_map(|(_, rest)| rest.split('\t').next())
        .flat_map(|ports| ports.split(','))
        .filter_map(|port| port.trim().split_once("/open/"))
        .filter_map(|(number, _)| number.parse().ok())
        .collect()
}

/// `RustScan`'s greppable lines: `192.0.2.1 -> [22,80]`.
pub(crate) fn arrow(output: &str) -> BTreeSet<u16> {
    output
        .lines()
        .filter_map(|line| line.split_once("-> [")?.1.strip_suffix(']'))
        .flat_map(|ports| ports.split(','))
        .filter_map(|port| port.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(ports: [u16; N]) -> BTreeSet<u16> {
        ports.into()
    }

    #[test]
    fn only_open_port_events_of_json_lines_count() {
        let output = r#"{"type":"started","port":1,"state":"open"}
{"type":"port","host":"127.0.0.1","port":22,"protocol":"tcp","state":"open"}
{"type":"port","host":"127.0.0.1","port":23,"protocol":"tcp","state":"closed"}
{"type":"port","host":"127.0.0.1","port":99999,"protocol":"tcp","state":"open"}
{"type":"port","host":"127.0.0.1","po"#;
        assert_eq!(json_lines(output), set([22]));
    }

    #[test]
    fn only_open_ports_of_grepable_lines_count() {
        let output = "# Nmap 7.93 scan initiated\nHost: 127.0.0.1 ()\tStatus: Up\n\
            Host: 127.0.0.1 ()\tPorts: 22/open/tcp//ssh///, 23/filtered/tcp//telnet///, \
            8080/open/tcp//http-proxy///\tIgnored State: closed (997)\n# Nmap done";
        assert_eq!(grepable(output), set([22, 8080]));
    }

    #[test]
    fn lists_after_an_arrow_are_read() {
        assert_eq!(
            arrow("127.0.0.1 -> [22,80]\n192.0.2.1 -> []"),
            set([22, 80])
        );
    }

    #[test]
    fn numbers_stand_alone_in_their_lines() {
        assert_eq!(numbers("22\n80 \nsaid 443\n"), set([22, 80]));
    }
}
