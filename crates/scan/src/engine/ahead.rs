//! What comes next in the order of a block, a few pairs at a time.

use std::hint::black_box;

use super::state::Host;
use crate::bits::Bits;
use crate::plan::Block;

/// Pairs that are looked up at once: the processor waits for one of them and not for each.
const COUNT: u64 = 16;

/// The pairs at positions that follow each other.
///
/// Whether a pair is settled is one bit of millions, and pairs come in random order: each bit is far
/// from the processor, which costs as much as a tenth of sending the probe. Asked for together, all
/// are on their way at once.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    first: u64,
    pairs: Vec<u64>,
}

impl Ahead {
    /// The pair at a position, whose bit and host are near by now.
    pub(super) fn pair(
        &mut self,
        block: &Block<'_>,
        settled: &Bits,
        hosts: &[Host],
        position: u64,
    ) -> u64 {
        let known = |ahead: &Self| {
            let place = usize::try_from(position.checked_sub(ahead.first)?).ok()?;
            ahead.pairs.get(place).copied()
        };
        if let Some(pair) = known(self) {
            return pair;
        }
        self.first = position;
        self.pairs.clear();
        let end = position.saturating_add(COUNT).min(block.pairs());
        self.pairs
            .extend((position..end).map(|position| block.pair_at(position)));
        let touched = self.pairs.iter().fold(0, |count, &pair| {
            let host = hosts.get(block.host(pair) as usize);
            count + u32::from(settled.is_set(pair)) + u32::from(host == Some(&Host::Up))
        });
        // Else nothing would be loaded that nobody uses.
        black_box(touched);
        known(self).unwrap_or_else(|| block.pair_at(position))
    }
}

#[cfg(test)]
mod tests {
    use portolan_model::{PortSet, Protocol, Target};

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn it_gives_the_pairs_of_the_order_wherever_it_is_asked() {
        let addresses = "192.0.2.0/28".parse::<Target>().unwrap().addresses();
        let ports = PortSet::from_range(1, 7);
        let plan = Plan::new(addresses.unwrap(), Protocol::Tcp, &ports, 1).unwrap();
        let block = plan.block(0);
        let (settled, hosts) = (Bits::new(block.pairs()), vec![Host::Unknown; 16]);
        let mut ahead = Ahead::default();
        let there = 0..block.pairs();
        // On and on, back, to and fro, and beyond the end.
        let to_and_fro = there.clone().map(|at| at * 37 % 112);
        for position in there
            .clone()
            .chain(there.rev())
            .chain(to_and_fro)
            .chain([112, 400])
        {
            let pair = ahead.pair(&block, &settled, &hosts, position);
            assert_eq!(pair, block.pair_at(position), "{position}");
        }
    }
}
