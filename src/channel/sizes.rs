//! How many bytes a channel has, where that is bounded (README: bytes).

use super::layout::ChannelBody;
use super::position::Position;
use super::transfer::position;
use crate::arena::{Error, Result};
use crate::atomics::{AtomicU64, Ordering};

/// The most that one message counts for; what is larger counts for that.
const MOST: u64 = 1 << 30;

/// How often to look when totals change meanwhile.
pub const LOOKS: u32 = 8;

/// A side's totals.
type Totals = [AtomicU64; 2];

/// What a message of so many units counts for.
pub fn counted(units: u64) -> u32 {
    units.min(MOST) as u32
}

/// Whether there is room for a message, of whatever size: or a large one would wait for as long as small ones come. Seen by
/// who has the producers' lock or by anybody else.
pub fn has_room(body: &ChannelBody) -> bool {
    let most = body.most_units.load(Ordering::Relaxed);
    // Where it changes all the while, whoever changes it wakes those who wait for room.
    most == 0 || units(body).is_some_and(|units| u64::from(units) < most)
}

/// How much the messages count for that a channel has, where that is bounded; `None` while it changes all the time.
pub fn units(body: &ChannelBody) -> Option<u32> {
    for _ in 0..LOOKS {
        let head = position(&body.head, Ordering::Acquire);
        let tail = position(&body.tail, Ordering::Acquire);
        if tail.number() == head.number() {
            return Some(0);
        }
        if let (Some((_, put)), Some((_, got))) = (in_force(&body.put_sizes, tail), in_force(&body.got_sizes, head)) {
            return Some(put.wrapping_sub(got));
        }
    }
    None
}

/// A message of this size is about to be put.
///
/// # Errors
/// `Corrupt`.
pub fn note_put(body: &ChannelBody, tail: Position, size: u32) -> Result<()> {
    note(body, &body.put_sizes, tail, size)
}

/// A message of this size is about to be got.
///
/// # Errors
/// `Corrupt`.
pub fn note_got(body: &ChannelBody, head: Position, size: u32) -> Result<()> {
    note(body, &body.got_sizes, head, size)
}

fn note(body: &ChannelBody, totals: &Totals, at: Position, size: u32) -> Result<()> {
    if body.most_units.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let (index, before) =
        in_force(totals, at).ok_or(Error::Corrupt("a channel does not know how many bytes it has"))?;
    let after = u64::from(at.number().wrapping_add(1)) << 32 | u64::from(before.wrapping_add(size));
    totals[1 - index].store(after, Ordering::Relaxed);
    Ok(())
}

/// Which total is in force there, and what it is.
fn in_force(totals: &Totals, at: Position) -> Option<(usize, u32)> {
    let seen = totals.each_ref().map(|total| total.load(Ordering::Relaxed));
    let index = seen.iter().position(|total| (total >> 32) as u32 == at.number())?;
    Some((index, seen[index] as u32))
}
