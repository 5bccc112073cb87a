//! Walking the whole heap, to compare it with what its counters, lists and bits say.

use super::error::{Error, Result};
use super::heap::LARGEST_CLASS;
use super::layout::LARGE_AT;
use super::recovery::Circle;
use super::session::{Arena, Pause};
use super::tag::{Kind, Tag};
use crate::atomics::Ordering;

/// What a walk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Live blocks, and of these the objects that users know of.
    pub live_blocks: u64,
    pub objects: u64,
    /// Bytes in the bodies of objects.
    pub object_bytes: u64,
    /// Spans of 64 KB in the large area.
    pub spans: u64,
    /// References that processes hold, those of objects only.
    pub references: u64,
}

impl Arena {
    /// Walk the heap and compare: each block is either live or in the free list of its class or in a slab's fresh end;
    /// references, spans and counters are what the live blocks and the processes say.
    ///
    /// # Errors
    /// `Corrupt`, saying what does not agree.
    pub fn account(&self, pause: Pause<'_>) -> Result<Account> {
        let heap = self.heap(pause)?;
        let mut found = Account::default();
        let (mut free_blocks, mut counted) = (0u64, 0u64);
        let (mut parts, mut kept_parts, mut kept) = (0u64, 0u64, 0u64);
        self.each_block(|arena, offset, class| {
            let block = arena.block(offset)?;
            let tag = Tag(block.tag.load(Ordering::Relaxed));
            let fresh = arena.header.fresh[class].load(Ordering::Relaxed);
            let is_fresh = fresh != 0 && offset >= fresh && offset / super::layout::SLAB == fresh / super::layout::SLAB;
            if !tag.is_live() {
                free_blocks += u64::from(!is_fresh);
                return Ok(());
            }
            if is_fresh {
                return Err(Error::Corrupt("a live block lies in the fresh end of a slab"));
            }
            found.live_blocks += 1;
            let (link, size) = (block.link.load(Ordering::Relaxed), block.size.load(Ordering::Relaxed));
            parts += u64::from(matches!(tag.kind(), Some(Kind::Segment | Kind::Page)));
            arena.each_kept_by(offset, |arena, offset| {
                match Tag(arena.block(offset)?.tag.load(Ordering::Relaxed)).kind() {
                    Some(Kind::References) => {}
                    Some(Kind::Segment | Kind::Page) => kept_parts += 1,
                    _ => kept += 1,
                }
                Ok(())
            })?;
            if !matches!(
                tag.kind(),
                Some(Kind::Name | Kind::References | Kind::Segment | Kind::Page)
            ) {
                found.objects += 1;
                found.object_bytes = found.object_bytes.saturating_add(size);
                counted += u64::from(block.references.load(Ordering::Relaxed));
            }
            if link >= LARGE_AT {
                found.spans += super::spans::spans_of(link, size)?.1;
            }
            Ok(())
        })?;
        self.each_reference(|arena, offset| {
            let kind = Tag(arena.block(offset)?.tag.load(Ordering::Relaxed)).kind();
            found.references += u64::from(kind != Some(Kind::References));
            Ok(())
        })?;
        let listed = self.listed_blocks()?;
        let bits = self.span_bits()?;
        let agree = [
            (listed == free_blocks, "the free lists do not have just the free blocks"),
            (
                counted == found.references + kept,
                "the counts of references are not those of the processes, channels, tables and bundles",
            ),
            (
                parts == kept_parts,
                "the segments and pages are not those of the channels and tables",
            ),
            (heap.kept_runs_are_free()?, "memory is kept as free that is in use"),
            (bits == found.spans, "the span bits are not those of the large blocks"),
            (
                self.header.spans.load(Ordering::Relaxed) == bits,
                "the number of spans is not that of the bits",
            ),
            (
                self.header.live_blocks.load(Ordering::Relaxed) == found.live_blocks,
                "the number of live blocks is not that of a walk",
            ),
        ];
        match agree.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Error::Corrupt(what)),
            None => Ok(found),
        }
    }

    fn listed_blocks(&self) -> Result<u64> {
        let (mut listed, mut bare) = (0, 0);
        let kept = (LARGEST_CLASS, &self.header.kept_slabs);
        for (class, first) in self.header.free.iter().enumerate().chain([kept]) {
            let mut offset = first.load(Ordering::Relaxed);
            let mut circle = Circle::default();
            while offset != 0 {
                let block = self.block(offset)?;
                if self.class_at(offset)? != class || Tag(block.tag.load(Ordering::Relaxed)).is_live() {
                    return Err(Error::Corrupt("a free list leads to a block that is not free"));
                }
                listed += 1;
                bare += u32::from(class == LARGEST_CLASS && std::ptr::eq(first, &self.header.free[class]));
                if circle.is_closed_by(offset) {
                    return Err(Error::Corrupt("a free list runs in a circle"));
                }
                offset = block.link.load(Ordering::Relaxed);
            }
        }
        if bare != self.header.bare_slabs.load(Ordering::Relaxed) {
            return Err(Error::Corrupt("the number of bare slabs is not that of their list"));
        }
        Ok(listed)
    }

    fn span_bits(&self) -> Result<u64> {
        let mut bits = 0;
        for span in self.spans_with_bits() {
            bits += u64::from(self.span_word(span)?.0.load(Ordering::Relaxed).count_ones());
        }
        Ok(bits)
    }
}
