//! Proof of crash safety, as for the dict (`table/crash.rs`): what a writer did that was killed has happened whole, or not
//! at all.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use super::super::crash::{kill_in, Victim};
use super::super::tests::{Known, Scene};
use super::super::{Section, Value};
use super::chunks::CHUNK;
use super::tests::{assert_sound, change, items};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::Result;

/// Kill a victim at instructions of what it does in one section; the list is as before, or as after it.
fn kill(
    sets_up: impl Fn(&mut Section<'_>) -> Result<()>,
    with_block: bool,
    does: impl Fn(&Victim<'_>, &mut Section<'_>) -> Result<()>,
    after: impl Fn(&mut Vec<Option<Vec<u8>>>),
) {
    let sets_up = |scene: &Scene<'_>| change(scene, |section| sets_up(section));
    let does = |victim: &Victim<'_>| victim.does(|section| does(victim, section).expect("no error"));
    kill_in(
        Kind::List,
        (sets_up, with_block, does),
        |scene, before, pid| {
            let found = names(&items(scene));
            let mut wanted = names(&before);
            after(&mut wanted);
            assert!(found == names(&before) || found == wanted, "{} items", found.len());
            check(scene, pid);
            found == wanted
        },
        items,
    );
}

/// Blocks are of another place each time; those that there are count.
fn names(items: &[Known]) -> Vec<Option<Vec<u8>>> {
    let name = |known: &Known| match known {
        Known::Bytes(bytes) => Some(bytes.clone()),
        Known::Block(..) => None,
    };
    items.iter().map(name).collect()
}

/// Everything is in order, and goes on; nothing of the dead one's is there any more.
fn check(scene: &Scene<'_>, pid: u32) {
    scene.arena.process_ended(pid, Some(9), &mut go_on).expect("buried");
    assert_sound(scene);
    let mut blocks = items(scene);
    blocks.retain(|item| matches!(item, Known::Block(..)));
    blocks.dedup(); // the same one for what was repeated
    let account = scene.arena.account(&mut go_on).expect("in order");
    assert_eq!((account.objects, account.references), (1 + blocks.len() as u64, 1));
    change(scene, |section| {
        section.insert_item(0, LONG)?;
        section.append_item(SHORT)?;
        section.remove_item(0)
    });
    assert_sound(scene);
    change(scene, |section| {
        (0..section.table.len().min(40)).try_for_each(|_| section.remove_item(0))
    });
    assert_sound(scene);
    change(scene, |section| section.clear_items());
    assert_sound(scene);
}

const SHORT: Value<'_> = Value::Bytes(1, &[7; 3]);
const LONG: Value<'_> = Value::Bytes(1, &[7; 20]);

/// Have so many items, every third one in a slot.
fn fill(section: &mut Section<'_>, number: u64) -> Result<()> {
    (0..number).try_for_each(|index| {
        let bytes = index.to_ne_bytes();
        let long = [bytes, bytes, bytes].concat();
        section.append_item(Value::Bytes(1, if index % 3 == 0 { &long } else { &bytes }))
    })
}

/// The same, and a value in a block behind them.
fn fill_and_add_block(section: &mut Section<'_>, number: u64) -> Result<()> {
    fill(section, number)?;
    let block = section.table.arena.make_to_write(Kind::Memory, 100, &mut go_on)?;
    let appended = section.append_item(Value::Block(2, &block));
    section.table.arena.release(&block, &mut go_on)?;
    appended
}

fn named(value: Value<'_>) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(_, bytes) => Some(bytes.to_vec()),
        Value::Block(..) => None,
    }
}

#[test]
fn an_item_is_appended_whole_or_not() {
    // The first one; in the room there is; with a larger page for the first chunk; with a further chunk.
    let cases = [0, 5, 24].map(|number| (number, SHORT));
    let with_slots = [0, 5, 56, CHUNK].map(|number| (number, LONG));
    for (number, value) in cases.into_iter().chain(with_slots) {
        kill(
            |section| fill(section, number),
            false,
            |_, section| section.append_item(value),
            |items| items.push(named(value)),
        );
    }
}

#[test]
fn an_item_is_inserted_whole_or_not() {
    // Nearer to the beginning; nearer to the end; in front of further chunks.
    for (number, index) in [
        (9, 0),
        (9, 3),
        (9, 7),
        (2 * CHUNK + 5, 2),
        (2 * CHUNK + 5, CHUNK - 3),
        (2 * CHUNK, 7),
    ] {
        kill(
            |section| fill(section, number),
            false,
            |_, section| section.insert_item(index, LONG),
            |items| items.insert(index as usize, named(LONG)),
        );
    }
}

