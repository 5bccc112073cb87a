//! A list against a model of it: all that can be done, in an order of chance.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;

use super::super::section::put_right;
use super::super::tests::{known, Known, Random, Scene};
use super::super::{Section, Value};
use super::chunks::CHUNK;
use super::entries::Entry;
use super::{Piece, Which};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle, Result};
use crate::crash::session;

/// All items, from one on.
pub fn all_from(start: u64) -> impl Fn(u64) -> Which + Copy {
    move |count| Which {
        start,
        step: 1,
        number: count.saturating_sub(start),
    }
}

/// What was read.
fn values(bytes: &[u8], pieces: &[Piece]) -> Vec<Known> {
    let mut start = 0;
    let value = |piece: &Piece| {
        let bytes = &bytes[std::mem::replace(&mut start, piece.end)..piece.end];
        known(piece.kind, bytes)
    };
    pieces.iter().map(value).collect()
}

/// All items, read without the lock, and with it.
pub fn items(scene: &Scene<'_>) -> Vec<Known> {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    let table = scene.table();
    table
        .items_with(&scene.lock(), all_from(0), (&mut bytes, &mut pieces))
        .expect("no error");
    let with_lock = values(&bytes, &pieces);
    bytes.clear();
    pieces.clear();
    let seen = table.try_items(all_from(0), (&mut bytes, &mut pieces));
    assert!(seen.expect("no error").is_some(), "nobody writes");
    assert_eq!(values(&bytes, &pieces), with_lock);
    with_lock
}

/// Do something in one section.
pub fn change<T>(scene: &Scene<'_>, does: impl FnOnce(&mut Section<'_>) -> Result<T>) -> T {
    let mut section = scene.section();
    let done = does(&mut section).expect("no error");
    section.commit().expect("no error");
    done
}

/// Everything that follows from something else does.
pub fn assert_sound(scene: &Scene<'_>) {
    let table = scene.table();
    let held = scene.lock();
    put_right(&table).expect("no error");
    drop(held);
    let mut slots = HashMap::new();
    drop(scene.assert_pages(table.len().div_ceil(CHUNK), |class, at| {
        slots.insert(at, class);
    }));
    let held = scene.lock();
    let count = table.len();
    let mut led_to = 0;
    for index in 0..count {
        let place = table.place_of_entry(index).expect("an entry");
        let word = table.word(place).expect("a word");
        if let Entry::Slot(at) = Entry::of(word.load(crate::atomics::Ordering::Relaxed)) {
            let head = table.head(at).expect("a slot");
            assert_eq!(u64::from(head.chunk), index / CHUNK);
            assert_eq!(head.class(), slots.remove(&at), "each once, of its size");
            led_to += 1;
        }
    }
    assert_eq!(slots.len(), 0, "{led_to} entries lead to slots, and there are more");
    if count > CHUNK {
        for number in 0..count.div_ceil(CHUNK) {
            assert_eq!(table.chunk(number).expect("a chunk").room, CHUNK);
        }
    } else if count > 0 {
        let room = table.chunk(0).expect("a chunk").room;
        assert!(room >= count && (room <= 24 || count > room / 4), "{count} in {room}");
    }
    drop(held);
    scene.arena.account(&mut go_on).expect("a heap in order");
}

fn value<'a>(known: &'a Known, blocks: &'a HashMap<(u64, u32), Handle>) -> Value<'a> {
    match known {
        Known::Bytes(bytes) => Value::Bytes(1, bytes),
        Known::Block(offset, generation) => Value::Block(2, &blocks[&(*offset, *generation)]),
    }
}

