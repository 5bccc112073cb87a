//! Runs of spans: the memory of large blocks. Changed under the heap's mutex only.

use super::error::{Error, Result, Shortage};
use super::heap::{Content, Heap};
use super::layout::{LARGE_AT, PAGE, SLAB, SPANS, SPANS_AT};
use super::session::Arena;
use crate::atomics::{AtomicU64, Ordering};
use crate::sys::headroom;

impl Heap<'_> {
    /// Take memory of the large area; return where it begins.
    pub(super) fn take_spans(&self, size: u64, content: Content) -> Result<u64> {
        let count = size.div_ceil(SLAB);
        if count > SPANS {
            return Err(self.over_limit(size));
        }
        if content == Content::Anything {
            if let Some(first) = self.take_kept_run(count)? {
                self.arena.mark_spans(first, count, true)?;
                return Ok(LARGE_AT + first * SLAB);
            }
        }
        self.look_for_room(count * SLAB)?;
        let hint = self.arena.header.span_hint.load(Ordering::Relaxed).min(SPANS);
        let first = match self.find_run(hint, count)? {
            Some(first) => first,
            None => self.find_run(0, count)?.ok_or_else(|| self.over_limit(size))?,
        };
        self.give_back_overlapping(first, count)?;
        let offset = LARGE_AT + first * SLAB;
        if content == Content::Zeroes {
            self.arena.file.punch(offset, count * SLAB)?; // what a killed process has left there
        }
        if let Err(error) = self.arena.file.reserve(offset, count * SLAB) {
            let _ = self.arena.file.punch(offset, count * SLAB); // what of it was reserved
            return match error.raw_os_error() {
                Some(number) if headroom::is_shortage(number) => Err(Error::Full(Shortage::Memory {
                    asked: size,
                    left: headroom::left_bytes(),
                })),
                _ => Err(error.into()),
            };
        }
        self.arena.mark_spans(first, count, true)?;
        self.arena.header.span_hint.store(first + count, Ordering::Relaxed);
        Ok(offset)
    }

    /// Have memory of the large area free, and keep it for the next block, perhaps.
    pub(super) fn give_spans(&self, offset: u64, size: u64) -> Result<()> {
        let (first, count) = self.free_spans(offset, size)?;
        self.keep_run(first, count)
    }

    /// Have memory of the large area free, and give it back to the system.
    pub(super) fn give_spans_back(&self, offset: u64, size: u64) -> Result<()> {
        let (first, count) = self.free_spans(offset, size)?;
        Ok(self.arena.file.punch(LARGE_AT + first * SLAB, count * SLAB)?)
    }

    fn free_spans(&self, offset: u64, size: u64) -> Result<(u64, u64)> {
        let (first, count) = spans_of(offset, size)?;
        self.arena.mark_spans(first, count, false)?;
        self.arena.header.span_hint.fetch_min(first, Ordering::Relaxed);
        Ok((first, count))
    }

    /// The first run of so many free spans from one on.
    pub(super) fn find_run(&self, from: u64, count: u64) -> Result<Option<u64>> {
        let high = self.arena.header.span_high.load(Ordering::Relaxed).min(SPANS);
        let (mut start, mut at) = (from, from);
        while at - start < count && at < high {
            let (word, bit) = self.arena.span_word(at)?;
            let ahead = word.load(Ordering::Relaxed) >> bit;
            if ahead & 1 != 0 {
                at += u64::from((!ahead).trailing_zeros().min(64 - bit));
                start = at;
            } else {
                at += u64::from(ahead.trailing_zeros().min(64 - bit));
            }
        }
        Ok((start + count <= SPANS).then_some(start))
    }
}

impl Arena {
    /// Mark spans as used or free.
    pub(super) fn mark_spans(&self, first: u64, count: u64, used: bool) -> Result<()> {
        if used {
            let (from, to) = (first / 8 / PAGE, (first + count - 1) / 8 / PAGE);
            self.file.reserve(SPANS_AT + from * PAGE, (to - from + 1) * PAGE)?;
            self.header.span_high.fetch_max(first + count, Ordering::Relaxed);
        }
        let mut at = first;
        while at < first + count {
            let (word, bit) = self.span_word(at)?;
            let here = (first + count - at).min(u64::from(64 - bit));
            let mask = (u64::MAX >> (64 - here)) << bit;
            let before = word.load(Ordering::Relaxed);
            word.store(if used { before | mask } else { before & !mask }, Ordering::Relaxed);
            at += here;
        }
        let spans = &self.header.spans;
        let before = spans.load(Ordering::Relaxed);
        let after = if used {
            before.saturating_add(count)
        } else {
            before.saturating_sub(count)
        };
        spans.store(after, Ordering::Relaxed);
        Ok(())
    }

    /// The word that has a span's bit, and which one.
    pub(super) fn span_word(&self, span: u64) -> Result<(&'static AtomicU64, u32)> {
        if span >= SPANS {
            return Err(Error::Corrupt("there is no such span"));
        }
        Ok((self.file.at(SPANS_AT + span / 64 * 8)?, (span % 64) as u32))
    }
}

/// First and number of the spans of a large block, checked.
pub(super) fn spans_of(offset: u64, size: u64) -> Result<(u64, u64)> {
    let (first, count) = (offset.wrapping_sub(LARGE_AT) / SLAB, size.div_ceil(SLAB));
    let fits = offset >= LARGE_AT && offset % SLAB == 0 && count > 0;
    match first.checked_add(count) {
        Some(end) if fits && end <= SPANS => Ok((first, count)),
        _ => Err(Error::Corrupt("a block has spans that are none")),
    }
}
