//! Before a scan: networks without a route are told of at once, and not walked address by address.

use portolan_model::event::Reached;

use crate::search::Prepared;

/// Up to so many addresses, each is tried: that takes no time, and what the system says of it is
/// the last word.
const FEW: u128 = 1_024;

/// Takes the addresses out of a request to which this machine has no route. A sweep keeps them,
/// unless it is all of them: its checkpoint is a place in an order of all.
pub(crate) fn leave_out(mut prepared: Prepared) -> Prepared {
    let request = &mut prepared.request;
    if request.addresses.len() <= FEW {
        return prepared;
    }
    // What cannot be known now is found out on the way.
    let mut without = portolan_link::without_route(&request.addresses).unwrap_or_default();
    for link in request.zones.links() {
        without = without.without(&link.addresses);
    }
    let left = request.addresses.without(&without);
    let few_or_sweep = without.len() <= FEW || (request.sweep.is_some() && !left.is_empty());
    if few_or_sweep {
        return prepared;
    }
    request.addresses = left;
    // With other routes the order of what is left would be another.
    request.from = Reached::default();
    prepared.has_places = false;
    let problem = portolan_scan::without_route(&without);
    prepared.notes.push(problem);
    prepared
}
