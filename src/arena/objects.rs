//! Objects: blocks that processes have handles to.

use super::error::{Error, Result};
use super::heap::Content;
use super::layout::{BlockHeader, BLOCK_HEADER, LARGE_AT};
use super::references::Place;
use super::session::{Arena, Pause};
use super::tag::{Kind, Tag};
use crate::atomics::{AtomicU64, Ordering};
use crate::sys::shared::{Mapping, Shared};

/// A handle to an object, counted among this process's references. `Arena::release` gives it back.
#[derive(Debug)]
pub struct Handle {
    /// Where the object is.
    pub offset: u64,
    /// Which of those that were there.
    pub generation: u32,
    place: Place,
    /// `Own::chains` when it was made.
    chains: u32,
}

/// The bytes of an object, as a process has them.
pub struct Bytes {
    /// Where they begin in this process.
    pub start: *mut u8,
    /// How many there are.
    pub size: u64,
    /// Where they begin in the arena's file.
    pub position: u64,
    /// Of a large object: they are there as long as this lives.
    pub mapping: Option<Mapping>,
}

/// The longest name that is kept, in bytes.
pub const NAME_MAX_BYTES: usize = 224;

impl Arena {
    /// Make an object whose body is zeroes.
    ///
    /// # Errors
    /// `Full` and what else the heap says.
    pub fn make(&self, kind: Kind, size: u64, name: Option<&str>, pause: Pause<'_>) -> Result<Handle> {
        self.make_of(kind, size, Content::Zeroes, name, pause)
    }

    /// Make an object in whose body there may be anything.
    ///
    /// # Errors
    /// `Full` and what else the heap says.
    pub fn make_to_write(&self, kind: Kind, size: u64, pause: Pause<'_>) -> Result<Handle> {
        self.make_of(kind, size, Content::Anything, None, pause)
    }

    fn make_of(&self, kind: Kind, size: u64, content: Content, name: Option<&str>, pause: Pause<'_>) -> Result<Handle> {
        self.with_room(pause, |arena, pause| {
            arena.make_if_room(kind, size, content, name, pause)
        })
    }

    fn make_if_room(
        &self,
        kind: Kind,
        size: u64,
        content: Content,
        name: Option<&str>,
        pause: Pause<'_>,
    ) -> Result<Handle> {
        let heap = self.heap(pause)?; // first: while it is waited for, a handler may be at this process's references
        let mut own = self.own();
        let offset = heap.allocate(kind, size, content)?;
        let name = name.map(|name| heap.name(offset, name)).transpose();
        let place = name.and_then(|_| heap.refer(&mut own, offset));
        let place = match place {
            Ok(place) => place,
            Err(error) => {
                heap.free(offset)?;
                return Err(error);
            }
        };
        let generation = Tag(self.block(offset)?.tag.load(Ordering::Relaxed)).generation();
        Ok(Handle {
            offset,
            generation,
            place,
            chains: own.chains,
        })
    }

    /// Have a handle to an object that another handle, perhaps of another process, means.
    ///
    /// # Errors
    /// `Freed` when it is no more; `OtherKind`; `Corrupt` for an offset at which there never was one.
    pub fn attach(&self, offset: u64, generation: u32, kind: Kind, pause: Pause<'_>) -> Result<Handle> {
        let heap = self.heap(pause)?; // first: while it is waited for, a handler may be at this process's references
        let mut own = self.own();
        self.class_at(offset)?;
        let tag = Tag(self.block(offset)?.tag.load(Ordering::Acquire));
        if !tag.is_live() || tag.generation() != generation {
            return Err(Error::Freed);
        }
        if tag.kind() != Some(kind) {
            return Err(Error::OtherKind);
        }
        let place = heap.refer(&mut own, offset)?;
        Ok(Handle {
            offset,
            generation,
            place,
            chains: own.chains,
        })
    }

    /// Give a handle back. The object ends with its last one.
    ///
    /// # Errors
    /// What the heap says.
    pub fn release(&self, handle: &Handle, pause: Pause<'_>) -> Result<()> {
        let heap = self.heap(pause)?;
        let mut own = self.own();
        if handle.chains != own.chains {
            return Ok(()); // it was inherited without a reference: `registry::forks`
        }
        heap.unrefer(&mut own, handle.place)
    }

