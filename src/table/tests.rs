//! A table against a model of it: all that can be done, in an order of chance.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use super::layout::{class_bytes, TableBody, Use, CLASSES, CONTENT_AT, IN_BLOCK, OTHER};
use super::log::low;
use super::*;
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle, Result};
use crate::atomics::Ordering;
use crate::crash::{session, until_done};
use crate::sync::patience::Patience;
use crate::sync::side::Held;

pub const INT: u8 = 4;
const PLAIN: Original<'_> = Original { kind: 0, bytes: &[] };

/// A table of its own in an arena.
pub struct Scene<'a> {
    pub arena: &'a Arena,
    pub handle: Handle,
}

/// What a test knows a value by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Bytes(Vec<u8>),
    Block(u64, u32),
}

impl<'a> Scene<'a> {
    pub fn new(arena: &'a Arena) -> Self {
        Self::of(arena, Kind::Table)
    }

    pub fn of(arena: &'a Arena, kind: Kind) -> Self {
        let size = size_of::<TableBody>() as u64;
        let handle = arena.make(kind, size, None, &mut go_on).expect("a table");
        Self { arena, handle }
    }

    pub fn table(&self) -> Table<'a> {
        Table {
            arena: self.arena,
            body: self.arena.body_of(&self.handle).expect("a body"),
            offset: self.handle.offset,
        }
    }

    pub fn lock(&self) -> Held {
        let table = self.table();
        let mut patience = Patience::with_owner(None);
        until_done(|| Held::lock(self.arena, &table.body.lock, &mut patience)).expect("the lock")
    }

    pub fn section(&self) -> Section<'a> {
        Section::enter(self.table(), self.lock()).expect("no error")
    }

    pub fn key<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        Key::of(self.arena.session(), INT, bytes)
    }

    pub fn set(&self, key: u64, value: &[u8]) -> Put {
        let mut section = self.section();
        let put = section.set(self.key(&key.to_ne_bytes()), PLAIN, Value::Bytes(1, value));
        section.commit().expect("no error");
        put.expect("no error")
    }

    /// A block for a value.
    pub fn block(&self, bytes: u64) -> Handle {
        let made = self.arena.make_to_write(Kind::Memory, bytes, &mut go_on);
        made.expect("memory")
    }

    pub fn set_block(&self, key: u64, bytes: u64) -> Known {
        let block = self.block(bytes);
        let mut section = self.section();
        section
            .set(self.key(&key.to_ne_bytes()), PLAIN, Value::Block(2, &block))
            .expect("no error");
        section.commit().expect("no error");
        self.arena.release(&block, &mut go_on).expect("released");
        Known::Block(block.offset, block.generation)
    }

    pub fn remove(&self, key: u64) -> bool {
        let mut section = self.section();
        let removed = section.remove(self.key(&key.to_ne_bytes())).expect("no error");
        section.commit().expect("no error");
        removed
    }

    pub fn get(&self, key: u64) -> Option<Known> {
        let mut bytes = Vec::new();
        let table = self.table();
        let found = match table
            .try_get(self.key(&key.to_ne_bytes()), &mut bytes)
            .expect("no error")
        {
            Some(found) => found,
            None => {
                bytes.clear();
                table
                    .get(&self.lock(), self.key(&key.to_ne_bytes()), &mut bytes)
                    .expect("no error")
            }
        };
        found.map(|found| known(found.kind, &bytes))
    }

    /// All keys, in order, with their values.
    pub fn all(&self) -> Vec<(u64, Known)> {
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        let mut cursor = Cursor::default();
        while !cursor.is_at_end {
            cursor = self
                .table()
                .scan(&self.lock(), &cursor, 100, true, (&mut bytes, &mut items))
                .expect("no error");
        }
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("a number"));
        items
            .iter()
            .map(|item| {
                let value = known(item.value_kind, &bytes[item.value.clone()]);
                (number(&bytes[item.key.clone()]), value)
            })
            .collect()
    }

    /// What a dead writer has left is put right; then nothing is in the log, each slot passes, and no page is there but of
    /// slots, the log, the array, and so many others. The lock, and how many slots there are.
    pub fn assert_pages(&self, others: u64, mut passes: impl FnMut(usize, u32)) -> (Held, u64) {
        let table = self.table();
        let held = self.lock();
        super::section::put_right(&table).expect("no error");
        let body = table.body;
        assert_eq!(
            (body.log.load(Ordering::Relaxed), body.phase.load(Ordering::Relaxed)),
            (0, 0)
        );
        assert_eq!(body.unused.load(Ordering::Relaxed), 0);
        let (mut slots, mut slot_pages) = (0, 0);
        for class in 0..CLASSES {
            let word = body.classes[class].load(Ordering::Relaxed);
            let (mut page, mut number) = ((word >> 32) * 8, word & u64::from(u32::MAX));
            assert_eq!(page == 0, number == 0);
            while page != 0 {
                let (header, room) = table.page(page, Use::Slots).expect("a page");
                assert!(number <= (room * 8 / class_bytes(class)) as u64);
                for index in 0..number {
                    let at = (page + CONTENT_AT) / 8 + index * class_bytes(class) as u64 / 8;
                    passes(class, at as u32);
                }
                (slots, slot_pages) = (slots + number, slot_pages + 1);
                page = header.link.load(Ordering::Relaxed);
                number = match page {
                    0 => 0,
                    page => (table.page(page, Use::Slots).expect("a page").1 * 8 / class_bytes(class)) as u64,
                };
            }
        }
        let mut kept = others + u64::from(body.log_page.load(Ordering::Relaxed) != 0);
        for link in body
            .small_segments
            .iter()
            .chain(&body.large_segments)
            .chain([&body.directory])
        {
            kept += u64::from(link.load(Ordering::Relaxed) != 0);
        }
        let directory = body.directory.load(Ordering::Relaxed);
        if directory == 0 {
            let pages = self.arena.pages_of(body).expect("a chain").len() as u64;
            assert_eq!(pages, slot_pages + kept, "pages that are of no use");
        }
        (held, slots)
    }

    /// Everything that follows from something else does.
    pub fn assert_sound(&self) {
        let table = self.table();
        let (held, slots) = self.assert_pages(0, |class, at| {
            let slot = table.slot(at).expect("a slot");
            assert_eq!(slot.shape().class(), Some(class));
            let bucket = Table::bucket_of(slot.hash(), table.buckets());
            let mut link = table.place_in_array(bucket).expect("a bucket");
            while low(table.word(link).expect("a word")) != slot.at {
                link = table
                    .slot(low(table.word(link).expect("a word")))
                    .expect("in its bucket")
                    .chain_place();
            }
        });
        let (body, count) = (table.body, table.len());
        assert_eq!(slots, count);
        let (mut ahead, mut at, mut before) = (0, (body.ends.load(Ordering::Relaxed) >> 32) as u32, 0);
        let mut sequence = 0;
        while at != 0 {
            let slot = table.slot(at).expect("a slot");
            assert_eq!(slot.previous(), before);
            assert!(slot.sequence() > sequence);
            (ahead, before, at, sequence) = (ahead + 1, at, slot.next(), slot.sequence());
        }
        assert_eq!(ahead, count);
        assert_eq!(body.ends.load(Ordering::Relaxed) as u32, before);
        drop(held);
        self.arena.account(&mut go_on).expect("a heap in order");
    }

    /// Be no more; nothing else is there then.
    pub fn end(self) {
        self.arena.release(&self.handle, &mut go_on).expect("released");
        let account = self.arena.account(&mut go_on).expect("in order");
        assert_eq!((account.objects, account.references), (0, 0));
    }
}

