//! Chunks: where the entry of an index is, and how chunks come, go, and are turned (README: the list).

use super::super::layout::{Use, CONTENT_AT};
use super::super::section::{Section, Table};
use super::super::slots::copy;
use super::entries::{Entry, Head};
use crate::arena::layout::CLASSES as BLOCKS;
use crate::arena::{Error, Result};
use crate::atomics::{AtomicU64, Ordering};

/// A chunk's page has so many bytes; the first chunk's, as long as it is the only one, from `SMALLEST` on.
const PAGE: u64 = 8192;
const SMALLEST: u64 = 256;
/// Entries in a chunk that is full.
pub const CHUNK: u64 = room_of(PAGE);

const fn room_of(page: u64) -> u64 {
    (page - CONTENT_AT) / 8
}

/// A chunk, as the array has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Its page.
    pub page: u64,
    /// Where in its ring the first entry is.
    pub first: u64,
    /// How many entries the ring has room for.
    pub room: u64,
}

impl Chunk {
    fn of(word: u64) -> Self {
        Self {
            page: (word & u64::from(u32::MAX)) * 8,
            first: word >> 32 & 0xffff,
            room: word >> 48,
        }
    }

    fn word(self) -> u64 {
        (self.page / 8) | self.first << 32 | self.room << 48
    }

    /// The offset of an entry; some offset, whatever the numbers are.
    pub fn place(self, position: u64) -> u64 {
        let mut index = self.first + position;
        if index >= self.room {
            index = index.wrapping_sub(self.room);
        }
        self.page.wrapping_add(CONTENT_AT).wrapping_add(index.wrapping_mul(8))
    }

    /// The entries from a position on up to another, as runs without a break: the offset and the length of each.
    fn runs(self, from: u64, to: u64) -> [(u64, u64); 2] {
        let before_the_end = self.room.saturating_sub(self.first);
        let middle = before_the_end.clamp(from, to.max(from));
        [
            (self.place(from), middle - from),
            (self.place(middle), to.saturating_sub(middle)),
        ]
    }

    /// The same chunk when its ring begins one place earlier, or later.
    fn turned_back(self) -> Self {
        let first = self.first.checked_sub(1).unwrap_or(self.room.saturating_sub(1));
        Self { first, ..self }
    }

    fn turned_on(self) -> Self {
        let first = if self.first + 1 < self.room { self.first + 1 } else { 0 };
        Self { first, ..self }
    }
}

impl Table<'_> {
    /// How many items a list has.
    pub(super) fn items(&self) -> u64 {
        self.body.count.load(Ordering::Relaxed)
    }

    pub(super) fn chunk(&self, number: u64) -> Result<Chunk> {
        let chunk = Chunk::of(self.word(self.place_in_array(number)?)?.load(Ordering::Relaxed));
        if chunk.first >= chunk.room || chunk.room > CHUNK {
            return Err(Error::Corrupt("a list has a chunk that is none"));
        }
        Ok(chunk)
    }

    /// The offset of an item's entry.
    pub(super) fn place_of_entry(&self, index: u64) -> Result<u64> {
        Ok(self.chunk(index / CHUNK)?.place(index % CHUNK))
    }

    /// Call for the entries of some items: those that lie in a row at a time, with the number of their chunk.
    pub(super) fn each_run(
        &self,
        from: u64,
        to: u64,
        mut call: impl FnMut(u64, &[AtomicU64]) -> Result<()>,
    ) -> Result<()> {
        let mut index = from;
        while index < to {
            let (number, position) = (index / CHUNK, index % CHUNK);
            let end = (position + (to - index)).min(CHUNK);
            for (place, length) in self.chunk(number)?.runs(position, end) {
                if length > 0 {
                    call(number, self.words(place, length as usize)?)?;
                }
            }
            index += end - position;
        }
        Ok(())
    }

    /// The entries of some items.
    pub(super) fn entries(&self, from: u64, to: u64) -> Result<Vec<u64>> {
        let mut entries = Vec::new();
        self.each_run(from, to, |_, words| {
            entries.extend(words.iter().map(|word| word.load(Ordering::Relaxed)));
            Ok(())
        })?;
        Ok(entries)
    }

    /// What a slot begins with.
    pub(super) fn head(&self, slot: u32) -> Result<Head> {
        Ok(Head::of(self.word(u64::from(slot) * 8)?.load(Ordering::Relaxed)))
    }
}

