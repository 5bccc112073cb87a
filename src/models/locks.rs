//! Locks and semaphores.

use super::*;
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait};
use crate::sys::futex;
use crate::sys::guarded::Guarded;

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
