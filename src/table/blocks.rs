//! Large values: the table's references to their blocks (README: large values).

use super::layout::BLOCK_VALUE;
use super::section::{Section, Table};
use crate::arena::heap::{go_on, Heap};
use crate::arena::layout::ENTRIES;
use crate::arena::tag::of_entry;
use crate::arena::{Error, Result};
use crate::atomics::Ordering;

impl Section<'_> {
    /// Have the table refer to a block; return where the reference is, and that.
    pub(super) fn add_reference(&mut self, entry: u64) -> Result<[u64; 2]> {
        self.reserve_log(3)?; // which may need the heap itself
        let table = self.table;
        let heap = table.arena.heap(&mut go_on)?;
        let place = table.vacancy(&heap)?;
        self.log_added(place, entry)?;
        heap.set_entry(place, entry)?;
        Ok([place, entry])
    }
}

impl Table<'_> {
    /// Drop a reference, if it is still there.
    pub(super) fn drop_reference(&self, place: u64, entry: u64) -> Result<()> {
        self.body.vacated.fetch_add(1, Ordering::Relaxed);
        self.arena.heap(&mut go_on)?.clear_entry(place, entry)
    }

    /// Room for a reference. It is looked for where there was some before, and from the beginning when it is worth it.
    pub(super) fn vacancy(&self, heap: &Heap<'_>) -> Result<u64> {
        let body = self.body;
        let last = match body.vacancy.load(Ordering::Relaxed) {
            0 => None,
            block => Some(&self.arena.references(block)?.next),
        };
        let from_the_beginning = last.is_none() || body.vacated.load(Ordering::Relaxed) >= ENTRIES as u64;
        let mut found = match last {
            Some(link) => heap.vacant_entry_from(link, !from_the_beginning)?,
            None => None,
        };
        if found.is_none() {
            body.vacated.store(0, Ordering::Relaxed);
            body.vacancy.store(0, Ordering::Relaxed);
            found = heap.vacant_entry_from(&body.references, true)?;
        }
        let (place, before) = found.ok_or(Error::Corrupt("a table has no room for a reference"))?;
        if before != 0 {
            body.vacancy.store(before, Ordering::Relaxed);
        }
        Ok(place)
    }
}

impl Table<'_> {
    /// Where the table's reference to the block of a value is, and that.
    pub(super) fn reference_at(&self, place: u64, length: usize) -> Result<[u64; 2]> {
        if length != BLOCK_VALUE {
            return Err(Error::Corrupt(
                "a table's value lies in a block, and does not say where",
            ));
        }
        let words = self.words(place, 2)?;
        Ok([words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)])
    }
}

/// Offset and generation of the block that a value lies in, of what was read for it.
#[must_use]
pub fn block_of(value: &[u8]) -> Option<(u64, u32)> {
    let (_, entry) = value.split_first_chunk::<8>()?;
    Some(of_entry(u64::from_ne_bytes(entry.try_into().ok()?)))
}
