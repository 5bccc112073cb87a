//! Models: loom runs the code of `sync` and `registry` in all orders that threads and memory allow, up to a number of
//! preemptions (`LOOM_MAX_PREEMPTIONS`). What is to be right stands in the README of `sync`.
//!
//! A thread here stands for a process, or for a thread of one; what they share is made before they begin. Sleepers are
//! woken or sleep for ever, which loom calls a deadlock, except where a death makes time-outs necessary. What the kernel
//! and shared memory do is modelled in `sys/modelled`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use crate::arena::heap::go_on;
use crate::arena::layout::WaiterRecord;
use crate::arena::tag::Kind;
use crate::arena::Arena;
use crate::atomics::{AtomicU32, Ordering};
use crate::sync::barrier::{Barrier, BarrierBody, BarrierWait, Passed};
use crate::sync::condition::{notify, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};
use crate::sync::lock::{LockBody, LockWait, Waited, Who};
use crate::sync::patience::Step;
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait};
use crate::sys::futex;
use crate::sys::guarded::Guarded;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
/// Where objects lie of which nothing but the body is needed, one more a block apart.
const OBJECT: u64 = 64 << 20;
const OTHER: u64 = OBJECT + 64;

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 100_000;
    model.preemption_bound = model.preemption_bound.or(Some(2));
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

#[test]
fn a_lock_is_had_by_one_at_a_time_and_nobody_is_forgotten() {
    model(|| {
        let (arena, guarded) = (session(), Arc::new(Guarded::default()));
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        let (shared, number) = (arena.clone(), guarded.clone());
        in_three_threads(move |thread| {
            acquire(&shared, lock, thread);
            number.add_one();
            release(lock);
        });
        assert_eq!(guarded.add_one(), 4);
        assert_eq!(lock.owner(), 0);
    });
}

#[test]
fn an_rlock_is_had_by_one_thread_at_a_time() {
    model(|| {
        let (arena, guarded) = (session(), Arc::new(Guarded::default()));
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        let run = move |thread| {
            let who = who(&arena, thread);
            if lock.try_acquire_again(who) {
                assert!(lock.try_acquire_again(who), "it is its own");
                guarded.add_one();
                lock.release_once(who).expect("its own");
                guarded.add_one();
                lock.release_once(who).expect("its own");
            }
            assert!(!lock.is_mine(who));
        };
        let other = thread::spawn({
            let run = run.clone();
            move || run(2)
        });
        run(1);
        other.join().expect("no panic");
    });
}

#[test]
fn who_gives_up_waiting_for_a_lock_takes_no_wake_from_others() {
    model(|| {
        let arena = session();
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        acquire(&arena, lock, 1);
        let (one, other) = (arena.clone(), arena.clone());
        let gives_up = thread::spawn(move || {
            futex::let_slices_end();
            let mut wait = LockWait::new(&one, lock, OBJECT, who(&one, 2), None);
            if let Step::Done(Waited::Acquired) = wait.step().expect("no error") {
                release(lock);
            }
        });
        let waits = thread::spawn(move || {
            acquire(&other, lock, 3);
            release(lock);
        });
        release(lock);
        if lock.try_acquire(who(&arena, 1)) {
            release(lock); // who was woken may have found it locked again
        }
        gives_up.join().expect("no panic");
        waits.join().expect("no panic");
    });
}

