//! What lies where in a channel, and in a segment of one.

#![allow(missing_docs, reason = "what fills up a cache line needs no word")]

use crate::arena::layout::BLOCK_HEADER;
use crate::atomics::{AtomicU32, AtomicU64};
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The body. Its lines are a cache's: what one side writes is apart from what the other one does.
    pub struct ChannelBody {
        /// How many messages it may have; 0: any number.
        pub capacity: AtomicU32,
        /// `SHUT`.
        pub flags: AtomicU32,
        /// How many messages were said to be done with.
        pub tasks_done: AtomicU32,
        /// Who waits for all of them sleeps here; README: waiting.
        pub tasks_waited_for: AtomicU32,
        /// The first block of the channel's references, to blocks that messages lie in; 0: none.
        pub references: AtomicU64,
        /// Of a pipe: how often somebody has closed an end for its messages.
        pub closes: AtomicU64,

        /// The producers' lock: `sync::side`.
        pub put_lock: AtomicU32,
        /// Whether to ring before a message is put: `channel::bells`.
        pub put_bells: AtomicU32,
        /// `Position` of the next message that is put.
        pub tail: AtomicU64,
        /// The segment that is written; 0: there is none yet.
        pub write: AtomicU64,
        /// `Position` of the head when it was looked at last.
        pub head_seen: AtomicU64,
        /// The reference that is on its way in: README, long messages.
        pub sending: Passing,
        pub _rest_put: AtomicU64,

        /// The consumers' lock.
        pub get_lock: AtomicU32,
        /// Whether to ring before a message is got.
        pub get_bells: AtomicU32,
        /// `Position` of the next message that is got.
        pub head: AtomicU64,
        /// The segment that is read; 0: there is none yet.
        pub read: AtomicU64,
        /// `Position` of the tail when it was looked at last.
        pub tail_seen: AtomicU64,
        /// A segment that is kept for growing; 0: none.
        pub spare: AtomicU64,
        /// The reference that is on its way out.
        pub receiving: Passing,

        /// Consumers sleep here, and producers; README: waiting.
        pub arrivals: AtomicU32,
        pub departures: AtomicU32,
        /// How many bytes its messages may have, in units of 8; 0: any number.
        pub most_units: AtomicU64,
        /// Totals of what was put, and got: `channel::sizes`.
        pub put_sizes: [AtomicU64; 2],
        pub got_sizes: [AtomicU64; 2],
        pub _rest: [AtomicU64; 2],

        /// Those of who waits for messages, and of who waits for room.
        pub arrival_bells: Bells,
        pub departure_bells: Bells,
    }
}

/// How many processes can wait for one side of a channel by a descriptor.
pub const LISTENERS: usize = 15;

shared_struct! {
    /// Who waits by a descriptor.
    pub struct Bells {
        /// Process and serial number: the box's name says both; 0: nobody.
        pub listeners: [AtomicU64; LISTENERS],
        /// How often somebody has begun to.
        pub serial: AtomicU64,
    }
}

shared_struct! {
    /// A reference that a channel is about to have, or to drop.
    pub struct Passing {
        /// Where it is in the arena; 0: there is none. Stored last.
        pub place: AtomicU64,
        /// The reference: `arena::tag::entry`.
        pub entry: AtomicU64,
        /// The number of the message that it belongs to.
        pub number: AtomicU64,
    }
}

/// Nothing can be put any more.
pub const SHUT: u32 = 1;

shared_struct! {
    /// The body of a segment; messages follow.
    pub struct Segment {
        /// The segment behind it; 0: none.
        pub next: AtomicU64,
        /// The units of the position where it begins.
        pub start: AtomicU32,
        pub _unused: AtomicU32,
    }
}

/// Where messages begin in a segment's block, in bytes.
pub const MESSAGES_AT: u64 = BLOCK_HEADER + size_of::<Segment>() as u64;
/// How large the body of a channel's first segment is, and that of the others.
pub const FIRST_SEGMENT: u64 = 4096 - BLOCK_HEADER;
/// As above.
pub const OTHER_SEGMENT: u64 = (64 << 10) - BLOCK_HEADER;
/// The longest message that lies in a segment, in bytes; what is longer lies in a block of its own.
pub const LONGEST: usize = 16 << 10;
/// Of a message that says where its block is: the place of the channel's reference, and that itself.
pub const BLOCK_MESSAGE: usize = 16;

/// A message's header: one word, in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How many bytes follow.
    pub length: u16,
    /// What they are: the caller's affair.
    pub kind: u8,
    /// The message lies in a block of its own, and the bytes say where.
    pub in_block: bool,
    /// What else the caller says of it.
    pub label: Label,
}

/// A few words beside a message, which are there without decoding it: a pool's task has a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Label {
    /// Which one it is; 0: none.
    pub number: u32,
    /// `MARKS` at most.
    pub mark: u8,
}

/// The largest mark.
pub const MARKS: u8 = 0x7f;

impl Header {
    const IN_BLOCK: u64 = 1 << 24;

    /// As it lies there.
    #[must_use]
    pub fn word(self) -> u64 {
        let block = if self.in_block { Self::IN_BLOCK } else { 0 };
        let mark = u64::from(self.label.mark & MARKS);
        u64::from(self.label.number) << 32 | mark << 25 | block | u64::from(self.kind) << 16 | u64::from(self.length)
    }

    /// Whatever lies there.
    #[must_use]
    pub fn of(word: u64) -> Self {
        Self {
            length: word as u16,
            kind: (word >> 16) as u8,
            in_block: word & Self::IN_BLOCK != 0,
            label: Label {
                number: (word >> 32) as u32,
                mark: (word >> 25) as u8 & MARKS,
            },
        }
    }
}

const _: () = assert!(LONGEST <= u16::MAX as usize);

#[cfg(not(loom))]
const _: () = assert!((BLOCK_HEADER as usize + std::mem::offset_of!(ChannelBody, put_lock)) % 64 == 0);
#[cfg(not(loom))]
const _: () = assert!((BLOCK_HEADER as usize + std::mem::offset_of!(ChannelBody, get_lock)) % 64 == 0);
#[cfg(not(loom))]
const _: () = assert!((BLOCK_HEADER as usize + std::mem::offset_of!(ChannelBody, arrivals)) % 64 == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_it_was_given() {
        for in_block in [false, true] {
            let header = Header {
                length: LONGEST as u16,
                kind: 0xff,
                in_block,
                label: Label {
                    number: u32::MAX,
                    mark: MARKS,
                },
            };
            assert_eq!(Header::of(header.word()), header);
        }
        assert_eq!(Header::of(0).word(), 0);
    }
}
