//! Condition. The lock that belongs to it is the caller's business.

use std::time::Duration;

use super::patience::{Patience, Step};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU64, Ordering};
use crate::registry::waiters::{Grant, Waiter, Waiting};
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The body.
    pub struct ConditionBody {
        /// The next waiter's.
        pub ticket: AtomicU64,
    }
}

/// Grant up to `count` of those who wait what they wait for, the longest waiting first; return how many.
///
/// One may have died. Whoever clears its record away passes the grant on: `pass_on`.
pub fn notify(arena: &Arena, offset: u64, count: usize) -> usize {
    let mut waiting: Vec<Waiting> = arena.waiting(offset).filter(Waiting::is_pending).collect();
    waiting.sort_unstable_by_key(|waiting| waiting.ticket);
    waiting
        .into_iter()
        .filter(|waiting| {
            let granted = waiting.grant(Grant::Granted);
            if granted {
                waiting.wake();
            }
            granted
        })
        .take(count)
        .count()
}

/// Notify others of what was granted to one that has died, before its record is cleared away.
pub fn pass_on(arena: &Arena, offset: u64) {
    let is_condition = arena
        .tag_of(offset)
        .is_some_and(|tag| tag.kind() == Some(Kind::Condition));
    if is_condition {
        notify(arena, offset, 1);
    }
}

/// A thread that waits for a condition, from before it releases the lock.
pub struct ConditionWait<'a> {
    arena: &'a Arena,
    offset: u64,
    waiter: Waiter,
    patience: Patience,
    is_over: bool,
}

impl<'a> ConditionWait<'a> {
    /// Wait from now on.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn new(
        arena: &'a Arena,
        body: &ConditionBody,
        offset: u64,
        thread: u64,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let waiter = arena.waiter(thread)?;
        waiter.begin(offset, body.ticket.fetch_add(1, Ordering::Relaxed));
        Ok(Self {
            arena,
            offset,
            waiter,
            patience: Patience::without_owner(timeout),
            is_over: false,
        })
    }

    /// Wait a while.
    ///
    /// # Errors
    /// What the heap says, when it is swept.
    pub fn step(&mut self) -> Result<Step<()>> {
        if self.waiter.grant() == Grant::Granted {
            return Ok(self.notified());
        }
        let Some(slice) = self.patience.slice() else {
            return Ok(match self.waiter.give_up() {
                Grant::Granted => self.notified(),
                _ => Step::TimedOut,
            });
        };
        let slept = self.waiter.sleep(slice);
        if self.patience.note(slept) {
            self.look_for_the_dead()?;
        }
        Ok(match self.waiter.grant() {
            Grant::Granted => self.notified(),
            _ => Step::GoOn,
        })
    }

    fn notified(&mut self) -> Step<()> {
        self.is_over = true;
        Step::Done(())
    }

    /// Clear away who died with a grant, so that it is passed on.
    #[cold]
    fn look_for_the_dead(&self) -> Result<()> {
        for waiting in self.arena.waiting(self.offset).filter(|waiting| !waiting.is_pending()) {
            let _fate = self.arena.fate(waiting.process, &mut go_on)?;
        }
        Ok(())
    }
}

impl Drop for ConditionWait<'_> {
    fn drop(&mut self) {
        // Interrupted, as an exception does it: what this one was granted it has not heard of, so it is for another one.
        if !self.is_over && self.waiter.give_up() == Grant::Granted {
            notify(self.arena, self.offset, 1);
        }
    }
}
