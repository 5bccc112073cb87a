//! Words of the arena overwritten at random, but for the mutexes: whatever is done then comes to an end, with a result or
//! an error (arena README: threat model). A panic, a signal or a hang of the process that does it fails the test, which
//! says its seed.

#![allow(clippy::expect_used, reason = "tests")]

use std::time::Duration;

use crate::arena::heap::{go_on, Content};
use crate::arena::layout::{
    Header, ProcessRecord, WaiterRecord, BLOCK_HEADER, FIRST_SLAB, LARGE_AT, PROCESSES_AT, SLAB, SLAB_TABLE_AT,
    SPANS_AT, WAITERS_AT,
};
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::{AtomicU64, Ordering};
use crate::channel::layout::ChannelBody;
use crate::channel::{Channel, GetWait, Got, Message, Put, PutWait};
use crate::registry::processes::ProcessId;
use crate::sync::barrier::{Barrier, BarrierBody, BarrierWait, Passed};
use crate::sync::condition::{notify, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};
use crate::sync::holds::{self, Holds};
use crate::sync::lock::{LockBody, LockWait, Who};
use crate::sync::patience::{Patience, Step};
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait};
use crate::sync::side::Held;
use crate::sys::step::{limit_address_space, Child, End};
use crate::table::layout::TableBody;
use crate::table::list::Which;
use crate::table::{Cursor, Key, Original, Section, Table, Value};

const SHORT: Option<Duration> = Some(Duration::from_micros(200));
const HANG_SECONDS: u64 = 5;
const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// What the arena may have in the end; it has some hundred KB in the beginning.
const MEMORY_BYTES: u64 = 64 << 20;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Which of the objects are tables: a dict, a list.
const TABLES: [usize; 2] = [8, 9];

/// One object of each kind, some more than once.
fn make_objects(arena: &Arena) -> Vec<(Kind, Handle)> {
    let kinds = [
        (Kind::Lock, 32, Some("a lock")),
        (Kind::RLock, 32, None),
        (Kind::Semaphore, 32, Some("a semaphore")),
        (Kind::Semaphore, holds::BODY, None),
        (Kind::Condition, 32, None),
        (Kind::Event, 32, None),
        (Kind::Barrier, 32, Some("a barrier")),
        (Kind::Channel, size_of::<ChannelBody>() as u64, Some("a channel")),
        (Kind::Table, size_of::<TableBody>() as u64, Some("a table")),
        (Kind::List, size_of::<TableBody>() as u64, None),
        (Kind::Memory, 100, None),
        (Kind::Memory, 9000, Some("a value")),
        (Kind::Memory, 200 << 10, None),
        (Kind::Memory, 20 << 10, None),
        (Kind::Bundle, 32, None),
    ];
    let make = |(kind, size, name)| {
        let handle = arena.make(kind, size, name, &mut go_on).expect("an object");
        if kind == Kind::Channel {
            let channel = channel(arena, &handle).expect("a body");
            channel.body.most_units.store(1 << 20, Ordering::Relaxed);
            for length in [1, 100, 3000, 9000] {
                let mut wait = PutWait::new(channel, 1, None);
                let put = until_done(|| wait.step(Message::Bytes(0, &[1; 9000][..length])));
                assert_eq!(put.expect("no error"), Some(Put::Done));
            }
            put_block(arena, channel).expect("no error");
        }
        if kind == Kind::Table {
            for key in 0..100 {
                use_table(arena, &handle, key).expect("no error");
            }
        }
        if kind == Kind::List {
            for number in 0..100 {
                use_list(arena, &handle, number).expect("no error");
            }
        }
        if size == holds::BODY {
            semaphore(arena, &handle).recovers.store(1, Ordering::Relaxed);
        }
        (kind, handle)
    };
    kinds.into_iter().map(make).collect()
}

fn channel<'a>(arena: &'a Arena, handle: &Handle) -> crate::arena::Result<Channel<'a>> {
    Ok(Channel {
        arena,
        body: arena.body_of(handle)?,
        offset: handle.offset,
        line: None,
    })
}

fn put_block(arena: &Arena, channel: Channel<'_>) -> crate::arena::Result<()> {
    let block = arena.make(Kind::Memory, 20 << 10, None, &mut go_on)?;
    let mut wait = PutWait::new(channel, 1, SHORT);
    until_done(|| wait.step(Message::Block(0, &block)))?;
    arena.release(&block, &mut go_on)
}

fn table<'a>(arena: &'a Arena, handle: &Handle) -> crate::arena::Result<Table<'a>> {
    Ok(Table {
        arena,
        body: arena.body_of(handle)?,
        offset: handle.offset,
    })
}

fn lock(table: Table<'_>) -> crate::arena::Result<Option<Held>> {
    let mut patience = Patience::with_owner(SHORT);
    until_done(|| Held::lock(table.arena, table.lock_word(), &mut patience))
}

