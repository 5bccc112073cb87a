//! A table, and the right to change it (README: deaths).

use super::layout::{TableBody, Use, COMMITTED};
use super::log::End;
use crate::arena::heap::go_on;
use crate::arena::layout::{BLOCK_HEADER, CLASSES, FIRST_SLAB, SLAB};
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Result};
use crate::atomics::{fence, AtomicU32, AtomicU64, Ordering};
use crate::sync::side::Held;

/// A table, as this process has it.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    /// Where it is.
    pub arena: &'a Arena,
    /// Its body.
    pub body: &'static TableBody,
    /// Its block.
    pub offset: u64,
}

impl Table<'_> {
    /// The lock, if it is free.
    #[inline]
    #[must_use]
    pub fn try_lock(&self) -> Option<Held> {
        Held::try_lock(self.arena, &self.body.lock)
    }

    /// The word that the lock is.
    #[must_use]
    pub fn lock_word(&self) -> &'static AtomicU32 {
        &self.body.lock
    }

    /// How often it was changed, more or less, while nobody is doing so: as long as that is the same, so is all else.
    #[inline]
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        let version = self.body.version.load(Ordering::Acquire);
        (version & 1 == 0).then_some(version)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.body.count.load(Ordering::Acquire)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A word in the arena's slabs, whatever it is of.
    #[inline]
    pub(super) fn word(&self, offset: u64) -> Result<&'static AtomicU64> {
        self.look_at(offset, 1)?;
        Ok(self.arena.file.at(offset)?)
    }

    /// Words there.
    #[inline]
    pub(super) fn words(&self, offset: u64, count: usize) -> Result<&'static [AtomicU64]> {
        self.look_at(offset, count)?;
        Ok(self.arena.file.words(offset, count)?)
    }

    /// Look that words lie where memory is.
    #[inline]
    pub(super) fn look_at(&self, offset: u64, count: usize) -> Result<()> {
        let end = offset.wrapping_add(count as u64 * 8);
        if offset < FIRST_SLAB * SLAB || end < offset || end > self.arena.slabs() * SLAB {
            return Err(Error::Corrupt("a table leads to where nothing is"));
        }
        Ok(())
    }

    /// Words that are about to be changed: in one page of a table, or in this one's body.
    pub(super) fn changing(&self, offset: u64, count: usize) -> Result<&'static [AtomicU64]> {
        let end = offset.wrapping_add(count as u64 * 8);
        if offset >= self.offset + BLOCK_HEADER && end <= self.offset + CLASSES[5] && end > offset {
            return Ok(self.arena.file.words(offset, count)?);
        }
        self.look_at(offset, count)?;
        let class = self.arena.class_of(offset / SLAB)?;
        let room = CLASSES[class.ok_or(Error::Corrupt("a table leads to a slab of no blocks"))?];
        let block = offset - offset % SLAB % room;
        let is_page = self.arena.tag_of(block).and_then(crate::arena::tag::Tag::kind) == Some(Kind::Page);
        if !is_page || offset < block + BLOCK_HEADER || end > block + room {
            return Err(Error::Corrupt("a table leads to what is no page"));
        }
        Ok(self.arena.file.words(offset, count)?)
    }

    /// Count a step of a walk. `Corrupt` when there are more than there can be words.
    pub(super) fn bound(&self, steps: &mut u64) -> Result<()> {
        *steps += 1;
        if *steps > self.arena.slabs() * (SLAB / 8) {
            return Err(Error::Corrupt("a table's list runs in a circle"));
        }
        Ok(())
    }

    /// The offset of a field of the body, by its address.
    #[inline]
    pub(super) fn place_of<T>(&self, field: &T) -> u64 {
        let within = std::ptr::from_ref(field) as usize - std::ptr::from_ref(self.body) as usize;
        self.offset + BLOCK_HEADER + within as u64
    }
}

/// The right to change a table. Dropped without `commit`, nothing has happened.
pub struct Section<'a> {
    /// The table.
    pub table: Table<'a>,
    /// The version before.
    version: u64,
    first: End,
    pub(super) end: End,
    /// Where the log is written.
    pub(super) log: &'static [AtomicU64],
    pub(super) has_log_pages: bool,
    pub(super) has_dropped: bool,
    pub(super) has_logged_roots: bool,
    pub(super) has_removed: bool,
    is_over: bool,
    _held: Held,
}

impl<'a> Section<'a> {
    /// Begin to change a table; what a dead writer has left is put right first.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn enter(table: Table<'a>, held: Held) -> Result<Self> {
        let body = table.body;
        let version = put_right(&table)?;
        let first = table.first_end()?;
        let log = table.log_room(first)?;
        body.version.store(version.wrapping_add(1), Ordering::Release); // README: a
        fence(Ordering::Release); // with the one of `read`: who sees what follows sees that the version is another one
        body.log.store(first.word(), Ordering::Release);
        Ok(Self {
            table,
            version,
            first,
            end: first,
            log,
            has_log_pages: false,
            has_dropped: false,
            has_logged_roots: false,
            has_removed: false,
            is_over: false,
            _held: held,
        })
    }

    /// Have everything that was changed be so, whoever is killed from now on.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn commit(mut self) -> Result<()> {
        let body = self.table.body;
        self.is_over = true; // what fails from here on the next writer finishes
        if self.end == self.first {
            body.log.store(0, Ordering::Release);
            body.version.store(self.version, Ordering::Release); // nothing was changed: nobody need look again
            return Ok(());
        }
        body.phase.store(COMMITTED, Ordering::Release); // README: c
        if self.has_dropped {
            self.table.finish()?;
        }
        body.log.store(0, Ordering::Release);
        body.phase.store(0, Ordering::Release);
        if self.has_log_pages {
            self.free_log_pages()?;
        }
        if body.unused.load(Ordering::Relaxed) != 0 {
            self.table.free_unused()?;
        }
        self.leave();
        Ok(())
    }

    /// The version when it began: nothing had changed since it was this one.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn leave(&self) {
        let after = self.version.wrapping_add(2);
        self.table.body.version.store(after, Ordering::Release); // README: d
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        // What cannot be undone stays as it is, with the version odd: whoever comes next is told so.
        if !self.is_over && recover(&self.table).is_ok() {
            self.leave();
        }
    }
}

/// With the lock: put right what a dead writer has left; return the version.
pub(super) fn put_right(table: &Table<'_>) -> Result<u64> {
    let version = table.body.version.load(Ordering::Acquire);
    if version & 1 == 0 {
        return Ok(version);
    }
    recover(table)?;
    let after = version.wrapping_add(1);
    table.body.version.store(after, Ordering::Release);
    Ok(after)
}

/// Undo the log, or finish what was committed; free the pages that nothing is in.
#[cold]
fn recover(table: &Table<'_>) -> Result<()> {
    let body = table.body;
    if body.phase.load(Ordering::Acquire) == COMMITTED {
        table.finish()?;
    } else {
        table.undo()?;
    }
    body.log.store(0, Ordering::Release);
    body.phase.store(0, Ordering::Release);
    body.log_page.store(0, Ordering::Release);
    body.unused.store(0, Ordering::Release);
    body.vacancy.store(0, Ordering::Release);
    let heap = table.arena.heap(&mut go_on)?;
    heap.free_pages_if(body, |_, header| {
        let is_for = header.is_for.load(Ordering::Relaxed);
        is_for == Use::Nothing as u64 || is_for == Use::Log as u64
    })
}
