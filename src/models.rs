//! Models: loom runs the code of `sync`, `registry` and `channel` in all orders that threads and memory allow, up to a
//! number of preemptions (`LOOM_MAX_PREEMPTIONS`). What is to be right stands in the READMEs of `sync` and `channel`.
//!
//! A thread here stands for a process, or for a thread of one; what they share is made before they begin. Sleepers are
//! woken or sleep for ever, which loom calls a deadlock, except where a death makes time-outs necessary. What the kernel
//! and shared memory do is modelled in `sys/modelled`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod channels;
mod locks;
mod pipes;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use crate::arena::heap::go_on;
use crate::arena::layout::WaiterRecord;
use crate::arena::Arena;
use crate::atomics::{AtomicU32, Ordering};
use crate::sync::lock::{LockBody, LockWait, Waited, Who};
use crate::sync::patience::{Patience, Step};
use crate::sync::side::Held;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
/// Where objects lie of which nothing but the body is needed, one more a block apart.
const OBJECT: u64 = 64 << 20;
const OTHER: u64 = OBJECT + 64;

fn model(run: impl Fn() + Send + Sync + 'static) {
    explore(0, run);
}

/// Where threads are many and long, with one preemption less.
fn large_model(run: impl Fn() + Send + Sync + 'static) {
    explore(1, run);
}

fn explore(less: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 100_000;
    model.preemption_bound = Some(model.preemption_bound.unwrap_or(2).saturating_sub(less));
    model.check(run);
}

/// A session with a process in it, and records for three waiters.
fn session() -> Arc<Arena> {
    let arena = Arena::create(None).expect("an arena");
    arena.register("", &mut go_on).expect("a record");
    for index in 0..4 {
        let _: &WaiterRecord = arena.waiter_record(index).expect("a record");
    }
    arena.reserve_waiters(2).expect("records");
    Arc::new(arena)
}

fn who(arena: &Arena, thread: u64) -> Who {
    Who {
        process: arena.me(),
        thread,
    }
}

fn until_done<T>(mut step: impl FnMut() -> crate::arena::Result<Step<T>>) -> Option<T> {
    loop {
        match step().expect("no error") {
            Step::Done(done) => return Some(done),
            Step::TimedOut => return None,
            Step::GoOn => {}
        }
    }
}

/// Acquire a lock; how often the owner was found dead.
fn acquire(arena: &Arena, lock: &'static LockBody, thread: u64) -> u32 {
    let mut deaths = 0;
    loop {
        let mut wait = LockWait::new(arena, lock, OBJECT, who(arena, thread), None);
        match until_done(|| wait.step()) {
            Some(Waited::OwnerDied(_)) => deaths += 1,
            _ => return deaths,
        }
    }
}

fn release(lock: &LockBody) {
    lock.release().expect("locked");
}

/// The lock of one side of a channel.
fn lock_side(arena: &Arena, side: &'static AtomicU32) -> Held {
    let mut patience = Patience::with_owner(None);
    until_done(|| Held::lock(arena, side, &mut patience)).expect("the lock")
}

/// Run the same in two threads more, and in this one.
fn in_three_threads(run: impl Fn(u64) + Clone + 'static) {
    let others = [2, 3].map(|thread| {
        let run = run.clone();
        thread::spawn(move || run(thread))
    });
    run(1);
    for other in others {
        other.join().expect("no panic");
    }
}

/// A second process of the session, and what makes it dead for the others.
fn victim(arena: &Arena) -> Arc<Arena> {
    let victim = arena.of_another_process().expect("joined");
    victim.register("victim", &mut go_on).expect("a record");
    Arc::new(victim)
}

fn kill(victim: &Arena) {
    victim.own_record().expect("a record").pid.store(0, Ordering::Release);
}
