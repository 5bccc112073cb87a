//! What a writer can do, in a section.

use super::layout::{Shape, BLOCK_VALUE, IN_BLOCK, LONGEST_KEY, LONGEST_VALUE, OTHER, SLOT_HEADER};
use super::links::Slot;
use super::read::{Found, Key, Original};
use super::section::Section;
use super::slots::{copy, store_bytes};
use crate::arena::tag::entry;
use crate::arena::{Error, Handle, Result};
use crate::atomics::{AtomicU64, Ordering};

const JOINS: usize = 4;

/// A value: of a kind that is the caller's, below `IN_BLOCK`.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// `LONGEST_VALUE` at most.
    Bytes(u8, &'a [u8]),
    /// A block, to which this process has a reference. From now on nobody writes to it.
    Block(u8, &'a Handle),
}

impl Value<'_> {
    /// Bytes in its slot.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Bytes(_, bytes) => bytes.len(),
            Self::Block(..) => BLOCK_VALUE,
        }
    }

    /// As a slot has it.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Bytes(kind, _) => kind & !IN_BLOCK,
            Self::Block(kind, _) => kind | IN_BLOCK,
        }
    }
}

/// What came of storing a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The key is a new one.
    Inserted,
    /// It had another value.
    Replaced,
    /// It has a value of a kind that this one is not to replace; nothing was done.
    OfOtherKind,
}

/// What came of adding to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// This is the value now.
    Done(i64),
    /// It is no such number, or would not be one any more; nothing was done.
    Unfit,
}

