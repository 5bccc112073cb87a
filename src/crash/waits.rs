//! Events, conditions and barriers.

use std::time::Duration;

use super::{check_heap, enter, is_of, make, session, until_done, wait_until, HANG, HANG_SECONDS};
use crate::arena::heap::go_on;
use crate::arena::layout::MUTEXES;
use crate::arena::tag::Kind;
use crate::arena::Arena;
use crate::atomics::Ordering;
use crate::sync::barrier::{Barrier, BarrierBody, BarrierWait, Passed, State};
use crate::sync::condition::{notify, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};
use crate::sync::patience::Step;
use crate::sys::step::{kill_at_instructions, Child, End};

#[test]
fn an_event_survives_a_kill_at_any_instruction_with_a_waiter() {
    let arena = session();
    let handle = make(&arena, Kind::Event);
    let body: &EventBody = arena.body_of(&handle).expect("a body");
    kill_at_instructions(
        || {
            body.clear();
            let child = Child::fork(|| {
                enter(&arena);
                let mut wait = EventWait::new(&arena, body, handle.offset, 1, Some(HANG));
                i32::from(until_done(|| wait.step()).is_none())
            });
            wait_until(|| arena.waiting(handle.offset).count() == 1);
            child
        },
        |_| enter(&arena),
        |()| body.set(),
        |waiter, _| {
            if !body.is_set() {
                body.set();
            }
            assert_eq!(waiter.join(HANG_SECONDS), End::Exited(0));
            arena.sweep(&mut go_on).expect("swept");
        },
    );
}

/// A process that waits for a condition, and is notified in the end.
fn condition_waiter(arena: &Arena, body: &'static ConditionBody, offset: u64) -> Child {
    let child = Child::fork(|| {
        enter(arena);
        let mut wait = ConditionWait::new(arena, body, offset, 1, Some(HANG)).expect("a record");
        i32::from(until_done(|| wait.step()).is_none())
    });
    wait_until(|| {
        arena
            .waiting(offset)
            .any(|waiting| is_of(arena, waiting.process, child.pid()))
    });
    child
}

#[test]
fn a_notification_survives_a_kill_at_any_instruction_of_who_notifies() {
    let arena = session();
    let handle = make(&arena, Kind::Condition);
    let body: &ConditionBody = arena.body_of(&handle).expect("a body");
    kill_at_instructions(
        || condition_waiter(&arena, body, handle.offset),
        |_| enter(&arena),
        |()| {
            notify(&arena, handle.offset, 1);
        },
        |waiter, _| {
            // Granted by the victim or not: once more reaches it, or finds nobody.
            notify(&arena, handle.offset, 1);
            assert_eq!(waiter.join(HANG_SECONDS), End::Exited(0));
            arena.sweep(&mut go_on).expect("swept");
        },
    );
}

#[test]
fn a_notification_reaches_a_living_waiter_whenever_another_one_is_killed() {
    let arena = session();
    let handle = make(&arena, Kind::Condition);
    let body: &ConditionBody = arena.body_of(&handle).expect("a body");
    kill_at_instructions(
        || (),
        |()| enter(&arena),
        |()| {
            let mut wait =
                ConditionWait::new(&arena, body, handle.offset, 1, Some(Duration::from_nanos(1))).expect("a record");
            let _ = until_done(|| wait.step());
        },
        |(), pid| {
            // The victim has the smaller ticket, if it has come to one.
            let waiter = condition_waiter(&arena, body, handle.offset);
            assert_eq!(notify(&arena, handle.offset, 1), 1);
            assert_eq!(waiter.join(HANG_SECONDS), End::Exited(0));
            arena.sweep(&mut go_on).expect("swept");
            check_heap(&arena, pid, 1);
            assert_eq!(arena.waiting(handle.offset).count(), 0);
        },
    );
}

/// There are fewer mutexes than objects.
fn barrier_with_the_same_mutex(arena: &Arena, offset: u64) -> Barrier<'_> {
    let mut others = std::iter::repeat_with(|| make(arena, Kind::Barrier).offset);
    let offset = others
        .find(|other| (other - offset) / 64 % (MUTEXES as u64 - 1) == 0)
        .expect("one of them");
    Barrier {
        arena,
        body: arena.body(offset).expect("a body"),
        offset,
    }
}

#[test]
fn a_barrier_is_passed_or_broken_whenever_one_of_its_parties_is_killed() {
    let arena = session();
    let handle = make(&arena, Kind::Barrier);
    let body: &BarrierBody = arena.body_of(&handle).expect("a body");
    body.parties.store(2, Ordering::SeqCst);
    let barrier = Barrier {
        arena: &arena,
        body,
        offset: handle.offset,
    };
    let other = barrier_with_the_same_mutex(&arena, handle.offset);
    let (mut passed, mut broken) = (0, 0);
    kill_at_instructions(
        || {
            let child = Child::fork(|| {
                enter(&arena);
                let mut wait = BarrierWait::new(barrier, 1, Some(HANG)).expect("a record");
                match until_done(|| wait.step()).expect("no hang") {
                    Passed::As(_) => 0,
                    Passed::Last(_) => 2,
                    Passed::Broken(_) => 1,
                }
            });
            wait_until(|| arena.waiting(handle.offset).count() == 1);
            child
        },
        |_| {
            enter(&arena);
            BarrierWait::new(barrier, 1, None).expect("a record")
        },
        |mut wait| {
            assert!(matches!(wait.step().expect("no error"), Step::Done(Passed::Last(1))));
            barrier.open(wait.cycle()).expect("no error").expect("opened");
        },
        |waiter, _| {
            other.reset().expect("reset");
            assert_eq!(other.state(), State::Filling, "nobody died there");
            // A victim that had not come yet: nobody else will.
            if body.arrived.load(Ordering::SeqCst) == 1 {
                barrier.abort().expect("aborted");
            }
            match waiter.join(HANG_SECONDS) {
                End::Exited(0) => passed += 1,
                End::Exited(1) => broken += 1,
                end => panic!("{end:?}"),
            }
            arena.sweep(&mut go_on).expect("swept");
            barrier.reset().expect("reset");
        },
    );
    assert!(passed > 0 && broken > 0);
}
