//! Messages in blocks of their own: the channel's references to them (README: long messages).

use super::layout::{ChannelBody, Passing};
use crate::arena::heap::go_on;
use crate::arena::{Arena, Result};
use crate::atomics::Ordering;

/// Have the channel refer to a block, from before its message with this number is put; return where the reference is.
pub fn begin_sending(arena: &Arena, body: &ChannelBody, entry: u64, number: u32) -> Result<u64> {
    let heap = arena.heap(&mut go_on)?;
    let place = heap.vacant_entry(&body.references)?;
    note(&body.sending, place, entry, number);
    heap.set_entry(place, entry)?;
    Ok(place)
}

/// The message was put.
pub fn end_sending(body: &ChannelBody) {
    body.sending.place.store(0, Ordering::Release);
}

/// Whoever was about to put a message has died: the channel's reference is dropped unless it was put.
#[cold]
pub fn finish_sending(arena: &Arena, body: &ChannelBody, tail_number: u32) -> Result<()> {
    if body.sending.number.load(Ordering::Relaxed) == u64::from(tail_number) {
        drop_reference(arena, &body.sending)
    } else {
        end_sending(body);
        Ok(())
    }
}

/// A message with this number, which lies in a block, is about to be got.
pub fn begin_receiving(body: &ChannelBody, place: u64, entry: u64, number: u32) {
    note(&body.receiving, place, entry, number);
}

/// The message was got: the channel's reference is dropped.
pub fn end_receiving(arena: &Arena, body: &ChannelBody) -> Result<()> {
    drop_reference(arena, &body.receiving)
}

/// Whoever was about to get a message has died: the channel's reference is dropped if it was got.
#[cold]
pub fn finish_receiving(arena: &Arena, body: &ChannelBody, head_number: u32) -> Result<()> {
    if body.receiving.number.load(Ordering::Relaxed) == u64::from(head_number) {
        body.receiving.place.store(0, Ordering::Release);
        Ok(())
    } else {
        end_receiving(arena, body)
    }
}

fn note(passing: &Passing, place: u64, entry: u64, number: u32) {
    passing.entry.store(entry, Ordering::Relaxed);
    passing.number.store(number.into(), Ordering::Relaxed);
    passing.place.store(place, Ordering::Release);
}

/// Drop it, unless that was done before, and its place has been used again since.
fn drop_reference(arena: &Arena, passing: &Passing) -> Result<()> {
    let heap = arena.heap(&mut go_on)?;
    let (place, entry) = (
        passing.place.load(Ordering::Relaxed),
        passing.entry.load(Ordering::Relaxed),
    );
    heap.clear_entry(place, entry)?;
    passing.place.store(0, Ordering::Release);
    Ok(())
}
