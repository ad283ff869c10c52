//! Packets to send, back to back.

use std::ops::Range;

/// Packets to send, back to back in one buffer that is used again.
///
/// ```
/// use portolan_scan::device::Batch;
///
/// let mut batch = Batch::new();
/// batch.push(3).copy_from_slice(&[1, 2, 3]);
/// batch.push(2).copy_from_slice(&[4, 5]);
/// batch.drop_front(1);
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [&[4, 5]]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<usize>,
    /// How many at the front were dropped.
    dropped: usize,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a packet of `len` bytes, all zero; the caller writes it.
    pub fn push(&mut self, len: usize) -> &mut [u8] {
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        self.ends.push(start + len);
        &mut self.bytes[start..]
    }

    /// Takes the last packet off.
    pub fn pop(&mut self) {
        if self.is_empty() {
            return;
        }
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// How many packets are left.
    pub fn len(&self) -> usize {
        self.ends.len() - self.dropped
    }

    /// Whether no packet is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packet at `index` of those that are left.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.range(self.dropped + index)?)
    }

    /// The packets that are left, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Takes packets off the front, such as those that were sent. Their room is used again.
    pub fn drop_front(&mut self, count: usize) {
        self.dropped = (self.dropped + count).min(self.ends.len());
        if self.is_empty() {
            self.clear();
        } else if self.dropped > self.len() {
            // Fewer are left than were dropped, so that moving them costs each packet no more than
            // once over; and a batch that never runs empty stays short.
            let start = self.ends[self.dropped - 1];
            self.bytes.drain(..start);
            self.ends.drain(..self.dropped);
            for end in &mut self.ends {
                *end -= start;
            }
            self.dropped = 0;
        }
    }

    /// Takes all packets off; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.dropped = 0;
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(Vec<u8>),
        Pop,
        DropFront(usize),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..9).prop_map(Step::Push),
            1 => Just(Step::Pop),
            2 => (0_usize..4).prop_map(Step::DropFront),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_of_packets_would(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut batch, mut model) = (Batch::new(), Vec::<Vec<u8>>::new());
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        batch.push(bytes.len()).copy_from_slice(&bytes);
                        model.push(bytes);
                    }
                    Step::Pop => {
                        batch.pop();
                        model.pop();
                    }
                    Step::DropFront(count) => {
                        batch.drop_front(count);
                        model.drain(..count.min(model.len()));
                    }
                    Step::Clear => {
                        batch.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(batch.len(), model.len());
                prop_assert!(batch.iter().eq(model.iter().map(Vec::as_slice)));
            }
        }
    }

    #[test]
    fn a_new_packet_is_zero_where_an_old_one_was() {
        let mut batch = Batch::new();
        batch.push(2).fill(7);
        batch.clear();
        assert_eq!(batch.push(2), [0, 0]);
    }

    #[test]
    fn a_batch_that_never_runs_empty_stays_short() {
        let mut batch = Batch::new();
        batch.push(60);
        for number in 0..1_000_u64 {
            batch.push(60)[..8].copy_from_slice(&number.to_be_bytes());
            batch.drop_front(1);
            assert_eq!(batch.get(0).unwrap()[..8], number.to_be_bytes());
        }
        assert!(batch.bytes.capacity() < 1_000, "{}", batch.bytes.capacity());
    }

    #[test]
    fn sending_again_and_again_takes_no_more_memory() {
        let mut batch = Batch::new();
        for _ in 0..1_000 {
            for _ in 0..10 {
                batch.push(60);
            }
            batch.drop_front(4);
            batch.drop_front(6);
        }
        assert!(batch.bytes.capacity() < 2_000, "{}", batch.bytes.capacity());
    }
}