pub fn known(kind: u8, bytes: &[u8]) -> Known {
    if kind & IN_BLOCK == 0 {
        return Known::Bytes(bytes.to_vec());
    }
    let (offset, generation) = block_of(bytes).expect("a block");
    Known::Block(offset, generation)
}

/// What is to be in a table.
#[derive(Default, Clone)]
struct Model {
    order: BTreeMap<u64, (u64, Known)>,
    keys: HashMap<u64, u64>,
    inserted: u64,
}

impl Model {
    fn set(&mut self, key: u64, value: Known) {
        let number = *self.keys.entry(key).or_insert_with(|| {
            self.inserted += 1;
            self.inserted
        });
        self.order.insert(number, (key, value));
    }

    fn remove(&mut self, key: u64) -> bool {
        let number = self.keys.remove(&key);
        number.is_some_and(|number| self.order.remove(&number).is_some())
    }

    fn all(&self) -> Vec<(u64, Known)> {
        self.order.values().cloned().collect()
    }
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn value(&mut self) -> Vec<u8> {
        let most = [9, 9, 40, 40, 200, 600, 3000][self.below(7) as usize];
        let length = self.below(most) as usize;
        vec![self.below(256) as u8; length]
    }
}

/// Some operations in one section, and the same of the model, which is as before when it was not committed.
fn operate(scene: &Scene<'_>, model: &mut Model, random: &mut Random, keys: u64) {
    let before = model.clone();
    let mut section = scene.section();
    let mut blocks = Vec::new();
    for _ in 0..=random.below(4) * random.below(2) {
        let key = random.below(keys);
        let bytes = key.to_ne_bytes();
        let of_key = scene.key(&bytes);
        match random.below(40) {
            0..18 => {
                let value = random.value();
                let put = section.set(of_key, PLAIN, Value::Bytes(1, &value)).expect("no error");
                assert_eq!(put == Put::Replaced, model.keys.contains_key(&key));
                model.set(key, Known::Bytes(value));
            }
            18..32 => assert_eq!(section.remove(of_key).expect("no error"), model.remove(key)),
            32..36 => {
                let size = [100, 5000, 100_000][random.below(3) as usize];
                let block = scene.block(size);
                section.set(of_key, PLAIN, Value::Block(2, &block)).expect("no error");
                model.set(key, Known::Block(block.offset, block.generation));
                blocks.push(block);
            }
            36 => {
                let mut last = Vec::new();
                let item = section.last(&mut last).expect("no error");
                assert_eq!(item.is_some(), !model.keys.is_empty());
                if let Some(item) = item {
                    let key = u64::from_ne_bytes(last[item.key].try_into().expect("a number"));
                    assert_eq!(model.order.last_key_value().map(|(_, (key, _))| *key), Some(key));
                    assert!(section.remove(scene.key(&key.to_ne_bytes())).expect("no error"));
                    model.remove(key);
                }
            }
            37 => {
                let added = section.add(of_key, PLAIN, 1, 5).expect("no error");
                let before = match model.keys.get(&key).map(|number| &model.order[number].1) {
                    None => Some(0),
                    Some(Known::Bytes(bytes)) => bytes.as_slice().try_into().ok().map(i64::from_ne_bytes),
                    Some(Known::Block(..)) => None,
                };
                match before.and_then(|before| before.checked_add(5)) {
                    None => assert_eq!(added, Added::Unfit),
                    Some(sum) => {
                        assert_eq!(added, Added::Done(sum));
                        model.set(key, Known::Bytes(sum.to_ne_bytes().to_vec()));
                    }
                }
            }
            38 if random.below(50) == 0 => {
                section.clear().expect("no error");
                model.order.clear();
                model.keys.clear();
            }
            _ => {
                let mut bytes = Vec::new();
                let found = section.get(of_key, &mut bytes).expect("no error");
                let value = found.map(|found| known(found.kind, &bytes));
                let wanted = model.keys.get(&key).map(|number| model.order[number].1.clone());
                assert_eq!(value, wanted);
            }
        }
    }
    if random.below(8) == 0 {
        drop(section);
        *model = Model {
            inserted: before.inserted,
            ..before
        };
    } else {
        section.commit().expect("no error");
    }
    for block in blocks {
        scene.arena.release(&block, &mut go_on).expect("released");
    }
}

