//! Memory that is free and was not given back to the system, so that the next message need not ask for it (README: kept
//! memory). Everything here but `give_back_idle` happens under the heap's mutex.

use super::error::{Error, Result};
use super::heap::{go_on, Heap, LARGEST_CLASS};
use super::layout::{LARGE_AT, PAGE, SLAB, SPANS};
use super::session::Arena;
use super::tag::Tag;
use crate::atomics::{AtomicU64, Ordering};

/// How many free slabs are kept at most, and spans: 16 MB, and 64 MB.
const KEPT_SLABS: u32 = 256;
const KEPT_SPANS: u64 = 1024;

/// A run of spans.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    count: u64,
}

impl Run {
    /// What a word says; whatever is in there.
    fn of(word: u64) -> Option<Self> {
        let (first, count) = (word >> 32, word & u64::from(u32::MAX));
        (count > 0 && first + count <= SPANS).then_some(Self { first, count })
    }

    fn word(self) -> u64 {
        if self.count == 0 {
            0
        } else {
            self.first << 32 | self.count
        }
    }

    fn overlaps(self, other: Self) -> bool {
        self.first < other.first + other.count && other.first < self.first + self.count
    }
}

impl Heap<'_> {
    /// Take a run of so many spans that has memory, with anything in it; the first one.
    pub(super) fn take_kept_run(&self, count: u64) -> Result<Option<u64>> {
        let fits = |run: &Run| (count..2 * count).contains(&run.count);
        let best = self.kept_runs().filter(|(_, run)| fits(run));
        let Some((word, run)) = best.min_by_key(|(_, run)| run.count) else {
            return Ok(None);
        };
        let rest = Run {
            first: run.first + count,
            count: run.count - count,
        };
        word.store(rest.word(), Ordering::Relaxed);
        self.arena.header.kept_uses.fetch_add(1, Ordering::Relaxed);
        let is_free = self.find_run(run.first, count)? == Some(run.first);
        Ok(is_free.then_some(run.first))
    }

    /// Keep the memory of a run that is free now, or give it back if it is large.
    pub(super) fn keep_run(&self, first: u64, count: u64) -> Result<()> {
        let limit = self.arena.header.limit.load(Ordering::Relaxed) / SLAB;
        let room = limit.saturating_sub(self.arena.used() / SLAB).min(KEPT_SPANS);
        if count > room.min(KEPT_SPANS / 2) {
            return Ok(self.arena.file.punch(LARGE_AT + first * SLAB, count * SLAB)?);
        }
        let words = &self.arena.header.kept_runs;
        let mut victim = self.arena.header.kept_uses.load(Ordering::Relaxed) as usize;
        loop {
            let vacant = words
                .iter()
                .find(|word| Run::of(word.load(Ordering::Relaxed)).is_none());
            if let (Some(vacant), true) = (vacant, self.kept_bytes() / SLAB + count <= room) {
                vacant.store(Run { first, count }.word(), Ordering::Relaxed);
                return Ok(());
            }
            victim = victim.wrapping_add(1);
            self.give_back_run(&words[victim % words.len()])?;
        }
    }

    /// Give the memory of those kept runs back that have a part in a run that is about to be used.
    pub(super) fn give_back_overlapping(&self, first: u64, count: u64) -> Result<()> {
        for (word, run) in self.kept_runs() {
            if run.overlaps(Run { first, count }) {
                self.give_back_run(word)?;
            }
        }
        Ok(())
    }

    /// Keep a slab that is free now, or give its memory back; list it.
    pub(super) fn keep_slab(&self, offset: u64) -> Result<()> {
        let header = self.arena.header;
        let number = header.kept_slabs_number.load(Ordering::Relaxed);
        if number >= KEPT_SLABS {
            return self.give_back_slab(offset);
        }
        let block = self.arena.block(offset)?;
        block
            .link
            .store(header.kept_slabs.load(Ordering::Relaxed), Ordering::Relaxed);
        header.kept_slabs.store(offset, Ordering::Relaxed);
        header.kept_slabs_number.store(number + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Take a slab whose memory was kept.
    pub(super) fn take_kept_slab(&self) -> Result<Option<u64>> {
        let header = self.arena.header;
        let first = header.kept_slabs.load(Ordering::Relaxed);
        if first == 0 {
            return Ok(None);
        }
        let block = self.arena.block(first)?;
        if self.arena.class_at(first)? != LARGEST_CLASS || Tag(block.tag.load(Ordering::Relaxed)).is_live() {
            return Err(Error::Corrupt("a free list leads to a block that is not free"));
        }
        header
            .kept_slabs
            .store(block.link.load(Ordering::Relaxed), Ordering::Relaxed);
        let number = header.kept_slabs_number.load(Ordering::Relaxed);
        header
            .kept_slabs_number
            .store(number.saturating_sub(1), Ordering::Relaxed);
        header.kept_uses.fetch_add(1, Ordering::Relaxed);
        Ok(Some(first))
    }

    /// Give something that is kept back to the system; false when there is nothing.
    pub(crate) fn give_back_one(&self) -> Result<bool> {
        if let Some(slab) = self.take_kept_slab()? {
            self.give_back_slab(slab)?;
            return Ok(true);
        }
        let first = self.kept_runs().next();
        match first {
            Some((word, _)) => self.give_back_run(word).map(|()| true),
            None => Ok(false),
        }
    }

    /// How many bytes the kept runs have.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept_runs().map(|(_, run)| run.count * SLAB).sum()
    }

    /// Whether no block has spans of a kept run.
    pub(super) fn kept_runs_are_free(&self) -> Result<bool> {
        for (_, run) in self.kept_runs() {
            if self.find_run(run.first, run.count)? != Some(run.first) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn kept_runs(&self) -> impl Iterator<Item = (&'static AtomicU64, Run)> {
        let words = self.arena.header.kept_runs.iter();
        words.filter_map(|word| Run::of(word.load(Ordering::Relaxed)).map(|run| (word, run)))
    }

    fn give_back_run(&self, word: &AtomicU64) -> Result<()> {
        match Run::of(word.swap(0, Ordering::Relaxed)) {
            // Unless it is in use, which a word that was overwritten may say.
            Some(run) if self.find_run(run.first, run.count)? == Some(run.first) => {
                Ok(self.arena.file.punch(LARGE_AT + run.first * SLAB, run.count * SLAB)?)
            }
            _ => Ok(()),
        }
    }

    fn give_back_slab(&self, offset: u64) -> Result<()> {
        let block = self.arena.block(offset)?;
        block.size.store(0, Ordering::Relaxed); // first: its memory is not all there from now on
        self.list(offset, block, LARGEST_CLASS);
        self.arena.header.bare_slabs.fetch_add(1, Ordering::Relaxed);
        Ok(self.arena.file.punch(offset + PAGE, SLAB - PAGE)?)
    }
}

impl Arena {
    /// How often kept memory was used until now.
    pub(crate) fn kept_uses(&self) -> u64 {
        self.header.kept_uses.load(Ordering::Relaxed)
    }

    /// Give kept memory back to the system, unless it was used since `uses` was told.
    ///
    /// # Errors
    /// `Corrupt`; the kernel's.
    #[cold]
    pub(crate) fn give_back_idle(&self, uses: u64) -> Result<()> {
        let words = &self.header.kept_runs;
        let is_none = self.header.kept_slabs.load(Ordering::Relaxed) == 0
            && words.iter().all(|word| word.load(Ordering::Relaxed) == 0);
        if is_none {
            return Ok(());
        }
        // One at a time: others want the heap, too.
        loop {
            let heap = self.heap(&mut go_on)?;
            if self.kept_uses() != uses || !heap.give_back_one()? {
                return Ok(());
            }
            self.header.kept_uses.store(uses, Ordering::Relaxed); // this was no use
        }
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::expect_used, reason = "tests")]
mod tests {
    use rustix::io::{pread, pwrite};

    use super::*;
    use crate::arena::tag::Kind;
    use crate::arena::Handle;
    use crate::crash::session;

    const BYTES: u64 = 5 * SLAB - 7;

    fn position(arena: &Arena, block: &Handle) -> u64 {
        arena.bytes_of(block, true).expect("bytes").position
    }

    fn written_and_freed(arena: &Arena) -> u64 {
        let block = arena.make_to_write(Kind::Memory, BYTES, &mut go_on).expect("a block");
        let at = position(arena, &block);
        let file = arena.descriptor().expect("open");
        assert_eq!(pwrite(file, &[7; BYTES as usize], at), Ok(BYTES as usize));
        arena.release(&block, &mut go_on).expect("freed");
        at
    }

    fn first_byte(arena: &Arena, at: u64) -> u8 {
        let mut byte = [0];
        assert_eq!(pread(arena.descriptor().expect("open"), &mut byte, at), Ok(1));
        byte[0]
    }

    #[test]
    fn a_block_to_be_written_has_the_memory_of_one_that_was_freed() {
        let arena = session();
        let at = written_and_freed(&arena);
        let block = arena.make_to_write(Kind::Memory, BYTES, &mut go_on).expect("a block");
        assert_eq!((position(&arena, &block), first_byte(&arena, at)), (at, 7));
        arena.account(&mut go_on).expect("in order");
    }

    #[test]
    fn other_blocks_are_zeroes_wherever_they_are() {
        let arena = session();
        let at = written_and_freed(&arena);
        let block = arena.make(Kind::Memory, BYTES, None, &mut go_on).expect("a block");
        assert_eq!((position(&arena, &block), first_byte(&arena, at)), (at, 0));
        arena.account(&mut go_on).expect("in order");
    }

    #[test]
    fn kept_memory_is_given_back_when_nobody_uses_it() {
        let arena = session();
        let at = written_and_freed(&arena);
        let uses = arena.kept_uses();
        let _block = arena
            .make_to_write(Kind::Memory, 4 * SLAB, &mut go_on)
            .expect("a block");
        arena.give_back_idle(uses).expect("no error");
        assert_eq!(first_byte(&arena, at), 7, "it was used");
        arena.give_back_idle(arena.kept_uses()).expect("no error");
        assert_eq!(arena.heap(&mut go_on).expect("free").kept_bytes(), 0);
        arena.account(&mut go_on).expect("in order");
    }

    #[test]
    fn no_more_is_kept_than_the_limit_leaves() {
        let arena = session();
        for _ in 0..3 {
            let blocks: Vec<Handle> = (0..40)
                .map(|_| {
                    arena
                        .make_to_write(Kind::Memory, 60 * SLAB, &mut go_on)
                        .expect("a block")
                })
                .collect();
            for block in &blocks {
                arena.release(block, &mut go_on).expect("freed");
            }
            let kept = arena.heap(&mut go_on).expect("free").kept_bytes();
            assert!(kept > 0 && kept <= KEPT_SPANS * SLAB);
        }
        arena.account(&mut go_on).expect("in order");
    }
}