#[test]
fn an_item_is_deleted_whole_or_not() {
    // The last one, without a slot and with one; the only one; with the page of a chunk; where a slot moves; ahead of other chunks.
    for (number, index) in [
        (9, 8),
        (10, 9),
        (1, 0),
        (CHUNK + 1, CHUNK),
        (14, 13),
        (10, 3),
        (2 * CHUNK + 5, 6),
        (2 * CHUNK + 1, CHUNK - 4),
    ] {
        kill(
            |section| fill(section, number),
            false,
            |_, section| section.remove_item(index),
            |items| drop(items.remove(index as usize)),
        );
    }
}

#[test]
fn the_first_chunk_s_page_becomes_smaller_whole_or_not() {
    kill(
        |section| {
            fill(section, 57)?;
            section.remove_items(31, 1, 26)
        },
        false,
        |_, section| section.remove_item(30),
        |items| items.truncate(30),
    );
}

#[test]
fn an_item_is_replaced_whole_or_not() {
    // One without a slot by one with, and the other way round; in its slot; by one of another size.
    let longer = Value::Bytes(1, &[7; 30]);
    let longest = Value::Bytes(1, &[7; 300]);
    for (index, value) in [(1, LONG), (3, SHORT), (3, LONG), (3, longer), (3, longest)] {
        kill(
            |section| fill(section, 9),
            false,
            |_, section| section.set_item(index, value),
            |items| items[index as usize] = named(value),
        );
    }
}

#[test]
fn a_large_value_comes_and_goes_whole_or_not() {
    let block = |victim: &Victim<'_>, section: &mut Section<'_>, index| {
        let value = Value::Block(2, victim.block.as_ref().expect("a block"));
        section.insert_item(index, value)
    };
    for index in [4, 1] {
        kill(
            |section| fill(section, 4),
            true,
            |victim, section| block(victim, section, index),
            |items| items.insert(index as usize, None),
        );
    }
    kill(
        |section| fill_and_add_block(section, 4),
        false,
        |_, section| section.set_item(4, SHORT),
        |items| items[4] = named(SHORT),
    );
    kill(
        |section| fill_and_add_block(section, 4),
        false,
        |_, section| section.remove_item(4),
        |items| items.truncate(4),
    );
    kill(
        |section| fill_and_add_block(section, 2),
        false,
        |_, section| section.repeat_items(2),
        |items| items.extend_from_within(..),
    );
}

#[test]
fn several_items_change_together_or_not_at_all() {
    kill(
        |section| fill_and_add_block(section, 6),
        true,
        |victim, section| {
            let value = Value::Block(2, victim.block.as_ref().expect("a block"));
            section.append_item(value)?;
            section.remove_item(0)?;
            section.splice_items(1, 3, &[LONG, SHORT, LONG, value])?;
            section.reverse_items()?;
            section.remove_items(0, 2, 3)
        },
        |items| {
            items.push(None);
            items.remove(0);
            items.splice(1..3, [named(LONG), named(SHORT), named(LONG), None]);
            items.reverse();
            drop((items.remove(4), items.remove(2), items.remove(0)));
        },
    );
}

#[test]
fn the_order_of_all_changes_whole_or_not() {
    kill(
        |section| fill(section, CHUNK + 30),
        false,
        |_, section| section.reverse_items(),
        |items| items.reverse(),
    );
}

#[test]
fn items_in_the_middle_are_replaced_by_fewer_or_more_whole_or_not() {
    for (number, most) in [(30, 14), (CHUNK + 9, 8)] {
        let few = [LONG; 3];
        kill(
            |section| fill(section, number),
            false,
            |_, section| section.splice_items(5, most, &few),
            |items| drop(items.splice(5..most as usize, few.map(named))),
        );
    }
    let more = [LONG; 6];
    kill(
        |section| fill(section, 30),
        false,
        |_, section| section.splice_items(5, 7, &more),
        |items| drop(items.splice(5..7, more.map(named))),
    );
}

#[test]
fn all_items_go_at_once_or_not_at_all() {
    kill(
        |section| fill_and_add_block(section, 30),
        false,
        |_, section| section.clear_items(),
        Vec::clear,
    );
}
