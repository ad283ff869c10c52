//! Targets that no scan can hold, known before it starts: addresses that mean no host, broadcast
//! addresses of this machine's networks, and more than can be counted.

use std::net::IpAddr;

use portolan_model::event::Problem;
use portolan_model::spec::Discovery;
use portolan_model::{AddressSet, ScanSpec, Target};

use super::Error;
use crate::failure::Failure;

/// What is said of a target that no host can have as its address: otherwise it would be left
/// out in silence, as such addresses within a larger network are (RFC 1122, 3.2.1.3; RFC 4291,
/// 2.5.2 and 2.7).
pub(crate) fn no_host(target: &Target) -> Option<Problem> {
    let set = target.addresses()?;
    let all = |is_such: fn(IpAddr) -> bool| {
        // Both families' multicast addresses are one block: what begins and ends there is in it.
        set.ranges()
            .all(|(first, last)| is_such(first) && is_such(last))
    };
    let is_broadcast = |address| match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    let (what, hint) = if all(is_broadcast) {
        (
            "this is the broadcast address, which means every host of a link",
            "write the network instead, as in `192.0.2.0/24`",
        )
    } else if all(|address| address.is_multicast()) {
        (
            "these are multicast addresses, each of which means a group of hosts",
            "write the addresses of the hosts themselves",
        )
    } else if all(|address| address.is_unspecified()) {
        (
            "this address means no host",
            "this machine is `127.0.0.1`, or `::1` in IPv6",
        )
    } else {
        return None;
    };
    let what = match target {
        Target::Address(address) if address.is_multicast() => {
            "this is a multicast address, which means a group of hosts"
        }
        _ => what,
    };
    Some(Problem {
        about: target.to_string(),
        message: format!("cannot scan `{target}`: {what}"),
        hint: Some(hint.to_owned()),
        left_out: true,
    })
}

/// What is said of a target of which the routes of this machine say that no host has any of its
/// addresses: the broadcast address of one of its networks. The scan would say the same.
pub(crate) fn of_a_link(target: &Target) -> Option<Problem> {
    let set = target.addresses()?.canonical();
    // In a larger target there are hosts as well.
    if set.len() > 2 || target.zone().is_some() {
        return None;
    }
    let no_hosts = portolan_link::no_hosts(&set).ok()?;
    (no_hosts == set).then(|| portolan_scan::no_host(&target.to_string()))
}

/// Why a scan of so many addresses cannot start; nothing where it can.
pub(crate) fn too_large(spec: &ScanSpec, addresses: &AddressSet) -> Option<Failure> {
    let counts = spec
        .protocols()
        .into_iter()
        .map(|of| spec.ports.of(of).len() as u128);
    let ports = match spec.discovery {
        Discovery::Only => 1,
        Discovery::Auto | Discovery::Skip => counts.max().unwrap_or(1),
    };
    let refused = |addresses: &AddressSet| {
        let probes = addresses.len().saturating_mul(ports);
        (probes > u128::from(portolan_scan::permutation::MAX_LEN))
            .then_some(portolan_scan::Error::TooLarge { probes })
    };
    refused(addresses)?;
    // What has no route is left out before it is counted.
    let without = portolan_link::without_route(addresses).unwrap_or_default();
    let left = addresses.without(&without);
    if left.is_empty() {
        let problem = portolan_scan::without_route(&without);
        return Some(Failure {
            message: problem.message,
            hint: problem.hint,
        });
    }
    refused(&left).map(|error| crate::scan::plain(&Error::Engine(error)))
}
