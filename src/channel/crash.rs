//! Proof of crash safety: a process puts or gets and is killed at each of its instructions in turn (`crash.rs`).

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod claims;
mod descriptors;

use rustix::io::{pread, pwrite};

use super::layout::{ChannelBody, FIRST_SEGMENT, LONGEST};
use super::sizes;
use super::{Channel, GetWait, Got, Message, Put};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::atomics::{AtomicU32, Ordering};
use crate::crash::{enter, session, until_done, wait_until, HANG, HANG_SECONDS};
use crate::sync::patience::Patience;
use crate::sync::side::Held;
use crate::sys::line::Line;
use crate::sys::step::{kill_at_instructions, Child, End};

const SIZE: u64 = size_of::<ChannelBody>() as u64;
const BLOCK_BYTES: u64 = 100_000;

/// A channel of its own in an arena.
struct Scene<'a> {
    arena: &'a Arena,
    channel: Handle,
    line: Option<Line>,
}

impl<'a> Scene<'a> {
    fn new(arena: &'a Arena) -> Self {
        let channel = arena.make(Kind::Channel, SIZE, None, &mut go_on).expect("a channel");
        Self {
            arena,
            channel,
            line: None,
        }
    }

    /// One for so many units of 8 bytes.
    fn bounded(arena: &'a Arena, most_units: u64) -> Self {
        let scene = Self::new(arena);
        scene.face().body.most_units.store(most_units, Ordering::Relaxed);
        scene
    }

    fn face(&self) -> Channel<'a> {
        Channel {
            arena: self.arena,
            body: self.arena.body_of(&self.channel).expect("a body"),
            offset: self.channel.offset,
            line: self.line,
        }
    }

    fn lock(&self, side: &'static AtomicU32) -> Held {
        let mut patience = Patience::with_owner(None);
        until_done(|| Held::lock(self.arena, side, &mut patience)).expect("the lock")
    }

    fn put(&self, message: Message<'_>) {
        let face = self.face();
        let producers = self.lock(&face.body.put_lock);
        assert_eq!(face.put(&producers, message).expect("no error"), Put::Done);
        drop(producers);
        face.announce_arrival();
    }

    /// Put a message that is a number, with so many bytes in all.
    fn put_number(&self, number: u8, length: usize) {
        self.put(Message::Bytes(0, &vec![number; length]));
    }

    fn put_block(&self, number: u8) {
        let block = self
            .arena
            .make_to_write(Kind::Memory, BLOCK_BYTES, &mut go_on)
            .expect("memory");
        let bytes = self.arena.bytes_of(&block, true).expect("bytes");
        let file = self.arena.descriptor().expect("open");
        let written = pwrite(file, &vec![number; bytes.size as usize], bytes.position);
        assert_eq!(written, Ok(BLOCK_BYTES as usize));
        self.put(Message::Block(0, &block));
        self.arena.release(&block, &mut go_on).expect("released");
    }

    fn get(&self) -> Option<u8> {
        let face = self.face();
        let consumers = self.lock(&face.body.get_lock);
        let mut bytes = Vec::new();
        let got = face.get(&consumers, &mut bytes).expect("no error");
        drop(consumers);
        face.announce_departure();
        let number = match got {
            Got::Empty | Got::Shut | Got::BlockAhead => return None,
            Got::Bytes(_) => bytes.first().copied(),
            Got::Block(_, block) => {
                let there = self.arena.bytes_of(&block, true).expect("bytes");
                bytes.resize(there.size as usize, 0);
                let read = pread(self.arena.descriptor().expect("open"), &mut bytes, there.position);
                assert_eq!(read, Ok(BLOCK_BYTES as usize));
                self.arena.release(&block, &mut go_on).expect("released");
                bytes.first().copied()
            }
        };
        assert!(bytes.iter().all(|byte| Some(*byte) == number), "whole");
        number
    }

    /// What is there, which then is nothing; and nothing is in the arena but the channel.
    fn drain(&self, dead: u32) -> Vec<u8> {
        let numbers: Vec<u8> = std::iter::from_fn(|| self.get()).collect();
        self.arena.process_ended(dead, Some(9), &mut go_on).expect("buried");
        self.put_number(99, 10);
        assert_eq!((self.get(), self.get()), (Some(99), None));
        let account = self.arena.account(&mut go_on).expect("a heap in order");
        assert_eq!((account.objects, account.references), (1, 1));
        numbers
    }

    /// Drain it, and be no more.
    fn end(self, dead: u32) -> Vec<u8> {
        let numbers = self.drain(dead);
        self.arena.release(&self.channel, &mut go_on).expect("released");
        numbers
    }
}

