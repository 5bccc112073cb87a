//! Blocks: taking and giving back memory. Everything here happens under the heap's mutex, whose guard a `Heap` is.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use super::error::{Error, Result, Shortage};
use super::layout::{BlockHeader, BLOCK_HEADER, CLASSES, FIRST_SLAB, LARGE_AT, PAGE, SLAB, SLABS, SLAB_TABLE_AT};
use super::session::{Arena, Pause};
use super::tag::{Kind, Tag};
use crate::atomics::{AtomicU32, Ordering};
use crate::channel::layout::ChannelBody;
use crate::sys::headroom;
use crate::sys::robust_mutex::Guard;

/// The right to change the heap.
pub struct Heap<'a> {
    pub(crate) arena: &'a Arena,
    /// Blocks that nobody refers to since another one was freed, and whether one is being freed.
    unreferenced: RefCell<Vec<u64>>,
    is_freeing: Cell<bool>,
    _guard: Guard<'a>,
}

/// What is in a block that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Zeroes.
    Zeroes,
    /// What was there before: whoever makes it writes all of it.
    Anything,
}

/// From this size on it is worth looking whether the system has so much memory.
const LOOK_FROM: u64 = 1 << 20;
/// The class whose blocks are whole slabs, and give their memory back when they are free.
pub(super) const LARGEST_CLASS: usize = CLASSES.len() - 1;
/// What is left to the rest of the program.
const HEADROOM_KEPT: u64 = 16 << 20;

impl Arena {
    /// Take the heap's mutex; after the death of its last owner put the heap right.
    pub(crate) fn heap(&self, pause: Pause<'_>) -> Result<Heap<'_>> {
        let _ = self.me(); // an orphan enters now: it needs the mutex for that
        let mut guard = self.mutex(0)?.lock(pause)?;
        let is_unsound = &self.header.is_unsound;
        if guard.is_inconsistent() {
            is_unsound.store(1, Ordering::Relaxed); // before the mutex forgets it
            guard.put_right();
        }
        if is_unsound.load(Ordering::Relaxed) != 0 {
            self.rebuild()?;
            is_unsound.store(0, Ordering::Relaxed);
        }
        Ok(Heap {
            arena: self,
            unreferenced: RefCell::default(),
            is_freeing: Cell::default(),
            _guard: guard,
        })
    }

    /// The size class of a slab.
    pub(crate) fn class_of(&self, slab: u64) -> Result<Option<usize>> {
        if slab >= SLABS as u64 {
            return Err(Error::Corrupt("there is no such slab"));
        }
        let entry: &AtomicU32 = self.file.at(SLAB_TABLE_AT + slab * 4)?;
        match entry.load(Ordering::Acquire) as usize {
            0 => Ok(None),
            class if class <= CLASSES.len() => Ok(Some(class - 1)),
            _ => Err(Error::Corrupt("a slab has no known size class")),
        }
    }

    /// How long the body of a block at an offset can be.
    pub(crate) fn room(&self, offset: u64) -> Result<u64> {
        Ok(CLASSES[self.class_at(offset)?] - BLOCK_HEADER)
    }

    /// Look that a block can lie at an offset: that it is one of the places of its slab.
    pub(super) fn class_at(&self, offset: u64) -> Result<usize> {
        let slabs = u64::from(self.header.slabs.load(Ordering::Acquire));
        let slab = offset / SLAB;
        if slab < FIRST_SLAB || slab >= slabs {
            return Err(Error::Corrupt("an offset leads to no block"));
        }
        match self.class_of(slab)? {
            Some(class) if offset & (CLASSES[class] - 1) == 0 => Ok(class),
            _ => Err(Error::Corrupt("an offset leads into a block")),
        }
    }
}

impl Heap<'_> {
    /// Make a live block. Nothing refers to it yet.
    pub fn allocate(&self, kind: Kind, size: u64, content: Content) -> Result<u64> {
        loop {
            match self.allocate_once(kind, size, content) {
                Err(Error::Full(_) | Error::Kernel(_)) if self.give_back_one()? => {} // it is kept for better times
                result => return result,
            }
        }
    }

