//! Slots: where they are, and how their pages stay without gaps (README: slots).

use super::layout::{class_bytes, Use, CLASSES as SIZES, CONTENT_AT, ROOTS};
use super::section::{Section, Table};
use crate::arena::heap::go_on;
use crate::arena::layout::{BLOCK_HEADER, CLASSES as BLOCKS, SLAB};
use crate::arena::{Error, Result};
use crate::atomics::{AtomicU64, Ordering};

/// The smallest page: a few slots of the smallest size.
const SMALLEST_PAGE: u64 = 512;

impl Table<'_> {
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

    /// Have a slot's place no more: the last one of its size moves there, if it is another one, whose number until now is
    /// returned. What leads to that is to lead to its new place.
    pub(super) fn free_slot(&mut self, at: u32, class: usize) -> Result<Option<u32>> {
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
        }
        let moved = (last != at).then_some(last);
        if number > 1 {
            self.set_last(class, page, number - 1)?;
            return Ok(moved);
        }
        let before = header.link.load(Ordering::Relaxed);
        let number = match before {
            0 => 0,
            before => table.page(before, Use::Slots)?.1 / words,
        };
        self.set_last(class, before, number as u64)?;
        self.disuse_page(page, Use::Slots)?;
        Ok(moved)
    }

    /// Have nothing in any page any more, and nothing that leads to one, but the log's.
    pub(super) fn empty_pages(&mut self) -> Result<()> {
        let (table, body) = (self.table, self.table.body);
        let pages = {
            let _heap = table.arena.heap(&mut go_on)?;
            table.arena.pages_of(body)?
        };
        for page in pages {
            for is_for in [Use::Slots, Use::Array, Use::Chunk] {
                if table.page(page, is_for).is_ok() {
                    self.disuse_page(page, is_for)?;
                    break;
                }
            }
        }
        // Sizes, segments, directory and first words lie in this order.
        let first = table.place_of(&body.classes);
        let end = table.place_of(&body._spare);
        for word in self.log_words(first, ((end - first) / 8) as usize)? {
            word.store(0, Ordering::Relaxed);
        }
        debug_assert_eq!(body.classes.len(), SIZES);
        self.has_removed = true;
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
