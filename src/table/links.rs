//! The slots of a dict, and how they are linked: each in its bucket, and all in their order (README: slots).

use super::layout::{Shape, SLOT_HEADER};
use super::log::low;
use super::section::{Section, Table};
use crate::arena::{Error, Result};
use crate::atomics::{AtomicU64, Ordering};

/// A slot's header. Its words: hash and chain; previous and next; sequence; shape.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub at: u32,
    header: &'static [AtomicU64; SLOT_HEADER],
}

impl Slot {
    fn word(self, index: usize) -> u64 {
        self.header[index].load(Ordering::Relaxed)
    }

    pub fn place(self) -> u64 {
        u64::from(self.at) * 8
    }

    pub fn hash(self) -> u32 {
        (self.word(0) >> 32) as u32
    }

    pub fn chain(self) -> u32 {
        self.word(0) as u32
    }

    pub fn chain_place(self) -> u64 {
        self.place()
    }

    pub fn previous(self) -> u32 {
        (self.word(1) >> 32) as u32
    }

    pub fn next(self) -> u32 {
        self.word(1) as u32
    }

    pub fn order_place(self) -> u64 {
        self.place() + 8
    }

    pub fn sequence(self) -> u64 {
        self.word(2)
    }

    pub fn shape(self) -> Shape {
        Shape::of(self.word(3))
    }

    pub fn shape_place(self) -> u64 {
        self.place() + 24
    }
}

impl Table<'_> {
    /// The slot of a number that may be any.
    #[inline]
    pub(super) fn slot(&self, at: u32) -> Result<Slot> {
        let place = u64::from(at) * 8;
        self.look_at(place, SLOT_HEADER)?;
        Ok(Slot {
            at,
            header: self.arena.file.at(place)?,
        })
    }

    /// The bytes of a slot from a word on, appended.
    pub(super) fn bytes(&self, slot: Slot, from: usize, length: usize, into: &mut Vec<u8>) -> Result<()> {
        let place = slot.place() + from as u64 * 8;
        self.look_at(place, length.div_ceil(8))?;
        Ok(self.arena.file.read(place, length, into)?)
    }
}

impl Section<'_> {
    /// Have a slot's place no more, to which nothing leads.
    pub(super) fn remove_slot(&mut self, at: u32, class: usize) -> Result<()> {
        match self.free_slot(at, class)? {
            Some(last) => self.lead_to(last, at),
            None => Ok(()),
        }
    }

    /// Have everything lead to where a slot is now, and not to where it was before.
    pub(super) fn lead_to(&mut self, before: u32, now: u32) -> Result<()> {
        let table = self.table;
        let slot = table.slot(now)?;
        let link = self.link_to(before, slot.hash())?;
        self.set_low(link, now)?;
        self.log_roots()?;
        let ends = table.place_of(&table.body.ends);
        match slot.previous() {
            0 => self.set_high(ends, now)?,
            previous => self.set_low(table.slot(previous)?.order_place(), now)?,
        }
        match slot.next() {
            0 => self.set_low(ends, now),
            next => self.set_high(table.slot(next)?.order_place(), now),
        }
    }

    /// Where in its bucket a number stands.
    fn link_to(&self, at: u32, hash: u32) -> Result<u64> {
        let table = self.table;
        let mut place = table.place_in_array(Table::bucket_of(hash, table.buckets()))?;
        let mut steps = 0;
        loop {
            match low(table.word(place)?) {
                0 => return Err(Error::Corrupt("a table's key is not in its bucket")),
                found if found == at => return Ok(place),
                other => place = table.slot(other)?.chain_place(),
            }
            table.bound(&mut steps)?;
        }
    }

    /// Have nothing lead to a slot, to which its bucket leads from a place.
    pub(super) fn unlink(&mut self, slot: Slot, link: u64) -> Result<()> {
        let table = self.table;
        self.set_low(link, slot.chain())?;
        self.log_roots()?;
        let ends = table.place_of(&table.body.ends);
        let (previous, next) = (slot.previous(), slot.next());
        match previous {
            0 => self.set_high(ends, next)?,
            previous => self.set_low(table.slot(previous)?.order_place(), next)?,
        }
        match next {
            0 => self.set_low(ends, previous)?,
            next => self.set_high(table.slot(next)?.order_place(), previous)?,
        }
        let count = &table.body.count;
        count.store(count.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
        Ok(())
    }
}
