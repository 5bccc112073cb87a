//! Proof of crash safety: a process does one operation and is killed at each of its instructions in turn; the others
//! must find everything right. What is to be right stands in the READMEs of `arena` and `sync`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use crate::arena::heap::{go_on, Content};
use crate::arena::layout::MUTEXES;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::Ordering;
use crate::registry::processes::ProcessId;
use crate::registry::sites::Site;
use crate::sync::barrier::{Barrier, BarrierBody, BarrierWait, Passed, State};
use crate::sync::condition::{notify, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};
use crate::sync::holds::{self, Holds};
use crate::sync::lock::{LockBody, LockWait, Waited, Who};
use crate::sync::patience::Step;
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait};
use crate::sys::step::{kill_at_each_instruction, Child, End};

/// Nothing here may take longer.
pub const HANG: Duration = Duration::from_secs(30);
pub const HANG_SECONDS: u64 = 30;

pub fn session() -> Arena {
    let arena = Arena::create(None).expect("an arena");
    arena.register("survivor", &mut go_on).expect("a record");
    arena
}

/// In a forked process: enter the session.
pub fn enter(arena: &Arena) {
    arena.register("victim", &mut go_on).expect("a record");
}

fn who(arena: &Arena) -> Who {
    Who {
        process: arena.me(),
        thread: 1,
    }
}

fn make(arena: &Arena, kind: Kind) -> Handle {
    arena.make(kind, 32, None, &mut go_on).expect("an object")
}

/// After a death: whatever it was doing, the heap is what a walk finds, and has just these objects.
fn check_heap(arena: &Arena, pid: u32, objects: u64) {
    arena.process_ended(pid, Some(9), &mut go_on).expect("buried");
    let account = arena.account(&mut go_on).expect("a heap in order");
    assert_eq!(account.objects, objects);
    assert_eq!(account.references, objects);
}

pub fn until_done<T>(mut step: impl FnMut() -> crate::arena::Result<Step<T>>) -> Option<T> {
    loop {
        match step().expect("no error") {
            Step::Done(done) => return Some(done),
            Step::TimedOut => return None,
            Step::GoOn => {}
        }
    }
}

#[test]
fn making_an_object_survives_a_kill_at_any_instruction() {
    for (kind, size, name) in [(Kind::Lock, 32, Some("a name")), (Kind::Memory, 5 << 20, None)] {
        let arena = session();
        let kept = make(&arena, Kind::Lock);
        kill_at_each_instruction(
            || (),
            |()| enter(&arena),
            |()| {
                arena.make(kind, size, name, &mut go_on).expect("an object");
            },
            |(), pid| check_heap(&arena, pid, 1),
        );
        arena.release(&kept, &mut go_on).expect("released");
        assert_eq!(
            arena.account(&mut go_on).expect("in order").live_blocks,
            1,
            "the references' own"
        );
    }
}

#[test]
fn attaching_and_releasing_survive_a_kill_at_any_instruction() {
    let arena = session();
    let kept = make(&arena, Kind::Event);
    kill_at_each_instruction(
        || (),
        |()| enter(&arena),
        |()| {
            let handle = arena
                .attach(kept.offset, kept.generation, Kind::Event, &mut go_on)
                .expect("attached");
            arena.release(&handle, &mut go_on).expect("released");
        },
        |(), pid| check_heap(&arena, pid, 1),
    );
}

#[test]
fn releasing_the_last_handle_survives_a_kill_at_any_instruction() {
    for (size, name) in [(32, None), (32, Some("a name")), (1 << 20, None)] {
        let arena = session();
        kill_at_each_instruction(
            || (),
            |()| {
                enter(&arena);
                arena.make(Kind::Memory, size, name, &mut go_on).expect("an object")
            },
            |handle| arena.release(&handle, &mut go_on).expect("released"),
            |(), pid| check_heap(&arena, pid, 0),
        );
    }
}

