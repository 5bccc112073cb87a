//! Where the buckets are, and how their number follows that of the keys (README: buckets).

use super::layout::FIRST_WORDS;
use super::log::low;
use super::section::{Section, Table};
use crate::arena::Result;
use crate::atomics::Ordering;

/// How many more keys than buckets there can be, and how many more buckets than keys, before that changes.
const KEYS_PER_BUCKET: u64 = 1;
const BUCKETS_PER_KEY: u64 = 3;

impl Table<'_> {
    /// How many buckets there are.
    pub(super) fn buckets(&self) -> u64 {
        // Never more than there are hashes; a larger number is a damaged one, and leads nowhere.
        FIRST_WORDS + self.body.more_buckets.load(Ordering::Relaxed).min(1 << 32)
    }

    /// Which bucket a hash belongs to, of so many.
    pub(super) fn bucket_of(hash: u32, buckets: u64) -> u64 {
        let mask = buckets.checked_next_power_of_two().unwrap_or(1 << 63) - 1;
        let bucket = u64::from(hash) & mask;
        if bucket < buckets {
            bucket
        } else {
            bucket & (mask >> 1)
        }
    }
}

impl Section<'_> {
    /// Have one bucket more, if there are more keys than buckets.
    pub(super) fn split_if_full(&mut self) -> Result<()> {
        let (table, buckets) = (self.table, self.table.buckets());
        let count = table.body.count.load(Ordering::Relaxed);
        if count <= buckets * KEYS_PER_BUCKET || !self.have_word(buckets)? {
            return Ok(());
        }
        let old = Table::bucket_of(buckets as u32, buckets); // where its keys have been
        let (old, new) = (table.place_in_array(old)?, table.place_in_array(buckets)?);
        // Two lists of one: what stands at their ends is changed only where it is not so already.
        let mut ends = [old, new];
        let mut at = low(table.word(old)?);
        self.log_word(new)?.store(0, Ordering::Relaxed); // it may have been a bucket when this section began
        let mut steps = 0;
        while at != 0 {
            table.bound(&mut steps)?;
            let slot = table.slot(at)?;
            let goes = usize::from(Table::bucket_of(slot.hash(), buckets + 1) == buckets);
            self.set_low(ends[goes], at)?;
            ends[goes] = slot.chain_place();
            at = slot.chain();
        }
        for end in ends {
            self.set_low(end, 0)?;
        }
        self.log_roots()?;
        table.body.more_buckets.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Have one bucket less, if there are many more than keys.
    pub(super) fn join_if_empty(&mut self) -> Result<()> {
        let (table, buckets) = (self.table, self.table.buckets());
        let count = table.body.count.load(Ordering::Relaxed);
        if buckets <= FIRST_WORDS || buckets <= count.saturating_mul(BUCKETS_PER_KEY) {
            return Ok(());
        }
        let last = buckets - 1;
        let (gone, mut end) = (
            table.place_in_array(last)?,
            table.place_in_array(Table::bucket_of(last as u32, last))?,
        );
        let first = low(table.word(gone)?);
        let mut steps = 0;
        if first != 0 {
            while low(table.word(end)?) != 0 {
                table.bound(&mut steps)?;
                end = table.slot(low(table.word(end)?))?.chain_place();
            }
            self.set_low(end, first)?;
        }
        self.log_roots()?;
        table.body.more_buckets.fetch_sub(1, Ordering::Relaxed);
        self.forget_word(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_bucket_takes_keys_from_one_other() {
        for buckets in 16..300 {
            for hash in (0..5000_u32).map(|number| number.wrapping_mul(0x9e37_79b9)) {
                let (before, after) = (Table::bucket_of(hash, buckets), Table::bucket_of(hash, buckets + 1));
                let from = Table::bucket_of(buckets as u32, buckets);
                assert!(before < buckets && (before == after || (after == buckets && before == from)));
            }
        }
    }
}
