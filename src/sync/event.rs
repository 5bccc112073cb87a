//! Event.

use std::time::Duration;

use super::patience::{spin, Patience, Step};
use super::word::SLEEPERS;
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, Ordering};
use crate::registry::waiters::Waiter;
use crate::sys::futex;
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The body.
    pub struct EventBody {
        /// README: `event.rs`.
        pub word: AtomicU32,
    }
}

const SET: u32 = 1;
const EPOCH: u32 = !(SLEEPERS | SET);

impl EventBody {
    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// Set it and wake everybody.
    pub fn set(&self) {
        let before = self.change(|word| (word & EPOCH).wrapping_add(2) & EPOCH | SET);
        if before & SLEEPERS != 0 {
            futex::wake(&self.word, u32::MAX);
        }
    }

    /// Clear it.
    pub fn clear(&self) {
        self.change(|word| word & !SET);
    }

    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let mut seen = self.word.load(Ordering::Relaxed);
        while let Err(now) = self
            .word
            .compare_exchange_weak(seen, change(seen), Ordering::AcqRel, Ordering::Relaxed)
        {
            seen = now;
        }
        seen
    }
}

/// A thread that waits for an event.
pub struct EventWait<'a> {
    arena: &'a Arena,
    body: &'static EventBody,
    offset: u64,
    thread: u64,
    epoch: u32,
    patience: Patience,
    waiter: Option<Waiter>,
}

impl<'a> EventWait<'a> {
    /// Wait from now on: a `set()` that comes later counts.
    #[must_use]
    pub fn new(
        arena: &'a Arena,
        body: &'static EventBody,
        offset: u64,
        thread: u64,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            arena,
            body,
            offset,
            thread,
            epoch: body.word.load(Ordering::Acquire) & EPOCH,
            patience: Patience::without_owner(timeout),
            waiter: None,
        }
    }

    fn has_come(&self, word: u32) -> bool {
        word & SET != 0 || word & EPOCH != self.epoch
    }

    /// Wait a while.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn step(&mut self) -> Result<Step<()>> {
        if self.waiter.is_none() {
            if spin(|| self.has_come(self.body.word.load(Ordering::Acquire)).then_some(())).is_some() {
                return Ok(Step::Done(()));
            }
            let waiter = self.arena.waiter(self.thread)?;
            waiter.begin(self.offset, 0);
            self.waiter = Some(waiter);
        }
        let seen = self.body.word.load(Ordering::Acquire);
        if self.has_come(seen) {
            return Ok(Step::Done(()));
        }
        let Some(slice) = self.patience.slice() else {
            return Ok(Step::TimedOut);
        };
        if let Some(asleep) = super::word::announce(&self.body.word, seen) {
            let slept = futex::sleep(&self.body.word, asleep, slice);
            self.patience.note(slept);
        }
        if self.has_come(self.body.word.load(Ordering::Acquire)) {
            return Ok(Step::Done(()));
        }
        Ok(Step::GoOn)
    }
}