#[test]
fn registering_survives_a_kill_at_any_instruction() {
    let arena = session();
    kill_at_each_instruction(
        || (),
        |()| (),
        |()| enter(&arena),
        |(), pid| {
            check_heap(&arena, pid, 0);
            arena.sweep(&mut go_on).expect("swept");
        },
    );
}

#[test]
fn a_fork_survives_a_kill_at_any_instruction_on_both_sides() {
    let arena = session();
    let _kept = make(&arena, Kind::Lock);
    // The parent, before the fork.
    kill_at_each_instruction(
        || (),
        |()| {
            enter(&arena);
            make(&arena, Kind::Event)
        },
        |_| {
            arena.prepare_fork(&mut go_on).expect("an embryo");
        },
        |(), pid| {
            arena.process_ended(pid, None, &mut go_on).expect("buried");
            arena.sweep(&mut go_on).expect("swept");
            check_heap(&arena, pid, 1);
        },
    );
    // The child, after it.
    kill_at_each_instruction(
        || (),
        |()| {
            enter(&arena);
            let _own = make(&arena, Kind::Event);
            arena.prepare_fork(&mut go_on).expect("an embryo")
        },
        |embryo| arena.be_born(embryo).expect("born"),
        |(), pid| {
            arena.process_ended(pid, None, &mut go_on).expect("buried");
            arena.sweep(&mut go_on).expect("swept");
            check_heap(&arena, pid, 1);
        },
    );
}

#[test]
fn a_child_that_died_unborn_is_forgotten_when_its_parent_tells_of_it() {
    let arena = session();
    let _kept = make(&arena, Kind::Lock);
    let before = arena.account(&mut go_on).expect("agrees");
    let embryo = arena.prepare_fork(&mut go_on).expect("an embryo");
    arena.name_embryo(embryo.id, u32::MAX).expect("named"); // nobody has that pid
    arena.sweep(&mut go_on).expect("swept");
    assert_ne!(
        arena.account(&mut go_on).expect("agrees"),
        before,
        "it may still be born"
    );
    arena.process_ended(u32::MAX, None, &mut go_on).expect("buried");
    assert_eq!(arena.account(&mut go_on).expect("agrees"), before);
}

#[test]
fn sweeping_and_rebuilding_survive_a_kill_at_any_instruction() {
    let arena = session();
    let kept = make(&arena, Kind::Lock);
    kill_at_each_instruction(
        || {
            // One that died with the heap's mutex, and things half done.
            let dead = Child::fork(|| {
                enter(&arena);
                let _object = arena.make(Kind::Lock, 32, Some("lost"), &mut go_on);
                let heap = arena.heap(&mut go_on).expect("the heap");
                let _half_done = heap.allocate(Kind::Memory, 200 << 10, Content::Zeroes);
                std::process::abort();
            });
            let pid = dead.pid();
            assert_eq!(dead.join(HANG_SECONDS), End::Killed);
            pid
        },
        |pid| {
            enter(&arena);
            *pid
        },
        |pid| arena.process_ended(pid, Some(6), &mut go_on).expect("buried"),
        |dead, pid| {
            arena.process_ended(dead, Some(6), &mut go_on).expect("buried");
            check_heap(&arena, pid, 1);
        },
    );
    arena.release(&kept, &mut go_on).expect("released");
}

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
        kill_at_each_instruction(
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

fn is_of(arena: &Arena, process: ProcessId, pid: u32) -> bool {
    arena
        .see(process)
        .expect("a record")
        .is_some_and(|seen| seen.pid == pid)
}

pub fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + HANG;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "it never came");
        std::thread::yield_now();
    }
}

#[test]
fn a_lock_with_a_waiter_survives_a_kill_at_any_instruction_of_its_owner() {
    let arena = session();
    let handle = make(&arena, Kind::Lock);
    let body: &LockBody = arena.body_of(&handle).expect("a body");
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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

#[test]
fn an_event_survives_a_kill_at_any_instruction_with_a_waiter() {
    let arena = session();
    let handle = make(&arena, Kind::Event);
    let body: &EventBody = arena.body_of(&handle).expect("a body");
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
    kill_at_each_instruction(
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
