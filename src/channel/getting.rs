//! Getting messages (README: truth).

use super::blocks::{begin_receiving, end_receiving, finish_receiving};
use super::claims::ClaimBody;
use super::crowd::note_own;
use super::layout::{Header, Label, Segment, BLOCK_MESSAGE, LONGEST};
use super::position::Position;
use super::segments::Room;
use super::sizes;
use super::transfer::{position, Channel, Got};
use crate::arena::heap::go_on;
use crate::arena::tag::{of_entry, Kind};
use crate::arena::{Error, Handle, Result};
use crate::atomics::{AtomicU64, Ordering};
use crate::sync::side::Held;

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

impl Channel<'_> {
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
        note_own();
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
