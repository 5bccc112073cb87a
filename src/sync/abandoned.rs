//! Waits for locks that stay locked: whoever has such a lock has ended without releasing it, and on purpose, as far as
//! anybody can tell. A killed owner's lock is free again, unless it keeps it (README, "A dead owner").

use super::lock::LockBody;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Pause, Result};
use crate::atomics::Ordering;
use crate::registry::deadlocks::Blocked;
use crate::registry::processes::{Fate, ProcessId, Seen, State};
use crate::registry::waiters::Waiting;

/// A thread that waits for a lock which a process that has ended has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// Who waits, and for what.
    pub blocked: Blocked,
    /// Who had the lock; `None` when nothing is known of it any more.
    pub owner: Option<Seen>,
}

impl Arena {
    /// Who waits for a lock whose owner has ended with it, and will not be given it.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says when a dead process is buried on the way.
    pub fn abandoned_waits(&self, pause: Pause<'_>) -> Result<Vec<Abandoned>> {
        let waits: Vec<Waiting> = self.waiting(0).collect();
        let mut found = Vec::new();
        for wait in &waits {
            found.extend(self.abandoned(wait, &mut *pause)?);
        }
        Ok(found)
    }

    fn abandoned(&self, wait: &Waiting, pause: Pause<'_>) -> Result<Option<Abandoned>> {
        let kind = self.tag_of(wait.object).and_then(|tag| tag.kind());
        if !matches!(kind, Some(Kind::Lock | Kind::RLock)) {
            return Ok(None);
        }
        let body: &LockBody = self.body(wait.object)?;
        let owner = ProcessId(body.owner());
        if owner.0 == 0 || !self.leaves_it_locked(owner, body, pause)? {
            return Ok(None);
        }
        let seen = self.see(owner)?;
        let Some(process) = self.see(wait.process)? else {
            return Ok(None);
        };
        let blocked = Blocked {
            process,
            thread_id: wait.thread_id,
            since: wait.since,
            has_timeout: wait.has_timeout,
            waiting_at: self.text_of_site(wait.site),
            recursive: kind == Some(Kind::RLock),
            name: self.name_of(wait.object).unwrap_or_default(),
            offset: wait.object,
            acquired_at: self.text_of_site(body.site(owner)),
        };
        // Last: all of this was so at once. An owner that has ended neither begins to run again nor releases; somebody
        // else may have, and then the wait goes on with another owner, or is over.
        let is_so = body.owner() == owner.0 && wait.is_still_there() && self.runs(wait.process);
        Ok(is_so.then_some(Abandoned { blocked, owner: seen }))
    }

    /// Whether a process has ended and nobody is given the lock that it had.
    fn leaves_it_locked(&self, owner: ProcessId, body: &LockBody, pause: Pause<'_>) -> Result<bool> {
        let begins = |seen: Option<Seen>| seen.is_some_and(|seen| seen.state == State::Embryo);
        if self.runs(owner) || begins(self.see(owner)?) || self.runs(owner) {
            return Ok(false);
        }
        Ok(match self.fate(owner, pause)? {
            Fate::Holds => !self.runs(owner),
            Fate::Died(_) => body.keeps.load(Ordering::Relaxed) != 0,
        })
    }
}
