//! Waiter records: one for each thread that waits, from before it waits until it has stopped.
//!
//! Conditions and barriers live by them: who waits for a condition is whoever has a record that says so. There are no
//! links between records, hence none to break: who looks for waiters walks all records in use, which are as many as
//! threads wait in the whole session.

use crate::arena::layout::{WaiterRecord, WAITERS};
use crate::arena::{Arena, Error, Result, Shortage};
use crate::atomics::Ordering;
use crate::registry::processes::ProcessId;
use crate::registry::sites::Site;
use crate::sync::condition::pass_on;
use crate::sys::futex;
use crate::sys::liveness::now_since_boot;
use crate::sys::process::thread_id;

/// What a waiter was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Nothing yet.
    None = 0,
    /// What it waits for.
    Granted = 1,
    /// It will never be: a broken barrier.
    Refused = 2,
}

impl Grant {
    /// The grant in a record's word, whose other bits count the waits that the record was used for: a grant that is
    /// meant for one never reaches the next.
    fn of(word: u32) -> Self {
        match word & GRANT_MASK {
            1 => Self::Granted,
            2 => Self::Refused,
            _ => Self::None,
        }
    }
}

const GRANT_MASK: u32 = 3;
const NEXT_WAIT: u32 = GRANT_MASK + 1;

/// This thread's record while it waits; dropped, it is free again.
pub struct Waiter {
    record: &'static WaiterRecord,
    /// The word of its grant while it was granted nothing.
    pending: std::cell::Cell<u32>,
}

/// A record of whoever waits, as others see it.
#[derive(Clone, Copy)]
pub struct Waiting {
    record: &'static WaiterRecord,
    pending: u32,
    /// Its process.
    pub process: ProcessId,
    /// What tells it from other threads of its process.
    pub thread: u64,
    /// The offset of what it waits for.
    pub object: u64,
    /// Its place among those who wait for the same.
    pub ticket: u64,
    /// When it began, in nanoseconds since boot.
    pub since: u64,
    /// The kernel's number of the thread.
    pub thread_id: u32,
    /// Where in the program it waits.
    pub site: Site,
    /// Whether it waits for a limited time.
    pub has_timeout: bool,
}

impl Arena {
    /// Get a record for a thread of this process. It waits for nothing yet.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn waiter(&self, thread: u64) -> Result<Waiter> {
        let me = self.me();
        // Begun apart, so that processes do not meet at the same records.
        let start = ProcessId(me).index().wrapping_mul(4);
        let high = self.waiters_high();
        for step in 0..high {
            if let Some(waiter) = self.claim((start + step) % high, me, thread)? {
                return Ok(waiter);
            }
        }
        for index in high..=WAITERS {
            self.reserve_waiters(index)?;
            if let Some(waiter) = self.claim(index, me, thread)? {
                return Ok(waiter);
            }
        }
        Err(Error::Full(Shortage::Records {
            kind: "waiting threads",
            number: WAITERS,
        }))
    }

    fn claim(&self, index: u32, me: u32, thread: u64) -> Result<Option<Waiter>> {
        let record = self.waiter_record(index)?;
        if record.process.load(Ordering::Relaxed) != 0
            || record
                .process
                .compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
        {
            return Ok(None);
        }
        record.thread.store(thread, Ordering::Relaxed);
        record.thread_id.store(thread_id(), Ordering::Relaxed);
        record.site.store(Site::UNKNOWN.0, Ordering::Relaxed);
        record.has_timeout.store(0, Ordering::Relaxed);
        Ok(Some(Waiter {
            record,
            pending: std::cell::Cell::new(0),
        }))
    }

    /// Everybody who waits, for an object or (0) for any.
    pub fn waiting(&self, object: u64) -> impl Iterator<Item = Waiting> + '_ {
        (0..self.waiters_high()).filter_map(move |index| {
            let record = self.waiter_record(index).ok()?;
            let waits_for = record.object.load(Ordering::Acquire);
            if waits_for == 0 || (object != 0 && waits_for != object) {
                return None;
            }
            let seen = Waiting {
                record,
                pending: record.grant.load(Ordering::Acquire) & !GRANT_MASK,
                process: ProcessId(record.process.load(Ordering::Acquire)),
                thread: record.thread.load(Ordering::Acquire),
                object: waits_for,
                ticket: record.ticket.load(Ordering::Acquire),
                since: record.since.load(Ordering::Acquire),
                thread_id: record.thread_id.load(Ordering::Acquire),
                site: Site(record.site.load(Ordering::Acquire)),
                has_timeout: record.has_timeout.load(Ordering::Acquire) != 0,
            };
            // The same wait all the while: between two waits there is one without an object.
            (record.object.load(Ordering::Acquire) == waits_for && seen.process.0 != 0).then_some(seen)
        })
    }

    /// Free the records of a process that is no more.
    pub(super) fn forget_waiters(&self, process: ProcessId) -> Result<()> {
        for index in 0..self.waiters_high() {
            let record = self.waiter_record(index)?;
            if record.process.load(Ordering::Acquire) == process.0 {
                let object = record.object.load(Ordering::Acquire);
                if object != 0 && close(record) == Grant::Granted {
                    pass_on(self, object);
                }
                free(record);
            }
        }
        Ok(())
    }
}

