//! Putting and getting messages (README: truth).

use super::blocks::{begin_receiving, begin_sending, end_receiving, end_sending, finish_receiving, finish_sending};
use super::claims::ClaimBody;
use super::layout::{ChannelBody, Header, Label, Segment, BLOCK_MESSAGE, LONGEST, MESSAGES_AT, SHUT};
use super::position::Position;
use super::segments::Room;
use super::sizes::{self, counted};
use crate::arena::heap::go_on;
use crate::arena::tag::{entry, of_entry, Kind};
use crate::arena::{Arena, Error, Handle, Result};
use crate::atomics::{fence, AtomicU32, AtomicU64, Ordering};
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

/// The message at the head, looked at where it lies, by who has the consumers' lock.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// Of its bytes.
    pub kind: u8,
    /// How many bytes it has.
    pub length: usize,
    /// Where they are in the arena.
    pub place: u64,
    label: Label,
    head: Position,
    units: u32,
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

    fn size_of_block(&self, block: &Handle) -> u32 {
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

    /// Wake a consumer that sleeps, after a message was put. Not under the lock.
    #[inline]
    pub fn announce_arrival(&self) {
        announce(&self.body.arrivals);
    }

    /// Wake a producer that sleeps, after a message was got. Not under the lock.
    #[inline]
    pub fn announce_departure(&self) {
        let body = self.body;
        if body.capacity.load(Ordering::Relaxed) != 0 || body.most_units.load(Ordering::Relaxed) != 0 {
            announce(&self.body.departures);
        }
    }

    /// Get the message at the head, with the consumers' lock. `announce` follows, when the lock is released.
    ///
    /// # Errors
    /// `Corrupt`; `Unheard`. Then it is still there, whatever was appended.
    pub fn get(&self, consumers: &Held, into: &mut Vec<u8>) -> Result<Got> {
        Ok(self.get_labelled(consumers, into, true, None)?.0)
    }

    /// The same, with the message's label; the claim has noted that before the message is taken (README: claims).
    ///
    /// Blocks are left where they are, unless `with_blocks`: this process's references are for who has the GIL.
    ///
    /// # Errors
    /// As above.
    pub fn get_labelled(
        &self,
        _consumers: &Held,
        into: &mut Vec<u8>,
        with_blocks: bool,
        claim: Option<&ClaimBody>,
    ) -> Result<(Got, Label)> {
        let head = position(&self.body.head, Ordering::Relaxed);
        if self.body.receiving.place.load(Ordering::Relaxed) != 0 {
            finish_receiving(self.arena, self.body, head.number())?;
        }
        if !self.is_more_than(head) {
            // Shut first: what was put before that is seen by the look at the tail.
            let is_shut = self.is_shut();
            if !self.has_come_beyond(head) {
                return Ok((if is_shut { Got::Shut } else { Got::Empty }, Label::default()));
            }
        }
        let (ahead, in_block) = self.ahead(head)?;
        if !in_block {
            self.arena.file.read(ahead.place, ahead.length, into)?;
            self.take(ahead, claim)?;
            return Ok((Got::Bytes(ahead.kind), ahead.label));
        }
        if !with_blocks {
            return Ok((Got::BlockAhead, Label::default()));
        }
        self.departure_bells().ring()?;
        let block = self.begin_to_get_a_block(ahead)?;
        self.take_sized(ahead, self.size_of_block(&block), claim)?;
        end_receiving(self.arena, self.body)?;
        Ok((Got::Block(ahead.kind, block), ahead.label))
    }

    /// The message at the head, with the consumers' lock, if all that is to be done is to copy its bytes and to `take` it.
    /// `None` says nothing: then `get` knows more.
    #[inline]
    #[must_use]
    pub fn short_ahead(&self, _consumers: &Held) -> Option<Ahead> {
        let head = position(&self.body.head, Ordering::Relaxed);
        let is_more = self.body.receiving.place.load(Ordering::Relaxed) == 0
            && (self.is_more_than(head) || self.has_come_beyond(head));
        if !is_more {
            return None;
        }
        match self.ahead(head) {
            Ok((ahead, false)) => Some(ahead),
            Ok((_, true)) | Err(_) => None,
        }
    }

    /// Take a message whose bytes were copied, with the same consumers' lock as when it was looked at. `announce` follows,
    /// when the lock is released.
    ///
    /// # Errors
    /// `Corrupt`; `Unheard`. Then it is still there.
    #[inline]
    pub fn take_short(&self, _consumers: &Held, ahead: Ahead) -> Result<()> {
        self.take(ahead, None)
    }

    #[inline(always)]
    fn take(&self, ahead: Ahead, claim: Option<&ClaimBody>) -> Result<()> {
        self.departure_bells().ring()?;
        self.take_sized(ahead, ahead.units, claim)
    }

    #[inline(always)]
    fn take_sized(&self, ahead: Ahead, size: u32, claim: Option<&ClaimBody>) -> Result<()> {
        sizes::note_got(self.body, ahead.head, size)?;
        note(claim, ahead.head, ahead.label);
        let behind = ahead.head.after(ahead.units);
        self.body.head.store(behind.0, Ordering::Release); // README: b
        Ok(())
    }

    /// Whether there is a message, by what was seen of the tail before.
    #[inline]
    pub(super) fn is_more_than(&self, head: Position) -> bool {
        position(&self.body.tail_seen, Ordering::Relaxed).number() != head.number()
    }

    /// The same by the tail of now.
    fn has_come_beyond(&self, head: Position) -> bool {
        let tail = position(&self.body.tail, Ordering::Acquire); // README: a
        self.body.tail_seen.store(tail.0, Ordering::Relaxed);
        tail.number() != head.number()
    }

    /// The message at the head, if there is one, and whether it lies in a block.
    #[inline(always)] // or what it returns is written in parts and read as a whole, which a CPU waits for
    fn ahead(&self, head: Position) -> Result<(Ahead, bool)> {
        let (place, room) = self.place_of(head)?;
        let header: &AtomicU64 = self.arena.file.at(place)?;
        let Header {
            length,
            kind,
            in_block,
            label,
        } = Header::of(header.load(Ordering::Relaxed));
        let units = 1 + u32::from(length).div_ceil(8);
        if usize::from(length) > LONGEST || units > room {
            return Err(Error::Corrupt("a channel's message is longer than its place"));
        }
        let ahead = Ahead {
            kind,
            length: length.into(),
            place: place + 8,
            label,
            head,
            units,
        };
        Ok((ahead, in_block))
    }

    #[cold]
    fn begin_to_get_a_block(&self, ahead: Ahead) -> Result<Handle> {
        let words: &[AtomicU64; BLOCK_MESSAGE / 8] = self.arena.file.at(ahead.place)?;
        let (place, entry) = (words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed));
        let (offset, generation) = of_entry(entry);
        let attach = |kind| self.arena.attach(offset, generation, kind, &mut go_on);
        let block = match attach(Kind::Memory) {
            Err(Error::OtherKind) => attach(Kind::Bundle)?,
            other => other?,
        };
        begin_receiving(self.body, place, entry, ahead.head.number());
        Ok(block)
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

    /// Where the message at the head is, and how many units are left there.
    #[inline]
    fn place_of(&self, head: Position) -> Result<(u64, u32)> {
        loop {
            let room = Room::at(self.arena, self.body.read.load(Ordering::Acquire))?;
            let next = room.segment.next.load(Ordering::Acquire);
            // Looked at as what it may be, until it matters what it is.
            let starts_there = |segment: &Segment| segment.start.load(Ordering::Relaxed) == head.units();
            let next_of = || {
                self.arena
                    .body(next)
                    .map_err(|_| Error::Corrupt("a channel's segment leads nowhere"))
            };
            if next == 0 || !starts_there(next_of()?) {
                let before = room.units_before(head.units())?;
                return Ok((room.offset_of(before), room.units_left(before)));
            }
            self.move_on(next)?;
        }
    }

    #[cold]
    fn move_on(&self, next: u64) -> Result<()> {
        Room::at(self.arena, next)?;
        self.arena.heap(&mut go_on)?.move_on(self.body, next)
    }
}

#[inline]
fn note(claim: Option<&ClaimBody>, head: Position, label: Label) {
    if let Some(claim) = claim {
        claim.note(head, label);
    }
}

#[inline]
fn announce(sleepers: &AtomicU32) {
    fence(Ordering::SeqCst); // with the one of who goes to sleep; README: waiting
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
