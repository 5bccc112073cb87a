//! Proof of crash safety: a writer is killed at its instructions in turn (`crash.rs`); what it did has happened whole, or not
//! at all.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use super::tests::{Known, Scene, INT};
use super::*;
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::crash::{enter, session};
use crate::sys::step::kill_at_instructions;

const PLAIN: Original<'_> = Original { kind: 0, bytes: &[] };

/// What a victim has.
pub struct Victim<'a> {
    table: Table<'a>,
    /// Of a value that lies in one.
    pub block: Option<Handle>,
}

impl Victim<'_> {
    fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        Key::of(self.table.arena.session(), INT, bytes)
    }

    /// Do something in one section.
    pub fn does(&self, does: impl FnOnce(&mut Section<'_>)) {
        let held = self.table.try_lock().expect("free");
        let mut section = Section::enter(self.table, held).expect("no error");
        does(&mut section);
        section.commit().expect("no error");
    }

    fn set(&self, section: &mut Section<'_>, key: u64, value: &[u8]) {
        let bytes = key.to_ne_bytes();
        let put = section.set(self.key(&bytes), PLAIN, Value::Bytes(1, value));
        put.expect("no error");
    }

    fn set_block(&self, section: &mut Section<'_>, key: u64) {
        let (bytes, block) = (key.to_ne_bytes(), self.block.as_ref().expect("a block"));
        let put = section.set(self.key(&bytes), PLAIN, Value::Block(2, block));
        put.expect("no error");
    }

    fn remove(&self, section: &mut Section<'_>, key: u64) {
        assert!(section.remove(self.key(&key.to_ne_bytes())).expect("no error"));
    }
}

