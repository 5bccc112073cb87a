//! Condition. The lock that belongs to it is the caller's business.

use std::time::Duration;

use super::patience::{Patience, Step};
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU64, Ordering};
use crate::registry::processes::ProcessId;
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
/// # Errors
/// `Corrupt`.
pub fn notify(arena: &Arena, offset: u64, count: usize) -> Result<usize> {
    let mut waiting: Vec<Waiting> = arena.waiting(offset).filter(Waiting::is_pending).collect();
    waiting.sort_unstable_by_key(|waiting| waiting.ticket);
    let own = ProcessId(arena.me());
    Ok(waiting
        .into_iter()
        .filter(|waiting| {
            let granted = (waiting.process == own || arena.runs(waiting.process)) && waiting.grant(Grant::Granted);
            if granted {
                waiting.wake();
            }
            granted
        })
        .take(count)
        .count())
}

/// A thread that waits for a condition, from before it releases the lock.
pub struct ConditionWait {
    waiter: Waiter,
    patience: Patience,
}

impl ConditionWait {
    /// Wait from now on.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn new(
        arena: &Arena,
        body: &ConditionBody,
        offset: u64,
        thread: u64,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let waiter = arena.waiter(thread)?;
        waiter.begin(offset, body.ticket.fetch_add(1, Ordering::Relaxed));
        Ok(Self {
            waiter,
            patience: Patience::without_owner(timeout),
        })
    }

    /// Wait a while.
    pub fn step(&mut self) -> Step<()> {
        if self.waiter.grant() == Grant::Granted {
            return Step::Done(());
        }
        let Some(slice) = self.patience.slice() else {
            return match self.waiter.give_up() {
                Grant::Granted => Step::Done(()),
                _ => Step::TimedOut,
            };
        };
        let slept = self.waiter.sleep(slice);
        self.patience.note(slept);
        match self.waiter.grant() {
            Grant::Granted => Step::Done(()),
            _ => Step::GoOn,
        }
    }
}
