//! Putting the heap right after its owner died: what follows from what is true (README), made anew.

use super::error::Result;
use super::heap::LARGEST_CLASS;
use super::layout::{ProcessRecord, CLASSES, FIRST_SLAB, LARGE_AT, SLAB, SLABS, SPANS};
use super::session::Arena;
use super::tag::{of_entry, Kind, Tag};
use crate::atomics::{AtomicU64, Ordering};
use crate::channel::layout::ChannelBody;
use crate::table::layout::TableBody;

impl Arena {
    /// Make counts, lists and bits anew. Only under the heap's mutex.
    pub(super) fn rebuild(&self) -> Result<()> {
        self.each_block(|arena, offset, _| {
            arena.block(offset)?.references.store(0, Ordering::Relaxed);
            Ok(())
        })?;
        let mut reached = Vec::new();
        self.each_reference(|arena, offset| arena.count(offset, &mut reached))?;
        while let Some(offset) = reached.pop() {
            self.put_chains_right(offset)?;
            self.each_kept_by(offset, |arena, offset| arena.count(offset, &mut reached))?;
        }
        self.each_block(|arena, offset, _| arena.free_if_unreferenced(offset))?;
        self.clear_spans()?;
        for free in self.header.free.iter().chain(&self.header.fresh) {
            free.store(0, Ordering::Relaxed);
        }
        self.header.live_blocks.store(0, Ordering::Relaxed);
        self.header.kept_slabs.store(0, Ordering::Relaxed);
        self.header.kept_slabs_number.store(0, Ordering::Relaxed);
        self.header.bare_slabs.store(0, Ordering::Relaxed);
        self.each_block(|arena, offset, class| {
            let block = arena.block(offset)?;
            if !Tag(block.tag.load(Ordering::Relaxed)).is_live() {
                // A free slab whose size is not 0 has its memory.
                let is_kept = class == LARGEST_CLASS && block.size.load(Ordering::Relaxed) != 0;
                let first = if is_kept {
                    arena.header.kept_slabs_number.fetch_add(1, Ordering::Relaxed);
                    &arena.header.kept_slabs
                } else {
                    if class == LARGEST_CLASS {
                        arena.header.bare_slabs.fetch_add(1, Ordering::Relaxed);
                    }
                    &arena.header.free[class]
                };
                block.link.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
                first.store(offset, Ordering::Relaxed);
                return Ok(());
            }
            arena.header.live_blocks.fetch_add(1, Ordering::Relaxed);
            let (link, size) = (block.link.load(Ordering::Relaxed), block.size.load(Ordering::Relaxed));
            if let Ok((first, count)) = super::spans::spans_of(link, size) {
                arena.mark_spans(first, count, true)?;
            }
            Ok(())
        })
    }

    /// Count a reference to a block; the first one leads to what it refers to itself.
    fn count(&self, offset: u64, reached: &mut Vec<u64>) -> Result<()> {
        if self.block(offset)?.references.fetch_add(1, Ordering::Relaxed) == 0 {
            reached.push(offset);
        }
        Ok(())
    }

    fn put_chains_right(&self, offset: u64) -> Result<()> {
        match self.tag_of(offset).and_then(Tag::kind) {
            Some(Kind::Channel) => self.put_segments_right(self.body(offset)?).map(drop),
            Some(kind) if kind.is_table() => self.put_pages_right(self.body(offset)?).map(drop),
            _ => Ok(()),
        }
    }

    /// Call for each block that a live one refers to, once for each reference: a channel's segments, a table's pages, their
    /// messages and values in blocks of their own, what a bundle has.
    pub(super) fn each_kept_by(&self, offset: u64, mut call: impl FnMut(&Self, u64) -> Result<()>) -> Result<()> {
        let (parts, references) = match self.tag_of(offset).and_then(Tag::kind) {
            Some(Kind::Channel) => {
                let body: &ChannelBody = self.body(offset)?;
                (self.segments_of(body)?, &body.references)
            }
            Some(kind) if kind.is_table() => {
                let body: &TableBody = self.body(offset)?;
                (self.pages_of(body)?, &body.references)
            }
            Some(Kind::Bundle) => return self.each_reference_of_bundle(offset, call),
            _ => return Ok(()),
        };
        for part in parts {
            call(self, part)?;
        }
        self.each_reference_in(references, call)
    }

    /// Store the tag `free` into a live block that nobody refers to.
    fn free_if_unreferenced(&self, offset: u64) -> Result<()> {
        let block = self.block(offset)?;
        let tag = Tag(block.tag.load(Ordering::Relaxed));
        let is_needed = match tag.kind() {
            _ if !tag.is_live() => return Ok(()),
            None => false,
            Some(Kind::Name) => self.has_name(block.link.load(Ordering::Relaxed), offset),
            Some(_) => block.references.load(Ordering::Relaxed) > 0,
        };
        let link = block.link.load(Ordering::Relaxed);
        if !is_needed {
            block.tag.store(tag.freed().0, Ordering::Release);
            let spans = super::spans::spans_of(link, block.size.load(Ordering::Relaxed));
            if let (true, Ok((first, count))) = (tag.kind() != Some(Kind::Name), spans) {
                let _ = self.file.punch(LARGE_AT + first * SLAB, count * SLAB);
            }
        }
        Ok(())
    }

