//! Bundles, and what only they refer to.

use super::{check_heap, enter, make, session};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Error, Handle};
use crate::sys::step::kill_at_instructions;

/// More than fit into one bundle of a test's.
const MANY: usize = 7;

fn bundle(arena: &Arena, handles: &[Handle]) -> crate::arena::Result<Handle> {
    let blocks: Vec<_> = handles
        .iter()
        .map(|handle| (handle.offset, handle.generation))
        .collect();
    arena.make_bundle(&blocks, &mut go_on)
}

fn events(arena: &Arena) -> Vec<Handle> {
    (0..MANY).map(|_| make(arena, Kind::Event)).collect()
}

fn release_all(arena: &Arena, handles: &[Handle]) {
    for handle in handles {
        arena.release(handle, &mut go_on).expect("released");
    }
}

#[test]
fn a_bundle_keeps_what_it_has_and_no_longer() {
    let arena = session();
    for number in 1..=MANY {
        let objects = &events(&arena)[..];
        let made = bundle(&arena, &objects[..number]).expect("a bundle");
        release_all(&arena, objects);
        let first = arena.first_of_bundle(&made).expect("one");
        assert_eq!(first, (objects[0].offset, objects[0].generation));
        let account = arena.account(&mut go_on).expect("in order");
        assert!(account.objects > number as u64 && account.references == 1);
        arena.release(&made, &mut go_on).expect("released");
        assert_eq!(arena.account(&mut go_on).expect("in order").objects, 0);
    }
}

#[test]
fn a_bundle_of_what_is_no_more_is_not_made() {
    let arena = session();
    let objects = events(&arena);
    arena.release(&objects[MANY - 1], &mut go_on).expect("released");
    assert!(matches!(bundle(&arena, &objects), Err(Error::Freed)));
    assert_eq!(arena.account(&mut go_on).expect("in order").objects, MANY as u64 - 1);
}

#[test]
fn making_a_bundle_survives_a_kill_at_any_instruction() {
    let arena = session();
    let objects = events(&arena);
    kill_at_instructions(
        || (),
        |()| enter(&arena),
        |()| {
            let made = bundle(&arena, &objects).expect("a bundle");
            arena.release(&made, &mut go_on).expect("released");
        },
        |(), pid| check_heap(&arena, pid, MANY as u64),
    );
}

#[test]
fn releasing_all_that_a_bundle_has_survives_a_kill_at_any_instruction() {
    let arena = session();
    kill_at_instructions(
        || (),
        |()| {
            enter(&arena);
            let objects = events(&arena);
            let made = bundle(&arena, &objects).expect("a bundle");
            release_all(&arena, &objects);
            made
        },
        |made| arena.release(&made, &mut go_on).expect("released"),
        |(), pid| check_heap(&arena, pid, 0),
    );
}
