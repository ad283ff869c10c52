//! How values are written on pages: states with word and shape, moments, spans, numbers.

use portolan_model::Zoned;

use jiff::Timestamp;
use maud::{Markup, html};
use portolan_model::{PortState, Protocol, Reason};
use portolan_report::escape;

use crate::api::views::Service;
use crate::fronts::for_page;

/// Text that came from elsewhere, with hidden characters made visible.
pub(super) fn foreign(text: &str) -> String {
    escape::visible(text).into_owned()
}

/// A message of ours: what stands between backticks, as the shell shows it, is marked.
pub(super) fn said(message: &str) -> Markup {
    let parts: Vec<&str> = message.split('`').collect();
    // One that is left over ends nothing.
    let is_even = parts.len() % 2 == 1;
    html! {
        @for (place, part) in parts.iter().enumerate() {
            @if place % 2 == 0 { (foreign(part)) }
            @else if is_even || place + 1 < parts.len() { (quoted(part)) }
            @else { "`" (foreign(part)) }
        }
    }
}

/// What stands between backticks: a field of the form by its name, all else as code.
fn quoted(part: &str) -> Markup {
    html! {
        @if let Some(field) = for_page(part) { b { (foreign(&field)) } }
        @else { code { (foreign(part)) } }
    }
}

/// How many open ports may be missing.
pub(super) fn missed(expected: f64) -> String {
    if expected <= 0.0 {
        "none".to_owned()
    } else if expected < 0.01 {
        "< 0.01".to_owned()
    } else {
        format!("{expected:.2}")
    }
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    escape::thousands(number)
}

/// "1 port", "2 ports".
pub(super) fn plural(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", count(number))
}

/// The class and the word of a port's state; the sheet adds the shape.
pub(super) fn state(state: PortState) -> Markup {
    html! { span class={ "state " (state_class(state)) } { (state.as_str()) } }
}

/// The name that the sheet has for a state.
pub(super) const fn state_class(state: PortState) -> &'static str {
    match state {
        PortState::Open => "open",
        PortState::Closed => "closed",
        PortState::Filtered => "filtered",
        PortState::OpenFiltered => "maybe",
    }
}

/// How a scan stands, as a badge.
pub(super) fn badge(state: &str) -> Markup {
    html! { span class={ "badge " (state) } { (state) } }
}

/// A moment: in UTC from here, in the reader's zone where scripts run.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) { (at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) } }
}

/// The same, written out in the reader's zone too.
pub(super) fn whole_moment(at: Timestamp) -> Markup {
    html! {
        time datetime=(at.to_string()) data-whole="" {
            (at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        }
    }
}

/// A span in milliseconds, as people say it.
pub(super) fn span(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if seconds < 0.1 {
        return format!("{:.0} ms", ms.max(0.0));
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    if seconds < 59.5 {
        return format!("{seconds:.0} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a span that was shown above to be positive, in whole seconds"
    )]
    let whole = seconds.round() as u64;
    let (large, unit, small, small_unit) = match whole {
        0..3600 => (whole / 60, "min", whole % 60, "s"),
        3600..86_400 => (whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => (whole / 86_400, "d", whole % 86_400 / 3600, "h"),
    };
    if small == 0 {
        format!("{large} {unit}")
    } else {
        format!("{large} {unit} {small} {small_unit}")
    }
}

/// A round-trip time in milliseconds.
pub(super) fn round_trip(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else {
        span(ms)
    }
}

/// A share, 0 to 1; never rounded up to the whole.
pub(super) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 {
        format!("{:.2} %", share * 100.0)
    } else {
        format!("{:.0} %", (share * 100.0).floor())
    }
}

/// How much of `total` is done, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn share(done: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        (done as f64 / total as f64).min(1.0)
    }
}

/// The name of a service, with a mark where it is spoken through TLS.
pub(super) fn service_name(service: &Service) -> String {
    let name = foreign(&service.name);
    if service.tls {
        format!("{name} · TLS")
    } else {
        name
    }
}

