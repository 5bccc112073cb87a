//! What a writer can do to a list, in a section.

use super::super::layout::BLOCK_VALUE;
use super::super::section::Section;
use super::super::slots::copy;
use super::super::write::Value;
use super::chunks::CHUNK;
use super::entries::{Entry, Head, HEAD_WORDS};
use crate::arena::heap::go_on;
use crate::arena::{Error, Result};
use crate::atomics::Ordering;

const TOO_LONG: Error = Error::Corrupt("a value is too long for a list's slot");
const NO_ITEM: Error = Error::Corrupt("a list has no item of that index");

/// An entry that leads to nothing, while what it led to is gone already and it is not.
fn nothing() -> u64 {
    Entry::of_value(0, &[]).unwrap_or_default()
}

impl Section<'_> {
    /// Have one item more, behind the last one.
    ///
    /// # Errors
    /// `Full`, `Corrupt`, and what the heap says.
    pub fn append_item(&mut self, value: Value<'_>) -> Result<()> {
        let count = self.table.items();
        let place = self.have_entry(count)?;
        let entry = self.new_entry(value, count / CHUNK)?;
        self.append_entry(place, entry)
    }

    fn append_entry(&mut self, place: u64, entry: u64) -> Result<()> {
        let word = if self.has_removed {
            self.log_word(place)? // an entry may have been there when this section began
        } else {
            &self.table.changing(place, 1)?[0]
        };
        word.store(entry, Ordering::Relaxed);
        self.set_items(self.table.items() + 1)
    }

    /// Have one item more, before the one of an index, or behind the last one.
    ///
    /// # Errors
    /// As above.
    pub fn insert_item(&mut self, index: u64, value: Value<'_>) -> Result<()> {
        let count = self.table.items();
        if index >= count {
            return self.append_item(value);
        }
        self.have_entry(count)?;
        let entry = self.new_entry(value, index / CHUNK)?;
        self.open_gap(index, entry)?;
        self.set_items(count + 1)
    }

    /// Have another item in the place of one.
    ///
    /// # Errors
    /// As above.
    pub fn set_item(&mut self, index: u64, value: Value<'_>) -> Result<()> {
        let place = self.checked_place(index)?;
        let before = self.table.word(place)?.load(Ordering::Relaxed);
        if let (Entry::Slot(slot), true) = (Entry::of(before), Self::entry_of(value).is_none()) {
            let head = self.table.head(slot)?;
            let after = Self::head_of(value, head.chunk.into());
            if head.class() == after.class() {
                let value_place = (u64::from(slot) + HEAD_WORDS as u64) * 8;
                self.drop_value(head.kind, value_place, head.length.into())?;
                let words = self.log_words(value_place, usize::from(after.length).div_ceil(8))?;
                self.store_value(value, words)?;
                if head != after {
                    self.log_word(u64::from(slot) * 8)?
                        .store(after.word(), Ordering::Relaxed);
                }
                return Ok(());
            }
        }
        self.drop_entry(before)?;
        let entry = self.new_entry(value, index / CHUNK)?;
        self.log_word(place)?.store(entry, Ordering::Relaxed);
        Ok(())
    }

    fn checked_place(&self, index: u64) -> Result<u64> {
        if index >= self.table.items() {
            return Err(NO_ITEM);
        }
        self.table.place_of_entry(index)
    }

    /// Have an item no more.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn remove_item(&mut self, index: u64) -> Result<()> {
        let place = self.checked_place(index)?;
        let entry = self.table.word(place)?.load(Ordering::Relaxed);
        self.has_removed = true;
        self.drop_entry(entry)?;
        if index + 1 == self.table.items() {
            return self.cut_entries(index);
        }
        self.close_gap(index)
    }

    /// Have some items no more: so many from a first one on, each `step` behind the one before.
    ///
    /// # Errors
    /// As above.
    pub fn remove_items(&mut self, first: u64, step: u64, number: u64) -> Result<()> {
        let count = self.table.items();
        let step = step.max(1);
        if number == 0 {
            return Ok(());
        }
        let last = (number - 1)
            .checked_mul(step)
            .and_then(|steps| first.checked_add(steps));
        let last = last.filter(|last| *last < count).ok_or(NO_ITEM)?;
        if number == count {
            return self.clear_items();
        }
        if number <= Self::worth_a_gap(count - first, step == 1 && last + 1 == count) {
            for index in (0..number).rev() {
                self.remove_item(first + index * step)?;
            }
            return Ok(());
        }
        self.has_removed = true;
        for index in 0..number {
            let place = self.table.place_of_entry(first + index * step)?;
            let entry = self.table.word(place)?.load(Ordering::Relaxed);
            self.log_word(place)?.store(nothing(), Ordering::Relaxed);
            self.drop_entry(entry)?;
        }
        let mut position = 0;
        let mut kept = self.table.entries(first, count)?;
        kept.retain(|_| {
            let goes = position % step == 0 && position <= last - first;
            position += 1;
            !goes
        });
        self.store_entries(first, &kept)?;
        self.cut_entries(count - number)
    }

    /// How many items at once are worth a gap each, rather than that all behind are stored anew.
    fn worth_a_gap(behind: u64, is_at_the_end: bool) -> u64 {
        match is_at_the_end {
            true => behind, // each is the last one in its turn
            false => 1 + behind / (CHUNK / 2 + 4 * (behind / CHUNK)),
        }
    }

    /// Have these items in the place of those between two indices.
    ///
    /// # Errors
    /// As `append_item`.
    pub fn splice_items(&mut self, from: u64, to: u64, values: &[Value<'_>]) -> Result<()> {
        let count = self.table.items();
        if from > to || to > count {
            return Err(NO_ITEM);
        }
        let common = values.len().min((to - from) as usize);
        let (replacing, more) = values.split_at(common);
        for (index, value) in (from..).zip(replacing) {
            self.set_item(index, *value)?;
        }
        let (from, behind) = (from + common as u64, count - to);
        if more.len() as u64 <= Self::worth_a_gap(behind, false) {
            for (index, value) in (to..).zip(more) {
                self.insert_item(index, *value)?;
            }
        } else {
            for value in more {
                self.append_item(*value)?;
            }
            let mut entries = self.table.entries(to, self.table.items())?;
            entries.rotate_left(behind as usize);
            self.store_entries(to, &entries)?;
        }
        match to - from {
            0 => Ok(()),
            fewer => self.remove_items(from, 1, fewer),
        }
    }

    /// Have the items so many times, one after another.
    ///
    /// # Errors
    /// As `append_item`.
    pub fn repeat_items(&mut self, times: u64) -> Result<()> {
        let count = self.table.items();
        if times == 0 {
            return self.clear_items();
        }
        let more = count.saturating_mul(times - 1).saturating_mul(size_of::<u64>() as u64);
        self.table.arena.heap(&mut go_on)?.look_ahead(more)?;
        for _ in 1..times {
            for index in 0..count {
                let place = self.have_entry(self.table.items())?;
                let entry = self.table.word(self.table.place_of_entry(index)?)?;
                let entry = self.copied(entry.load(Ordering::Relaxed), self.table.items() / CHUNK)?;
                self.append_entry(place, entry)?;
            }
        }
        Ok(())
    }

    /// Have the items in another order: the first one is to be the one that has this index now, and so on. Nothing is done,
    /// and false, when that is no order of them.
    ///
    /// # Errors
    /// `Corrupt`, `Full`, and what the heap says.
    pub fn arrange_items(&mut self, order: &[u64]) -> Result<bool> {
        let before = self.table.entries(0, self.table.items())?;
        let mut seen = vec![false; before.len()];
        let is_order = order.len() == before.len()
            && order.iter().all(|index| {
                let seen = usize::try_from(*index).ok().and_then(|index| seen.get_mut(index));
                seen.is_some_and(|seen| !std::mem::replace(seen, true))
            });
        if is_order {
            let after: Vec<u64> = order.iter().map(|index| before[*index as usize]).collect();
            self.store_entries(0, &after)?;
        }
        Ok(is_order)
    }

    /// Have the items in the opposite order.
    ///
    /// # Errors
    /// As above.
    pub fn reverse_items(&mut self) -> Result<()> {
        let mut entries = self.table.entries(0, self.table.items())?;
        entries.reverse();
        self.store_entries(0, &entries)
    }

    /// Have no items.
    ///
    /// # Errors
    /// As `remove_item`.
    pub fn clear_items(&mut self) -> Result<()> {
        let table = self.table;
        if table.items() == 0 {
            return Ok(());
        }
        let mut index = 0;
        while index < table.items() && table.body.blocks.load(Ordering::Relaxed) != 0 {
            let end = (index + CHUNK).min(table.items());
            for entry in table.entries(index, end)? {
                if let Entry::Slot(slot) = Entry::of(entry) {
                    let head = table.head(slot)?;
                    self.drop_value(head.kind, (u64::from(slot) + HEAD_WORDS as u64) * 8, head.length.into())?;
                }
            }
            index = end;
        }
        self.empty_pages()?;
        self.set_items(0)
    }

    fn entry_of(value: Value<'_>) -> Option<u64> {
        match value {
            Value::Bytes(kind, bytes) => Entry::of_value(kind, bytes),
            Value::Block(..) => None,
        }
    }

    fn head_of(value: Value<'_>, chunk: u64) -> Head {
        Head {
            chunk: chunk as u32,
            kind: value.kind(),
            length: value.length().min(u16::MAX.into()) as u16,
        }
    }

    /// An entry for a value, in a chunk.
    fn new_entry(&mut self, value: Value<'_>, chunk: u64) -> Result<u64> {
        if let Some(entry) = Self::entry_of(value) {
            return Ok(entry);
        }
        let head = Self::head_of(value, chunk);
        let (slot, words) = self.new_slot(head.class().ok_or(TOO_LONG)?)?;
        words[0].store(head.word(), Ordering::Relaxed);
        self.store_value(value, &words[HEAD_WORDS..])?;
        Ok(slot.into())
    }

    /// An entry for the same value as another one's, in a chunk.
    fn copied(&mut self, entry: u64, chunk: u64) -> Result<u64> {
        let Entry::Slot(from) = Entry::of(entry) else {
            return Ok(entry);
        };
        let head = self.table.head(from)?;
        let words = HEAD_WORDS + usize::from(head.length).div_ceil(8);
        let (slot, to) = self.new_slot(head.class().ok_or(TOO_LONG)?)?;
        copy(self.table.words(u64::from(from) * 8, words)?, to);
        let chunk = chunk as u32;
        to[0].store(Head { chunk, ..head }.word(), Ordering::Relaxed);
        if head.is_in_block() {
            let place = (u64::from(from) + HEAD_WORDS as u64) * 8;
            let [_, reference] = self.table.reference_at(place, BLOCK_VALUE)?;
            self.store_reference(reference, &to[HEAD_WORDS..])?;
        }
        Ok(slot.into())
    }

    /// Have no slot any more that an entry leads to; the entry is about to go, or to be another one.
    fn drop_entry(&mut self, entry: u64) -> Result<()> {
        let Entry::Slot(slot) = Entry::of(entry) else {
            return Ok(());
        };
        let head = self.table.head(slot)?;
        let place = (u64::from(slot) + HEAD_WORDS as u64) * 8;
        self.drop_value(head.kind, place, head.length.into())?;
        match self.free_slot(slot, head.class().ok_or(TOO_LONG)?)? {
            Some(before) => self.follow_slot(before, slot),
            None => Ok(()),
        }
    }
}