    fn allocate_once(&self, kind: Kind, size: u64, content: Content) -> Result<u64> {
        let small = size.checked_add(BLOCK_HEADER).ok_or_else(|| self.over_limit(size))?;
        let classes = if matches!(kind, Kind::Segment | Kind::Page) {
            CLASSES.len()
        } else {
            LARGEST_CLASS
        };
        let class = CLASSES[..classes].iter().position(|room| small <= *room);
        let spans = match class {
            None => self.take_spans(size, content)?,
            Some(_) => 0,
        };
        let offset = match self.take(class.unwrap_or(0), kind) {
            Ok(offset) => offset,
            Err(error) => {
                if spans != 0 {
                    self.give_spans_back(spans, size)?;
                }
                return Err(error);
            }
        };
        let block = self.arena.block(offset)?;
        if class.is_some() && content == Content::Zeroes {
            self.arena.zero(offset, size)?;
        }
        block.size.store(size, Ordering::Relaxed);
        block.link.store(spans, Ordering::Relaxed);
        block.references.store(0, Ordering::Relaxed);
        block.creator.store(self.arena.me(), Ordering::Relaxed);
        let generation = Tag(block.tag.load(Ordering::Relaxed)).generation();
        block.tag.store(Tag::live(generation, kind).0, Ordering::Release); // README: a
        self.arena.header.live_blocks.fetch_add(1, Ordering::Relaxed);
        Ok(offset)
    }

    /// Free a live block that nobody refers to any more, and what only it referred to: one after another, however long
    /// the chain of tables in tables is.
    pub(super) fn free_last(&self, offset: u64) -> Result<()> {
        if self.is_freeing.replace(true) {
            self.unreferenced.borrow_mut().push(offset);
            return Ok(());
        }
        let mut freed = self.free(offset);
        while let (Ok(()), Some(next)) = (&freed, self.next_unreferenced()) {
            freed = self.free(next);
        }
        self.is_freeing.set(false);
        freed
    }

    fn next_unreferenced(&self) -> Option<u64> {
        self.unreferenced.borrow_mut().pop()
    }

    /// Free a live block, with its name.
    pub fn free(&self, offset: u64) -> Result<()> {
        let class = self.arena.class_at(offset)?;
        let block = self.arena.block(offset)?;
        let tag = Tag(block.tag.load(Ordering::Relaxed));
        if !tag.is_live() {
            return Err(Error::Corrupt("a block is free already"));
        }
        let (size, link) = (block.size.load(Ordering::Relaxed), block.link.load(Ordering::Relaxed));
        block.tag.store(tag.freed().0, Ordering::Release); // README: d
        self.arena.header.live_blocks.fetch_sub(1, Ordering::Relaxed);
        if class == LARGEST_CLASS {
            return self.keep_slab(offset);
        }
        self.list(offset, block, class);
        match tag.kind() {
            Some(Kind::Name) | None => Ok(()),
            Some(Kind::Channel) => {
                self.free_segments(offset)?;
                let body: &ChannelBody = self.arena.body(offset)?;
                self.clear_chain(&body.references)?;
                if self.arena.is_name_of(link, offset) {
                    self.free(link)?;
                }
                Ok(())
            }
            Some(kind) if kind.is_table() => {
                self.free_table(offset)?;
                if self.arena.is_name_of(link, offset) {
                    self.free(link)?;
                }
                Ok(())
            }
            Some(Kind::Bundle) => self.clear_bundle(offset, size),
            Some(_) if link >= LARGE_AT => self.give_spans(link, size),
            Some(_) if self.arena.is_name_of(link, offset) => self.free(link),
            Some(_) => Ok(()),
        }
    }

    /// Put a block on its free list.
    pub(super) fn list(&self, offset: u64, block: &BlockHeader, class: usize) {
        let first = &self.arena.header.free[class];
        block.link.store(first.load(Ordering::Relaxed), Ordering::Relaxed);
        first.store(offset, Ordering::Relaxed);
    }

    fn take(&self, class: usize, kind: Kind) -> Result<u64> {
        if class == LARGEST_CLASS {
            if let Some(slab) = self.take_kept_slab()? {
                return Ok(slab);
            }
        }
        if let Some(free) = self.take_free(class)? {
            return Ok(free);
        }
        let header = self.arena.header;
        let fresh = match header.fresh[class].load(Ordering::Relaxed) {
            0 => self.new_slab(class, kind)?,
            fresh => fresh,
        };
        if self.arena.class_at(fresh)? != class {
            return Err(Error::Corrupt("the fresh end of a slab is of another size class"));
        }
        let next = fresh + CLASSES[class];
        let is_last = next % SLAB == 0;
        header.fresh[class].store(if is_last { 0 } else { next }, Ordering::Relaxed);
        Ok(fresh)
    }