impl Section<'_> {
    /// The value of a key, appended to a buffer.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn get(&self, key: Key<'_>, into: &mut Vec<u8>) -> Result<Option<Found>> {
        self.table.get_at(key, into, None)
    }

    /// Have a key, with this value.
    ///
    /// # Errors
    /// `Full`, `Corrupt`, and what the heap says.
    pub fn set(&mut self, key: Key<'_>, original: Original<'_>, value: Value<'_>) -> Result<Put> {
        self.set_if(key, original, value, |_| true)
    }

    /// The same, if the key is not there, or has a value of a kind of which something holds.
    ///
    /// # Errors
    /// As above.
    pub fn set_if(
        &mut self,
        key: Key<'_>,
        original: Original<'_>,
        value: Value<'_>,
        replaces: impl Fn(u8) -> bool,
    ) -> Result<Put> {
        match self.table.find(key, None)? {
            (_, None) => self.insert(key, original, value).map(|()| Put::Inserted),
            (_, Some(slot)) if !replaces(slot.shape().value_kind) => Ok(Put::OfOtherKind),
            (link, Some(slot)) => self.replace(slot, link, value).map(|()| Put::Replaced),
        }
    }

    /// The number that the next key of kind OTHER that is inserted has for bytes.
    #[must_use]
    pub fn next_other(&self) -> u64 {
        self.table.body.sequence.load(Ordering::Relaxed).wrapping_add(1)
    }

    fn insert(&mut self, key: Key<'_>, original: Original<'_>, value: Value<'_>) -> Result<()> {
        let table = self.table;
        let too_long = Error::Corrupt("a key or value is too long for a table's slot");
        let shape = Shape {
            key_kind: key.kind,
            original_kind: original.kind,
            value_kind: value.kind(),
            key: key.bytes.len() as u16,
            original: original.bytes.len() as u16,
            value: value.length() as u16,
        };
        let padded = |bytes: &[u8]| bytes.len().next_multiple_of(8);
        if padded(key.bytes) + padded(original.bytes) > LONGEST_KEY || value.length() > LONGEST_VALUE {
            return Err(too_long);
        }
        self.log_roots()?;
        let (at, words) = self.new_slot(shape.class().ok_or(too_long)?)?;
        let body = table.body;
        let last = body.ends.load(Ordering::Relaxed) as u32;
        let sequence = self.next_other();
        let bucket = table.place_in_array(super::Table::bucket_of(key.hash, table.buckets()))?;
        let chain = super::log::low(table.word(bucket)?);
        words[0].store(u64::from(key.hash) << 32 | u64::from(chain), Ordering::Relaxed);
        words[1].store(u64::from(last) << 32, Ordering::Relaxed);
        words[2].store(sequence, Ordering::Relaxed);
        words[3].store(shape.word(), Ordering::Relaxed);
        store_bytes(key.bytes, &words[SLOT_HEADER..]);
        store_bytes(original.bytes, &words[shape.original_at()..]);
        self.store_value(value, &words[shape.value_at()..])?;
        self.set_low(bucket, at)?;
        let first = match last {
            0 => at,
            last => {
                self.set_low(table.slot(last)?.order_place(), at)?;
                (body.ends.load(Ordering::Relaxed) >> 32) as u32
            }
        };
        body.ends
            .store(u64::from(first) << 32 | u64::from(at), Ordering::Relaxed);
        body.sequence.store(sequence, Ordering::Relaxed);
        body.count
            .store(body.count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.count_other(shape);
        self.split_if_full()
    }

    fn count_other(&self, shape: Shape) {
        if shape.key_kind == OTHER {
            let others = &self.table.body.others;
            others.store(others.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Store a value where it is to lie.
    pub(super) fn store_value(&mut self, value: Value<'_>, words: &[AtomicU64]) -> Result<()> {
        match value {
            Value::Bytes(_, bytes) => store_bytes(bytes, words),
            Value::Block(_, block) => self.store_reference(entry(block.offset, block.generation), words)?,
        }
        Ok(())
    }

    /// Store where a block is, and refer to it.
    pub(super) fn store_reference(&mut self, entry: u64, words: &[AtomicU64]) -> Result<()> {
        self.log_roots()?;
        let reference = self.add_reference(entry)?;
        for (word, part) in words.iter().zip(reference) {
            word.store(part, Ordering::Relaxed);
        }
        let blocks = &self.table.body.blocks;
        blocks.store(blocks.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        Ok(())
    }

    fn replace(&mut self, slot: Slot, link: u64, value: Value<'_>) -> Result<()> {
        let table = self.table;
        let before = slot.shape();
        let after = Shape {
            value_kind: value.kind(),
            value: value.length() as u16,
            ..before
        };
        let too_long = Error::Corrupt("a value is too long for a table's slot");
        let (Some(class), Some(wanted)) = (before.class(), after.class()) else {
            return Err(too_long);
        };
        self.drop_value_of(slot, before)?;
        let (from, words) = (before.value_at(), usize::from(after.value).div_ceil(8));
        if class == wanted {
            if words > 0 {
                let there = self.log_words(slot.place() + from as u64 * 8, words)?;
                self.store_value(value, there)?;
            }
            if before != after {
                self.log_word(slot.shape_place())?
                    .store(after.word(), Ordering::Relaxed);
            }
            return Ok(());
        }
        let (at, to) = self.new_slot(wanted)?;
        copy(table.words(slot.place(), from)?, to);
        to[3].store(after.word(), Ordering::Relaxed);
        self.store_value(value, &to[from..])?;
        debug_assert_eq!(super::log::low(table.word(link)?), slot.at);
        self.lead_to(slot.at, at)?;
        self.remove_slot(slot.at, class)
    }

    fn drop_value_of(&mut self, slot: Slot, shape: Shape) -> Result<()> {
        let place = slot.place() + shape.value_at() as u64 * 8;
        self.drop_value(shape.value_kind, place, shape.value.into())
    }

    /// Note that a value is no more, if it has something beside its slot.
    pub(super) fn drop_value(&mut self, kind: u8, place: u64, length: usize) -> Result<()> {
        if kind & IN_BLOCK == 0 {
            return Ok(());
        }
        let [place, entry] = self.table.reference_at(place, length)?;
        self.log_roots()?;
        self.log_dropped(place, entry)?;
        let blocks = &self.table.body.blocks;
        blocks.store(blocks.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
        Ok(())
    }

    /// Have a key no more; whether it was there.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn remove(&mut self, key: Key<'_>) -> Result<bool> {
        match self.table.find(key, None)? {
            (_, None) => Ok(false),
            (link, Some(slot)) => self.remove_at(slot, link).map(|()| true),
        }
    }

    fn remove_at(&mut self, slot: Slot, link: u64) -> Result<()> {
        let shape = slot.shape();
        let class = shape
            .class()
            .ok_or(Error::Corrupt("a table's slot has a shape that none has"))?;
        self.drop_value_of(slot, shape)?;
        self.unlink(slot, link)?;
        self.count_other(shape);
        self.remove_slot(slot.at, class)?;
        // As many as keep up with keys that go one after another.
        for _ in 0..JOINS {
            self.join_if_empty()?;
        }
        Ok(())
    }

    /// Add to the number that a key has, whose kind is this; a key that is not there has 0.
    ///
    /// # Errors
    /// As `set`.
    pub fn add(&mut self, key: Key<'_>, original: Original<'_>, kind: u8, number: i64) -> Result<Added> {
        let (_, Some(slot)) = self.table.find(key, None)? else {
            self.insert(key, original, Value::Bytes(kind, &number.to_ne_bytes()))?;
            return Ok(Added::Done(number));
        };
        let shape = slot.shape();
        if shape.value_kind != kind || shape.value != 8 {
            return Ok(Added::Unfit);
        }
        let place = slot.place() + shape.value_at() as u64 * 8;
        let Some(sum) = (self.table.word(place)?.load(Ordering::Relaxed) as i64).checked_add(number) else {
            return Ok(Added::Unfit);
        };
        self.log_word(place)?.store(sum as u64, Ordering::Relaxed);
        Ok(Added::Done(sum))
    }

    /// Have no keys.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn clear(&mut self) -> Result<()> {
        let (table, body) = (self.table, self.table.body);
        if table.is_empty() {
            return Ok(());
        }
        self.log_roots()?;
        let mut at = (body.ends.load(Ordering::Relaxed) >> 32) as u32;
        let mut steps = 0;
        while at != 0 && body.blocks.load(Ordering::Relaxed) != 0 {
            table.bound(&mut steps)?;
            let slot = table.slot(at)?;
            self.drop_value_of(slot, slot.shape())?;
            at = slot.next();
        }
        self.empty_pages()?;
        for root in [&body.ends, &body.count, &body.more_buckets] {
            root.store(0, Ordering::Relaxed);
        }
        body.others
            .store(body.others.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        Ok(())
    }

    /// How often a key of kind OTHER was inserted or deleted.
    #[must_use]
    pub fn others(&self) -> u64 {
        self.table.body.others.load(Ordering::Relaxed)
    }
}