/// Set, get, delete and go through; some of the values in blocks.
fn use_table(arena: &Arena, handle: &Handle, key: u64) -> crate::arena::Result<()> {
    let table = table(arena, handle)?;
    let lock = || lock(table);
    let bytes = key.to_ne_bytes();
    let (key_of, original) = (Key::of(arena.session(), 1, &bytes), Original::default());
    if let Some(held) = lock()? {
        let mut section = Section::enter(table, held)?;
        let length = [8, 100, 900][key as usize % 3];
        section.set(key_of, original, Value::Bytes(1, &[1; 900][..length]))?;
        if key % 7 == 0 {
            let block = arena.make(Kind::Memory, 20 << 10, None, &mut go_on)?;
            let set = section.set(key_of, original, Value::Block(2, &block));
            arena.release(&block, &mut go_on)?;
            set?;
        }
        section.commit()?;
    }
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    let found = table.try_get(key_of, &mut bytes);
    let scanned = table.try_scan(&Cursor::default(), 300, true, (&mut bytes, &mut items));
    if let Some(held) = lock()? {
        let mut section = Section::enter(table, held)?;
        if key % 4 == 0 {
            section.remove(key_of)?;
        }
        if key % 1000 == 999 {
            section.clear()?;
        }
        section.commit()?;
    }
    found?;
    scanned?;
    Ok(())
}

/// Append, insert, set, delete, change the order of and read; some of the values in blocks.
fn use_list(arena: &Arena, handle: &Handle, number: u64) -> crate::arena::Result<()> {
    let table = table(arena, handle)?;
    if let Some(held) = lock(table)? {
        let mut section = Section::enter(table, held)?;
        let value = Value::Bytes(1, &[1; 900][..[8, 3, 100, 900][number as usize % 4]]);
        (0..30).try_for_each(|_| section.append_item(value))?;
        let index = number * 7 % section.table.len();
        section.insert_item(index, value)?;
        section.set_item(index / 2, Value::Bytes(1, &[2; 40]))?;
        if number % 7 == 0 {
            let block = arena.make(Kind::Memory, 20 << 10, None, &mut go_on)?;
            let set = section.set_item(index, Value::Block(2, &block));
            arena.release(&block, &mut go_on)?;
            set?;
        }
        section.commit()?;
    }
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    let some = |count: u64| Which {
        start: count.saturating_sub(300),
        step: 1,
        number: count.min(300),
    };
    let read = table.try_items(some, (&mut bytes, &mut pieces));
    if let Some(held) = lock(table)? {
        let mut section = Section::enter(table, held)?;
        let index = number * 5 % section.table.len().max(1);
        match number % 10 {
            0 => section.reverse_items()?,
            1 => section.remove_items(index / 2, 2, 5)?,
            2 => section.splice_items(index / 2, index, &[Value::Bytes(1, &[1; 50]); 40])?,
            _ => section.remove_item(index)?,
        }
        if number % 1000 == 999 {
            section.clear_items()?;
        }
        section.commit()?;
    }
    read?;
    Ok(())
}

fn semaphore(arena: &Arena, handle: &Handle) -> &'static SemaphoreBody {
    let body: &SemaphoreBody = arena.body_of(handle).expect("a body");
    body.maximum.store(3, Ordering::Relaxed);
    body.word.store(1, Ordering::Relaxed);
    body
}

/// A process that holds and waits for some of it, and dies; with the heap's mutex, if it is to.
fn leave_a_dead_process(arena: &Arena, objects: &[(Kind, Handle)], with_the_heap: bool) {
    let dead = Child::fork(|| {
        if arena.register("dead", &mut go_on).is_err() {
            return 0;
        }
        for (kind, handle) in objects {
            let _ = arena
                .attach(handle.offset, handle.generation, *kind, &mut go_on)
                .map(std::mem::forget);
            if let Ok(waiter) = arena.waiter(1) {
                waiter.begin(handle.offset, 0);
                std::mem::forget(waiter);
            }
        }
        if let Ok(lock) = arena.body_of::<LockBody>(&objects[0].1) {
            lock.try_acquire(Who {
                process: arena.me(),
                thread: 1,
            });
        }
        if with_the_heap {
            let heap = arena.heap(&mut go_on);
            let _half_done = heap
                .as_ref()
                .map(|heap| heap.allocate(Kind::Memory, 100, Content::Zeroes));
            std::mem::forget(heap);
        }
        0
    });
    assert_eq!(dead.join(HANG_SECONDS), End::Exited(0));
}