    /// Whether a block is live, and the name of another one.
    pub(super) fn is_name_of(&self, name: u64, offset: u64) -> bool {
        self.tag_of(name).and_then(Tag::kind) == Some(Kind::Name)
            && self
                .block(name)
                .is_ok_and(|block| block.link.load(Ordering::Relaxed) == offset)
    }

    /// Whether a block is live and has that name.
    fn has_name(&self, offset: u64, name: u64) -> bool {
        self.class_at(offset).is_ok()
            && self.block(offset).is_ok_and(|block| {
                Tag(block.tag.load(Ordering::Relaxed)).is_live()
                    && block.link.load(Ordering::Relaxed) == name
                    && block.references.load(Ordering::Relaxed) > 0
            })
    }

    /// Call for each place of a block there is, with its size class.
    pub(crate) fn each_block(&self, mut call: impl FnMut(&Self, u64, usize) -> Result<()>) -> Result<()> {
        let slabs = self.header.slabs.load(Ordering::Acquire).min(SLABS as u32);
        for slab in FIRST_SLAB..u64::from(slabs) {
            let Some(class) = self.class_of(slab)? else { continue };
            for index in 0..SLAB / CLASSES[class] {
                call(self, slab * SLAB + index * CLASSES[class], class)?;
            }
        }
        Ok(())
    }

    /// Call for each live block that a process refers to, once for each reference; the blocks of the chains included.
    pub(super) fn each_reference(&self, mut call: impl FnMut(&Self, u64) -> Result<()>) -> Result<()> {
        for index in 0..self.processes_high() {
            self.each_reference_of(self.process(index)?, &mut call)?;
        }
        Ok(())
    }

    /// The same for one process.
    pub(super) fn each_reference_of(
        &self,
        process: &ProcessRecord,
        mut call: impl FnMut(&Self, u64) -> Result<()>,
    ) -> Result<()> {
        if process.state.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.each_reference_in(&process.references, &mut call)
    }

    /// The same for a chain.
    pub(crate) fn each_reference_in(
        &self,
        first: &AtomicU64,
        mut call: impl FnMut(&Self, u64) -> Result<()>,
    ) -> Result<()> {
        let mut offset = first.load(Ordering::Acquire);
        let mut circle = Circle::default();
        while offset != 0 && !circle.is_closed_by(offset) {
            let Ok(body) = self.references(offset) else { break };
            call(self, offset)?;
            for entry in &body.entries {
                let (offset, generation) = of_entry(entry.load(Ordering::Relaxed));
                if offset != 0 && self.is_live(offset, generation) {
                    call(self, offset)?;
                }
            }
            offset = body.next.load(Ordering::Acquire);
        }
        Ok(())
    }

    /// The first span of each word of bits that has memory.
    pub(super) fn spans_with_bits(&self) -> impl Iterator<Item = u64> {
        (0..self.header.span_high.load(Ordering::Relaxed).min(SPANS)).step_by(64)
    }

    pub(super) fn is_live(&self, offset: u64, generation: u32) -> bool {
        self.class_at(offset).is_ok()
            && self.block(offset).is_ok_and(|block| {
                let tag = Tag(block.tag.load(Ordering::Relaxed));
                tag.is_live() && tag.generation() == generation
            })
    }

    fn clear_spans(&self) -> Result<()> {
        for span in self.spans_with_bits() {
            self.span_word(span)?.0.store(0, Ordering::Relaxed);
        }
        self.header.spans.store(0, Ordering::Relaxed);
        self.header.span_hint.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Notices that a chain runs in a circle (Brent's algorithm): it remembers one link, twice as long each time.
#[derive(Default)]
pub(super) struct Circle {
    remembered: u64,
    steps: u64,
    until: u64,
}

impl Circle {
    /// Take the next link; true when it has been there before.
    pub fn is_closed_by(&mut self, offset: u64) -> bool {
        if offset == self.remembered {
            return true;
        }
        if self.steps == self.until {
            self.remembered = offset;
            self.until = self.until * 2 + 1;
            self.steps = 0;
        }
        self.steps += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_runs_in_a_circle_is_noticed_soon() {
        for (tail, length) in [(0, 1), (5, 1), (7, 100), (100, 7)] {
            let mut circle = Circle::default();
            let link = |step| {
                1 + if step < tail {
                    step
                } else {
                    tail + (step - tail) % length
                }
            };
            let steps = (0..).take_while(|step| !circle.is_closed_by(link(*step))).count() as u64;
            assert!(
                (tail..=4 * (tail + length) + 4).contains(&steps),
                "{tail} {length} {steps}"
            );
        }
    }
}
