//! Where the buckets are, and how their number follows that of the keys (README: buckets).

use super::layout::{Use, CONTENT_AT, FIRST_BUCKETS, LARGE_SEGMENTS, PAGE_WORDS, SMALL_SEGMENTS};
use super::section::{Section, Table};
use crate::arena::layout::SLAB;
use crate::arena::{Error, Result};
use crate::atomics::{AtomicU64, Ordering};

/// Buckets that pages other than the largest ones have.
const BEFORE_LARGE: u64 = FIRST_BUCKETS + SMALL_SEGMENTS[0] + SMALL_SEGMENTS[1] + SMALL_SEGMENTS[2];
/// How many more keys than buckets there can be, and how many more buckets than keys, before that changes.
const KEYS_PER_BUCKET: u64 = 1;
const BUCKETS_PER_KEY: u64 = 3;

/// Where a bucket is: in the body, or in a page to which a word leads.
enum Where<'a> {
    Body(&'a AtomicU64),
    Page {
        link: &'a AtomicU64,
        index: u64,
        words: u64,
    },
    /// In a page to which a word of the directory leads.
    Further {
        entry: u64,
        index: u64,
    },
}

impl Table<'_> {
    /// How many buckets there are.
    pub(super) fn buckets(&self) -> u64 {
        // Never more than there are hashes; a larger number is a damaged one, and leads nowhere.
        FIRST_BUCKETS + self.body.more_buckets.load(Ordering::Relaxed).min(1 << 32)
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

    /// The offset of a bucket, which is where its first slot's number stands.
    pub(super) fn place_of_bucket(&self, bucket: u64) -> Result<u64> {
        match self.where_is(bucket) {
            Where::Body(word) => Ok(self.place_of(word)),
            Where::Page { link, index, .. } => Ok(in_page(link.load(Ordering::Relaxed), index)),
            Where::Further { entry, index } => {
                let directory = self.body.directory.load(Ordering::Relaxed);
                let link = self.word(in_page(directory, entry))?;
                Ok(in_page(link.load(Ordering::Relaxed), index))
            }
        }
    }

    fn where_is(&self, bucket: u64) -> Where<'_> {
        let body = self.body;
        if let Some(word) = body.first_buckets.get(bucket as usize) {
            return Where::Body(word);
        }
        if let Some(beyond) = bucket.checked_sub(BEFORE_LARGE) {
            let (page, index) = (beyond / PAGE_WORDS, beyond % PAGE_WORDS);
            return match body.large_segments.get(page as usize) {
                Some(link) => Where::Page {
                    link,
                    index,
                    words: PAGE_WORDS,
                },
                None => Where::Further {
                    entry: page - LARGE_SEGMENTS,
                    index,
                },
            };
        }
        let mut index = bucket - FIRST_BUCKETS;
        for (link, words) in body.small_segments.iter().zip(SMALL_SEGMENTS) {
            if index < words {
                return Where::Page { link, index, words };
            }
            index -= words;
        }
        unreachable!("those are all before the large ones")
    }
}

fn in_page(page: u64, index: u64) -> u64 {
    page.wrapping_add(CONTENT_AT).wrapping_add(index.wrapping_mul(8))
}

impl Section<'_> {
    /// Have one bucket more, if there are more keys than buckets.
    pub(super) fn split_if_full(&mut self) -> Result<()> {
        let (table, buckets) = (self.table, self.table.buckets());
        let count = table.body.count.load(Ordering::Relaxed);
        if count <= buckets * KEYS_PER_BUCKET || !self.have_room_for(buckets)? {
            return Ok(());
        }
        let old = Table::bucket_of(buckets as u32, buckets); // where its keys have been
        let (old, new) = (table.place_of_bucket(old)?, table.place_of_bucket(buckets)?);
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
        if buckets <= FIRST_BUCKETS || buckets <= count.saturating_mul(BUCKETS_PER_KEY) {
            return Ok(());
        }
        let last = buckets - 1;
        let (gone, mut end) = (
            table.place_of_bucket(last)?,
            table.place_of_bucket(Table::bucket_of(last as u32, last))?,
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
        match table.where_is(last) {
            Where::Page { link, index: 0, .. } => {
                let place = table.place_of(link);
                self.forget_page(place)?;
            }
            Where::Further { entry, index: 0 } => {
                let directory = table.body.directory.load(Ordering::Relaxed);
                self.forget_page(in_page(directory, entry))?;
                if entry == 0 {
                    self.forget_page(table.place_of(&table.body.directory))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Have the page that a bucket is in; false when there can be no more.
    fn have_room_for(&mut self, bucket: u64) -> Result<bool> {
        let table = self.table;
        match table.where_is(bucket) {
            Where::Page { link, index: 0, words } => {
                let place = table.place_of(link);
                self.have_page(place, words)?;
            }
            Where::Further { entry, .. } if entry >= PAGE_WORDS => return Ok(false),
            Where::Further { entry, index: 0 } => {
                if entry == 0 {
                    self.have_page(table.place_of(&table.body.directory), PAGE_WORDS)?;
                }
                let directory = table.body.directory.load(Ordering::Relaxed);
                self.have_page(in_page(directory, entry), PAGE_WORDS)?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// Have a page for buckets, to which a word leads.
    fn have_page(&mut self, link_place: u64, words: u64) -> Result<()> {
        let page = self.table.new_page((CONTENT_AT + words * 8).min(SLAB))?;
        self.use_page(page, Use::Buckets)?;
        self.log_word(link_place)?.store(page, Ordering::Relaxed);
        Ok(())
    }

    /// Have nothing in the page any more to which a word leads.
    fn forget_page(&mut self, link_place: u64) -> Result<()> {
        let link = self.log_word(link_place)?;
        let page = link.swap(0, Ordering::Relaxed);
        self.disuse_page(page, Use::Buckets)
    }

    /// Store a number in the low half of a word, if it is another one.
    pub(super) fn set_low(&mut self, place: u64, number: u32) -> Result<()> {
        let seen = self.table.word(place)?.load(Ordering::Relaxed);
        if seen as u32 != number {
            let word = self.log_word(place)?;
            word.store(seen >> 32 << 32 | u64::from(number), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Store a number in the high half of a word.
    pub(super) fn set_high(&mut self, place: u64, number: u32) -> Result<()> {
        let seen = self.table.word(place)?.load(Ordering::Relaxed);
        let word = self.log_word(place)?;
        word.store(seen & u64::from(u32::MAX) | u64::from(number) << 32, Ordering::Relaxed);
        Ok(())
    }
}

/// The number in the low half of a word.
pub(super) fn low(word: &AtomicU64) -> u32 {
    word.load(Ordering::Relaxed) as u32
}

impl Table<'_> {
    /// Count a step of a walk. `Corrupt` when there are more than there can be slots.
    pub(super) fn bound(&self, steps: &mut u64) -> Result<()> {
        *steps += 1;
        if *steps > self.arena.slabs() * (SLAB / 48) {
            return Err(Error::Corrupt("a table's list runs in a circle"));
        }
        Ok(())
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
