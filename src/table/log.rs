//! The log: what was where something is about to be changed (README: deaths).

use super::layout::{Use, CONTENT_AT, LOG_WORDS_USED};
use super::section::{Section, Table};
use crate::arena::heap::go_on;
use crate::arena::{Error, Result};
use crate::atomics::{fence, AtomicU64, Ordering};

/// Where the log ends: in a page, or with page 0 in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct End {
    pub page: u64,
    pub used: usize,
}

impl End {
    fn of(word: u64) -> Self {
        Self {
            page: (word >> 32) * 8,
            used: (word & u64::from(u32::MAX)) as usize,
        }
    }

    pub fn word(self) -> u64 {
        (self.page / 8) << 32 | self.used as u64
    }
}

/// What a record is of; it stands behind the words that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    /// So many words were there from a place on.
    Words { place: u64, count: usize },
    /// A reference is stored: its place, and that.
    Added,
    /// A reference is to be dropped: its place, and that.
    Dropped,
}

const ADDED: u64 = 1 << 62;
const DROPPED: u64 = 1 << 63;

impl Record {
    fn word(self) -> u64 {
        match self {
            Self::Words { place, count } => (place / 8) << 24 | count as u64,
            Self::Added => ADDED | 2,
            Self::Dropped => DROPPED | 2,
        }
    }

    fn of(word: u64) -> Self {
        match word & (ADDED | DROPPED) {
            0 => Self::Words {
                place: (word >> 24) * 8,
                count: (word & 0xff_ffff) as usize,
            },
            ADDED => Self::Added,
            _ => Self::Dropped,
        }
    }

    fn words_before(self) -> usize {
        match self {
            Self::Words { count, .. } => count,
            Self::Added | Self::Dropped => 2,
        }
    }
}

/// A page that is kept has room for moving the longest slot, and what goes with it.
const PAGE_BYTES: u64 = 16 << 10;

impl Table<'_> {
    /// Where the log begins.
    pub(super) fn first_end(&self) -> Result<End> {
        let page = self.body.log_page.load(Ordering::Relaxed);
        if page != 0 {
            self.page(page, Use::Log)?.0.link.store(0, Ordering::Relaxed);
        }
        Ok(End { page, used: 0 })
    }

    pub(super) fn log_room(&self, end: End) -> Result<&'static [AtomicU64]> {
        if end.page == 0 {
            return self.changing(self.place_of(&self.body.first_log), LOG_WORDS_USED);
        }
        let (_, words) = self.page(end.page, Use::Log)?;
        self.changing(end.page + CONTENT_AT, words)
    }

    /// Take the last record off, after something was done with it and the words that belong to it; false: there is none.
    fn take_record(&self, does: impl FnOnce(Record, &[AtomicU64]) -> Result<()>) -> Result<bool> {
        let mut end = End::of(self.body.log.load(Ordering::Acquire));
        while end.used == 0 {
            if end.page == 0 {
                return Ok(false);
            }
            let before = self.page(end.page, Use::Log)?.0.link.load(Ordering::Relaxed);
            end = End::of(before);
            self.body.log.store(before, Ordering::Release);
            if before == 0 {
                return Ok(false);
            }
        }
        let words = self.log_room(end)?;
        let record = words.get(end.used - 1).map(|word| word.load(Ordering::Relaxed));
        let record = Record::of(record.ok_or(Error::Corrupt("a table's log is longer than its place"))?);
        let start = (end.used - 1)
            .checked_sub(record.words_before())
            .ok_or(Error::Corrupt("a table's log has a record that is too long"))?;
        does(record, &words[start..end.used - 1])?;
        end.used = start;
        self.body.log.store(end.word(), Ordering::Release);
        Ok(true)
    }

    /// Undo all that is in the log.
    pub(super) fn undo(&self) -> Result<()> {
        while self.take_record(|record, words| match record {
            Record::Words { place, count } => {
                for (word, before) in self.changing(place, count)?.iter().zip(words) {
                    word.store(before.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                Ok(())
            }
            Record::Added => self.drop_reference(words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)),
            Record::Dropped => Ok(()),
        })? {}
        Ok(())
    }

    /// Finish what was only noted in the log.
    pub(super) fn finish(&self) -> Result<()> {
        while self.take_record(|record, words| match record {
            Record::Dropped => self.drop_reference(words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)),
            Record::Words { .. } | Record::Added => Ok(()),
        })? {}
        Ok(())
    }
}

