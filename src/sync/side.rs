//! The lock of one side of a channel: held for less than a microsecond by whoever puts or gets, and taken over from an
//! owner that does not run any more, however it ended. What it protects is right at every instruction.

use super::patience::{spin, Patience, Step};
use super::word::{announce, SLEEPERS};
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, Ordering};
use crate::registry::processes::{ProcessId, ID_MASK};
use crate::sys::futex;

/// The lock, had by this process as long as this lives.
#[must_use]
pub struct Held {
    word: &'static AtomicU32,
}

impl Held {
    /// Acquire it if it is free.
    #[inline]
    pub fn try_lock(arena: &Arena, word: &'static AtomicU32) -> Option<Self> {
        word.compare_exchange(0, arena.me(), Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| Self { word })
    }

    /// Acquire it, in a slice of time. Without the GIL.
    ///
    /// # Errors
    /// What the heap says.
    pub fn lock(arena: &Arena, word: &'static AtomicU32, patience: &mut Patience) -> Result<Step<Self>> {
        let me = arena.me();
        let take = |sleepers| {
            let seen = word.load(Ordering::Relaxed);
            let free = seen & ID_MASK == 0;
            let taken = || {
                word.compare_exchange(
                    seen,
                    me | (seen & SLEEPERS) | sleepers,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
            };
            (free && taken().is_ok()).then(|| Self { word })
        };
        // Who ever slept was woken in place of others, and leaves the bit behind for them.
        let sleepers = if patience.has_slept() { SLEEPERS } else { 0 };
        if let Some(held) = spin(|| take(sleepers)) {
            return Ok(Step::Done(held));
        }
        let Some(slice) = patience.slice() else {
            return Ok(Step::TimedOut);
        };
        let seen = word.load(Ordering::Acquire);
        let owner = ProcessId(seen & ID_MASK);
        let mut is_time_to_look = false;
        if owner.0 != 0 {
            if let Some(asleep) = announce(word, seen) {
                is_time_to_look = patience.note(futex::sleep(word, asleep, slice));
            }
        }
        // Others may sleep, too.
        if let Some(held) = take(SLEEPERS) {
            return Ok(Step::Done(held));
        }
        if is_time_to_look && !arena.runs(owner) {
            let left = owner.0 | SLEEPERS;
            let mine = word.compare_exchange(left, me | SLEEPERS, Ordering::Acquire, Ordering::Relaxed);
            if mine.is_ok() {
                return Ok(Step::Done(Self { word }));
            }
        }
        Ok(Step::GoOn)
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        if self.word.swap(0, Ordering::Release) & SLEEPERS != 0 {
            futex::wake(self.word, 1);
        }
    }
}