    /// The body of an object.
    ///
    /// # Errors
    /// `Corrupt`, if the handle is none.
    pub fn body_of<T: Shared>(&self, handle: &Handle) -> Result<&'static T> {
        self.body(handle.offset)
    }

    /// How long the body of an object is, in bytes.
    ///
    /// # Errors
    /// `Corrupt`, if the handle is none.
    pub fn size_of(&self, handle: &Handle) -> Result<u64> {
        Ok(self.block(handle.offset)?.size.load(Ordering::Relaxed))
    }

    /// How long the body of a live block is, in bytes, which must be of this kind and lie where one can.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn size_of_kind(&self, offset: u64, kind: Kind) -> Result<u64> {
        let class = self.class_at(offset)?;
        let block = self.block(offset)?;
        if Tag(block.tag.load(Ordering::Acquire)).kind() != Some(kind) {
            return Err(Error::Corrupt("an offset leads to a block of another kind"));
        }
        let size = block.size.load(Ordering::Relaxed);
        if size > super::layout::CLASSES[class] - BLOCK_HEADER {
            return Err(Error::Corrupt("a block is longer than its place"));
        }
        Ok(size)
    }

    /// The bytes of an object, mapped in this process to be written or only read.
    ///
    /// # Errors
    /// `Corrupt`; the kernel's.
    pub fn bytes_of(&self, handle: &Handle, writable: bool) -> Result<Bytes> {
        let block = self.block(handle.offset)?;
        let (size, spans) = (block.size.load(Ordering::Relaxed), block.link.load(Ordering::Relaxed));
        if spans < LARGE_AT {
            if size > self.room(handle.offset)? {
                return Err(Error::Corrupt("a block is longer than its place"));
            }
            let position = handle.offset + BLOCK_HEADER;
            return Ok(Bytes {
                start: self.file.bytes(position, size, writable)?,
                size,
                position,
                mapping: None,
            });
        }
        super::spans::spans_of(spans, size)?;
        let mapping = self.mapping(spans, size as usize, writable)?;
        Ok(Bytes {
            start: mapping.address(),
            size,
            position: spans,
            mapping: Some(mapping),
        })
    }

    /// The name of an object that was given one.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn name_of(&self, offset: u64) -> Result<Option<String>> {
        let link = self.block(offset)?.link.load(Ordering::Acquire);
        if link == 0 || link >= LARGE_AT {
            return Ok(None);
        }
        self.class_at(link)?;
        let block = self.block(link)?;
        if Tag(block.tag.load(Ordering::Acquire)).kind() != Some(Kind::Name) {
            return Err(Error::Corrupt("a name is none"));
        }
        let size = (block.size.load(Ordering::Relaxed) as usize).min(NAME_MAX_BYTES);
        let words: Vec<u64> = (0..size.div_ceil(8) as u64)
            .map(|word| Ok(self.name_word(link, word)?.load(Ordering::Relaxed)))
            .collect::<Result<_>>()?;
        Ok(Some(text_of(&words, size)))
    }

    /// The tag of whatever lies at an offset, if a block can lie there.
    pub(crate) fn tag_of(&self, offset: u64) -> Option<Tag> {
        self.class_at(offset).ok()?;
        self.block(offset)
            .ok()
            .map(|block| Tag(block.tag.load(Ordering::Acquire)))
    }

    pub(super) fn name_word(&self, offset: u64, word: u64) -> Result<&'static AtomicU64> {
        Ok(self.file.at(offset + BLOCK_HEADER + word * 8)?)
    }

    pub(crate) fn own(&self) -> crate::atomics::MutexGuard<'_, super::references::Own> {
        // A panic below cannot leave it half done: each entry is in the arena or not.
        self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl super::heap::Heap<'_> {
    /// Give a live block a name. One that has spans has no place for it.
    fn name(&self, offset: u64, name: &str) -> Result<()> {
        if self.arena.block(offset)?.link.load(Ordering::Relaxed) != 0 {
            return Err(Error::OtherKind);
        }
        let name = cut(name, NAME_MAX_BYTES);
        let link = self.allocate(Kind::Name, name.len() as u64, Content::Zeroes)?;
        for (index, word) in words_of(name).enumerate() {
            self.arena.name_word(link, index as u64)?.store(word, Ordering::Relaxed);
        }
        self.arena.block(link)?.link.store(offset, Ordering::Relaxed);
        let block: &BlockHeader = self.arena.block(offset)?;
        block.link.store(link, Ordering::Release);
        Ok(())
    }
}

/// As much of a text as fits, without cutting a character.
#[must_use]
pub fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The bytes of a text, eight a word, the last one filled up with zeroes.
pub fn words_of(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    })
}

/// The text of words, whatever they are.
#[must_use]
pub fn text_of(words: &[u64], length: usize) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take(length).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
