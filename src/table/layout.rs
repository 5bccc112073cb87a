//! What lies where in a table (README).

#![allow(missing_docs, reason = "the picture in the README shows what they are")]

use crate::arena::layout::{BLOCK_HEADER, SLAB};
use crate::atomics::{AtomicU32, AtomicU64};
use crate::sys::shared::shared_struct;

/// How many sizes of slots there are.
pub const CLASSES: usize = 56;
/// Words of the array in the body.
pub const FIRST_WORDS: u64 = 16;
/// Pages of the array that are smaller than the others, how many words each has.
pub const SMALL_SEGMENTS: [u64; 3] = [56, 248, 1016];
/// Words of its other pages, and of the largest ones.
pub const PAGE_WORDS: u64 = (SLAB - CONTENT_AT) / 8;
/// Pages of the array that the body itself leads to.
pub const LARGE_SEGMENTS: u64 = 8;
const BODY_WORDS: usize = (2048 - BLOCK_HEADER as usize) / 8;
/// Words of the log in the body.
pub const LOG_WORDS: usize = BODY_WORDS - 103;

/// How many of them are used. The tests kill at each instruction of a log that goes on in a page: it is to do so soon.
pub const LOG_WORDS_USED: usize = if cfg!(test) { 40 } else { LOG_WORDS };

shared_struct! {
    /// The body, of a dict and of a list. All zeroes is an empty one.
    pub struct TableBody {
        /// Who writes: `sync::side`.
        pub lock: AtomicU32,
        pub _unused: AtomicU32,
        /// Odd: somebody writes, or has died writing.
        pub version: AtomicU64,
        /// `COMMITTED`, or 0.
        pub phase: AtomicU64,
        /// The log's end: its page (0: the body), and how many words there; `log::End`.
        pub log: AtomicU64,
        /// A page for the log that is kept; 0: none.
        pub log_page: AtomicU64,
        /// The first page; 0: none.
        pub pages: AtomicU64,
        /// The first block of the references to large values; 0: none.
        pub references: AtomicU64,
        /// Where to look for room for one: the place of a link of that chain; 0: at the beginning.
        pub vacancy: AtomicU64,
        /// How many were dropped since all of the chain was looked at.
        pub vacated: AtomicU64,

        /// From here on `ROOTS` words that are logged together. Of a dict: the first slot in order and the last one.
        pub ends: AtomicU64,
        /// Keys, or items.
        pub count: AtomicU64,
        /// Of a dict: how many insertions there were.
        pub sequence: AtomicU64,
        /// Of a dict: how many buckets there are beyond those in the body.
        pub more_buckets: AtomicU64,
        /// Of a dict: how often a key of kind OTHER was inserted or deleted.
        pub others: AtomicU64,
        /// Pages that nothing is in any more.
        pub unused: AtomicU64,
        /// Values that lie in blocks.
        pub blocks: AtomicU64,

        /// Per size of slots: its last page (in units of 8 bytes), and how many slots that has.
        pub classes: [AtomicU64; CLASSES],
        /// The array (`array`): a dict's buckets, a list's chunks. Its pages.
        pub small_segments: [AtomicU64; SMALL_SEGMENTS.len()],
        pub large_segments: [AtomicU64; LARGE_SEGMENTS as usize],
        /// A page that leads to further ones.
        pub directory: AtomicU64,
        pub first_words: [AtomicU64; FIRST_WORDS as usize],
        pub _spare: [AtomicU64; 1],
        /// The table's reference to the lock of transactions; 0: there was none yet.
        pub turn: AtomicU64,
        /// The table's reference to an event that is set when it is not to be used any more; 0: none.
        pub end: AtomicU64,
        pub first_log: [AtomicU64; LOG_WORDS],
    }
}

/// How many words the roots are.
pub const ROOTS: usize = 7;

/// The log is to be finished, not undone.
pub const COMMITTED: u64 = 1;

shared_struct! {
    /// In front of a page's content.
    pub struct PageHeader {
        /// The chain of all pages; changed under the heap's mutex.
        pub next: AtomicU64,
        pub previous: AtomicU64,
        /// What is in it: `Use`.
        pub is_for: AtomicU64,
        /// Of slots: the page before in its size. Of a log: where it went on from. Unused: the next unused one.
        pub link: AtomicU64,
    }
}

/// Where a page's content begins in its block.
pub const CONTENT_AT: u64 = BLOCK_HEADER + size_of::<PageHeader>() as u64;

/// What is in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Use {
    Nothing = 0,
    Slots = 1,
    /// Words of the array.
    Array = 2,
    Log = 3,
    /// Entries of a list.
    Chunk = 4,
}

