//! What order a place is a place in. A scan that leaves out networks without a route, or finds the
//! hosts of a link first, walks other addresses than it was asked, and may walk others again when
//! it is gone on with. So its places carry a mark of the addresses that they are places among.

use portolan_model::AddressSet;
use portolan_model::event::Reached;
use portolan_scan::Request;

/// The mark stands above all else that a step holds.
const MARK: u32 = 96;

/// A mark of the addresses that are asked in place of those that were wanted; 0 where these are
/// the same.
pub(crate) fn mark(wanted: &AddressSet, asked: &AddressSet) -> u32 {
    if wanted == asked {
        return 0;
    }
    // FNV-1a, 64 bits, of where each range begins and ends, folded into half of that.
    let ends = asked.ranges().flat_map(|(first, last)| [first, last]);
    let bytes = ends.flat_map(|end| match end {
        std::net::IpAddr::V4(end) => end.octets().to_vec(),
        std::net::IpAddr::V6(end) => end.octets().to_vec(),
    });
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    #[expect(clippy::cast_possible_truncation, reason = "a fold of two halves")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded.max(1)
}

/// The place to go on from among the addresses of this mark: the beginning where the place is one
/// among others. A sweep leaves nothing out, and needs all of its step.
pub(crate) fn place(request: &Request, mark: u32) -> Reached {
    let from = request.from;
    if request.sweep.is_some() {
        return from;
    }
    if from.step >> MARK != u128::from(mark) {
        return Reached::default();
    }
    Reached {
        step: from.step & ((1 << MARK) - 1),
        ..from
    }
}

/// A place as it is kept.
pub(crate) fn marked(place: Reached, mark: u32) -> Reached {
    Reached {
        step: place.step | (u128::from(mark) << MARK),
        ..place
    }
}

#[cfg(test)]
mod tests {
    use portolan_model::Target;

    use super::*;

    fn set(text: &str) -> AddressSet {
        text.parse::<Target>().unwrap().addresses().unwrap()
    }

    fn request(from: Reached) -> Request {
        Request {
            from,
            ..crate::runner::tests::request()
        }
    }

    #[test]
    fn a_place_counts_among_the_same_addresses_only() {
        let wanted = set("192.0.2.0/24");
        let mark = mark(&wanted, &set("192.0.2.0/25"));
        let other = super::mark(&wanted, &set("192.0.2.0/26"));
        assert!(mark != 0 && other != 0 && mark != other);
        assert_eq!(super::mark(&wanted, &wanted), 0);
        let here = Reached {
            step: (1 << 56) + 7,
            pass: 2,
            position: 99,
        };
        let kept = request(marked(here, mark));
        assert_eq!(place(&kept, mark), here);
        assert_eq!(place(&kept, other), Reached::default());
        assert_eq!(place(&kept, 0), Reached::default());
        assert_eq!(place(&request(here), 0), here);
    }
}
