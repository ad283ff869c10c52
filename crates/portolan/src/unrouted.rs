//! Before a scan: networks without a route are told of at once, and not walked address by address.

use crate::search::Prepared;

/// Where nothing else is left, up to so many addresses are tried one by one: that takes no time, and
/// what the system says of each is the last word.
const FEW: u128 = 1_024;

/// Takes the addresses out of a request to which this machine has no route. A sweep keeps them,
/// unless it is all of them: its checkpoint is a place in an order of all.
pub(crate) fn leave_out(mut prepared: Prepared) -> Prepared {
    let request = &mut prepared.request;
    if request.addresses.len() <= 1 {
        return prepared;
    }
    // What cannot be known now is found out on the way.
    let mut without = portolan_link::without_route(&request.addresses).unwrap_or_default();
    for link in request.zones.links() {
        without = without.without(&link.addresses);
    }
    let left = request.addresses.without(&without);
    let is_kept = if left.is_empty() {
        without.len() <= FEW
    } else {
        without.is_empty() || request.sweep.is_some()
    };
    if is_kept {
        return prepared;
    }
    request.addresses = left;
    let problem = portolan_scan::without_route(&without);
    prepared.notes.push(problem);
    prepared
}
