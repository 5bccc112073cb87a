//! Bundles: blocks that are references to others, and nothing else (README: bundles).

use super::error::{Error, Result};
use super::heap::Heap;
use super::layout::{BLOCK_HEADER, CLASSES};
use super::objects::Handle;
use super::session::{Arena, Pause};
use super::tag::{entry, of_entry, Kind, Tag};
use crate::atomics::{AtomicU64, Ordering};

/// How many references a bundle has room for.
const MOST: usize = if cfg!(test) {
    5
} else {
    (CLASSES[CLASSES.len() - 2] - BLOCK_HEADER) as usize / 8
};

impl Arena {
    /// Make a bundle of live blocks (offset, generation): they live as long as it does.
    ///
    /// # Errors
    /// `Freed`, when one is no more; what the heap says.
    pub fn make_bundle(&self, blocks: &[(u64, u32)], pause: Pause<'_>) -> Result<Handle> {
        let Some((first, others)) = blocks.split_first() else {
            return Err(Error::Corrupt("a bundle is to have nothing in it"));
        };
        if blocks.len() <= MOST {
            return self.make_one_bundle(blocks, pause);
        }
        // As many as fit, and a bundle of the rest.
        let (here, rest) = others.split_at(MOST - 2);
        let rest = self.make_bundle(rest, pause)?;
        let all: Vec<_> = [*first, (rest.offset, rest.generation)]
            .into_iter()
            .chain(here.iter().copied())
            .collect();
        let made = self.make_one_bundle(&all, pause);
        self.release(&rest, pause)?;
        made
    }

    fn make_one_bundle(&self, blocks: &[(u64, u32)], pause: Pause<'_>) -> Result<Handle> {
        let handle = self.make(Kind::Bundle, blocks.len() as u64 * 8, None, pause)?;
        let filled = self
            .heap(pause)
            .and_then(|heap| heap.fill_bundle(handle.offset, blocks));
        match filled {
            Ok(()) => Ok(handle),
            Err(error) => {
                self.release(&handle, pause)?;
                Err(error)
            }
        }
    }

    /// The first block of a bundle that this process has.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn first_of_bundle(&self, bundle: &Handle) -> Result<(u64, u32)> {
        let entries = self.entries_of_bundle(bundle.offset)?;
        let first = entries.first().ok_or(Error::Corrupt("a bundle has nothing in it"))?;
        Ok(of_entry(first.load(Ordering::Relaxed)))
    }

    /// How long the body of a block is, in bytes; of a bundle, that of its first block.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn size_of_first(&self, handle: &Handle) -> Result<u64> {
        let is_bundle = Tag(self.block(handle.offset)?.tag.load(Ordering::Relaxed)).kind() == Some(Kind::Bundle);
        let first = if is_bundle {
            self.first_of_bundle(handle)?.0
        } else {
            handle.offset
        };
        Ok(self.block(first)?.size.load(Ordering::Relaxed))
    }

    fn entries_of_bundle(&self, offset: u64) -> Result<&'static [AtomicU64]> {
        let size = self.size_of_kind(offset, Kind::Bundle)?;
        Ok(self.file.words(offset + BLOCK_HEADER, size as usize / 8)?)
    }

    /// Call for each live block that a bundle has.
    pub(super) fn each_reference_of_bundle(
        &self,
        offset: u64,
        mut call: impl FnMut(&Self, u64) -> Result<()>,
    ) -> Result<()> {
        for entry in self.entries_of_bundle(offset)? {
            let (offset, generation) = of_entry(entry.load(Ordering::Relaxed));
            if offset != 0 && self.is_live(offset, generation) {
                call(self, offset)?;
            }
        }
        Ok(())
    }
}

impl Heap<'_> {
    fn fill_bundle(&self, bundle: u64, blocks: &[(u64, u32)]) -> Result<()> {
        for (place, (offset, generation)) in self.arena.entries_of_bundle(bundle)?.iter().zip(blocks) {
            let block = self.arena.block(*offset)?;
            let tag = Tag(block.tag.load(Ordering::Relaxed));
            if !tag.is_live() || tag.generation() != *generation {
                return Err(Error::Freed);
            }
            place.store(entry(*offset, *generation), Ordering::Release); // README: b
            block.references.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Drop all references of a bundle that is no more, and of which so many bytes were used.
    pub(super) fn clear_bundle(&self, bundle: u64, size: u64) -> Result<()> {
        let size = size.min(self.arena.room(bundle)?);
        for place in self.arena.file.words(bundle + BLOCK_HEADER, size as usize / 8)? {
            let before = place.swap(0, Ordering::AcqRel); // README: c
            if before != 0 {
                self.drop_reference(before)?;
            }
        }
        Ok(())
    }
}
