//! Which handles a process has: entries in a chain of blocks that belongs to its record (README: truth, 2).

use super::error::{Error, Result};
use super::heap::{Content, Heap};
use super::layout::{References, BLOCK_HEADER, ENTRIES};
use super::session::Arena;
use super::tag::{entry, of_entry, Kind, Tag};
use crate::atomics::{AtomicU64, Ordering};

/// The references of this process, as it finds them fast.
#[derive(Default)]
pub(crate) struct Own {
    /// The blocks of the chain.
    pub chain: Vec<u64>,
    /// Places without an entry.
    pub vacant: Vec<Place>,
    /// How often they have changed.
    pub changes: u64,
    /// Which of the chains that this process has had it is; a handle belongs to one of them.
    pub chains: u32,
}

/// Where an entry is: the number in the chain, and in the block. It holds in a forked child, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    chain: u32,
    index: u32,
}

impl Own {
    /// Have none: those that there are are another process's, and handles of that time have no place here.
    pub fn forget(&mut self) {
        self.chain.clear();
        self.vacant.clear();
        self.chains = self.chains.wrapping_add(1);
    }
}

impl Heap<'_> {
    /// Count a handle to a live block among this process's.
    pub(super) fn refer(&self, own: &mut Own, offset: u64) -> Result<Place> {
        own.changes += 1;
        let place = self.place(own)?;
        let block = self.arena.block(offset)?;
        let generation = Tag(block.tag.load(Ordering::Relaxed)).generation();
        self.entry(own, place)?
            .store(entry(offset, generation), Ordering::Release); // README: b
        block.references.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// Count a handle no more; the block is freed with the last one.
    pub(super) fn unrefer(&self, own: &mut Own, place: Place) -> Result<()> {
        own.changes += 1;
        let before = self.entry(own, place)?.swap(0, Ordering::AcqRel); // README: c
        own.vacant.push(place);
        if before == 0 {
            return Err(Error::Corrupt("a reference is not there"));
        }
        self.drop_reference(before)
    }

    /// Clear the whole chain of a process that is no more.
    pub(crate) fn clear_chain(&self, first: &AtomicU64) -> Result<()> {
        loop {
            let offset = first.load(Ordering::Acquire);
            if offset == 0 {
                return Ok(());
            }
            let body = self.arena.references(offset)?;
            for entry in &body.entries {
                let before = entry.swap(0, Ordering::AcqRel);
                if before != 0 {
                    self.drop_reference(before)?;
                }
            }
            first.store(body.next.load(Ordering::Acquire), Ordering::Release);
            self.free(offset)?;
        }
    }

    /// Make a copy of this process's references; return the blocks of its chain.
    pub(crate) fn copy_chain(&self, own: &Own, first: &AtomicU64) -> Result<Vec<u64>> {
        let mut chain = Vec::with_capacity(own.chain.len());
        let mut link = first;
        for offset in &own.chain {
            let copy = self.allocate(Kind::References, size_of::<References>() as u64, Content::Zeroes)?;
            let (from, to) = (self.arena.references(*offset)?, self.arena.references(copy)?);
            link.store(copy, Ordering::Release);
            for (from, to) in from.entries.iter().zip(&to.entries) {
                let entry = from.load(Ordering::Relaxed);
                let (offset, generation) = of_entry(entry);
                if entry != 0 && self.arena.is_live(offset, generation) {
                    to.store(entry, Ordering::Release);
                    self.arena.block(offset)?.references.fetch_add(1, Ordering::Relaxed);
                }
            }
            link = &to.next;
            chain.push(copy);
        }
        Ok(chain)
    }

    /// A place without an entry in a chain that is no process's; the arena's offset of it.
    pub(crate) fn vacant_entry(&self, first: &AtomicU64) -> Result<u64> {
        let found = self.vacant_entry_from(first, true)?;
        Ok(found.ok_or(Error::Corrupt("a chain of references does not grow"))?.0)
    }

    /// The same from a link of the chain on, which gets a further block if need be and it `grows`; and the block before the
    /// one where the place is, 0 for the first one.
    pub(crate) fn vacant_entry_from(&self, first: &AtomicU64, grows: bool) -> Result<Option<(u64, u64)>> {
        let (mut link, mut before) = (first, 0);
        for _ in 0..=self.arena.slabs().saturating_mul(64) {
            let offset = match link.load(Ordering::Acquire) {
                0 if !grows => return Ok(None),
                0 => {
                    let offset = self.allocate(Kind::References, size_of::<References>() as u64, Content::Zeroes)?;
                    link.store(offset, Ordering::Release);
                    self.arena.block(offset)?.references.store(1, Ordering::Relaxed);
                    offset
                }
                offset => offset,
            };
            let body = self.arena.references(offset)?;
            if let Some(index) = body.entries.iter().position(|entry| entry.load(Ordering::Relaxed) == 0) {
                return Ok(Some((offset + BLOCK_HEADER + 8 * (index as u64 + 1), before)));
            }
            (link, before) = (&body.next, offset);
        }
        Err(Error::Corrupt("a chain of references runs in a circle"))
    }

    /// Refer to a live block from a place that has no entry.
    pub(crate) fn set_entry(&self, place: u64, entry: u64) -> Result<()> {
        let (offset, _) = of_entry(entry);
        self.arena.class_at(offset)?;
        self.entry_at(place)?.store(entry, Ordering::Release); // README: b
        self.arena.block(offset)?.references.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Drop the reference at a place, if it is this one.
    pub(crate) fn clear_entry(&self, place: u64, entry: u64) -> Result<()> {
        let is_it = self
            .entry_at(place)?
            .compare_exchange(entry, 0, Ordering::AcqRel, Ordering::Relaxed) // README: c
            .is_ok();
        if is_it {
            self.drop_reference(entry)?;
        }
        Ok(())
    }

    fn entry_at(&self, place: u64) -> Result<&'static AtomicU64> {
        let block = place - place % (BLOCK_HEADER + size_of::<References>() as u64);
        self.arena.references(block)?;
        if place < block + BLOCK_HEADER + 8 {
            return Err(Error::Corrupt("a reference has no place"));
        }
        Ok(self.arena.file.at(place)?)
    }

    pub(super) fn drop_reference(&self, entry: u64) -> Result<()> {
        let (offset, generation) = of_entry(entry);
        self.arena.class_at(offset)?;
        let block = self.arena.block(offset)?;
        let tag = Tag(block.tag.load(Ordering::Relaxed));
        if !tag.is_live() || tag.generation() != generation {
            return Ok(()); // an embryo that was given up and came to life all the same
        }
        match block.references.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::Corrupt("a block has less references than are dropped")),
            1 => self.free_last(offset),
            _ => Ok(()),
        }
    }

    fn place(&self, own: &mut Own) -> Result<Place> {
        if let Some(place) = own.vacant.pop() {
            return Ok(place);
        }
        let offset = self.allocate(Kind::References, size_of::<References>() as u64, Content::Zeroes)?;
        let link = match own.chain.last() {
            Some(last) => &self.arena.references(*last)?.next,
            None => &self.arena.own_record()?.references,
        };
        link.store(offset, Ordering::Release);
        let chain = own.chain.len() as u32;
        own.chain.push(offset);
        own.vacant
            .extend((0..ENTRIES as u32).rev().map(|index| Place { chain, index }));
        own.vacant
            .pop()
            .ok_or(Error::Corrupt("a block of references has no entries"))
    }

    fn entry(&self, own: &Own, place: Place) -> Result<&'static AtomicU64> {
        let offset = own.chain.get(place.chain as usize);
        let body = self
            .arena
            .references(*offset.ok_or(Error::Corrupt("a reference has no place"))?)?;
        body.entries
            .get(place.index as usize)
            .ok_or(Error::Corrupt("a reference has no place"))
    }
}

impl Arena {
    /// The body of a block of references, checked.
    pub(crate) fn references(&self, offset: u64) -> Result<&'static References> {
        self.class_at(offset)?;
        let tag = Tag(self.block(offset)?.tag.load(Ordering::Acquire));
        if tag.kind() != Some(Kind::References) {
            return Err(Error::Corrupt("a chain of references leads to something else"));
        }
        self.body(offset)
    }
}
