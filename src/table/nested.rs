//! Tables in tables: whoever is in one that somebody has stays, through deaths, and no longer.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use super::tests::{Scene, INT};
use super::*;
use crate::arena::heap::{go_on, Content};
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::crash::{enter, session, HANG_SECONDS};
use crate::sys::step::{kill_at_instructions, Child, End};

const PLAIN: Original<'_> = Original { kind: 0, bytes: &[] };

/// Objects of a table in a table, but for the outer one: the bundle, the pickle and the inner table.
const NESTED: u64 = 3;

/// A bundle of what would be a pickle, and a table, which nobody else has from then on.
fn bundle(arena: &Arena, inner: &Handle) -> Handle {
    let pickle = arena.make_to_write(Kind::Memory, 100, &mut go_on).expect("memory");
    let blocks = [(pickle.offset, pickle.generation), (inner.offset, inner.generation)];
    let bundle = arena.make_bundle(&blocks, &mut go_on).expect("a bundle");
    for handle in [&pickle, inner] {
        arena.release(handle, &mut go_on).expect("released");
    }
    bundle
}

fn set(table: Table<'_>, bundle: &Handle) {
    let bytes = 1_u64.to_ne_bytes();
    let key = Key::of(table.arena.session(), INT, &bytes);
    let mut section = Section::enter(table, table.try_lock().expect("free")).expect("no error");
    section.set(key, PLAIN, Value::Block(2, bundle)).expect("no error");
    section.commit().expect("no error");
}

/// A table that has another one, and that alone.
fn nest<'a>(arena: &'a Arena, inner: &Handle) -> Scene<'a> {
    let (outer, bundle) = (Scene::new(arena), bundle(arena, inner));
    set(outer.table(), &bundle);
    arena.release(&bundle, &mut go_on).expect("released");
    outer
}

fn objects(arena: &Arena) -> u64 {
    arena.account(&mut go_on).expect("in order").objects
}

#[test]
fn a_long_chain_of_tables_in_tables_goes_with_the_first_one() {
    const DEEP: u64 = 3000;
    let arena = session();
    let mut outer = Scene::new(&arena);
    for _ in 0..DEEP {
        outer = nest(&arena, &outer.handle);
    }
    assert_eq!(objects(&arena), DEEP * NESTED + 1);
    arena.release(&outer.handle, &mut go_on).expect("released");
    assert_eq!(objects(&arena), 0);
}

#[test]
fn tables_in_tables_stay_when_the_heap_is_rebuilt() {
    let arena = session();
    let innermost = Scene::new(&arena);
    innermost.set_block(5, 100);
    let outer = nest(&arena, &nest(&arena, &innermost.handle).handle);
    let before = objects(&arena);
    let dead = Child::fork(|| {
        enter(&arena);
        let heap = arena.heap(&mut go_on).expect("the heap");
        let _half_done = heap.allocate(Kind::Memory, 100, Content::Zeroes);
        std::process::abort();
    });
    let pid = dead.pid();
    assert_eq!(dead.join(HANG_SECONDS), End::Killed);
    arena.process_ended(pid, Some(6), &mut go_on).expect("buried");
    assert_eq!(objects(&arena), before);
    arena.release(&outer.handle, &mut go_on).expect("released");
    assert_eq!(objects(&arena), 0);
}

#[test]
fn a_table_is_set_into_another_whole_or_not_at_all() {
    let arena = session();
    let mut outcomes = [0, 0];
    kill_at_instructions(
        || Scene::new(&arena),
        |scene| {
            enter(scene.arena);
            (scene.table(), bundle(scene.arena, &Scene::new(scene.arena).handle))
        },
        |(table, bundle)| {
            set(table, &bundle);
            table.arena.release(&bundle, &mut go_on).expect("released");
        },
        |scene, pid| {
            scene.arena.process_ended(pid, Some(9), &mut go_on).expect("buried");
            scene.assert_sound();
            let is_there = scene.get(1).is_some();
            assert_eq!(objects(&arena), 1 + NESTED * u64::from(is_there));
            outcomes[usize::from(is_there)] += 1;
            scene.end();
            assert_eq!(objects(&arena), 0);
        },
    );
    assert!(outcomes.iter().all(|times| *times > 1), "{outcomes:?}");
}

#[test]
fn a_table_goes_from_another_with_all_it_has_or_stays() {
    let arena = session();
    let mut outcomes = [0, 0];
    kill_at_instructions(
        || nest(&arena, &nest(&arena, &Scene::new(&arena).handle).handle),
        |scene| {
            enter(scene.arena);
            scene.table()
        },
        |table| {
            let bytes = 1_u64.to_ne_bytes();
            let mut section = Section::enter(table, table.try_lock().expect("free")).expect("no error");
            let removed = section.remove(Key::of(table.arena.session(), INT, &bytes));
            assert!(removed.expect("no error"));
            section.commit().expect("no error");
        },
        |scene, pid| {
            scene.arena.process_ended(pid, Some(9), &mut go_on).expect("buried");
            scene.assert_sound();
            let is_there = scene.get(1).is_some();
            assert_eq!(objects(&arena), 1 + 2 * NESTED * u64::from(is_there));
            outcomes[usize::from(is_there)] += 1;
            scene.end();
            assert_eq!(objects(&arena), 0);
        },
    );
    assert!(outcomes.iter().all(|times| *times > 1), "{outcomes:?}");
}