impl Waiter {
    /// Say more of the waits that begin from now on: where in the program that is, and whether their time is limited.
    pub fn describe(&self, site: Site, has_timeout: bool) {
        self.record.site.store(site.0, Ordering::Relaxed);
        self.record.has_timeout.store(has_timeout.into(), Ordering::Relaxed);
    }

    /// Say what this thread waits for from now on, with which ticket.
    pub fn begin(&self, object: u64, ticket: u64) {
        let pending = (self.record.grant.load(Ordering::Relaxed) & !GRANT_MASK).wrapping_add(NEXT_WAIT);
        self.pending.set(pending);
        self.record.object.store(0, Ordering::Release);
        self.record.grant.store(pending, Ordering::Release);
        self.record.ticket.store(ticket, Ordering::Relaxed);
        self.record.since.store(now_since_boot(), Ordering::Relaxed);
        self.record.object.store(object, Ordering::Release);
    }

    /// Say that this thread does not wait any more.
    pub fn end(&self) {
        self.record.object.store(0, Ordering::Release);
    }

    /// What it was granted.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant::of(self.record.grant.load(Ordering::Acquire))
    }

    /// Sleep until it is granted something, or the time is over, or a signal comes.
    pub fn sleep(&self, longest: std::time::Duration) -> futex::Slept {
        futex::sleep(&self.record.grant, self.pending.get(), longest)
    }

    /// Stop waiting; say what was granted until then, after which nothing will be.
    #[must_use]
    pub fn give_up(&self) -> Grant {
        close(self.record)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        free(self.record);
    }
}

impl Waiting {
    /// Grant it what it waits for, or refuse it; false when that was done before, or it has given up.
    #[must_use]
    pub fn grant(&self, grant: Grant) -> bool {
        self.record
            .grant
            .compare_exchange(
                self.pending,
                self.pending | grant as u32,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Whether it still has been granted nothing.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.record.grant.load(Ordering::Acquire) == self.pending
    }

    /// Whether its thread has been in this one wait from the time on at which the record was read.
    #[must_use]
    pub fn is_still_there(&self) -> bool {
        // In this order: the count is raised before the object of the next wait is there.
        self.record.object.load(Ordering::Acquire) == self.object && self.is_pending()
    }

    /// Wake it, which was granted something.
    pub fn wake(&self) {
        futex::wake(&self.record.grant, 1);
    }
}

/// Refuse what was not granted yet, so that nothing will be; say what was.
fn close(record: &WaiterRecord) -> Grant {
    let seen = record.grant.load(Ordering::Acquire);
    match Grant::of(seen) {
        Grant::None => {}
        granted => return granted,
    }
    let refused = seen | Grant::Refused as u32;
    match record
        .grant
        .compare_exchange(seen, refused, Ordering::AcqRel, Ordering::Acquire)
    {
        Ok(_) => Grant::None,
        Err(granted) => Grant::of(granted),
    }
}

fn free(record: &WaiterRecord) {
    record.object.store(0, Ordering::Release);
    record.process.store(0, Ordering::Release);
}
