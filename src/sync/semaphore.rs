//! Semaphore and BoundedSemaphore.

use std::time::Duration;

use super::holds::Holds;
use super::patience::{spin, Patience, Step};
use super::word::{announce, change, change_and_clear, SLEEPERS};
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, Ordering};
use crate::registry::waiters::Waiter;
use crate::sys::futex;
use crate::sys::shared::shared_struct;

/// The largest value, as the standard library's.
pub const VALUE_MAX: u32 = i32::MAX as u32;

shared_struct! {
    /// The body.
    pub struct SemaphoreBody {
        /// README: `word.rs`.
        pub word: AtomicU32,
        /// What the value may not exceed.
        pub maximum: AtomicU32,
        /// 1: it gives back what the dead had, see `holds.rs`.
        pub recovers: AtomicU32,
        /// `section.rs`, if it does.
        pub changing: AtomicU32,
    }
}

impl SemaphoreBody {
    /// Acquire it if its value is above zero.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        change(&self.word, 0, |value| value.checked_sub(1)).is_some()
    }

    /// Its value.
    #[inline]
    pub fn value(&self) -> u32 {
        self.word.load(Ordering::Acquire) & !SLEEPERS
    }

    /// Release it; false when its value is the largest already.
    #[inline]
    #[must_use]
    pub fn release(&self) -> bool {
        let maximum = self.maximum.load(Ordering::Relaxed).min(VALUE_MAX);
        match change_and_clear(&self.word, |value| (value < maximum).then(|| value + 1)) {
            None => return false,
            Some(false) => {}
            Some(true) => futex::wake(&self.word, 1),
        }
        true
    }
}

/// A thread that waits for a semaphore.
pub struct SemaphoreWait<'a> {
    arena: &'a Arena,
    body: &'static SemaphoreBody,
    offset: u64,
    thread: u64,
    holds: Option<Holds<'a>>,
    patience: Patience,
    waiter: Option<Waiter>,
}

impl<'a> SemaphoreWait<'a> {
    /// Wait for `timeout` from now on; `holds` if the semaphore has any.
    #[must_use]
    pub fn new(
        arena: &'a Arena,
        body: &'static SemaphoreBody,
        holds: Option<Holds<'a>>,
        offset: u64,
        thread: u64,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            arena,
            body,
            offset,
            thread,
            holds,
            patience: match holds {
                None => Patience::without_owner(timeout),
                Some(_) => Patience::with_owner(timeout),
            },
            waiter: None,
        }
    }

    /// Wait a while.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn step(&mut self) -> Result<Step<()>> {
        if self.waiter.is_none() {
            if self.holds.is_none() && spin(|| self.body.try_acquire().then_some(())).is_some() {
                return Ok(Step::Done(()));
            }
            let waiter = self.arena.waiter(self.thread)?;
            waiter.begin(self.offset, 0);
            self.waiter = Some(waiter);
        }
        if self.acquire()? {
            return Ok(Step::Done(()));
        }
        let Some(slice) = self.patience.slice() else {
            return Ok(Step::TimedOut);
        };
        let seen = self.body.word.load(Ordering::Acquire);
        if seen & !SLEEPERS == 0 {
            if let Some(asleep) = announce(&self.body.word, seen) {
                let slept = futex::sleep(&self.body.word, asleep, slice);
                self.patience.note(slept);
            }
        }
        Ok(if self.acquire()? { Step::Done(()) } else { Step::GoOn })
    }

    fn acquire(&self) -> Result<bool> {
        match self.holds {
            Some(holds) => holds.try_acquire(),
            None => Ok(change(&self.body.word, SLEEPERS, |value| value.checked_sub(1)).is_some()),
        }
    }
}

impl Drop for SemaphoreWait<'_> {
    fn drop(&mut self) {
        // Who ever slept leaves the bit behind; where there is something left to acquire, one sleeper is to know it.
        if self.waiter.is_some() && change(&self.body.word, SLEEPERS, Some) != Some(0) {
            futex::wake(&self.body.word, 1);
        }
    }
}
