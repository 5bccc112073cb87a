//! Lock and RLock. Any process may release a Lock; an RLock belongs to a thread.

use std::time::Duration;

use super::patience::{spin, Patience, Step};
use super::word::{announce, change, change_and_clear, SLEEPERS};
use crate::arena::heap::go_on;
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::registry::processes::{Fate, Obituary, ProcessId, ID_MASK};
use crate::registry::sites::Site;
use crate::registry::waiters::Waiter;
use crate::sys::futex;
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The body of both.
    pub struct LockBody {
        /// README: `word.rs`. First, since `free_the_dead` looks for owners there.
        pub word: AtomicU32,
        /// How often the owner of an RLock has acquired it.
        pub depth: AtomicU32,
        /// The owner's thread.
        pub thread: AtomicU64,
        /// 1: it stays locked when its owner dies.
        pub keeps: AtomicU32,
        /// The process that `thread` is of: another one, after its death, may have a thread that is called the same.
        pub process: AtomicU32,
        /// Where it was acquired, and by which process: `Noted`.
        pub noted: AtomicU64,
    }
}

/// Who acquires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// A `ProcessId`.
    pub process: u32,
    /// What tells the thread from others of the session; `Who::of` makes it.
    pub thread: u64,
}

impl Who {
    /// A thread of a process, told from others of that process by a number.
    #[inline]
    #[must_use]
    pub fn of(process: u32, thread: u64) -> Self {
        // A thread and its copy in a forked child have the same number. An id has 30 bits, and no process 2^34 threads.
        let thread = thread ^ (u64::from(process) << 34);
        Self { process, thread }
    }
}

/// Where a lock was acquired, as a word that says by which process, too. Of another one than the owner it is a leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted(u64);

impl Noted {
    fn new(process: u32, site: Site) -> Self {
        Self(u64::from(process) << 32 | u64::from(site.0))
    }

    fn by(self, process: u32) -> Site {
        if (self.0 >> 32) as u32 == process {
            Site(self.0 as u32)
        } else {
            Site::UNKNOWN
        }
    }
}

/// What came of waiting for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the lock was acquired, or its owner is dead"]
pub enum Waited {
    /// This one has it.
    Acquired,
    /// This one noticed; the lock is free, and is not this one's.
    OwnerDied(Obituary),
}

/// Why a lock was not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReleased {
    /// It is not locked.
    Free,
    /// It is an RLock of another thread.
    NotMine,
}

impl LockBody {
    /// Acquire it if it is free.
    #[inline]
    pub fn try_acquire(&self, who: Who) -> bool {
        let taken = self.take(who, 0);
        if taken {
            self.belong_to(who);
        }
        taken
    }

    #[inline]
    fn belong_to(&self, who: Who) {
        self.thread.store(who.thread, Ordering::Release);
        self.process.store(who.process, Ordering::Release); // mark: who reads this process reads no older thread
    }

    /// Swap the owner in; who does that notes the thread then.
    #[inline]
    fn take(&self, who: Who, sleepers: u32) -> bool {
        change(&self.word, sleepers, |owner| (owner == 0).then_some(who.process)).is_some()
    }

    /// Acquire it once more if it is this thread's, else if it is free.
    #[inline]
    pub fn try_acquire_again(&self, who: Who) -> bool {
        if self.is_mine(who) {
            let depth = self.depth.load(Ordering::Relaxed);
            self.depth.store(depth.saturating_add(1), Ordering::Relaxed);
            return true;
        }
        let taken = self.try_acquire(who);
        if taken {
            self.depth.store(1, Ordering::Relaxed);
        }
        taken
    }

    /// Note where its owner, which this is, has acquired it; not where it has acquired it once more.
    pub fn note_site(&self, who: Who, site: Site) {
        if self.depth.load(Ordering::Relaxed) <= 1 {
            self.noted.store(Noted::new(who.process, site).0, Ordering::Relaxed);
        }
    }

    /// Where a process, its owner, has acquired it.
    #[must_use]
    pub fn site(&self, owner: ProcessId) -> Site {
        Noted(self.noted.load(Ordering::Relaxed)).by(owner.0)
    }

    /// Whether this thread has it.
    #[inline]
    pub fn is_mine(&self, who: Who) -> bool {
        // Acquire, as the word was last released: a thread of this process that had it earlier was cleared before that.
        self.word.load(Ordering::Acquire) & ID_MASK == who.process
            && self.process.load(Ordering::Acquire) == who.process // mark
            && self.thread.load(Ordering::Relaxed) == who.thread
    }

    /// The process that has it; 0: none.
    #[inline]
    pub fn owner(&self) -> u32 {
        self.word.load(Ordering::Relaxed) & ID_MASK
    }