/// The program on a port and its version, in a line.
pub(super) fn product(service: Option<&Service>) -> String {
    let Some(service) = service else {
        return String::new();
    };
    let words: Vec<String> = [&service.product, &service.version]
        .into_iter()
        .flatten()
        .map(|word| foreign(word))
        .chain(
            service
                .extra
                .iter()
                .map(|extra| format!("({})", foreign(extra))),
        )
        .collect();
    words.join(" ")
}

/// What a reason means, in a sentence.
pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::SynAck => "it took the connection (SYN/ACK)",
        Reason::Reset => "the host refused at once (RST)",
        Reason::ConnRefused => "the host refused the connection",
        Reason::NoResponse => "nothing came back within the time allowed",
        Reason::PortUnreach => "the host said that nothing listens there (ICMP port unreachable)",
        Reason::HostUnreach => "a router said that the host cannot be reached",
        Reason::NetUnreach => "a router said that the network cannot be reached",
        Reason::ProtoUnreach => "the host said that it does not speak this protocol at all",
        Reason::AdminProhibited => "a firewall said that it does not let this through",
        Reason::UdpResponse => "it answered the datagram",
        Reason::EchoReply => "it answered a ping",
        Reason::TimestampReply => "it answered an ICMP timestamp request",
        Reason::ArpResponse => "it answered on the local network (ARP)",
        Reason::NdpResponse => "it answered on the local network (NDP)",
        Reason::LocalhostResponse => "it is this machine itself",
        Reason::UserSet => "you said so",
    }
}

/// Where a port's page of a scan is.
pub(super) fn port_address(scan: i64, host: Zoned, protocol: Protocol, port: u16) -> String {
    let host = encoded(&host.to_string());
    format!("/scans/{scan}/ports/{host}/{protocol}/{port}")
}

/// Where all that is known of a host is.
pub(super) fn host_address(host: &Zoned) -> String {
    format!("/hosts/{}", encoded(&host.to_string()))
}

/// A text as a part of a query in an address (RFC 3986, 2.1).
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
    out
}

/// An address with these parameters; those without a value are left out.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    let mut mark = '?';
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(mark);
        out.push_str(name);
        out.push('=');
        out.push_str(&encoded(value));
        mark = '&';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        for (ms, said) in [
            (12.0, "12 ms"),
            (420.0, "0.4 s"),
            (12_300.0, "12 s"),
            (60_000.0, "1 min"),
            (200_000.0, "3 min 20 s"),
            (7_500_000.0, "2 h 5 min"),
            (180_000_000.0, "2 d 2 h"),
        ] {
            assert_eq!(span(ms), said);
        }
    }

    #[test]
    fn a_scan_that_is_almost_done_is_not_said_to_be() {
        assert_eq!(percent(share(999_999, 1_000_000)), "99 %");
        assert_eq!(percent(share(0, 0)), "0 %");
        assert_eq!(percent(0.001), "0.10 %");
    }

    #[test]
    fn what_is_quoted_in_a_message_is_marked() {
        let marked = |text: &str| said(text).into_string();
        assert_eq!(marked("`<a>` is none"), "<code>&lt;a&gt;</code> is none");
        assert_eq!(
            marked("write `a` or `b`"),
            "write <code>a</code> or <code>b</code>"
        );
        assert_eq!(marked("it ends `here"), "it ends `here");
        assert_eq!(marked("nothing"), "nothing");
        assert_eq!(marked("set `max_rate 9`"), "set <b>Rate limit 9</b>");
    }

    #[test]
    fn what_is_missed_is_said_as_people_do() {
        assert_eq!([0.0, 0.004, 0.25].map(missed), ["none", "< 0.01", "0.25"]);
    }

    #[test]
    fn what_means_something_in_an_address_is_encoded() {
        assert_eq!(
            address("/scans/1", &[("q", "state:open \"a&b\""), ("cursor", "")]),
            "/scans/1?q=state:open%20%22a%26b%22"
        );
    }
}