#[test]
fn a_look_after_a_slice_makes_up_for_a_wake_that_died() {
    model(|| {
        let arena = session();
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        acquire(&arena, lock, 1);
        let shared = arena.clone();
        let waits = thread::spawn(move || {
            futex::let_slices_end();
            acquire(&shared, lock, 2);
        });
        futex::die();
        release(lock);
        waits.join().expect("no panic");
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_slices_a_wake_that_died_would_be_missed() {
    model(|| {
        let arena = session();
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        acquire(&arena, lock, 1);
        let shared = arena.clone();
        let waits = thread::spawn(move || acquire(&shared, lock, 2));
        futex::die();
        release(lock);
        waits.join().expect("no panic");
    });
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

#[test]
fn the_death_of_a_locks_owner_is_told_once() {
    model(|| {
        let (arena, guarded) = (session(), Arc::new(Guarded::default()));
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        let dead = victim(&arena);
        acquire(&dead, lock, 1);
        kill(&dead);
        let shared = arena.clone();
        let waits = |thread: u64| {
            let (arena, guarded) = (shared.clone(), guarded.clone());
            move || {
                futex::let_slices_end();
                let deaths = acquire(&arena, lock, thread);
                guarded.add_one();
                release(lock);
                deaths
            }
        };
        let other = thread::spawn(waits(2));
        let deaths = waits(3)() + other.join().expect("no panic");
        assert_eq!(deaths, 1);
        assert_eq!(lock.owner(), 0);
    });
}

#[test]
fn what_a_dead_owner_left_in_an_rlock_is_no_thread_of_another_process() {
    model(|| {
        let (arena, guarded) = (session(), Arc::new(Guarded::default()));
        let lock: &LockBody = arena.body(OBJECT).expect("a body");
        let dead = victim(&arena);
        assert!(lock.try_acquire_again(who(&dead, 1)));
        kill(&dead);
        futex::let_slices_end();
        let mut wait = LockWait::new(&arena, lock, OBJECT, who(&arena, 3), None);
        assert!(matches!(until_done(|| wait.step()), Some(Waited::OwnerDied(_))));
        drop(wait);
        let (shared, number) = (arena.clone(), guarded.clone());
        let other = thread::spawn(move || {
            let who = who(&shared, 2);
            if lock.try_acquire_again(who) {
                number.add_one();
                lock.release_once(who).expect("its own");
            }
        });
        // Forked from the same process, this one's main thread is called as the dead one's was.
        let who = who(&arena, 1);
        if lock.try_acquire_again(who) {
            guarded.add_one();
            lock.release_once(who).expect("its own");
        }
        other.join().expect("no panic");
    });
}

fn acquire_unit(arena: &Arena, semaphore: &'static SemaphoreBody, thread: u64) {
    let mut wait = SemaphoreWait::new(arena, semaphore, None, OBJECT, thread, None);
    until_done(|| wait.step()).expect("acquired");
}

fn semaphore(arena: &Arena) -> &'static SemaphoreBody {
    let semaphore: &SemaphoreBody = arena.body(OBJECT).expect("a body");
    semaphore.maximum.store(9, Ordering::Relaxed);
    semaphore
}

#[test]
fn each_unit_of_a_semaphore_reaches_one_that_waits() {
    model(|| {
        let arena = session();
        let semaphore = semaphore(&arena);
        let waits = [2, 3].map(|thread| {
            let arena = arena.clone();
            thread::spawn(move || acquire_unit(&arena, semaphore, thread))
        });
        assert!(semaphore.release());
        assert!(semaphore.release());
        for waits in waits {
            waits.join().expect("no panic");
        }
        assert_eq!(semaphore.value(), 0);
    });
}

#[test]
fn what_a_semaphore_guards_is_seen_by_the_next() {
    model(|| {
        let (arena, guarded) = (session(), Arc::new(Guarded::default()));
        let semaphore = semaphore(&arena);
        assert!(semaphore.release());
        let shared = arena.clone();
        in_three_threads(move |thread| {
            acquire_unit(&shared, semaphore, thread);
            guarded.add_one();
            assert!(semaphore.release());
        });
        assert_eq!(semaphore.value(), 1);
    });
}

#[test]
fn who_gives_up_waiting_for_a_semaphore_takes_no_wake_from_others() {
    model(|| {
        let arena = session();
        let semaphore = semaphore(&arena);
        let (one, other) = (arena.clone(), arena.clone());
        let gives_up = thread::spawn(move || {
            futex::let_slices_end();
            let mut wait = SemaphoreWait::new(&one, semaphore, None, OBJECT, 2, None);
            if let Step::Done(()) = wait.step().expect("no error") {
                assert!(semaphore.release());
            }
        });
        let waits = thread::spawn(move || acquire_unit(&other, semaphore, 3));
        assert!(semaphore.release());
        gives_up.join().expect("no panic");
        waits.join().expect("no panic");
        assert_eq!(semaphore.value(), 0);
    });
}

/// A condition with its lock, which lies where `acquire` looks.
fn condition(arena: &Arena) -> (u64, &'static ConditionBody, &'static LockBody) {
    let handle = arena.make(Kind::Condition, 32, None, &mut go_on).expect("an object");
    let body = arena.body_of(&handle).expect("a body");
    (handle.offset, body, arena.body(OBJECT).expect("a body"))
}

#[test]
fn who_waits_for_a_condition_misses_nothing_that_is_said_after_it_looked() {
    model(|| {
        let (arena, said) = (session(), Arc::new(Guarded::default()));
        let (offset, body, lock) = condition(&arena);
        let (shared, heard) = (arena.clone(), said.clone());
        let waits = thread::spawn(move || {
            acquire(&shared, lock, 2);
            if heard.add_one() == 1 {
                let mut wait = ConditionWait::new(&shared, body, offset, 2, None).expect("a record");
                release(lock);
                until_done(|| wait.step()).expect("notified");
            } else {
                release(lock);
            }
        });
        acquire(&arena, lock, 1);
        let has_waited = said.add_one() == 2;
        assert_eq!(notify(&arena, offset, usize::MAX), usize::from(has_waited));
        release(lock);
        waits.join().expect("no panic");
    });
}

#[test]
fn a_notification_for_one_reaches_one_whoever_gives_up() {
    model(|| {
        let arena = session();
        let (offset, body, _) = condition(&arena);
        let mut patient = ConditionWait::new(&arena, body, offset, 1, None).expect("a record");
        let other = arena.clone();
        let gives_up = thread::spawn(move || {
            let mut wait = ConditionWait::new(&other, body, offset, 2, AT_ONCE).expect("a record");
            until_done(|| wait.step()).is_some()
        });
        // It has the larger ticket.
        assert_eq!(notify(&arena, offset, 1), 1);
        until_done(|| patient.step()).expect("notified");
        drop(patient);
        let notified = notify(&arena, offset, 1) == 1;
        assert_eq!(gives_up.join().expect("no panic"), notified);
    });
}

/// Two wait; the first one leaves, and says whether it was notified, while one is notified: if it was not, the other is.
fn notify_while_the_first(leaves: impl Fn(&Arena, ConditionWait<'_>) -> bool + Send + Sync + 'static) {
    model(move || {
        let arena = session();
        let (offset, body, _) = condition(&arena);
        let (first, notifier) = (victim(&arena), arena.clone());
        let leaver = ConditionWait::new(&first, body, offset, 2, AT_ONCE).expect("a record");
        let mut other = ConditionWait::new(&arena, body, offset, 1, None).expect("a record");
        let notifies = thread::spawn(move || assert_eq!(notify(&notifier, offset, 1), 1));
        let was_notified = leaves(&first, leaver);
        notifies.join().expect("no panic");
        if !was_notified {
            until_done(|| other.step()).expect("notified");
        }
        let is_left = usize::from(was_notified);
        assert_eq!(notify(&arena, offset, 9), is_left, "nobody was notified twice");
    });
}

#[test]
fn a_notification_is_for_the_next_when_one_gives_up() {
    notify_while_the_first(|_, mut wait| until_done(|| wait.step()).is_some());
}

#[test]
fn a_notification_is_for_the_next_when_one_is_interrupted() {
    notify_while_the_first(|_, wait| {
        drop(wait);
        false
    });
}

#[test]
fn a_notification_is_for_the_next_when_one_dies() {
    notify_while_the_first(|victim, wait| {
        std::mem::forget(wait);
        kill(victim);
        victim.sweep(&mut go_on).expect("swept");
        false
    });
}

fn barrier(arena: &Arena, parties: u32) -> Barrier<'_> {
    let body: &BarrierBody = arena.body(OBJECT).expect("a body");
    body.parties.store(parties, Ordering::Relaxed);
    let _ = arena.mutex(1 + (OBJECT / 64) as usize % 63).expect("a mutex");
    Barrier {
        arena,
        body,
        offset: OBJECT,
    }
}

/// Pass a barrier: the how-many-th this one was; `None`: it is broken.
fn pass(barrier: Barrier<'_>, thread: u64, timeout: Option<Duration>) -> Option<u32> {
    let mut wait = BarrierWait::new(barrier, thread, timeout).expect("a record");
    match until_done(|| wait.step()).expect("never in vain") {
        Passed::As(index) => Some(index),
        Passed::Last(index) => barrier.open(wait.cycle()).expect("no error").ok().map(|()| index),
        Passed::Broken(_) => None,
    }
}

#[test]
fn a_barrier_lets_each_party_through_once_a_cycle() {
    model(|| {
        let arena = session();
        let body = barrier(&arena, 2).body;
        let shared = arena.clone();
        let run = move |arena: &Arena, thread| {
            let barrier = Barrier {
                arena,
                body,
                offset: OBJECT,
            };
            [(); 2].map(|()| pass(barrier, thread, None).expect("not broken"))
        };
        let other = thread::spawn(move || run(&shared, 2));
        let (mine, others) = (run(&arena, 1), other.join().expect("no panic"));
        for (mine, other) in mine.into_iter().zip(others) {
            assert_eq!(mine + other, 1, "the first and the second");
        }
        assert_eq!(body.cycle.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_barrier_lets_all_parties_through_or_none() {
    model(|| {
        let arena = session();
        let body = barrier(&arena, 3).body;
        let run = move |arena: &Arena, thread, timeout| {
            let barrier = Barrier {
                arena,
                body,
                offset: OBJECT,
            };
            pass(barrier, thread, timeout).is_some()
        };
        let (one, other) = (arena.clone(), arena.clone());
        let impatient = thread::spawn(move || run(&one, 2, AT_ONCE));
        let waits = thread::spawn(move || run(&other, 3, None));
        let passed = [
            run(&arena, 1, None),
            impatient.join().expect("no panic"),
            waits.join().expect("no panic"),
        ];
        assert!(passed == [true; 3] || passed == [false; 3], "{passed:?}");
    });
}

#[test]
fn who_waits_for_an_event_goes_on_even_when_it_is_cleared_at_once() {
    model(|| {
        let arena = session();
        let event: &EventBody = arena.body(OBJECT).expect("a body");
        let come: &AtomicU32 = arena.body(OTHER).expect("a word");
        let waits = [2, 3].map(|thread| {
            let arena = arena.clone();
            thread::spawn(move || {
                let mut wait = EventWait::new(&arena, event, OBJECT, thread, None);
                come.fetch_add(1, Ordering::Release);
                futex::wake(come, 1);
                until_done(|| wait.step()).expect("it was set");
            })
        });
        for number in 0..2 {
            while come.load(Ordering::Acquire) == number {
                let _ = futex::sleep(come, number, Duration::MAX);
            }
        }
        event.set();
        event.clear();
        for waits in waits {
            waits.join().expect("no panic");
        }
    });
}
