//! Which segments a channel has. All of this happens under the heap's mutex (README).

use super::layout::{ChannelBody, Segment, FIRST_SEGMENT, MESSAGES_AT, OTHER_SEGMENT};
use super::transfer::position;
use crate::arena::heap::{Content, Heap};
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Result};
use crate::atomics::Ordering;

/// A segment, looked at: what is read from the arena is checked once here.
#[derive(Clone, Copy)]
pub struct Room {
    pub segment: &'static Segment,
    offset: u64,
    /// Of its messages, in units of 8 bytes.
    units: u32,
}

impl Room {
    /// The segment at an offset, which must be one.
    ///
    /// # Errors
    /// `Corrupt` when it is none.
    pub fn at(arena: &Arena, offset: u64) -> Result<Self> {
        let size = arena.size_of_kind(offset, Kind::Segment)?;
        if size != FIRST_SEGMENT && size != OTHER_SEGMENT {
            return Err(Error::Corrupt("a channel's segment has a size that none has"));
        }
        Ok(Self {
            segment: arena.body(offset)?,
            offset,
            units: ((size + BLOCK_HEADER - MESSAGES_AT) / 8) as u32,
        })
    }

    /// How many units lie between its beginning and a position; as many as it has at most.
    ///
    /// # Errors
    /// `Corrupt` when the position is not in it.
    pub fn units_before(&self, position_units: u32) -> Result<u32> {
        let units = position_units.wrapping_sub(self.segment.start.load(Ordering::Relaxed));
        if units > self.units {
            return Err(Error::Corrupt("a channel's position is in another segment"));
        }
        Ok(units)
    }

    /// How many units there are behind so many.
    #[must_use]
    pub fn units_left(&self, before: u32) -> u32 {
        self.units - before.min(self.units)
    }

    /// Where a unit is in the arena.
    #[must_use]
    pub fn offset_of(&self, before: u32) -> u64 {
        self.offset + MESSAGES_AT + u64::from(before) * 8
    }
}

impl Heap<'_> {
    /// Have a further segment behind the one that is written, which begins at these units of the tail's.
    pub fn grow_channel(&self, body: &ChannelBody, tail_units: u32) -> Result<u64> {
        let write = body.write.load(Ordering::Relaxed);
        let offset = match body.spare.swap(0, Ordering::Relaxed) {
            0 => {
                let size = if write == 0 { FIRST_SEGMENT } else { OTHER_SEGMENT };
                self.allocate(Kind::Segment, size, Content::Anything)?
            }
            spare => spare,
        };
        let new = Room::at(self.arena, offset)?.segment;
        new.next.store(0, Ordering::Relaxed);
        new.start.store(tail_units, Ordering::Relaxed);
        match write {
            0 => body.read.store(offset, Ordering::Release), // README: c, for the first one
            write => Room::at(self.arena, write)?
                .segment
                .next
                .store(offset, Ordering::Release), // README: c
        }
        body.write.store(offset, Ordering::Release); // README: d
        Ok(offset)
    }

    /// Go on to the segment behind the one that was read.
    pub fn move_on(&self, body: &ChannelBody, next: u64) -> Result<()> {
        let old = body.read.load(Ordering::Relaxed);
        let is_large = self.arena.size_of_kind(old, Kind::Segment)? == OTHER_SEGMENT;
        if is_large && body.spare.load(Ordering::Relaxed) == 0 {
            body.spare.store(old, Ordering::Relaxed);
            body.read.store(next, Ordering::Release); // README: e
            return Ok(());
        }
        body.read.store(next, Ordering::Release); // README: e
        self.free(old)
    }

    /// Free all segments of a channel that is no more.
    pub fn free_segments(&self, channel: u64) -> Result<()> {
        let body: &ChannelBody = self.arena.body(channel)?;
        for segment in self.arena.segments_of(body)? {
            self.free(segment)?;
        }
        Ok(())
    }
}

impl Arena {
    /// The segments that a channel has, those that are read first; what a killed owner of the heap's mutex has left undone is
    /// put right.
    pub(crate) fn put_segments_right(&self, body: &ChannelBody) -> Result<Vec<u64>> {
        let chain = self.chain_of(body)?;
        body.write
            .store(chain.last().copied().unwrap_or_default(), Ordering::Relaxed);
        if chain.contains(&body.spare.load(Ordering::Relaxed)) {
            body.spare.store(0, Ordering::Relaxed);
        }
        self.segments_of(body)
    }

    /// The segments of a channel.
    pub(crate) fn segments_of(&self, body: &ChannelBody) -> Result<Vec<u64>> {
        let mut segments = self.chain_of(body)?;
        match body.spare.load(Ordering::Relaxed) {
            0 => {}
            spare if segments.contains(&spare) => {}
            spare => segments.push(spare),
        }
        Ok(segments)
    }

    /// How many messages a channel has, and how many bytes: of its segments, and of the blocks that messages lie in.
    pub(crate) fn messages_of_channel(&self, offset: u64) -> Result<(u64, u64)> {
        let body: &ChannelBody = self.body(offset)?;
        let head = position(&body.head, Ordering::Acquire);
        let messages = position(&body.tail, Ordering::Acquire).messages_since(head);
        let mut bytes = 0u64;
        let mut add = |arena: &Self, offset| {
            bytes = bytes.saturating_add(arena.block(offset)?.size.load(Ordering::Relaxed));
            Ok(())
        };
        for segment in self.segments_of(body)? {
            add(self, segment)?;
        }
        self.each_reference_in(&body.references, add)?;
        Ok((messages.into(), bytes))
    }

    fn chain_of(&self, body: &ChannelBody) -> Result<Vec<u64>> {
        let mut chain = Vec::new();
        let mut offset = body.read.load(Ordering::Acquire);
        while offset != 0 {
            if chain.len() as u64 > self.slabs() {
                return Err(Error::Corrupt("a channel's segments run in a circle"));
            }
            chain.push(offset);
            offset = Room::at(self, offset)?.segment.next.load(Ordering::Acquire);
        }
        Ok(chain)
    }
}