#[test]
fn a_table_is_what_its_model_is_whatever_is_done() {
    let arena = session();
    for seed in 0..6 {
        let mut random = Random(seed);
        let scene = Scene::new(&arena);
        let mut model = Model::default();
        for step in 0..12_000_u64 {
            // Few keys, then many, then few again.
            let keys = [10, 100, 3000, 30][(step / 3000) as usize];
            operate(&scene, &mut model, &mut random, keys);
            if step % 500 == 0 {
                scene.assert_sound();
                assert_eq!(scene.all(), model.all());
                for key in 0..keys {
                    let value = model.keys.get(&key).map(|number| model.order[number].1.clone());
                    assert_eq!(scene.get(key), value);
                }
            }
        }
        assert_eq!(scene.all(), model.all());
        let blocks = model
            .order
            .values()
            .filter(|(_, value)| matches!(value, Known::Block(..)));
        let account = arena.account(&mut go_on).expect("in order");
        assert_eq!(account.objects, 1 + blocks.count() as u64);
        scene.end();
    }
}

#[test]
fn keys_come_back_in_the_order_of_insertion_however_many_there_are_and_memory_goes_with_them() {
    let arena = session();
    let scene = Scene::new(&arena);
    let before = arena.used();
    let number = 120_000; // more than the body itself leads to the buckets of
    for key in 0..number {
        assert_eq!(scene.set(key, &key.to_ne_bytes()), Put::Inserted);
    }
    scene.assert_sound();
    let used = arena.used() - before;
    assert!(used / number <= 64, "{} bytes an entry", used / number);
    let all = scene.all();
    assert!(all
        .iter()
        .zip(0..number)
        .all(|((key, value), number)| *key == number && *value == Known::Bytes(number.to_ne_bytes().to_vec())));
    for key in (0..number).filter(|key| key % 7 != 0) {
        assert!(scene.remove(key));
    }
    scene.assert_sound();
    assert!(scene.all().iter().map(|(key, _)| *key).eq((0..number).step_by(7)));
    let pages = || arena.pages_of(scene.table().body).expect("a chain").len();
    assert!(pages() < (used as usize >> 16) / 3, "{} of {}", pages(), used >> 16);
    for key in (0..number).step_by(7) {
        assert!(scene.remove(key));
    }
    scene.assert_sound();
    assert_eq!(pages(), 0);
    scene.end();
}