    /// Release a Lock, whoever has it.
    ///
    /// # Errors
    /// `Free`.
    #[inline]
    pub fn release(&self) -> std::result::Result<(), NotReleased> {
        if self.owner() == 0 {
            return Err(NotReleased::Free);
        }
        self.thread.store(0, Ordering::Relaxed);
        match change_and_clear(&self.word, |owner| (owner != 0).then_some(0)) {
            None => Err(NotReleased::Free),
            Some(false) => Ok(()),
            Some(true) => {
                futex::wake(&self.word, 1);
                Ok(())
            }
        }
    }

    /// Release an RLock once.
    ///
    /// # Errors
    /// `NotMine`.
    #[inline]
    pub fn release_once(&self, who: Who) -> std::result::Result<(), NotReleased> {
        if !self.is_mine(who) {
            return Err(NotReleased::NotMine);
        }
        match self.depth.load(Ordering::Relaxed) {
            0 | 1 => {
                self.depth.store(0, Ordering::Relaxed);
                self.release()
            }
            depth => {
                self.depth.store(depth - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// A thread that waits for a lock.
pub struct LockWait<'a> {
    arena: &'a Arena,
    body: &'static LockBody,
    offset: u64,
    who: Who,
    /// Where in the program that is, if sites are recorded.
    site: Option<Site>,
    patience: Patience,
    /// From the first sleep on.
    waiter: Option<Waiter>,
}

impl<'a> LockWait<'a> {
    /// Wait for `timeout` from now on.
    #[must_use]
    pub fn new(arena: &'a Arena, body: &'static LockBody, offset: u64, who: Who, timeout: Option<Duration>) -> Self {
        Self {
            arena,
            body,
            offset,
            who,
            site: None,
            patience: Patience::with_owner(timeout),
            waiter: None,
        }
    }

    /// Record where in the program this is.
    #[must_use]
    pub fn at(mut self, site: Option<Site>) -> Self {
        self.site = site;
        self
    }

    /// Wait a while.
    ///
    /// # Errors
    /// `Full` when too many threads wait; what the heap says.
    pub fn step(&mut self) -> Result<Step<Waited>> {
        if self.waiter.is_none() {
            if spin(|| self.body.take(self.who, 0).then_some(())).is_some() {
                return Ok(self.acquired());
            }
            let waiter = self.arena.waiter(self.who.thread)?;
            waiter.describe(self.site.unwrap_or(Site::UNKNOWN), self.patience.has_end());
            waiter.begin(self.offset, 0);
            self.waiter = Some(waiter);
        }
        if self.body.take(self.who, SLEEPERS) {
            return Ok(self.acquired());
        }
        let Some(slice) = self.patience.slice() else {
            return Ok(Step::TimedOut);
        };
        let seen = self.body.word.load(Ordering::Acquire);
        if seen & ID_MASK == 0 {
            return Ok(Step::GoOn);
        }
        if let Some(asleep) = announce(&self.body.word, seen) {
            let slept = futex::sleep(&self.body.word, asleep, slice);
            if self.patience.note(slept) && self.body.keeps.load(Ordering::Relaxed) == 0 {
                return self.look_at_owner();
            }
        }
        Ok(if self.body.take(self.who, SLEEPERS) {
            self.acquired()
        } else {
            Step::GoOn
        })
    }

    fn acquired(&self) -> Step<Waited> {
        // In this order: nobody is to see that this thread has the lock that it waits for.
        if let Some(waiter) = &self.waiter {
            waiter.end();
        }
        self.body.belong_to(self.who);
        self.body.depth.store(1, Ordering::Relaxed);
        if let Some(site) = self.site {
            self.body.note_site(self.who, site);
        }
        Step::Done(Waited::Acquired)
    }

    #[cold]
    fn look_at_owner(&self) -> Result<Step<Waited>> {
        let seen = self.body.word.load(Ordering::Acquire);
        let owner = ProcessId(seen & ID_MASK);
        if owner.0 == 0 {
            return Ok(Step::GoOn);
        }
        let Fate::Died(obituary) = self.arena.fate(owner, &mut go_on)? else {
            return Ok(Step::GoOn);
        };
        let freed = self
            .body
            .word
            .compare_exchange(seen, seen & SLEEPERS, Ordering::AcqRel, Ordering::Relaxed);
        Ok(match freed {
            Ok(_) => Step::Done(Waited::OwnerDied(obituary)),
            Err(_) => Step::GoOn, // somebody else was first, or another one went to sleep
        })
    }
}

impl Drop for LockWait<'_> {
    fn drop(&mut self) {
        // Who ever slept leaves the bit behind, and passes on the wake it may have got. That it has the lock itself is
        // no exception, but then the bit is there already.
        if self.waiter.is_some() && change(&self.body.word, SLEEPERS, |owner| (owner != 0).then_some(owner)).is_none() {
            futex::wake(&self.body.word, 1);
        }
    }
}
