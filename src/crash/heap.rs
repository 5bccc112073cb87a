//! Objects, references and processes.

use std::sync::Arc;

use super::{check_heap, enter, make, session, HANG_SECONDS};
use crate::arena::heap::{go_on, Content};
use crate::arena::layout::SLAB;
use crate::arena::tag::Kind;
use crate::arena::Arena;
use crate::channel::layout::OTHER_SEGMENT;
use crate::sys::lasting::watch;
use crate::sys::step::{kill_at_instructions, Child, End};

#[test]
fn making_an_object_survives_a_kill_at_any_instruction() {
    for (kind, size, name) in [(Kind::Lock, 32, Some("a name")), (Kind::Memory, 5 << 20, None)] {
        let arena = session();
        let kept = make(&arena, Kind::Lock);
        kill_at_instructions(
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
    kill_at_instructions(
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
        kill_at_instructions(
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
    kill_at_instructions(
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
    kill_at_instructions(
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
    kill_at_instructions(
        || (),
        |()| {
            enter(&arena);
            let _own = make(&arena, Kind::Event);
            arena.prepare_fork(&mut go_on).expect("an embryo")
        },
        |mut embryo| arena.be_born(&mut embryo).expect("born"),
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

/// Have a process take all there is, and die without anybody's telling.
fn lose_one_with_all(arena: &Arena, take: impl Fn() -> bool) {
    let dead = Child::fork(|| {
        enter(arena);
        while take() {}
        std::process::abort();
    });
    assert_eq!(dead.join(HANG_SECONDS), End::Killed);
}

#[test]
fn what_those_had_of_whose_end_nobody_has_told_is_had_by_others_when_it_is_needed() {
    let arena = Arena::create(Some(64 * SLAB)).expect("an arena");
    arena.register("survivor", &mut go_on).expect("a record");
    let make = || arena.make(Kind::Memory, 2 * SLAB, None, &mut go_on);
    lose_one_with_all(&arena, || make().is_ok());
    make().expect("memory");
    let prepare = || arena.prepare_fork(&mut go_on);
    lose_one_with_all(&arena, || prepare().is_ok());
    prepare().expect("a record");
    lose_one_with_all(&arena, || prepare().is_ok());
    arena.register("survivor", &mut go_on).expect("a record");
}

#[test]
fn sweeping_and_rebuilding_survive_a_kill_at_any_instruction() {
    let arena = session();
    let kept = make(&arena, Kind::Lock);
    kill_at_instructions(
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

/// A session whose memory was a queue's for a while, all of it: `kept` of the free slabs have theirs still.
fn after_a_backlog(slabs: u64, kept: bool) -> Arena {
    let arena = Arena::create(Some(slabs * SLAB)).expect("an arena");
    watch(arena.descriptor().expect("a descriptor")).expect("a file");
    arena.register("survivor", &mut go_on).expect("a record");
    let heap = arena.heap(&mut go_on).expect("the heap");
    let mut taken = Vec::new();
    while let Ok(slab) = heap.allocate(Kind::Segment, OTHER_SEGMENT, Content::Anything) {
        taken.push(slab);
    }
    assert!(!taken.is_empty());
    for slab in taken {
        heap.free(slab).expect("freed");
    }
    while !kept && heap.give_back_one().expect("given back") {}
    drop(heap);
    arena
}

#[test]
fn what_was_a_queues_for_a_while_is_had_by_objects_of_all_sizes() {
    for kept in [true, false] {
        let arena = after_a_backlog(16, kept);
        for (kind, size) in [
            (Kind::Lock, 32),
            (Kind::Memory, 10_000),
            (Kind::Memory, 1),
            (Kind::Memory, 200),
        ] {
            let objects: Vec<_> = (0..3)
                .map(|_| arena.make(kind, size, None, &mut go_on).expect("an object"))
                .collect();
            assert_eq!(arena.account(&mut go_on).expect("in order").objects, 3);
            for object in objects {
                arena.release(&object, &mut go_on).expect("released");
            }
        }
        let heap = arena.heap(&mut go_on).expect("the heap");
        heap.allocate(Kind::Segment, OTHER_SEGMENT, Content::Anything)
            .expect("others are as they were");
    }
}

#[test]
fn turning_a_slab_survives_a_kill_at_any_instruction() {
    kill_at_instructions(
        || Arc::new(after_a_backlog(3, true)),
        |arena| {
            enter(arena);
            Arc::clone(arena)
        },
        |arena| {
            arena.make(Kind::Memory, 3000, None, &mut go_on).expect("an object");
        },
        |arena, pid| {
            check_heap(&arena, pid, 0);
            let object = arena.make(Kind::Memory, 3000, None, &mut go_on).expect("an object");
            assert_eq!(arena.account(&mut go_on).expect("in order").objects, 1);
            arena.release(&object, &mut go_on).expect("released");
            check_heap(&arena, pid, 0);
        },
    );
}
