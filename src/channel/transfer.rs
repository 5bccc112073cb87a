//! Putting messages, and what putting and getting (`getting`) have in common (README: truth).

use super::blocks::{begin_sending, end_sending, finish_sending};
use super::layout::{ChannelBody, Header, Label, BLOCK_MESSAGE, LONGEST, MESSAGES_AT, SHUT};
use super::position::Position;
use super::segments::Room;
use super::sizes::{self, counted};
use crate::arena::heap::go_on;
use crate::arena::tag::entry;
use crate::arena::{Arena, Error, Handle, Result};
use crate::atomics::{fence_behind_swap, AtomicU32, AtomicU64, Ordering};
use crate::sync::side::Held;
use crate::sync::word::{change_and_count, SLEEPERS};
use crate::sys::futex;
use crate::sys::line::Line;

/// A channel, as this process has it.
#[derive(Clone, Copy)]
pub struct Channel<'a> {
    /// Where it is.
    pub arena: &'a Arena,
    /// Its body.
    pub body: &'static ChannelBody,
    /// Its block.
    pub offset: u64,
    /// The descriptor of this process's end, if it is a pipe's.
    pub line: Option<Line>,
}

/// What is put: of a kind that is the caller's.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// `LONGEST` at most.
    Bytes(u8, &'a [u8]),
    /// A block with a reference of this process's, which it drops when the message was put.
    Block(u8, &'a Handle),
}

/// What came of putting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it was put, or not"]
pub enum Put {
    /// It is there.
    Done,
    /// There are as many messages as may be.
    Full,
    /// Nothing can be put any more.
    Shut,
}

/// What came of getting.
#[derive(Debug)]
#[must_use = "a message was got, or not"]
pub enum Got {
    /// A message of this kind; it was appended to the buffer.
    Bytes(u8),
    /// A message of this kind; this process has a reference to the block now.
    Block(u8, Handle),
    /// It is a block's turn, which only `get` itself gets.
    BlockAhead,
    /// There is none.
    Empty,
    /// There is none, and never will be.
    Shut,
}

impl<'a> Channel<'a> {
    /// What a message counts for where bytes are bounded.
    #[must_use]
    pub fn size_of(&self, message: &Message<'_>) -> u32 {
        match message {
            Message::Bytes(_, bytes) => counted(units_of(bytes.len())),
            Message::Block(_, block) => self.size_of_block(block),
        }
    }

    pub(super) fn size_of_block(&self, block: &Handle) -> u32 {
        // It is this process's: there is no error.
        counted(self.arena.size_of_first(block).unwrap_or_default().div_ceil(8))
    }

    /// The producers' lock, if it is free.
    #[inline]
    #[must_use]
    pub fn try_producers(&self) -> Option<Held> {
        Held::try_lock(self.arena, &self.body.put_lock)
    }

    /// The consumers' lock, if it is free.
    #[inline]
    #[must_use]
    pub fn try_consumers(&self) -> Option<Held> {
        Held::try_lock(self.arena, &self.body.get_lock)
    }

    /// Put a message, with the producers' lock. `announce` follows, when the lock is released.
    ///
    /// # Errors
    /// `Full` when there is no memory for it; `Unheard`; what the heap says. Then it was not put.
    #[inline]
    pub fn put(&self, producers: &Held, message: Message<'_>) -> Result<Put> {
        self.put_labelled(producers, message, Label::default())
    }

    /// The same, with a label.
    ///
    /// # Errors
    /// As above.
    pub fn put_labelled(&self, _producers: &Held, message: Message<'_>, label: Label) -> Result<Put> {
        if self.is_shut() {
            return Ok(Put::Shut);
        }
        let body = self.body;
        let tail = position(&body.tail, Ordering::Relaxed);
        if body.sending.place.load(Ordering::Relaxed) != 0 {
            finish_sending(self.arena, body, tail.number())?;
        }
        let capacity = body.capacity.load(Ordering::Relaxed);
        let size = self.size_of(&message);
        if (capacity != 0 && !self.has_room(tail, capacity)) || !sizes::has_room(body) {
            return Ok(Put::Full);
        }
        sizes::note_put(body, tail, size)?;
        match message {
            Message::Bytes(kind, bytes) => self.commit(tail, (kind, false, label), bytes)?,
            Message::Block(kind, block) => {
                let entry = entry(block.offset, block.generation);
                // Room first: what follows cannot be refused any more.
                self.room_for(tail, 1 + BLOCK_MESSAGE as u32 / 8)?;
                let place = begin_sending(self.arena, body, entry, tail.number())?;
                let mut bytes = [0; BLOCK_MESSAGE];
                bytes[..8].copy_from_slice(&place.to_ne_bytes());
                bytes[8..].copy_from_slice(&entry.to_ne_bytes());
                self.commit(tail, (kind, true, label), &bytes)?;
                end_sending(body);
            }
        }
        Ok(Put::Done)
    }

    fn commit(&self, tail: Position, (kind, in_block, label): (u8, bool, Label), bytes: &[u8]) -> Result<()> {
        if bytes.len() > LONGEST {
            return Err(Error::Corrupt("a message is too long for a channel's segment"));
        }
        let header = Header {
            length: bytes.len() as u16,
            kind,
            in_block,
            label,
        };
        let units = units_of(bytes.len()) as u32;
        let place = self.room_for(tail, units)?;
        let there: &AtomicU64 = self.arena.file.at(place)?;
        there.store(header.word(), Ordering::Relaxed);
        self.arena.file.write(place + 8, bytes)?;
        self.ring_for_arrival()?;
        self.body.tail.store(tail.after(units).0, Ordering::Release); // README: a
        Ok(())
    }

    /// Wake a consumer that sleeps, after a message was put: right behind the release of the lock, which is a swap.
    #[inline]
    pub fn announce_arrival(&self) {
        announce(&self.body.arrivals);
    }

    /// Wake a producer that sleeps, after a message was got: right behind the release of the lock, too.
    #[inline]
    pub fn announce_departure(&self) {
        let body = self.body;
        if body.capacity.load(Ordering::Relaxed) != 0 || body.most_units.load(Ordering::Relaxed) != 0 {
            announce(&self.body.departures);
        }
    }

    /// Have nothing put from now on, with the locks of both sides.
    ///
    /// # Errors
    /// `Unheard`: it is not shut.
    pub fn shut(&self, _producers: &Held, _consumers: &Held) -> Result<()> {
        self.ring_for_arrival()?;
        self.departure_bells().ring()?;
        self.body.flags.fetch_or(SHUT, Ordering::AcqRel);
        Ok(())
    }

    /// Wake everybody who sleeps, after it was shut.
    pub fn announce_all(&self) {
        for word in [&self.body.arrivals, &self.body.departures] {
            change_and_count(word);
            futex::wake(word, u32::MAX);
        }
    }

    fn has_room(&self, tail: Position, capacity: u32) -> bool {
        let seen = position(&self.body.head_seen, Ordering::Relaxed);
        if tail.messages_since(seen) < capacity {
            return true;
        }
        let head = position(&self.body.head, Ordering::Acquire);
        self.body.head_seen.store(head.0, Ordering::Relaxed);
        tail.messages_since(head) < capacity
    }

    /// Where a message of so many units can be written; the channel grows if need be.
    fn room_for(&self, tail: Position, units: u32) -> Result<u64> {
        let body = self.body;
        let mut write = body.write.load(Ordering::Relaxed);
        if write == 0 {
            write = body.read.load(Ordering::Relaxed); // README: killed between c and d, for the first one
            body.write.store(write, Ordering::Relaxed);
        }
        let mut has_gone_on = false;
        loop {
            if write != 0 {
                let room = Room::at(self.arena, write)?;
                let next = room.segment.next.load(Ordering::Relaxed);
                if next != 0 {
                    if has_gone_on {
                        return Err(Error::Corrupt("a channel's last segment is not the last one"));
                    }
                    has_gone_on = true;
                    write = next; // README: killed between c and d
                    body.write.store(next, Ordering::Relaxed);
                    continue;
                }
                let before = room.units_before(tail.units())?;
                if room.units_left(before) >= units {
                    return Ok(room.offset_of(before));
                }
            }
            write = self.grow(tail)?;
        }
    }

    #[cold]
    fn grow(&self, tail: Position) -> Result<u64> {
        self.arena.heap(&mut go_on)?.grow_channel(self.body, tail.units())
    }
}

#[inline]
fn announce(sleepers: &AtomicU32) {
    fence_behind_swap(); // with the fence of who goes to sleep; README: waiting
    if sleepers.load(Ordering::Relaxed) & SLEEPERS != 0 && change_and_count(sleepers) {
        futex::wake(sleepers, 1);
    }
}

pub(super) fn position(word: &AtomicU64, order: Ordering) -> Position {
    Position(word.load(order))
}

/// How many units a message of so many bytes takes in a segment.
fn units_of(bytes: usize) -> u64 {
    1 + bytes.div_ceil(8) as u64
}

const _: () = assert!(MESSAGES_AT % 8 == 0);