/// Words in front of a slot's key, in a dict.
pub const SLOT_HEADER: usize = 4;
/// The largest slot, in words.
pub const LONGEST_SLOT: usize = 512;
/// The longest key together with its original, each a multiple of 8 bytes.
pub const LONGEST_KEY: usize = 1024;
/// The longest value that lies in a slot, whatever its key.
pub const LONGEST_VALUE: usize = (LONGEST_SLOT - SLOT_HEADER) * 8 - LONGEST_KEY;

/// The value lies in a block: a bit of its kind. Its bytes are the place of the table's reference, and that.
pub const IN_BLOCK: u8 = 0x80;
/// How many bytes these are.
pub const BLOCK_VALUE: usize = 16;
/// The kind of keys without a canonical form.
pub const OTHER: u8 = 15;
/// Their hash.
pub const OTHERS_HASH: u32 = 0x6f74_6872;

/// What the last word of the header of a dict's slot says: kinds, and lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// The caller's affair, but for OTHER; below 16.
    pub key_kind: u8,
    /// The caller's affair; below 16.
    pub original_kind: u8,
    /// The caller's affair, but for IN_BLOCK.
    pub value_kind: u8,
    pub key: u16,
    pub original: u16,
    pub value: u16,
}

impl Shape {
    #[must_use]
    pub fn word(self) -> u64 {
        u64::from(self.key_kind & 15)
            | u64::from(self.original_kind & 15) << 4
            | u64::from(self.value_kind) << 8
            | u64::from(self.key) << 16
            | u64::from(self.original) << 32
            | u64::from(self.value) << 48
    }

    #[must_use]
    pub fn of(word: u64) -> Self {
        Self {
            key_kind: word as u8 & 15,
            original_kind: (word >> 4) as u8 & 15,
            value_kind: (word >> 8) as u8,
            key: (word >> 16) as u16,
            original: (word >> 32) as u16,
            value: (word >> 48) as u16,
        }
    }

    /// Where the original begins, in words.
    #[must_use]
    pub fn original_at(self) -> usize {
        SLOT_HEADER + usize::from(self.key).div_ceil(8)
    }

    /// Where the value begins, in words.
    #[must_use]
    pub fn value_at(self) -> usize {
        self.original_at() + usize::from(self.original).div_ceil(8)
    }

    /// How long the slot is, in words.
    #[must_use]
    pub fn words(self) -> usize {
        self.value_at() + usize::from(self.value).div_ceil(8)
    }

    /// The size that a slot of this shape has; `None` when it is too long for any.
    #[must_use]
    pub fn class(self) -> Option<usize> {
        class_of(self.words() * 8)
    }
}

/// How long the slots of a size are, in bytes.
#[must_use]
pub fn class_bytes(class: usize) -> usize {
    match class {
        0..32 => 16 + 16 * class,
        32..40 => 512 + 64 * (class - 31),
        40..48 => 1024 + 128 * (class - 39),
        _ => 2048 + 256 * (class - 47),
    }
}

/// The smallest size that so many bytes fit into; `None` when they are too many for any.
#[must_use]
pub fn class_of(bytes: usize) -> Option<usize> {
    match bytes {
        0..=16 => Some(0),
        17..=512 => Some((bytes - 16).div_ceil(16)),
        513..=1024 => Some(31 + (bytes - 512).div_ceil(64)),
        1025..=2048 => Some(39 + (bytes - 1024).div_ceil(128)),
        2049..=4096 => Some(47 + (bytes - 2048).div_ceil(256)),
        _ => None,
    }
}

const _: () = assert!(LONGEST_SLOT * 8 == 4096);
#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<TableBody>() == BODY_WORDS * 8);
    assert!(std::mem::offset_of!(TableBody, blocks) == std::mem::offset_of!(TableBody, ends) + (ROOTS - 1) * 8);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_what_it_was_given() {
        let shape = Shape {
            key_kind: OTHER,
            original_kind: 3,
            value_kind: IN_BLOCK | 9,
            key: 9,
            original: 65535,
            value: 17,
        };
        assert_eq!(Shape::of(shape.word()), shape);
    }

    #[test]
    fn a_slot_s_size_is_the_smallest_that_it_fits_into() {
        assert_eq!(class_bytes(CLASSES - 1), LONGEST_SLOT * 8);
        for bytes in 1..=LONGEST_SLOT * 8 {
            let class = class_of(bytes).expect("a size");
            assert!(bytes <= class_bytes(class));
            assert!(class == 0 || class_bytes(class - 1) < bytes, "{bytes}");
            assert!(class_bytes(class) % 16 == 0);
        }
        assert_eq!(class_of(LONGEST_SLOT * 8 + 1), None);
    }
}