/// What a victim does.
fn put(face: Channel<'_>, message: Message<'_>) {
    let producers = face.try_producers().expect("free");
    assert_eq!(face.put(&producers, message).expect("no error"), Put::Done);
    drop(producers);
    face.announce_arrival();
}

/// What a victim does.
fn get(face: Channel<'_>, into: &mut Vec<u8>) -> Got {
    let consumers = face.try_consumers().expect("free");
    let got = face.get(&consumers, into).expect("no error");
    drop(consumers);
    face.announce_departure();
    got
}

/// Fill the first segment but for less than `left` bytes.
fn fill(scene: &Scene, left: usize) {
    let mut room = FIRST_SEGMENT as usize - 16;
    while room > left + 8 {
        let length = (room - left - 8).min(1000);
        scene.put_number(50, length);
        room -= 8 + length.next_multiple_of(8);
    }
}

#[test]
fn messages_arrive_in_order_whole_and_once() {
    let arena = session();
    let scene = Scene::new(&arena);
    for length in [0, 1, 8, 9, 5000, LONGEST] {
        for number in 0..40 {
            scene.put_number(number, length.max(1));
            if number % 3 == 0 {
                scene.put_block(100);
            }
        }
        for number in 0..40 {
            assert_eq!(scene.get(), Some(number));
            if number % 3 == 0 {
                assert_eq!(scene.get(), Some(100));
            }
        }
        assert_eq!(scene.drain(0), [0_u8; 0]);
    }
}

#[test]
fn a_channel_leaves_nothing() {
    let arena = session();
    let scene = Scene::new(&arena);
    for number in 0..200 {
        scene.put_number(number, 9000);
        scene.put_block(number);
    }
    scene.arena.release(&scene.channel, &mut go_on).expect("released");
    let account = scene.arena.account(&mut go_on).expect("in order");
    assert_eq!((account.objects, account.live_blocks, account.spans), (0, 1, 0));
}

#[test]
fn a_message_is_put_whole_or_not_wherever_its_producer_is_killed() {
    let arena = session();
    // In the room there is; where there is none.
    for (left, length) in [(2000, 20), (16, 20)] {
        kill_at_instructions(
            || {
                let scene = Scene::new(&arena);
                fill(&scene, left);
                scene
            },
            |scene| {
                enter(scene.arena);
                (scene.face(), vec![1; length])
            },
            |(face, bytes)| put(face, Message::Bytes(0, &bytes)),
            |scene, pid| {
                scene.put_number(2, 30);
                let numbers = scene.end(pid);
                let rest: Vec<u8> = numbers.into_iter().filter(|number| *number != 50).collect();
                assert!(rest == [1, 2] || rest == [2], "{rest:?}");
            },
        );
    }
}

#[test]
fn a_message_is_got_once_wherever_its_consumer_is_killed() {
    let arena = session();
    // In the middle of a segment; where the next one begins, which makes the old one spare, or frees it.
    for (before, length) in [(0, 20), (7, 500), (134, 500)] {
        kill_at_instructions(
            || {
                let scene = Scene::new(&arena);
                for number in 0..before + 3 {
                    scene.put_number(number, length);
                }
                for number in 0..before {
                    assert_eq!(scene.get(), Some(number));
                }
                scene
            },
            |scene| {
                enter(scene.arena);
                (scene.face(), Vec::with_capacity(LONGEST))
            },
            |(face, mut bytes)| drop(get(face, &mut bytes)),
            |scene, pid| {
                let numbers = scene.end(pid);
                let all = [before, before + 1, before + 2];
                assert!(numbers == all || numbers == all[1..], "{numbers:?}");
            },
        );
    }
}

#[test]
fn a_channel_knows_how_many_bytes_it_has_wherever_its_producer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::bounded(&arena, 12);
            scene.put_number(0, 24);
            scene
        },
        |scene| {
            enter(scene.arena);
            scene.face()
        },
        |face| put(face, Message::Bytes(0, &[1; 24])),
        |scene, pid| {
            let face = scene.face();
            assert_eq!(sizes::units(face.body), Some(4 * face.len()));
            scene.put_number(2, 24);
            assert_eq!(sizes::units(face.body), Some(4 * face.len()));
            let numbers = scene.end(pid);
            assert!(numbers == [0, 1, 2] || numbers == [0, 2], "{numbers:?}");
        },
    );
}

