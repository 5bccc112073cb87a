//! The array: words that come and go at its end, in pages that do, too (README: the array). So it never is copied.

use super::layout::{Use, CONTENT_AT, FIRST_WORDS, LARGE_SEGMENTS, PAGE_WORDS, SMALL_SEGMENTS};
use super::section::{Section, Table};
use crate::arena::layout::SLAB;
use crate::arena::Result;
use crate::atomics::{AtomicU64, Ordering};

/// Words that are not in one of the largest pages.
const BEFORE_LARGE: u64 = FIRST_WORDS + SMALL_SEGMENTS[0] + SMALL_SEGMENTS[1] + SMALL_SEGMENTS[2];

/// Where a word is: in the body, or in a page to which a word leads.
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
    /// The offset of a word of the array.
    pub(super) fn place_in_array(&self, number: u64) -> Result<u64> {
        match self.where_is(number) {
            Where::Body(word) => Ok(self.place_of(word)),
            Where::Page { link, index, .. } => Ok(in_page(link.load(Ordering::Relaxed), index)),
            Where::Further { entry, index } => {
                let directory = self.body.directory.load(Ordering::Relaxed);
                let link = self.word(in_page(directory, entry))?;
                Ok(in_page(link.load(Ordering::Relaxed), index))
            }
        }
    }

    fn where_is(&self, number: u64) -> Where<'_> {
        let body = self.body;
        if let Some(word) = body.first_words.get(number as usize) {
            return Where::Body(word);
        }
        if let Some(beyond) = number.checked_sub(BEFORE_LARGE) {
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
        let mut index = number - FIRST_WORDS;
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
    /// Have the page that a word is in, when those before it are there; false when there can be no more.
    pub(super) fn have_word(&mut self, number: u64) -> Result<bool> {
        let table = self.table;
        match table.where_is(number) {
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

    /// Have a word no more, when those behind it are gone.
    pub(super) fn forget_word(&mut self, number: u64) -> Result<()> {
        let table = self.table;
        match table.where_is(number) {
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

    /// Have a page of the array, to which a word leads.
    fn have_page(&mut self, link_place: u64, words: u64) -> Result<()> {
        let page = self.table.new_page((CONTENT_AT + words * 8).min(SLAB))?;
        self.use_page(page, Use::Array)?;
        self.log_word(link_place)?.store(page, Ordering::Relaxed);
        Ok(())
    }

    /// Have nothing in the page any more to which a word leads.
    fn forget_page(&mut self, link_place: u64) -> Result<()> {
        let link = self.log_word(link_place)?;
        let page = link.swap(0, Ordering::Relaxed);
        self.disuse_page(page, Use::Array)
    }
}