/// Overwrite some words.
fn corrupt(arena: &Arena, objects: &[(Kind, Handle)], random: &mut Random) {
    let slabs = arena.slabs() - FIRST_SLAB;
    let places = [
        (0, size_of::<Header>() as u64),
        (SLAB_TABLE_AT + FIRST_SLAB * 4, slabs * 4 + 8),
        (PROCESSES_AT, 4 * size_of::<ProcessRecord>() as u64),
        (WAITERS_AT, 16 * size_of::<WaiterRecord>() as u64),
        (SPANS_AT, 16),
        (FIRST_SLAB * SLAB, slabs * SLAB),
    ];
    let slab_start = |random: &mut Random| (FIRST_SLAB + random.below(slabs)) * SLAB;
    if random.below(3) == 0 {
        // The link of a block, or the next one of a chain: back to a block, perhaps the same.
        let place = slab_start(random) + BLOCK_HEADER - 8 + 8 * random.below(2);
        let link: &AtomicU64 = arena.file.at(place).expect("a word");
        link.store(slab_start(random), Ordering::Relaxed);
    }
    for _ in 0..=random.below(12) {
        let (start, length) = places[random.below(places.len() as u64) as usize];
        let mut offset = start + random.below(length / 8) * 8;
        if start == FIRST_SLAB * SLAB {
            // Mostly where something is: an object, or what lies near the beginning of a slab.
            let (kind, object) = &objects[random.below(objects.len() as u64) as usize];
            let words = match kind {
                Kind::Channel => 40,
                Kind::Table | Kind::List => 256,
                _ => 8,
            };
            offset = match random.below(8) {
                0 => offset,
                1..3 => start + offset / SLAB % slabs * SLAB + random.below(2048 / 8) * 8,
                3 => start_of_a_segment(arena, object, *kind) + random.below(60) * 8,
                4 => start_of_a_page(arena, &objects[TABLES[random.below(2) as usize]].1) + random.below(200) * 8,
                _ => object.offset + random.below(words) * 8,
            };
        }
        let word: &AtomicU64 = arena.file.at(offset).expect("a word");
        let before = word.load(Ordering::Relaxed);
        let any_block = FIRST_SLAB * SLAB + random.below(slabs * SLAB / 64) * 64;
        let value = match random.below(9) {
            0 => random.next(),
            1 => 0,
            2 => u64::MAX,
            3 => before ^ (1 << random.below(64)),
            4 => any_block,
            5 => (random.next() << 32) | (any_block / 64),
            6 => before.wrapping_add(1),
            7 => LARGE_AT + random.below(8) * SLAB,
            _ => random.below(16) | (random.below(16) << 32),
        };
        word.store(value, Ordering::Relaxed);
    }
}

/// Of a channel the segment that is read, if that is within the arena; else the object itself.
fn start_of_a_segment(arena: &Arena, object: &Handle, kind: Kind) -> u64 {
    let read = match (kind, channel(arena, object)) {
        (Kind::Channel, Ok(channel)) => channel.body.read.load(Ordering::Relaxed),
        _ => 0,
    };
    let is_one = arena.tag_of(read).is_some() && read % 64 == 0;
    if is_one {
        read
    } else {
        object.offset
    }
}

/// A page of the table, if that is within the arena; else the table itself.
fn start_of_a_page(arena: &Arena, table: &Handle) -> u64 {
    let first = match arena.body_of::<TableBody>(table) {
        Ok(body) => body.pages.load(Ordering::Relaxed),
        Err(_) => 0,
    };
    if arena.tag_of(first).is_some() && first % 512 == 0 {
        first
    } else {
        table.offset
    }
}

/// Do all that can be done.
fn exercise(arena: &Arena, objects: &[(Kind, Handle)], random: &mut Random) {
    for _ in 0..40 {
        let (kind, handle) = &objects[random.below(objects.len() as u64) as usize];
        match random.below(10) {
            0 => drop(arena.make(*kind, 1 << random.below(17), Some("new"), &mut go_on)),
            1 => drop(arena.attach(handle.offset, handle.generation, *kind, &mut go_on)),
            2 => drop(arena.release(handle, &mut go_on)),
            3 => drop(arena.sweep(&mut go_on)),
            4 => drop(arena.prepare_fork(&mut go_on)),
            5 => look(arena, handle),
            6 => leave_a_dead_process(arena, objects, random.below(2) == 0),
            _ => drop(use_object(arena, *kind, handle)),
        }
    }
    for (kind, handle) in objects {
        drop(use_object(arena, *kind, handle));
        look(arena, handle);
        drop(arena.release(handle, &mut go_on));
    }
}

fn look(arena: &Arena, handle: &Handle) {
    drop(arena.account(&mut go_on));
    drop(arena.bytes_of(handle, true));
    drop(arena.size_of(handle));
    drop(arena.name_of(handle.offset));
    for waiting in arena.waiting(0) {
        drop(arena.see(waiting.process));
        drop(arena.fate(waiting.process, &mut go_on));
    }
    drop(arena.process_ended(1 << 22, None, &mut go_on));
    drop(arena.see(ProcessId(handle.generation)));
}

