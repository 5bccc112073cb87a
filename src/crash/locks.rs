//! Locks and semaphores, who waits for them, and the sites at which they were acquired.

use std::sync::Arc;
use std::time::Duration;

use super::{check_heap, enter, is_of, make, session, until_done, wait_until, who, HANG, HANG_SECONDS};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::Ordering;
use crate::registry::processes::ProcessId;
use crate::registry::sites::Site;
use crate::sync::holds::{self, Holds};
use crate::sync::lock::{LockBody, LockWait, Waited, Who};
use crate::sync::patience::Step;
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait};
use crate::sys::step::{kill_at_instructions, Child, End};

/// Acquire a lock as a survivor: whatever its last owner's end was, it must be had in the end.
fn acquire_in_the_end(arena: &Arena, body: &'static LockBody, offset: u64) -> u32 {
    let mut deaths = 0;
    loop {
        let mut wait = LockWait::new(arena, body, offset, who(arena), Some(HANG));
        match until_done(|| wait.step()).expect("no hang") {
            Waited::Acquired => return deaths,
            Waited::OwnerDied(_) => deaths += 1,
        }
    }
}

#[test]
fn a_lock_survives_a_kill_at_any_instruction_of_its_owner() {
    for recursive in [false, true] {
        let arena = session();
        let handle = make(&arena, Kind::Lock);
        let body: &LockBody = arena.body_of(&handle).expect("a body");
        let site = arena.site("program.py:1 in work").expect("room");
        let mut deaths = 0;
        kill_at_instructions(
            || (),
            |()| enter(&arena),
            |()| {
                let who = who(&arena);
                if recursive {
                    assert!(body.try_acquire_again(who) && body.try_acquire_again(who));
                    body.note_site(who, Site::UNKNOWN);
                    body.release_once(who).expect("mine");
                    body.release_once(who).expect("mine");
                } else {
                    assert!(body.try_acquire(who));
                    body.note_site(who, site);
                    body.release().expect("locked");
                }
            },
            |(), pid| {
                let noted = body.site(ProcessId(body.owner()));
                assert!(noted == Site::UNKNOWN || (noted == site && !recursive), "{noted:?}");
                deaths += acquire_in_the_end(&arena, body, handle.offset);
                body.release().expect("locked");
                check_heap(&arena, pid, 1);
            },
        );
        assert!(deaths > 0, "some of them died as owners");
    }
}

/// A process that waits for a lock, and has it in the end.
fn lock_waiter(arena: &Arena, body: &'static LockBody, offset: u64) -> Child {
    let child = Child::fork(|| {
        enter(arena);
        acquire_in_the_end(arena, body, offset);
        body.release().expect("locked");
        arena.end_cleanly().expect("said");
        0
    });
    wait_until(|| {
        arena
            .waiting(offset)
            .any(|waiting| is_of(arena, waiting.process, child.pid()))
    });
    child
}

#[test]
fn a_lock_with_a_waiter_survives_a_kill_at_any_instruction_of_its_owner() {
    let arena = session();
    let handle = make(&arena, Kind::Lock);
    let body: &LockBody = arena.body_of(&handle).expect("a body");
    kill_at_instructions(
        || {
            assert!(body.try_acquire(who(&arena)));
            lock_waiter(&arena, body, handle.offset)
        },
        |_| {
            enter(&arena);
            body.word.store(arena.me() | 1 << 31, Ordering::SeqCst); // handed on to this one
        },
        |()| body.release().expect("locked"),
        |waiter, _| assert_eq!(waiter.join(HANG_SECONDS), End::Exited(0)),
    );
}

#[test]
fn a_lock_survives_a_kill_at_any_instruction_of_a_waiter() {
    let arena = session();
    let handle = make(&arena, Kind::Lock);
    let body: &LockBody = arena.body_of(&handle).expect("a body");
    kill_at_instructions(
        || (),
        |()| {
            enter(&arena);
            assert!(body.try_acquire(Who {
                process: arena.me(),
                thread: 2
            }));
            // It gives up at once: a slice of sleep for each of some thousand instructions would take too long.
            LockWait::new(&arena, body, handle.offset, who(&arena), Some(Duration::from_nanos(1)))
        },
        |mut wait| {
            let _ = until_done(|| wait.step());
            drop(wait);
            body.release().expect("locked");
        },
        |(), pid| {
            acquire_in_the_end(&arena, body, handle.offset);
            body.release().expect("locked");
            check_heap(&arena, pid, 1);
            assert_eq!(arena.waiting(handle.offset).count(), 0);
        },
    );
}

#[test]
fn who_gets_a_lock_after_waiting_never_seems_to_wait_for_itself() {
    let arena = session();
    let handle = make(&arena, Kind::Lock);
    let body: &LockBody = arena.body_of(&handle).expect("a body");
    let site = arena.site("program.py:1 in work").expect("room");
    kill_at_instructions(
        || (),
        |()| {
            enter(&arena);
            let (me, other) = (who(&arena), Who::of(arena.me(), 2));
            assert!(body.try_acquire(other));
            let mut wait = LockWait::new(&arena, body, handle.offset, me, None).at(Some(site));
            assert_eq!(wait.step().expect("no error"), Step::GoOn);
            body.release().expect("locked");
            wait
        },
        |mut wait| {
            assert_eq!(wait.step().expect("no error"), Step::Done(Waited::Acquired));
            drop(wait);
        },
        |(), pid| {
            assert!(arena.deadlocks_of(|_| true).expect("no error").is_empty());
            acquire_in_the_end(&arena, body, handle.offset);
            body.release().expect("locked");
            check_heap(&arena, pid, 1);
        },
    );
}

