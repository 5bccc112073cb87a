//! Conditions, barriers and events.

use super::*;
use crate::arena::tag::Kind;
use crate::atomics::AtomicU32;
use crate::sync::barrier::{Barrier, BarrierBody, BarrierWait, Passed};
use crate::sync::condition::{notify, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};
use crate::sys::futex;
use crate::sys::guarded::Guarded;

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
