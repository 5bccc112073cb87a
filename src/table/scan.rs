//! Going through a table in the order of insertion, a part at a time (README: what is not exact).

use std::ops::Range;

use super::layout::{OTHERS_HASH, SLOT_HEADER};
use super::links::Slot;
use super::log::low;
use super::section::{put_right, Section, Table};
use crate::arena::Result;
use crate::atomics::Ordering;
use crate::sync::side::Held;

/// A key and its value; the ranges are of the buffer that they were appended to.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which insertion it was.
    pub sequence: u64,
    /// Of the key.
    pub key_kind: u8,
    /// Of its original; 0 without one.
    pub original_kind: u8,
    /// Of the value.
    pub value_kind: u8,
    /// The key's bytes.
    pub key: Range<usize>,
    /// Its original's.
    pub original: Range<usize>,
    /// The value's; empty, if values were not asked for.
    pub value: Range<usize>,
}

/// How far somebody has come.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    /// The last one that was seen.
    sequence: u64,
    /// Some of those that were seen, and where they were then: the last one, and further ones back.
    trail: Vec<(u32, u64)>,
    /// There is no more.
    pub is_at_end: bool,
}

/// How many are between those that are remembered, and how many of these there are.
const TRAIL_STEP: usize = 512;
const TRAIL: usize = 64;

impl Table<'_> {
    /// Append what comes next, `most` at most; the cursor is where that ends. `None`: somebody writes all the while.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn try_scan(
        &self,
        cursor: &Cursor,
        most: usize,
        with_values: bool,
        into: (&mut Vec<u8>, &mut Vec<Item>),
    ) -> Result<Option<Cursor>> {
        let (bytes, items) = into;
        let starts = (bytes.len(), items.len());
        self.try_read(|version| {
            bytes.truncate(starts.0);
            items.truncate(starts.1);
            self.scan_at(cursor, most, with_values, (bytes, items), Some(version))
        })
    }

    /// The same with the lock.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn scan(
        &self,
        _held: &Held,
        cursor: &Cursor,
        most: usize,
        with_values: bool,
        into: (&mut Vec<u8>, &mut Vec<Item>),
    ) -> Result<Cursor> {
        put_right(self)?;
        self.scan_at(cursor, most, with_values, into, None)
    }

    fn scan_at(
        &self,
        cursor: &Cursor,
        most: usize,
        with_values: bool,
        (bytes, items): (&mut Vec<u8>, &mut Vec<Item>),
        version: Option<u64>,
    ) -> Result<Cursor> {
        let mut after = cursor.clone();
        let (mut at, mut steps) = (self.first_after(cursor)?, 0);
        let (mut last, before) = (None, items.len());
        while at != 0 {
            let slot = self.slot(at)?;
            at = slot.next();
            self.go_on(&mut steps, version)?;
            if slot.sequence() <= cursor.sequence {
                continue;
            }
            if items.len() - before >= most {
                at = slot.at;
                break;
            }
            items.push(self.item(slot, with_values, bytes)?);
            after.sequence = slot.sequence();
            if items.len() % TRAIL_STEP == 0 {
                after.trail.push((slot.at, slot.sequence()));
            }
            last = Some((slot.at, slot.sequence()));
        }
        after.trail.extend(last);
        let extra = after.trail.len().saturating_sub(TRAIL);
        after.trail.drain(..extra);
        after.is_at_end = at == 0;
        Ok(after)
    }

    /// A slot behind which, or from which on, is what comes after a cursor.
    fn first_after(&self, cursor: &Cursor) -> Result<u32> {
        for (at, sequence) in cursor.trail.iter().rev() {
            let slot = self.slot(*at)?;
            // What was deleted, or has moved, may look as before; then its bucket does not lead to it.
            if slot.sequence() == *sequence && self.leads_to(slot)? {
                return Ok(slot.next());
            }
        }
        Ok((self.body.ends.load(Ordering::Relaxed) >> 32) as u32)
    }

    fn leads_to(&self, slot: Slot) -> Result<bool> {
        let mut at = low(self.word(self.place_in_array(Self::bucket_of(slot.hash(), self.buckets()))?)?);
        let mut steps = 0;
        while at != 0 && at != slot.at {
            self.bound(&mut steps)?;
            at = self.slot(at)?.chain();
        }
        Ok(at != 0)
    }

    fn item(&self, slot: Slot, with_value: bool, bytes: &mut Vec<u8>) -> Result<Item> {
        let shape = slot.shape();
        let mut take = |from, length: u16| {
            let start = bytes.len();
            self.bytes(slot, from, length.into(), bytes)?;
            Ok::<_, crate::arena::Error>(start..bytes.len())
        };
        Ok(Item {
            sequence: slot.sequence(),
            key_kind: shape.key_kind,
            original_kind: shape.original_kind,
            value_kind: shape.value_kind,
            key: take(SLOT_HEADER, shape.key)?,
            original: take(shape.original_at(), shape.original)?,
            value: take(shape.value_at(), if with_value { shape.value } else { 0 })?,
        })
    }

    /// Append all keys of kind OTHER, with values; return what `Section::others` was then. `None`: somebody writes.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn try_others(&self, into: (&mut Vec<u8>, &mut Vec<Item>)) -> Result<Option<u64>> {
        let (bytes, items) = into;
        self.try_read(|version| {
            bytes.clear();
            items.clear();
            self.others_at((bytes, items), Some(version))
        })
    }

    /// The same with the lock.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn others(&self, _held: &Held, into: (&mut Vec<u8>, &mut Vec<Item>)) -> Result<u64> {
        put_right(self)?;
        self.others_at(into, None)
    }

    fn others_at(&self, (bytes, items): (&mut Vec<u8>, &mut Vec<Item>), version: Option<u64>) -> Result<u64> {
        let mut at = low(self.word(self.place_in_array(Self::bucket_of(OTHERS_HASH, self.buckets()))?)?);
        let mut steps = 0;
        while at != 0 {
            let slot = self.slot(at)?;
            at = slot.chain();
            self.go_on(&mut steps, version)?;
            if slot.hash() == OTHERS_HASH && slot.shape().key_kind == super::layout::OTHER {
                items.push(self.item(slot, true, bytes)?);
            }
        }
        Ok(self.body.others.load(Ordering::Relaxed))
    }
}

impl Section<'_> {
    /// The key that was inserted last, and its value.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn last(&self, bytes: &mut Vec<u8>) -> Result<Option<Item>> {
        match self.table.body.ends.load(Ordering::Relaxed) as u32 {
            0 => Ok(None),
            at => self.table.item(self.table.slot(at)?, true, bytes).map(Some),
        }
    }
}