impl Section<'_> {
    /// Note words that are about to be changed; return them.
    pub(super) fn log_words(&mut self, place: u64, count: usize) -> Result<&'static [AtomicU64]> {
        let there = self.table.changing(place, count)?;
        let room = self.log_room(count + 1)?;
        for (word, before) in room.iter().zip(there) {
            word.store(before.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.append(room, Record::Words { place, count });
        Ok(there)
    }

    /// Note a word that is about to be changed; return it.
    #[inline]
    pub(super) fn log_word(&mut self, place: u64) -> Result<&'static AtomicU64> {
        Ok(&self.log_words(place, 1)?[0])
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

    /// Note that a reference is about to be stored.
    pub(super) fn log_added(&mut self, place: u64, entry: u64) -> Result<()> {
        self.log_reference(place, entry, Record::Added)
    }

    /// Note that a reference is to be dropped.
    pub(super) fn log_dropped(&mut self, place: u64, entry: u64) -> Result<()> {
        self.has_dropped = true;
        self.log_reference(place, entry, Record::Dropped)
    }

    fn log_reference(&mut self, place: u64, entry: u64, record: Record) -> Result<()> {
        let room = self.log_room(3)?;
        room[0].store(place, Ordering::Relaxed);
        room[1].store(entry, Ordering::Relaxed);
        self.append(room, record);
        Ok(())
    }

    fn append(&mut self, room: &[AtomicU64], record: Record) {
        let before = record.words_before();
        room[before].store(record.word(), Ordering::Relaxed);
        self.end.used += before + 1;
        self.table.body.log.store(self.end.word(), Ordering::Release); // README: b
        fence(Ordering::Release); // the change itself comes after it
    }

    /// Room for so many words behind the log's end.
    fn log_room(&mut self, count: usize) -> Result<&'static [AtomicU64]> {
        if self.end.used + count > self.log.len() {
            self.grow_log(count)?;
        }
        Ok(&self.log[self.end.used..])
    }

    /// Have room for so many words.
    pub(super) fn reserve_log(&mut self, count: usize) -> Result<()> {
        self.log_room(count).map(|_| ())
    }

    #[cold]
    fn grow_log(&mut self, count: usize) -> Result<()> {
        let bytes = (count as u64 * 8 + CONTENT_AT).next_power_of_two().max(PAGE_BYTES);
        let page = self.table.new_page(bytes)?;
        let (header, words) = self.table.page(page, Use::Nothing)?;
        if words < count {
            return Err(Error::Corrupt("a table's log has no room for a record"));
        }
        header.link.store(self.end.word(), Ordering::Relaxed);
        header.is_for.store(Use::Log as u64, Ordering::Release);
        self.end = End { page, used: 0 };
        self.log = self.table.log_room(self.end)?;
        self.table.body.log.store(self.end.word(), Ordering::Release);
        self.has_log_pages = true;
        Ok(())
    }

    /// Have a page for the log that is kept, as slots of this size need one to be moved.
    pub(super) fn keep_log_page(&mut self, slot_words: usize) -> Result<()> {
        if slot_words <= LOG_WORDS_USED / 2 || self.table.body.log_page.load(Ordering::Relaxed) != 0 {
            return Ok(());
        }
        let page = self.table.new_page(PAGE_BYTES)?;
        let (header, _) = self.table.page(page, Use::Nothing)?;
        header.link.store(0, Ordering::Relaxed);
        header.is_for.store(Use::Log as u64, Ordering::Release);
        self.table.body.log_page.store(page, Ordering::Release); // not logged: recovery has none, whatever it was
        Ok(())
    }

    /// Free the pages of a long log, when there is nothing in it any more.
    pub(super) fn free_log_pages(&self) -> Result<()> {
        let kept = self.table.body.log_page.load(Ordering::Relaxed);
        let heap = self.table.arena.heap(&mut go_on)?;
        heap.free_pages_if(self.table.body, |page, header| {
            header.is_for.load(Ordering::Relaxed) == Use::Log as u64 && page != kept
        })
    }
}

/// The number in the low half of a word.
pub(super) fn low(word: &AtomicU64) -> u32 {
    word.load(Ordering::Relaxed) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_ends_say_what_they_were_given() {
        for record in [
            Record::Words {
                place: 0x7fff_fff8,
                count: 513,
            },
            Record::Added,
            Record::Dropped,
        ] {
            assert_eq!(Record::of(record.word()), record);
        }
        let end = End {
            page: 0x7fff_0000,
            used: 2040,
        };
        assert_eq!(End::of(end.word()), end);
    }
}