#[test]
fn a_scan_goes_on_where_it_was_whatever_is_deleted_meanwhile() {
    let arena = session();
    let scene = Scene::new(&arena);
    for key in 0..5000 {
        scene.set(key, &[]);
    }
    let mut random = Random(1);
    let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
    let mut gone = Vec::new();
    while !cursor.is_at_end {
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        cursor = scene
            .table()
            .try_scan(&cursor, 700, false, (&mut bytes, &mut items))
            .expect("no error")
            .expect("nobody writes");
        seen.extend(
            items
                .iter()
                .map(|item| u64::from_ne_bytes(bytes[item.key.clone()].try_into().expect("a number"))),
        );
        for _ in 0..300 {
            let key = random.below(5000);
            if scene.remove(key) {
                gone.push(key);
            }
        }
        let last = *seen.last().expect("some");
        scene.remove(last);
        gone.push(last);
    }
    assert!(seen.is_sorted_by(|one, other| one < other), "each once, in order");
    let kept = (0..5000).filter(|key| !gone.contains(key));
    assert_eq!(kept.filter(|key| !seen.contains(key)).count(), 0);
    scene.end();
}

#[test]
fn keys_without_a_canonical_form_are_looked_through() {
    let arena = session();
    let scene = Scene::new(&arena);
    for number in 0..40_u64 {
        let mut section = scene.section();
        let bytes = section.next_other().to_ne_bytes();
        let key = Key::of(arena.session(), OTHER, &bytes);
        let original = number.to_ne_bytes();
        let original = Original {
            kind: 9,
            bytes: &original,
        };
        section.set(key, original, Value::Bytes(1, b"value")).expect("no error");
        section.commit().expect("no error");
        scene.set(number, b"another");
    }
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    let others = scene.table().try_others((&mut bytes, &mut items)).expect("no error");
    assert_eq!((others, items.len()), (Some(40), 40));
    let fifth = Key::of(arena.session(), OTHER, &bytes[items[5].key.clone()]);
    let mut section = scene.section();
    assert!(section.remove(fifth).expect("no error"));
    assert_eq!(section.others(), 41);
    section.commit().expect("no error");
    scene.assert_sound();
    scene.end();
}

#[test]
fn what_does_not_fit_into_memory_changes_nothing() -> Result<()> {
    let arena = Arena::create(Some(3 << 20))?;
    arena.register("this", &mut go_on)?;
    let scene = Scene::new(&arena);
    let mut before = Vec::new();
    for key in 0_u64.. {
        let mut section = scene.section();
        let bytes = key.to_ne_bytes();
        let first = section.set(scene.key(&bytes), PLAIN, Value::Bytes(1, &[7; 3000]));
        let second = first.and_then(|_| section.set(scene.key(&bytes), PLAIN, Value::Bytes(1, &[7; 700])));
        if second.is_err() {
            drop(section);
            break;
        }
        section.commit()?;
        before.push(key);
    }
    assert!(before.len() > 1000);
    scene.assert_sound();
    assert!(scene.all().iter().map(|(key, _)| *key).eq(before.iter().copied()));
    for key in before {
        assert!(scene.remove(key), "which needs no memory");
    }
    scene.end();
    Ok(())
}

#[test]
fn who_reads_while_somebody_writes_nothing_has_what_there_is() {
    let arena = session();
    let scene = Scene::new(&arena);
    for key in 0..100 {
        scene.set(key, b"value");
    }
    let table = scene.table();
    let walk = |version| {
        let mut steps = 0;
        (0..100).try_for_each(|_| table.go_on(&mut steps, Some(version)))
    };
    let read = |write: &dyn Fn()| {
        let mut looks = 0;
        let seen = table.try_read(|version| {
            looks += 1;
            if looks > 1 {
                return walk(version);
            }
            let section = scene.section();
            let seen = walk(version);
            section.commit()?;
            write();
            seen.and_then(|()| walk(version))
        });
        assert_eq!(seen.expect("no error"), Some(()));
        looks
    };
    assert_eq!(read(&|| ()), 1, "nothing has changed");
    assert_eq!(
        read(&|| {
            scene.set(1, b"another");
        }),
        2
    );
}