/// Some operations in one section, and the same of the model, which is as before when it was not committed.
fn operate(scene: &Scene<'_>, model: &mut Vec<Known>, random: &mut Random, most: u64) {
    let before = model.clone();
    let mut section = scene.section();
    let mut blocks = HashMap::new();
    for _ in 0..=random.below(3) * random.below(2) {
        let mut any = |random: &mut Random| {
            if random.below(12) != 0 {
                return Known::Bytes(random.value());
            }
            let block = scene.block([100, 5000, 100_000][random.below(3) as usize]);
            let known = Known::Block(block.offset, block.generation);
            blocks.insert((block.offset, block.generation), block);
            known
        };
        let length = model.len() as u64;
        let (one, other) = (random.below(length + 1), random.below(length + 1));
        let (from, to) = (one.min(other), one.max(other));
        match random.below(if length < most { 40 } else { 24 }) {
            0..4 if from < length => {
                let new = any(random);
                section.set_item(from, value(&new, &blocks)).expect("no error");
                model[from as usize] = new;
            }
            4..10 if length > 0 => {
                section.remove_item(length - 1).expect("no error");
                model.pop();
            }
            10..17 if from < length => {
                section.remove_item(from).expect("no error");
                model.remove(from as usize);
            }
            17 => {
                let step = 1 + random.below(5);
                let number = (to - from).div_ceil(step);
                section.remove_items(from, step, number).expect("no error");
                let mut index = 0;
                model.retain(|_| {
                    let goes = (from..to).contains(&index) && (index - from) % step == 0;
                    index += 1;
                    !goes
                });
            }
            18 => {
                let to = if random.below(3) == 0 {
                    to
                } else {
                    (from + random.below(9)).min(length)
                };
                let number = [3, 40, CHUNK][random.below(3) as usize];
                let new: Vec<Known> = (0..random.below(number)).map(|_| any(random)).collect();
                let values: Vec<Value<'_>> = new.iter().map(|new| value(new, &blocks)).collect();
                section.splice_items(from, to, &values).expect("no error");
                model.splice(from as usize..to as usize, new);
            }
            19 => {
                let mut order: Vec<u64> = (0..length).collect();
                order.sort_by_key(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                assert!(section.arrange_items(&order).expect("no error"));
                *model = order.iter().map(|index| model[*index as usize].clone()).collect();
                assert!(!section.arrange_items(&vec![0; length as usize + 1]).expect("no error"));
            }
            20 => {
                section.reverse_items().expect("no error");
                model.reverse();
            }
            21 if length < most / 2 => {
                let times = 1 + random.below(3);
                section.repeat_items(times).expect("no error");
                *model = std::iter::repeat_n(&*model, times as usize)
                    .flatten()
                    .cloned()
                    .collect();
            }
            22 if random.below(20) == 0 => {
                section.clear_items().expect("no error");
                model.clear();
            }
            23 => {
                let mut bytes = Vec::new();
                let kind = section.item(from, &mut bytes).expect("no error");
                let item = kind.map(|kind| known(kind, &bytes));
                assert_eq!(item.as_ref(), model.get(from as usize));
            }
            24..32 => {
                let new = any(random);
                section.append_item(value(&new, &blocks)).expect("no error");
                model.push(new);
            }
            _ => {
                let new = any(random);
                section.insert_item(from, value(&new, &blocks)).expect("no error");
                model.insert(from as usize, new);
            }
        }
    }
    if random.below(8) == 0 {
        drop(section);
        *model = before;
    } else {
        section.commit().expect("no error");
    }
    for block in blocks.into_values() {
        scene.arena.release(&block, &mut go_on).expect("released");
    }
}

#[test]
fn a_list_is_what_its_model_is_whatever_is_done() {
    let arena = session();
    for seed in 0..6 {
        let mut random = Random(seed);
        let scene = Scene::of(&arena, Kind::List);
        let mut model = Vec::new();
        for step in 0..4000_u64 {
            // Few items, then several chunks of them, then few again.
            let most = [10, 200, 4000, 30][(step / 1000) as usize];
            operate(&scene, &mut model, &mut random, most);
            if step % 100 == 0 {
                assert_sound(&scene);
                assert_eq!(items(&scene), model);
            }
        }
        assert_sound(&scene);
        assert_eq!(items(&scene), model);
        change(&scene, |section| section.clear_items());
        assert_sound(&scene);
        let account = arena.account(&mut go_on).expect("in order");
        assert_eq!((account.objects, account.references), (1, 1));
        scene.end();
    }
}

#[test]
fn a_list_of_many_items_has_eight_bytes_for_each_and_gives_them_back() {
    let arena = session();
    let scene = Scene::of(&arena, Kind::List);
    let before = arena.used();
    let number = 9_000_000_u64; // more than the body itself leads to the chunks of
    for start in (0..number).step_by(1000) {
        change(&scene, |section| {
            (start..start + 1000).try_for_each(|number| section.append_item(Value::Bytes(4, &number.to_ne_bytes())))
        });
    }
    let used = arena.used() - before;
    assert!(used * 10 / number <= 85, "{} bytes for ten items", used * 10 / number);
    let item = |index| {
        let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
        let which = |_| Which {
            start: index,
            step: 1,
            number: 1,
        };
        let seen = scene.table().try_items(which, (&mut bytes, &mut pieces));
        assert!(seen.expect("no error").is_some());
        u64::from_ne_bytes(bytes.try_into().expect("a number"))
    };
    for index in [0, 1, CHUNK, 77_777, 8_500_000, number - 1] {
        assert_eq!(item(index), index);
    }
    change(&scene, |section| section.remove_item(77_777));
    assert_eq!([77_776, 77_777, number - 2].map(item), [77_776, 77_778, number - 1]);
    change(&scene, |section| {
        section.insert_item(77_777, Value::Bytes(4, &77_777_u64.to_ne_bytes()))
    });
    assert_eq!(
        [77_776, 77_777, 77_778, number - 1].map(item),
        [77_776, 77_777, 77_778, number - 1]
    );
    for _ in 0..number / 1000 {
        change(&scene, |section| {
            (0..1000).try_for_each(|_| section.remove_item(section.table.len() - 1))
        });
    }
    assert_sound(&scene);
    assert_eq!(arena.pages_of(scene.table().body).expect("a chain"), Vec::<u64>::new());
    scene.end();
}

#[test]
fn slots_of_what_is_deleted_here_and_there_give_their_pages_back() {
    let arena = session();
    let scene = Scene::of(&arena, Kind::List);
    let pages = || arena.pages_of(scene.table().body).expect("a chain").len();
    for _ in 0..20_000 {
        change(&scene, |section| section.append_item(Value::Bytes(1, &[7; 100])));
    }
    let before = pages();
    let mut random = Random(3);
    for number in (2000..20_000).rev() {
        change(&scene, |section| section.remove_item(random.below(number + 1)));
    }
    assert_sound(&scene);
    assert!(pages() < before / 5, "{} of {before}", pages());
    assert_eq!(items(&scene), vec![Known::Bytes(vec![7; 100]); 2000]);
    scene.end();
}

#[test]
fn what_does_not_fit_into_memory_changes_nothing() -> Result<()> {
    let arena = Arena::create(Some(3 << 20))?;
    arena.register("this", &mut go_on)?;
    let scene = Scene::of(&arena, Kind::List);
    let mut number = 0;
    loop {
        let mut section = scene.section();
        let first = section.append_item(Value::Bytes(1, &[7; 3000]));
        if first
            .and_then(|()| section.insert_item(0, Value::Bytes(1, &[8; 3000])))
            .is_err()
        {
            drop(section);
            break;
        }
        section.commit()?;
        number += 1;
    }
    assert!(number > 400, "{number}");
    assert_sound(&scene);
    let wanted = [[8; 3000], [7; 3000]].map(|bytes| Known::Bytes(bytes.to_vec()));
    let found = items(&scene);
    assert_eq!(found.len(), 2 * number);
    assert!(found[..number].iter().all(|item| *item == wanted[0]));
    assert!(found[number..].iter().all(|item| *item == wanted[1]));
    for _ in 0..number {
        change(&scene, |section| section.remove_item(0)); // which needs no memory
        change(&scene, |section| section.remove_item(section.table.len() - 1));
    }
    scene.end();
    Ok(())
}
