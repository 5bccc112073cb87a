//! Proof of crash safety: a process does one operation and is killed at each of its instructions in turn; the others
//! must find everything right. What is to be right stands in the READMEs of `arena` and `sync`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod bundles;
mod heap;
mod locks;
mod waits;

use std::time::Duration;

use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::registry::processes::ProcessId;
use crate::sync::lock::Who;
use crate::sync::patience::Step;
use crate::sys::lasting::watch;

/// Nothing here may take longer.
pub const HANG: Duration = Duration::from_secs(30);
pub const HANG_SECONDS: u64 = 30;

pub fn session() -> Arena {
    let arena = Arena::create(None).expect("an arena");
    watch(arena.descriptor().expect("a descriptor")).expect("a file");
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

pub fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + HANG;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "it never came");
        std::thread::yield_now();
    }
}

fn is_of(arena: &Arena, process: ProcessId, pid: u32) -> bool {
    arena
        .see(process)
        .expect("a record")
        .is_some_and(|seen| seen.pid == pid)
}