#[test]
fn a_thread_that_waits_for_what_it_has_is_a_deadlock_until_it_is_killed() {
    let arena = session();
    let handle = make(&arena, Kind::Lock);
    let body: &LockBody = arena.body_of(&handle).expect("a body");
    let mut child = Child::fork(|| {
        enter(&arena);
        assert!(body.try_acquire(who(&arena)));
        let site = arena.site("program.py:1 in work").expect("room");
        let mut wait = LockWait::new(&arena, body, handle.offset, who(&arena), Some(HANG)).at(Some(site));
        i32::from(until_done(|| wait.step()).is_none())
    });
    wait_until(|| arena.waiting(handle.offset).count() == 1);
    let found = arena.deadlocks().expect("no error").concat();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].process.pid, found[0].thread_id), (child.pid(), child.pid()));
    assert_eq!(found[0].waiting_at.as_deref(), Some("program.py:1 in work"));
    assert_eq!((found[0].acquired_at.as_deref(), found[0].has_timeout), (None, true));
    child.kill();
    assert!(arena.deadlocks().expect("no error").is_empty());
}

#[test]
fn a_site_survives_a_kill_at_any_instruction_of_who_writes_it() {
    let text = "program.py:1 in work";
    let mut left_half_done = 0;
    kill_at_instructions(
        || Arc::new(session()),
        Arc::clone,
        |arena| {
            arena.site(text).expect("room");
        },
        |arena, _| {
            let site = arena.site(text).expect("room");
            assert_eq!(arena.text_of_site(site).as_deref(), Some(text));
            assert_eq!(arena.site(text).expect("room"), site);
            left_half_done += u32::from(site == Site(2));
        },
    );
    assert!(left_half_done > 0, "some of them died while they wrote it");
}

#[test]
fn a_semaphore_survives_a_kill_at_any_instruction_with_a_waiter() {
    let arena = session();
    let handle = make(&arena, Kind::Semaphore);
    let body: &SemaphoreBody = arena.body_of(&handle).expect("a body");
    body.maximum.store(1000, Ordering::SeqCst);
    kill_at_instructions(
        || {
            body.word.store(0, Ordering::SeqCst);
            let child = Child::fork(|| {
                enter(&arena);
                let mut wait = SemaphoreWait::new(&arena, body, None, handle.offset, 1, Some(HANG));
                let acquired = until_done(|| wait.step());
                i32::from(acquired.is_none())
            });
            wait_until(|| arena.waiting(handle.offset).count() == 1);
            child
        },
        |_| enter(&arena),
        |()| assert!(body.release()),
        |waiter, _| {
            // Released by the victim or not, once more is enough for one waiter.
            assert!(body.release());
            assert_eq!(waiter.join(HANG_SECONDS), End::Exited(0));
            arena.sweep(&mut go_on).expect("swept");
            assert!(body.value() <= 1, "nothing was released twice");
        },
    );
}

/// A semaphore that gives back what the dead had, of this value.
fn recovering_semaphore(arena: &Arena, value: u32) -> (Handle, &'static SemaphoreBody, Holds<'_>) {
    let handle = arena
        .make(Kind::Semaphore, holds::BODY, None, &mut go_on)
        .expect("an object");
    let body: &SemaphoreBody = arena.body_of(&handle).expect("a body");
    body.maximum.store(value, Ordering::SeqCst);
    body.word.store(value, Ordering::SeqCst);
    body.recovers.store(1, Ordering::SeqCst);
    let holds = Holds::of(arena, body, handle.offset).expect("a body");
    let holds = holds.expect("it recovers");
    holds.begin(value);
    (handle, body, holds)
}

#[test]
fn what_the_dead_had_of_a_semaphore_comes_back_once_whenever_they_are_killed() {
    let arena = session();
    let (_handle, body, holds) = recovering_semaphore(&arena, 2);
    kill_at_instructions(
        || (),
        |()| enter(&arena),
        |()| {
            assert!(holds.try_acquire().expect("no error"));
            assert!(holds.release().expect("no error"));
        },
        |(), pid| {
            for expected in [true, true, false] {
                assert_eq!(holds.try_acquire().expect("no error"), expected);
            }
            for expected in [true, true, false] {
                assert_eq!(holds.release().expect("no error"), expected);
            }
            assert_eq!(body.value(), 2);
            check_heap(&arena, pid, 1);
        },
    );
}

#[test]
fn a_waiter_gets_what_the_dead_had_of_a_semaphore_whenever_they_are_killed() {
    let arena = session();
    let (handle, body, holds) = recovering_semaphore(&arena, 1);
    kill_at_instructions(
        || (),
        |()| {
            enter(&arena);
            assert!(holds.try_acquire().expect("no error"));
            let waiter = Child::fork(|| {
                enter(&arena);
                let mut wait = SemaphoreWait::new(&arena, body, Some(holds), handle.offset, 1, Some(HANG));
                let acquired = until_done(|| wait.step());
                drop(wait);
                assert!(holds.release().expect("no error"));
                arena.end_cleanly().expect("said");
                i32::from(acquired.is_none())
            });
            wait_until(|| arena.waiting(handle.offset).count() == 1);
            std::mem::forget(waiter); // it lives on when this one is killed
        },
        |()| assert!(holds.release().expect("no error")),
        |(), _| {
            wait_until(|| {
                arena.sweep(&mut go_on).expect("swept");
                arena.waiting(handle.offset).count() == 0 && body.value() == 1
            });
            assert!(holds.try_acquire().expect("no error"));
            assert!(!holds.try_acquire().expect("no error"), "it came back twice");
            assert!(holds.release().expect("no error"));
        },
    );
}
