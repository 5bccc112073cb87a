//! Slots: where they are, how they are linked, and how their pages stay without gaps (README: slots).

use super::buckets::low;
use super::layout::{class_bytes, Shape, Use, CONTENT_AT, ROOTS, SLOT_HEADER};
use super::section::{Section, Table};
use crate::arena::layout::{BLOCK_HEADER, CLASSES as BLOCKS, SLAB};
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

/// The smallest page: a few slots of the smallest size.
const SMALLEST_PAGE: u64 = 512;

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

    /// The last page of a size, and how many slots it has.
    fn last_of(&self, class: usize) -> (u64, u64) {
        let word = self.body.classes[class].load(Ordering::Relaxed);
        ((word >> 32) * 8, word & u64::from(u32::MAX))
    }
}

impl Section<'_> {
    /// Note the roots, once.
    pub(super) fn log_roots(&mut self) -> Result<()> {
        if !self.has_logged_roots {
            self.log_words(self.table.place_of(&self.table.body.ends), ROOTS)?;
            self.has_logged_roots = true;
        }
        Ok(())
    }

    /// Have something in a page in which nothing is.
    pub(super) fn use_page(&mut self, page: u64, is_for: Use) -> Result<()> {
        let (header, _) = self.table.page(page, Use::Nothing)?;
        self.log_word(page + BLOCK_HEADER + 16)?;
        header.is_for.store(is_for as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Have nothing in a page any more; it is freed after the commit.
    pub(super) fn disuse_page(&mut self, page: u64, is_for: Use) -> Result<()> {
        let (header, _) = self.table.page(page, is_for)?;
        self.log_words(page + BLOCK_HEADER + 16, 2)?;
        self.log_roots()?;
        let unused = &self.table.body.unused;
        header.is_for.store(Use::Nothing as u64, Ordering::Relaxed);
        header.link.store(unused.load(Ordering::Relaxed), Ordering::Relaxed);
        unused.store(page, Ordering::Relaxed);
        Ok(())
    }

    /// A place for a slot of this size: behind the last one, where nothing of value is.
    pub(super) fn new_slot(&mut self, class: usize) -> Result<(u32, &'static [AtomicU64])> {
        let bytes = class_bytes(class);
        self.keep_log_page(bytes / 8)?;
        let table = self.table;
        let (mut page, mut number) = table.last_of(class);
        let room = match page {
            0 => 0,
            page => table.page(page, Use::Slots)?.1 / (bytes / 8),
        };
        if number >= room as u64 {
            page = self.add_page_of_slots(class, page)?;
            number = 0;
        }
        let place = page + CONTENT_AT + number * bytes as u64;
        self.set_last(class, page, number + 1)?;
        let at = u32::try_from(place / 8).map_err(|_| Error::Corrupt("a table's page is where none can be"))?;
        if self.has_removed {
            return Ok((at, self.log_words(place, bytes / 8)?)); // one may have been there when this section began
        }
        Ok((at, table.changing(place, bytes / 8)?))
    }

    fn add_page_of_slots(&mut self, class: usize, before: u64) -> Result<u64> {
        // Twice as large as the one before, so that few keys need little.
        let at_least = CONTENT_AT + 4 * class_bytes(class) as u64;
        let larger = match before {
            0 => SMALLEST_PAGE,
            before => 2 * (CONTENT_AT + self.table.page(before, Use::Slots)?.1 as u64 * 8),
        };
        let wanted = at_least.max(larger).min(SLAB);
        let bytes = BLOCKS.into_iter().find(|block| *block >= wanted).unwrap_or(SLAB);
        let page = self.table.new_page(bytes)?;
        self.use_page(page, Use::Slots)?;
        // Not logged: while nothing is in it, the link means nothing.
        let (header, _) = self.table.page(page, Use::Slots)?;
        header.link.store(before, Ordering::Relaxed);
        Ok(page)
    }

    fn set_last(&mut self, class: usize, page: u64, number: u64) -> Result<()> {
        let word = self.log_word(self.table.place_of(&self.table.body.classes[class]))?;
        word.store((page / 8) << 32 | number, Ordering::Relaxed);
        Ok(())
    }

    /// Have a slot's place no more, to which nothing leads: the last one of its size moves there.
    pub(super) fn remove_slot(&mut self, at: u32, class: usize) -> Result<()> {
        self.has_removed = true;
        let table = self.table;
        let words = class_bytes(class) / 8;
        let (page, number) = table.last_of(class);
        let (header, room) = table.page(page, Use::Slots)?;
        if number == 0 || number > (room / words) as u64 {
            return Err(Error::Corrupt("a table has a page of slots without any"));
        }
        let last = ((page + CONTENT_AT) / 8 + (number - 1) * words as u64) as u32;
        if last != at {
            let from = table.words(u64::from(last) * 8, words)?;
            let to = self.log_words(u64::from(at) * 8, words)?;
            copy(from, to);
            self.lead_to(last, at)?;
        }
        if number > 1 {
            return self.set_last(class, page, number - 1);
        }
        let before = header.link.load(Ordering::Relaxed);
        let number = match before {
            0 => 0,
            before => table.page(before, Use::Slots)?.1 / words,
        };
        self.set_last(class, before, number as u64)?;
        self.disuse_page(page, Use::Slots)
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
        let mut place = table.place_of_bucket(Table::bucket_of(hash, table.buckets()))?;
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

pub(super) fn copy(from: &[AtomicU64], to: &[AtomicU64]) {
    for (from, to) in from.iter().zip(to) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Store bytes, the last word filled up with zeroes.
pub(super) fn store_bytes(bytes: &[u8], to: &[AtomicU64]) {
    for (word, to) in words_of(bytes).zip(to) {
        to.store(word, Ordering::Relaxed);
    }
}

/// Whether these are the words of such bytes.
pub(super) fn are_bytes(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let same = |(word, there): (u64, &AtomicU64)| there.load(Ordering::Relaxed) == word;
    words_of(bytes).zip(words).all(same)
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(8).map(|chunk| match chunk.try_into() {
        Ok(whole) => u64::from_ne_bytes(whole),
        Err(_) => {
            let mut last = [0; 8];
            last[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(last)
        }
    })
}