    /// Take a block off its class's free list, if there is one.
    fn take_free(&self, class: usize) -> Result<Option<u64>> {
        let list = &self.arena.header.free[class];
        let first = list.load(Ordering::Relaxed);
        if first == 0 {
            return Ok(None);
        }
        let block = self.arena.block(first)?;
        if self.arena.class_at(first)? != class || Tag(block.tag.load(Ordering::Relaxed)).is_live() {
            return Err(Error::Corrupt("a free list leads to a block that is not free"));
        }
        if class == LARGEST_CLASS {
            if self.look_for_room(SLAB).is_err() {
                return Ok(None);
            }
            self.arena.file.reserve(first, SLAB)?;
            let bare = &self.arena.header.bare_slabs;
            bare.store(bare.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
        list.store(block.link.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(Some(first))
    }

    #[cold]
    fn new_slab(&self, class: usize, kind: Kind) -> Result<u64> {
        let header = self.arena.header;
        let slab = header.slabs.load(Ordering::Relaxed);
        if u64::from(slab) < FIRST_SLAB {
            return Err(Error::Corrupt("the number of slabs is none"));
        }
        let shortage = if slab as usize >= SLABS {
            Some(Error::Full(Shortage::Records {
                kind: "small blocks (64 KB each)",
                number: SLABS as u32,
            }))
        } else if kind == Kind::References {
            // They may go beyond the limit, of a forked child above all: without them it has nothing of what it inherits.
            None
        } else {
            self.look_for_room(SLAB).err()
        };
        if let Some(shortage) = shortage {
            return self.turn_free_slab(class)?.ok_or(shortage);
        }
        let (offset, entry_at) = (u64::from(slab) * SLAB, SLAB_TABLE_AT + u64::from(slab) * 4);
        if entry_at % PAGE == 0 {
            self.arena.file.reserve(entry_at, PAGE)?;
        }
        self.arena.file.reserve(offset, SLAB)?;
        let entry: &AtomicU32 = self.arena.file.at(entry_at)?;
        entry.store(class as u32 + 1, Ordering::Release);
        header.slabs.store(slab + 1, Ordering::Release);
        Ok(offset)
    }

    /// Have a slab that is one free block be one of a smaller class, as what was a queue's for a while may be all there is.
    fn turn_free_slab(&self, class: usize) -> Result<Option<u64>> {
        if class == LARGEST_CLASS {
            return Ok(None);
        }
        let offset = match self.take_kept_slab()? {
            Some(kept) => kept,
            None => match self.take_free(LARGEST_CLASS)? {
                Some(free) => free,
                None => return Ok(None),
            },
        };
        // The first block's tag goes on saying how often the place was freed; others begin as in a new slab.
        self.arena.file.punch(offset + PAGE, SLAB - PAGE)?;
        self.arena.file.reserve(offset, SLAB)?;
        for other in (offset + CLASSES[class]..offset + PAGE).step_by(CLASSES[class] as usize) {
            self.arena.block(other)?.tag.store(0, Ordering::Relaxed);
        }
        let entry: &AtomicU32 = self.arena.file.at(SLAB_TABLE_AT + offset / SLAB * 4)?;
        entry.store(class as u32 + 1, Ordering::Release);
        Ok(Some(offset))
    }

    pub(super) fn look_for_room(&self, asked: u64) -> Result<()> {
        let limit = self.arena.header.limit.load(Ordering::Relaxed);
        if self
            .arena
            .used()
            .saturating_add(self.kept_bytes())
            .saturating_add(asked)
            > limit
        {
            return Err(self.over_limit(asked));
        }
        if asked >= LOOK_FROM {
            let left = headroom::left_bytes();
            if asked.saturating_add(HEADROOM_KEPT) > left {
                return Err(Error::Full(Shortage::Memory { asked, left }));
            }
        }
        Ok(())
    }

    /// Look whether so much more could be had in slabs if nothing were kept: for who would find out late.
    pub(crate) fn look_ahead(&self, asked: u64) -> Result<()> {
        let limit = self.arena.header.limit.load(Ordering::Relaxed);
        match asked > SLABS as u64 * SLAB || self.arena.used().saturating_add(asked) > limit {
            true => Err(self.over_limit(asked)),
            false => Ok(()),
        }
    }

    pub(super) fn over_limit(&self, asked: u64) -> Error {
        Error::Full(Shortage::Limit {
            asked,
            used: self.arena.used(),
            limit: self.arena.header.limit.load(Ordering::Relaxed),
        })
    }
}

impl Arena {
    fn zero(&self, offset: u64, size: u64) -> Result<()> {
        for word in self.file.words(offset + BLOCK_HEADER, size.div_ceil(8) as usize)? {
            word.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// For where nobody can be asked whether to go on waiting.
pub fn go_on() -> ControlFlow<std::io::Error> {
    ControlFlow::Continue(())
}