impl Section<'_> {
    fn set_chunk(&mut self, number: u64, chunk: Chunk) -> Result<()> {
        let place = self.table.place_in_array(number)?;
        self.log_word(place)?.store(chunk.word(), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn set_items(&mut self, count: u64) -> Result<()> {
        self.log_roots()?;
        self.table.body.count.store(count, Ordering::Relaxed);
        Ok(())
    }

    /// Store an entry at its place, and have its slot, if it has one, name that chunk.
    fn store_entry(&mut self, place: u64, entry: u64, chunk: u64) -> Result<()> {
        self.log_word(place)?.store(entry, Ordering::Relaxed);
        self.name_chunk(entry, chunk)
    }

    fn name_chunk(&mut self, entry: u64, chunk: u64) -> Result<()> {
        if let Entry::Slot(slot) = Entry::of(entry) {
            let head = self.table.head(slot)?;
            if u64::from(head.chunk) != chunk {
                let chunk = chunk as u32;
                self.log_word(u64::from(slot) * 8)?
                    .store(Head { chunk, ..head }.word(), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Store the entries of some items, as they come.
    pub(super) fn store_entries(&mut self, from: u64, entries: &[u64]) -> Result<()> {
        let (mut index, mut rest) = (from, entries);
        while !rest.is_empty() {
            let (number, position) = (index / CHUNK, index % CHUNK);
            let end = (position + rest.len() as u64).min(CHUNK);
            let (these, behind) = rest.split_at((end - position) as usize);
            self.store_in_chunk(number, position, these)?;
            for entry in these {
                self.name_chunk(*entry, number)?;
            }
            index += end - position;
            rest = behind;
        }
        Ok(())
    }

    fn store_in_chunk(&mut self, number: u64, position: u64, entries: &[u64]) -> Result<()> {
        let chunk = self.table.chunk(number)?;
        let mut entries = entries.iter();
        for (place, length) in chunk.runs(position, position + entries.len() as u64) {
            if length > 0 {
                for (word, entry) in self.log_words(place, length as usize)?.iter().zip(&mut entries) {
                    word.store(*entry, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Have the place for an entry behind the last one; its offset.
    pub(super) fn have_entry(&mut self, count: u64) -> Result<u64> {
        let (number, position) = (count / CHUNK, count % CHUNK);
        if position == 0 {
            if number > u64::from(u32::MAX) || !self.have_word(number)? {
                return Err(Error::Corrupt("a list has more items than there is memory"));
            }
            let page = self.new_chunk(if number == 0 { SMALLEST } else { PAGE })?;
            self.set_chunk(number, page)?;
        } else if number == 0 && position == self.table.chunk(0)?.room {
            let room = self.table.chunk(0)?.room;
            let larger = BLOCKS
                .into_iter()
                .find(|block| *block > SMALLEST && room_of(*block) > room);
            self.move_first_chunk(larger.unwrap_or(PAGE), count)?;
        }
        self.table.place_of_entry(count)
    }

    fn new_chunk(&mut self, bytes: u64) -> Result<Chunk> {
        let page = self.table.new_page(bytes)?;
        self.use_page(page, Use::Chunk)?;
        Ok(Chunk {
            page,
            first: 0,
            room: room_of(bytes),
        })
    }

    /// Have the first chunk, the only one, in a page of another size.
    fn move_first_chunk(&mut self, bytes: u64, count: u64) -> Result<()> {
        let before = self.table.chunk(0)?;
        let after = self.new_chunk(bytes)?;
        let mut position = 0;
        for (place, length) in before.runs(0, count) {
            if length > 0 {
                let to = self.table.changing(after.place(position), length as usize)?; // nothing of value is there yet
                copy(self.table.words(place, length as usize)?, to);
                position += length;
            }
        }
        self.set_chunk(0, after)?;
        self.disuse_page(before.page, Use::Chunk)
    }

    /// Have no more than so many entries; nothing beside them is to be dropped.
    pub(super) fn cut_entries(&mut self, count: u64) -> Result<()> {
        self.has_removed = true;
        let chunks = |count: u64| count.div_ceil(CHUNK);
        for number in (chunks(count)..chunks(self.table.items())).rev() {
            let page = self.table.chunk(number)?.page;
            self.disuse_page(page, Use::Chunk)?;
            self.forget_word(number)?;
        }
        self.set_items(count)?;
        if chunks(count) == 1 {
            let room = self.table.chunk(0)?.room;
            let enough = BLOCKS
                .into_iter()
                .find(|block| *block >= SMALLEST && room_of(*block) >= count + count / 2);
            if let (Some(enough), true) = (enough, count <= room / 4) {
                if room_of(enough) < room {
                    self.move_first_chunk(enough, count)?;
                }
            }
        }
        Ok(())
    }

    /// Have a gap before an item, for an entry that is stored there: those behind it go one place on. There is room behind
    /// the last one, `have_entry`.
    pub(super) fn open_gap(&mut self, index: u64, entry: u64) -> Result<()> {
        let count = self.table.items();
        let (number, position) = (index / CHUNK, index % CHUNK);
        let last = count / CHUNK;
        for following in (number + 1..=last).rev() {
            // The last entry of the one before is its first. In a full ring that place was the last one, which has gone on.
            let before = self.table.chunk(following - 1)?;
            let moved = self.table.word(before.place(CHUNK - 1))?.load(Ordering::Relaxed);
            let turned = self.table.chunk(following)?.turned_back();
            self.store_entry(turned.place(0), moved, following)?;
            self.set_chunk(following, turned)?;
        }
        let length = if number == last { count % CHUNK } else { CHUNK - 1 };
        let chunk = self.table.chunk(number)?;
        let start = number * CHUNK;
        if position >= length / 2 {
            let behind = self.table.entries(start + position, start + length)?;
            self.store_in_chunk(number, position + 1, &behind)?;
        } else {
            let ahead = self.table.entries(start, start + position)?;
            self.set_chunk(number, chunk.turned_back())?;
            self.store_in_chunk(number, 0, &ahead)?;
        }
        let place = self.table.chunk(number)?.place(position);
        self.store_entry(place, entry, number)
    }

    /// Have an item's entry no more, whatever it leads to: those behind it go one place back.
    pub(super) fn close_gap(&mut self, index: u64) -> Result<()> {
        self.has_removed = true;
        let count = self.table.items();
        let (number, position) = (index / CHUNK, index % CHUNK);
        let last = (count - 1) / CHUNK;
        let length = if number == last { count - number * CHUNK } else { CHUNK };
        let chunk = self.table.chunk(number)?;
        let start = number * CHUNK;
        if position >= length / 2 {
            let behind = self.table.entries(start + position + 1, start + length)?;
            self.store_in_chunk(number, position, &behind)?;
        } else {
            let ahead = self.table.entries(start, start + position)?;
            self.set_chunk(number, chunk.turned_on())?;
            self.store_in_chunk(number, 0, &ahead)?;
        }
        for following in number + 1..=last {
            let chunk = self.table.chunk(following)?;
            let moved = self.table.word(chunk.place(0))?.load(Ordering::Relaxed);
            let before = self.table.chunk(following - 1)?;
            self.store_entry(before.place(CHUNK - 1), moved, following - 1)?;
            self.set_chunk(following, chunk.turned_on())?;
        }
        self.cut_entries(count - 1)
    }

    /// Have the entry lead to where a slot is now that has moved there.
    pub(super) fn follow_slot(&mut self, before: u32, now: u32) -> Result<()> {
        let number = u64::from(self.table.head(now)?.chunk);
        let end = self.table.items().saturating_sub(number * CHUNK).min(CHUNK);
        let chunk = self.table.chunk(number)?;
        for (place, length) in chunk.runs(0, end) {
            let words = match length {
                0 => continue,
                length => self.table.words(place, length as usize)?,
            };
            let is_it = |word: &AtomicU64| word.load(Ordering::Relaxed) == u64::from(before);
            if let Some(index) = words.iter().position(is_it) {
                self.log_word(place + index as u64 * 8)?
                    .store(u64::from(now), Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(Error::Corrupt("a list's slot is not in its chunk"))
    }
}