/// Kill a victim at instructions of what it does; the dict is as before, or as after it. Twice at least each.
fn kill(
    sets_up: impl Fn(&Scene<'_>),
    with_block: bool,
    does: impl Fn(&Victim<'_>),
    after: impl Fn(Vec<(u64, Known)>) -> Vec<(u64, Known)>,
) {
    kill_in(
        Kind::Table,
        (sets_up, with_block, does),
        |scene, before: Vec<(u64, Known)>, pid| {
            let found = names(&scene.all());
            let (before, after) = (names(&before), names(&after(before)));
            assert!(found == before || found == after, "{found:?}");
            check(scene, pid);
            found == after
        },
        |scene| scene.all(),
    );
}

/// Kill a victim, for whom the scene is set up, with a block or without, at instructions of what it does. Each time `checks`
/// is told what there was before, and the dead one's pid; it says whether everything was done, which is so twice at least, as
/// is that it was not.
pub fn kill_in<B>(
    kind: Kind,
    (sets_up, with_block, does): (impl Fn(&Scene<'_>), bool, impl Fn(&Victim<'_>)),
    mut checks: impl FnMut(&Scene<'_>, B, u32) -> bool,
    looks: impl Fn(&Scene<'_>) -> B,
) {
    let arena = session();
    let mut outcomes = [0, 0];
    kill_at_instructions(
        || {
            let scene = Scene::of(&arena, kind);
            sets_up(&scene);
            let before = looks(&scene);
            (scene, before)
        },
        |(scene, _)| {
            enter(scene.arena);
            Victim {
                table: scene.table(),
                block: with_block.then(|| scene.block(20_000)),
            }
        },
        |victim| {
            does(&victim);
            if let Some(block) = &victim.block {
                victim.table.arena.release(block, &mut go_on).expect("released");
            }
        },
        |(scene, before), pid| {
            outcomes[usize::from(checks(&scene, before, pid))] += 1;
            scene.end();
        },
    );
    assert!(outcomes.iter().all(|times| *times > 1), "{outcomes:?}");
}

/// Blocks are of another place each time; those that there are count.
fn names(all: &[(u64, Known)]) -> Vec<(u64, Option<Vec<u8>>)> {
    let name = |known: &Known| match known {
        Known::Bytes(bytes) => Some(bytes.clone()),
        Known::Block(..) => None,
    };
    all.iter().map(|(key, known)| (*key, name(known))).collect()
}

/// Everything is in order, and goes on; nothing of the dead one's is there any more.
fn check(scene: &Scene<'_>, pid: u32) {
    let arena: &Arena = scene.arena;
    arena.process_ended(pid, Some(9), &mut go_on).expect("buried");
    scene.assert_sound();
    let all = scene.all();
    let blocks = |all: &[(u64, Known)]| {
        all.iter()
            .filter(|(_, known)| matches!(known, Known::Block(..)))
            .count()
    };
    let account = arena.account(&mut go_on).expect("in order");
    assert_eq!((account.objects, account.references), (1 + blocks(&all) as u64, 1));
    for (key, known) in &all {
        assert_eq!(scene.get(*key).as_ref(), Some(known));
        if let Known::Block(offset, generation) = known {
            let block = arena.attach(*offset, *generation, Kind::Memory, &mut go_on);
            arena.release(&block.expect("there"), &mut go_on).expect("released");
        }
    }
    scene.set(7777, b"later");
    assert!(scene.remove(7777));
    for (key, _) in all {
        assert!(scene.remove(key));
    }
    scene.assert_sound();
}

fn bytes(length: usize) -> Known {
    Known::Bytes(vec![1; length])
}

fn with(mut all: Vec<(u64, Known)>, key: u64, value: Known) -> Vec<(u64, Known)> {
    match all.iter_mut().find(|(of, _)| *of == key) {
        Some((_, known)) => *known = value,
        None => all.push((key, value)),
    }
    all
}

fn without(mut all: Vec<(u64, Known)>, key: u64) -> Vec<(u64, Known)> {
    all.retain(|(of, _)| *of != key);
    all
}

/// Have so many keys, all with short values.
fn fill(scene: &Scene<'_>, number: u64) {
    for key in 0..number {
        scene.set(key, &[0; 8]);
    }
}

#[test]
fn a_key_is_inserted_whole_or_not() {
    // The first one; in the room there is; with a page for slots; with a bucket split, and a page for the further ones.
    for number in [0, 3, 9, 16] {
        kill(
            |scene| fill(scene, number),
            false,
            |victim| victim.does(|section| victim.set(section, 1000, &[1; 8])),
            |all| with(all, 1000, bytes(8)),
        );
    }
}

#[test]
fn a_value_is_replaced_whole_or_not() {
    // Of the same size; of another one; of one that needs a longer log.
    for length in [8, 3, 100, 180] {
        kill(
            |scene| fill(scene, 5),
            false,
            |victim| victim.does(|section| victim.set(section, 2, &vec![1; length])),
            |all| with(all, 2, bytes(length)),
        );
    }
}

#[test]
fn a_key_is_deleted_whole_or_not() {
    // The last slot; one into whose place that moves; the only one, whose page goes.
    for (number, key) in [(5, 4), (5, 1), (1, 0)] {
        kill(
            |scene| fill(scene, number),
            false,
            |victim| victim.does(|section| victim.remove(section, key)),
            |all| without(all, key),
        );
    }
}

#[test]
fn a_key_is_deleted_and_buckets_joined_whole_or_not() {
    kill(
        |scene| {
            fill(scene, 17); // which has 17 buckets, the last one in a page
            for key in 0..11 {
                scene.remove(key);
            }
        },
        false,
        |victim| victim.does(|section| victim.remove(section, 12)),
        |all| without(all, 12),
    );
}

#[test]
fn a_long_slot_moves_whole_or_not() {
    kill(
        |scene| {
            for key in 0..3 {
                scene.set(key, &[key as u8; 180]);
            }
        },
        false,
        |victim| victim.does(|section| victim.remove(section, 0)),
        |all| without(all, 0),
    );
}

#[test]
fn a_large_value_is_stored_whole_or_not() {
    kill(
        |scene| fill(scene, 2),
        true,
        |victim| victim.does(|section| victim.set_block(section, 1000)),
        |all| with(all, 1000, Known::Block(0, 0)),
    );
}

#[test]
fn a_large_value_is_replaced_whole_or_not() {
    kill(
        |scene| {
            fill(scene, 2);
            scene.set_block(1, 100);
        },
        false,
        |victim| victim.does(|section| victim.set(section, 1, &[1; 8])),
        |all| with(all, 1, bytes(8)),
    );
}

#[test]
fn a_large_value_is_deleted_whole_or_not() {
    kill(
        |scene| {
            fill(scene, 2);
            scene.set_block(1, 100_000);
        },
        false,
        |victim| victim.does(|section| victim.remove(section, 1)),
        |all| without(all, 1),
    );
}

#[test]
fn several_keys_change_together_or_not_at_all() {
    kill(
        |scene| {
            fill(scene, 6);
            scene.set_block(3, 100);
        },
        true,
        |victim| {
            victim.does(|section| {
                victim.set(section, 1000, &[1; 8]);
                victim.remove(section, 3);
                victim.set_block(section, 4);
                victim.remove(section, 1000);
                victim.set(section, 5, &[1; 100]);
            });
        },
        |all| with(with(without(all, 3), 4, Known::Block(0, 0)), 5, bytes(100)),
    );
}

#[test]
fn what_is_given_up_has_not_happened_wherever_its_writer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::new(&arena);
            fill(&scene, 16);
            scene.set_block(3, 100);
            scene
        },
        |scene| {
            enter(scene.arena);
            let block = scene.arena.make_to_write(Kind::Memory, 100, &mut go_on);
            Victim {
                table: scene.table(),
                block: block.ok(),
            }
        },
        |victim| {
            let held = victim.table.try_lock().expect("free");
            let mut section = Section::enter(victim.table, held).expect("no error");
            victim.set(&mut section, 1000, &[1; 180]);
            victim.set_block(&mut section, 1);
            victim.remove(&mut section, 3);
        },
        |scene, pid| {
            assert!(scene.all().iter().map(|(key, _)| *key).eq(0..16));
            check(&scene, pid);
            scene.end();
        },
    );
}

#[test]
fn all_keys_go_at_once_or_not_at_all() {
    kill(
        |scene| {
            fill(scene, 20);
            scene.set_block(3, 100);
        },
        false,
        |victim| victim.does(|section| section.clear().expect("no error")),
        |_| Vec::new(),
    );
}

#[test]
fn a_number_is_added_to_or_not() {
    kill(
        |scene| fill(scene, 3),
        false,
        |victim| {
            victim.does(|section| {
                let bytes = 1_u64.to_ne_bytes();
                let added = section.add(victim.key(&bytes), PLAIN, 1, 5);
                assert_eq!(added.expect("no error"), Added::Done(5));
            });
        },
        |all| with(all, 1, Known::Bytes(5_u64.to_ne_bytes().to_vec())),
    );
}

#[test]
fn whoever_puts_right_what_a_dead_writer_has_left_may_be_killed_too() {
    let arena = session();
    for commits in [false, true] {
        kill_at_instructions(
            || {
                let scene = Scene::new(&arena);
                fill(&scene, 16);
                scene.set_block(3, 100);
                // One who dies in the middle: with all noted, or with all committed and nothing finished.
                let dead = crate::sys::step::Child::fork(|| {
                    enter(scene.arena);
                    let block = scene.arena.make_to_write(Kind::Memory, 100, &mut go_on);
                    let victim = Victim {
                        table: scene.table(),
                        block: block.ok(),
                    };
                    let held = victim.table.try_lock().expect("free");
                    let mut section = Section::enter(victim.table, held).expect("no error");
                    victim.set(&mut section, 1000, &[1; 180]);
                    victim.set_block(&mut section, 1);
                    victim.remove(&mut section, 3);
                    if commits {
                        let phase = &victim.table.body.phase;
                        phase.store(super::layout::COMMITTED, crate::atomics::Ordering::Release);
                    }
                    std::mem::forget(section);
                    0
                });
                let pid = dead.pid();
                dead.join(crate::crash::HANG_SECONDS);
                arena.process_ended(pid, Some(0), &mut go_on).expect("buried");
                scene
            },
            |scene| {
                enter(scene.arena);
                scene.table()
            },
            |table| {
                // As if it had taken the lock over.
                table
                    .body
                    .lock
                    .store(table.arena.me(), crate::atomics::Ordering::Relaxed);
                super::section::put_right(&table).expect("no error");
                table.body.lock.store(0, crate::atomics::Ordering::Relaxed);
            },
            |scene, pid| {
                let keys: Vec<u64> = scene.all().iter().map(|(key, _)| *key).collect();
                let blocks = [scene.get(1), scene.get(3)].map(|known| matches!(known, Some(Known::Block(..))));
                if commits {
                    assert!(keys == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1000]);
                    assert_eq!(blocks, [true, false]);
                } else {
                    assert!(keys.into_iter().eq(0..16));
                    assert_eq!(blocks, [false, true]);
                }
                check(&scene, pid);
                scene.end();
            },
        );
    }
}