#[test]
fn a_channel_knows_how_many_bytes_it_has_wherever_its_consumer_is_killed() {
    let arena = session();
    // A message counts for what its block has, if it lies in one.
    for (is_block, units) in [(false, 4), (true, BLOCK_BYTES as u32 / 8)] {
        kill_at_instructions(
            || {
                let scene = Scene::bounded(&arena, 3 * u64::from(units));
                for number in 0..3 {
                    if is_block {
                        scene.put_block(number);
                    } else {
                        scene.put_number(number, 24);
                    }
                }
                scene
            },
            |scene| {
                enter(scene.arena);
                (scene.face(), Vec::with_capacity(LONGEST))
            },
            |(face, mut bytes)| {
                if let Got::Block(_, block) = get(face, &mut bytes) {
                    face.arena.release(&block, &mut go_on).expect("released");
                }
            },
            |scene, pid| {
                let face = scene.face();
                for number in 3 - face.len() as u8..3 {
                    assert_eq!(sizes::units(face.body), Some(face.len() * units));
                    assert_eq!(scene.get(), Some(number));
                }
                assert_eq!(scene.end(pid), [0_u8; 0]);
            },
        );
    }
}

#[test]
fn a_block_is_put_whole_or_not_wherever_its_producer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || Scene::new(&arena),
        |scene| {
            enter(scene.arena);
            let block = scene
                .arena
                .make_to_write(Kind::Memory, BLOCK_BYTES, &mut go_on)
                .expect("memory");
            (scene.face(), block)
        },
        |(face, block)| {
            put(face, Message::Block(0, &block));
            face.arena.release(&block, &mut go_on).expect("released");
        },
        |scene, pid| {
            scene.put_block(2);
            let numbers = scene.end(pid);
            // The victim's block was not written: what is in it is of before.
            let is_all = numbers.len() <= 2 && numbers.last() == Some(&2);
            assert!(is_all, "{numbers:?}");
        },
    );
}

#[test]
fn a_block_is_got_once_wherever_its_consumer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::new(&arena);
            scene.put_block(1);
            scene.put_block(2);
            scene
        },
        |scene| {
            enter(scene.arena);
            scene.face()
        },
        |face| {
            let got = get(face, &mut Vec::new());
            let Got::Block(_, block) = got else { panic!("{got:?}") };
            face.arena.release(&block, &mut go_on).expect("released");
        },
        |scene, pid| {
            scene.put_block(3);
            let numbers = scene.end(pid);
            assert!(numbers == [1, 2, 3] || numbers == [2, 3], "{numbers:?}");
        },
    );
}

#[test]
fn a_consumer_that_sleeps_gets_what_comes_wherever_a_producer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::new(&arena);
            let waiter = Child::fork(|| {
                enter(scene.arena);
                let mut wait = GetWait::new(scene.face(), 1, Some(HANG), Vec::new());
                let got = until_done(|| wait.step());
                let number = wait.take().first().copied();
                i32::from(matches!(got, Some(Got::Bytes(_)))) * i32::from(number.unwrap_or_default())
            });
            wait_until(|| scene.arena.waiting(scene.channel.offset).count() == 1);
            (scene, waiter)
        },
        |(scene, _)| {
            enter(scene.arena);
            scene.face()
        },
        |face| put(face, Message::Bytes(0, &[1; 20])),
        |(scene, waiter), pid| {
            scene.put_number(2, 20);
            let waiter_pid = waiter.pid();
            let End::Exited(first) = waiter.join(HANG_SECONDS) else {
                panic!("the waiter hangs");
            };
            scene
                .arena
                .process_ended(waiter_pid, Some(0), &mut go_on)
                .expect("buried");
            let rest = scene.end(pid);
            assert!(
                (first, rest.as_slice()) == (1, &[2]) || (first, rest.as_slice()) == (2, &[]),
                "{first} {rest:?}"
            );
        },
    );
}

#[test]
fn a_stopped_owner_is_waited_for_and_a_dead_one_is_not() {
    let arena = session();
    let scene = Scene::new(&arena);
    let face = scene.face();
    let mine = face.try_producers().expect("free");
    let mut patience = Patience::with_owner(Some(std::time::Duration::from_millis(30)));
    let second = until_done(|| Held::lock(scene.arena, &face.body.put_lock, &mut patience));
    assert!(second.is_none(), "its owner lives");
    drop(mine);
    let owner = Child::fork(|| {
        enter(scene.arena);
        std::mem::forget(scene.face().try_producers());
        0
    });
    assert_eq!(owner.join(HANG_SECONDS), End::Exited(0));
    let mut patience = Patience::with_owner(Some(HANG));
    let mut steps = || Held::lock(scene.arena, &face.body.put_lock, &mut patience);
    assert!(until_done(&mut steps).is_some());
}
