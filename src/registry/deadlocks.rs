//! Deadlocks: threads of the session each of which waits for a lock that the next one has. README: `deadlocks.rs`.

use std::collections::HashMap;

use super::cycles::cycles;
use super::processes::{ProcessId, Seen, ID_MASK};
use super::sites::Site;
use super::waiters::Waiting;
use crate::arena::tag::{Kind, Tag};
use crate::arena::{Arena, Result};
use crate::atomics::Ordering;
use crate::sync::lock::LockBody;

/// A thread that waits for a lock, and what is known of that lock. The one that has it waits, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Its process.
    pub process: Seen,
    /// The kernel's number of the thread.
    pub thread_id: u32,
    /// When it began to wait, in nanoseconds since boot.
    pub since: u64,
    /// Whether it waits for a limited time.
    pub has_timeout: bool,
    /// Where in the program it waits.
    pub waiting_at: Option<String>,
    /// Whether it is an RLock.
    pub recursive: bool,
    /// The lock's name.
    pub name: Option<String>,
    /// Where the lock is.
    pub offset: u64,
    /// Where in the program who has it has acquired it.
    pub acquired_at: Option<String>,
}

/// What is read of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    tag: Tag,
    owner: ProcessId,
    thread: u64,
    site: Site,
}

impl Arena {
    /// The deadlocks that there are. Of each the blocked threads: the lock that one waits for the next one has.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn deadlocks(&self) -> Result<Vec<Vec<Blocked>>> {
        self.deadlocks_of(|process| self.runs(process))
    }

    /// The same, with another opinion on who lives.
    pub(crate) fn deadlocks_of(&self, lives: impl Fn(ProcessId) -> bool) -> Result<Vec<Vec<Blocked>>> {
        // In this order: who waits; what the locks say; whether those wait still.
        let waits = self.lock_waits();
        let held: Vec<Option<Held>> = waits.iter().map(|wait| self.held(wait.object)).collect();
        let by_thread: HashMap<_, _> = waits.iter().map(thread_of).zip(0..).collect();
        let holder = |held: &Option<Held>| by_thread.get(&held.as_ref().map(owner_of)?).copied();
        let next: Vec<_> = held.iter().map(holder).collect();
        let is_so = |at: &usize| {
            let wait = &waits[*at];
            self.held(wait.object) == held[*at] && wait.is_still_there() && lives(wait.process)
        };
        cycles(&next)
            .into_iter()
            .filter(|cycle| cycle.iter().all(is_so))
            .map(|cycle| self.tell(&waits, &held, &cycle))
            .filter_map(Result::transpose)
            .collect()
    }

    /// Who waits for a lock: of a thread whose signal handler waits, too, what it began to wait for last.
    fn lock_waits(&self) -> Vec<Waiting> {
        let mut waits: Vec<Waiting> = self
            .waiting(0)
            .filter(|wait| self.held(wait.object).is_some())
            .collect();
        waits.sort_by_key(|wait| (thread_of(wait), std::cmp::Reverse(wait.since)));
        waits.dedup_by_key(|wait| thread_of(wait));
        waits
    }

    fn held(&self, offset: u64) -> Option<Held> {
        let tag = self.tag_of(offset)?;
        if !matches!(tag.kind(), Some(Kind::Lock | Kind::RLock)) {
            return None;
        }
        let body: &LockBody = self.body(offset).ok()?;
        let owner = ProcessId(body.word.load(Ordering::Acquire) & ID_MASK);
        Some(Held {
            tag,
            owner,
            thread: body.thread.load(Ordering::Acquire),
            site: body.site(owner),
        })
    }

    /// `None` when the record of a process was somebody else's meanwhile.
    fn tell(&self, waits: &[Waiting], held: &[Option<Held>], cycle: &[usize]) -> Result<Option<Vec<Blocked>>> {
        let tell_one = |at: &usize| {
            let wait = &waits[*at];
            let (Some(held), Some(process)) = (held[*at], self.see(wait.process)?) else {
                return Ok(None);
            };
            Ok(Some(Blocked {
                process,
                thread_id: wait.thread_id,
                since: wait.since,
                has_timeout: wait.has_timeout,
                waiting_at: self.text_of_site(wait.site),
                recursive: held.tag.kind() == Some(Kind::RLock),
                name: self.name_of(wait.object).unwrap_or_default(),
                offset: wait.object,
                acquired_at: self.text_of_site(held.site),
            }))
        };
        cycle.iter().map(tell_one).collect()
    }
}

/// A thread, as its waits have it.
fn thread_of(wait: &Waiting) -> (u32, u64) {
    (wait.process.0, wait.thread)
}

/// A thread, as the lock has it that it owns.
fn owner_of(held: &Held) -> (u32, u64) {
    (held.owner.0, held.thread)
}