fn use_object(arena: &Arena, kind: Kind, handle: &Handle) -> crate::arena::Result<()> {
    let offset = handle.offset;
    let who = Who {
        process: arena.me(),
        thread: 1,
    };
    match kind {
        Kind::Lock | Kind::RLock => {
            let body: &LockBody = arena.body_of(handle)?;
            let mut wait = LockWait::new(arena, body, offset, who, SHORT);
            until_done(|| wait.step())?;
            drop(wait);
            let _ = body.try_acquire_again(who);
            let _ = body.release_once(who);
            let _ = body.release();
        }
        Kind::Semaphore => {
            let body: &SemaphoreBody = arena.body_of(handle)?;
            let holds = Holds::of(arena, body, offset)?;
            let mut wait = SemaphoreWait::new(arena, body, holds, offset, 1, SHORT);
            until_done(|| wait.step())?;
            let _ = body.release();
            holds.map_or(Ok(true), |holds| holds.release())?;
        }
        Kind::Condition => {
            let body: &ConditionBody = arena.body_of(handle)?;
            let mut wait = ConditionWait::new(arena, body, offset, 1, SHORT)?;
            notify(arena, offset, 1);
            until_done(|| wait.step())?;
            notify(arena, offset, usize::MAX);
        }
        Kind::Event => {
            let body: &EventBody = arena.body_of(handle)?;
            let mut wait = EventWait::new(arena, body, offset, 1, SHORT);
            until_done(|| wait.step())?;
            body.set();
            body.clear();
        }
        Kind::Barrier => {
            let body: &BarrierBody = arena.body_of(handle)?;
            let barrier = Barrier { arena, body, offset };
            let mut wait = BarrierWait::new(barrier, 1, SHORT)?;
            if let Some(Passed::Last(_)) = until_done(|| wait.step())? {
                let _ = barrier.open(wait.cycle())?;
            }
            barrier.reset()?;
            BarrierWait::new(barrier, 1, SHORT)?.leave()?;
            barrier.abort()?;
        }
        Kind::Channel => {
            let channel = channel(arena, handle)?;
            let mut wait = PutWait::new(channel, 1, SHORT);
            until_done(|| wait.step(Message::Bytes(0, &[1; 200])))?;
            drop(wait);
            put_block(arena, channel)?;
            for _ in 0..4 {
                let mut wait = GetWait::new(channel, 1, SHORT, Vec::new());
                if let Some(Got::Block(_, block)) = until_done(|| wait.step())? {
                    let bytes = arena.bytes_of(&block, true);
                    arena.release(&block, &mut go_on)?;
                    drop(bytes?);
                }
            }
            let _ = channel.task_done();
        }
        Kind::Table => {
            for key in [3, 4, 7, 40, 500, 999] {
                use_table(arena, handle, key)?;
            }
        }
        Kind::List => {
            for number in [2, 3, 10, 41, 77, 999] {
                use_list(arena, handle, number)?;
            }
        }
        _ => drop(arena.bytes_of(handle, true)?),
    }
    Ok(())
}

fn until_done<T>(mut step: impl FnMut() -> crate::arena::Result<Step<T>>) -> crate::arena::Result<Option<T>> {
    loop {
        match step()? {
            Step::Done(done) => return Ok(Some(done)),
            Step::TimedOut => return Ok(None),
            Step::GoOn => {}
        }
    }
}

fn run(seed: u64) -> End {
    let child = Child::fork(|| {
        limit_address_space(ADDRESS_SPACE_BYTES);
        let mut random = Random(seed);
        let arena = Arena::create(Some(MEMORY_BYTES / 2)).expect("an arena");
        arena.register("fuzzed", &mut go_on).expect("a record");
        let objects = make_objects(&arena);
        leave_a_dead_process(&arena, &objects, false);
        corrupt(&arena, &objects, &mut random);
        exercise(&arena, &objects, &mut random);
        let file = arena.descriptor().expect("open");
        let blocks = rustix::fs::fstat(file).expect("a file").st_blocks as u64;
        assert!(blocks * 512 <= MEMORY_BYTES, "{blocks} blocks");
        0
    });
    child.join(HANG_SECONDS)
}

#[test]
fn a_corrupted_arena_leads_to_errors_and_nothing_worse() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (first, count) = (number("CORRUPTION_SEED", 1), number("CORRUPTION_COUNT", 200));
    let failed: Vec<(u64, End)> = (first..first + count)
        .map(|seed| (seed, run(seed)))
        .filter(|(_, end)| *end != End::Exited(0))
        .collect();
    assert!(failed.is_empty(), "CORRUPTION_SEED: {failed:?}");
}
