//! Channels: that messages arrive whole, once and in order, and that nobody sleeps while there is something for it.

use super::*;
use crate::channel::layout::{ChannelBody, LONGEST};
use crate::channel::position::Position;
use crate::channel::{Channel, GetWait, Got, Message, Put, PutWait, Until};
use crate::sys::futex;
use crate::sys::guarded::Guarded;

/// What each message of a few bytes counts for where bytes are bounded.
const UNITS: u64 = 2;

/// A channel as a thread has it.
#[derive(Clone)]
struct Scene {
    arena: Arc<Arena>,
    body: &'static ChannelBody,
}

impl Scene {
    /// A channel that may have so many messages, and so many units of 8 bytes; 0: any number.
    fn new(capacity: u32, most_units: u64) -> Self {
        let arena = session();
        let body: &ChannelBody = arena.body(OBJECT).expect("a body");
        body.capacity.store(capacity, Ordering::Relaxed);
        body.most_units.store(most_units, Ordering::Relaxed);
        Self { arena, body }
    }

    /// One with a segment already.
    fn used(capacity: u32, most_units: u64) -> Self {
        let scene = Self::new(capacity, most_units);
        scene.put(0);
        assert_eq!(scene.get(1), 0);
        scene
    }

    fn face(&self) -> Channel<'_> {
        Channel {
            arena: &self.arena,
            body: self.body,
            offset: OBJECT,
            line: None,
        }
    }

    /// Put a message if that can be done at once, as who has the GIL does.
    fn try_put(&self, bytes: &[u8]) -> Option<Put> {
        let face = self.face();
        let producers = face.try_producers()?;
        let put = face.put(&producers, Message::Bytes(1, bytes)).expect("no error");
        self.assert_bounded();
        drop(producers);
        if put == Put::Done {
            face.announce_arrival();
        }
        Some(put)
    }

    /// With the producers' lock: who put just now has seen no head that is newer than the one here.
    fn assert_bounded(&self) {
        let head = Position(self.body.head.load(Ordering::Relaxed));
        let tail = Position(self.body.tail.load(Ordering::Relaxed));
        let capacity = self.body.capacity.load(Ordering::Relaxed);
        assert!(capacity == 0 || tail.messages_since(head) <= capacity);
        let units = tail.units().wrapping_sub(head.units());
        let most = self.body.most_units.load(Ordering::Relaxed);
        assert!(
            most == 0 || u64::from(units) < most + UNITS,
            "one message at most goes beyond the bound"
        );
    }

    fn put_bytes(&self, bytes: &[u8], thread: u64) -> Put {
        match self.try_put(bytes) {
            Some(put @ (Put::Done | Put::Shut)) => put,
            Some(Put::Full) | None => {
                let mut wait = PutWait::new(self.face(), thread, None);
                until_done(|| wait.step(Message::Bytes(1, bytes))).expect("in the end")
            }
        }
    }

    fn put_in(&self, number: u8, thread: u64) {
        assert_eq!(self.put_bytes(&[number; 3], thread), Put::Done);
    }

    fn put(&self, number: u8) {
        self.put_in(number, 1);
    }

    /// Get a message if that can be done at once.
    fn try_get(&self, into: &mut Vec<u8>) -> Option<Got> {
        let face = self.face();
        let consumers = face.try_consumers()?;
        // As Python does.
        let got = match face.short_ahead(&consumers) {
            Some(ahead) => {
                face.arena
                    .file
                    .read(ahead.place, ahead.length, into)
                    .expect("it is there");
                face.take_short(&consumers, ahead).expect("no error");
                Got::Bytes(ahead.kind)
            }
            None => face.get(&consumers, into).expect("no error"),
        };
        drop(consumers);
        if matches!(got, Got::Bytes(_)) {
            face.announce_departure();
        }
        Some(got)
    }

    /// Get a message, or nothing when there will be none.
    fn get_or_end(&self, thread: u64) -> Option<u8> {
        let mut bytes = Vec::new();
        let mut got = self.try_get(&mut bytes);
        if !matches!(got, Some(Got::Bytes(_) | Got::Shut)) {
            let mut wait = GetWait::new(self.face(), thread, None, bytes);
            got = until_done(|| wait.step());
            bytes = wait.take();
        }
        match got.expect("in the end") {
            Got::Bytes(kind) => {
                assert!(
                    kind == 1 && bytes.len() >= 3 && bytes.iter().all(|byte| *byte == bytes[0]),
                    "{bytes:?}"
                );
                Some(bytes[0])
            }
            Got::Shut => None,
            got => panic!("{got:?}"),
        }
    }

    fn get(&self, thread: u64) -> u8 {
        self.get_or_end(thread).expect("not shut")
    }
}

#[test]
fn a_side_is_had_by_one_at_a_time_and_nobody_is_forgotten() {
    model(|| {
        let (scene, guarded) = (Scene::new(0, 0), Arc::new(Guarded::default()));
        let number = guarded.clone();
        let first = lock_side(&scene.arena, &scene.body.put_lock);
        let lock = move || {
            let _side = lock_side(&scene.arena, &scene.body.put_lock);
            number.add_one();
        };
        let waits = thread::spawn(lock.clone());
        let again = lock.clone();
        let had_it_first = thread::spawn(move || {
            drop(first);
            again();
        });
        lock();
        waits.join().expect("no panic");
        had_it_first.join().expect("no panic");
        assert_eq!(guarded.add_one(), 4);
    });
}

#[test]
fn messages_arrive_whole_in_order_and_once() {
    model(|| {
        let scene = Scene::new(0, 0);
        let producer = scene.clone();
        let puts = thread::spawn(move || {
            producer.put(1);
            producer.put(2);
        });
        assert_eq!((scene.get(2), scene.get(2)), (1, 2));
        puts.join().expect("no panic");
        assert!(scene.face().is_empty());
    });
}

#[test]
fn messages_find_their_way_through_segments_that_come_and_go() {
    model(|| {
        let scene = Scene::new(0, 0);
        // Of these three lie in a segment. Number 1 lies in the one that is read still, 2 in the next one.
        let bytes = |number| vec![number; LONGEST];
        for number in [0, 0, 1, 2, 3] {
            assert_eq!(scene.put_bytes(&bytes(number), 1), Put::Done);
        }
        assert_eq!((scene.get(1), scene.get(1), scene.get(1)), (0, 0, 1));
        let producer = scene.clone();
        let puts = thread::spawn(move || {
            for number in [4, 5] {
                assert_eq!(producer.put_bytes(&bytes(number), 2), Put::Done);
            }
        });
        assert_eq!((scene.get(1), scene.get(1)), (2, 3));
        puts.join().expect("no panic");
        assert_eq!((scene.get(1), scene.get(1)), (4, 5));
    });
}

#[test]
fn each_message_of_two_producers_arrives_once_and_in_its_producers_order() {
    model(|| {
        let scene = Scene::used(0, 0);
        let puts = [(2, vec![10]), (3, vec![20, 21])].map(|(thread, numbers)| {
            let producer = scene.clone();
            thread::spawn(move || numbers.into_iter().for_each(|number| producer.put_in(number, thread)))
        });
        let got = [(); 3].map(|()| scene.get(1));
        assert!([[10, 20, 21], [20, 10, 21], [20, 21, 10]].contains(&got), "{got:?}");
        for puts in puts {
            puts.join().expect("no panic");
        }
    });
}

#[test]
fn each_of_two_consumers_gets_one_of_two_messages() {
    large_model(|| {
        let scene = Scene::used(0, 0);
        let (consumer, producer) = (scene.clone(), scene.clone());
        let gets = thread::spawn(move || consumer.get(2));
        let puts = thread::spawn(move || {
            producer.put_in(1, 3);
            producer.put_in(2, 3);
        });
        let got = (scene.get(1), gets.join().expect("no panic"));
        assert!(got == (1, 2) || got == (2, 1), "{got:?}");
        puts.join().expect("no panic");
    });
}

#[test]
fn there_never_are_more_messages_than_may_be_and_whoever_waits_for_room_gets_it() {
    large_model(|| {
        let scene = Scene::used(1, 0);
        let puts = [(2, vec![10]), (3, vec![20, 21])].map(|(thread, numbers)| {
            let producer = scene.clone();
            thread::spawn(move || numbers.into_iter().for_each(|number| producer.put_in(number, thread)))
        });
        let got = [(); 3].map(|()| scene.get(1));
        assert!([[10, 20, 21], [20, 10, 21], [20, 21, 10]].contains(&got), "{got:?}");
        for puts in puts {
            puts.join().expect("no panic");
        }
    });
}

#[test]
fn a_channel_for_one_message_serves_as_a_lock() {
    model(|| {
        let (scene, guarded) = (Scene::used(1, 0), Arc::new(Guarded::default()));
        let run = move |thread| {
            scene.put_in(thread as u8, thread);
            guarded.add_one();
            assert_eq!(scene.get(thread), thread as u8);
        };
        let other = thread::spawn({
            let run = run.clone();
            move || run(2)
        });
        run(1);
        other.join().expect("no panic");
    });
}

#[test]
fn nothing_is_put_beyond_the_bound_of_bytes_and_whoever_waits_for_room_gets_it() {
    model(|| {
        let scene = Scene::used(0, UNITS);
        let producer = scene.clone();
        let puts = thread::spawn(move || {
            for number in 1..3 {
                producer.put_in(number, 2);
            }
        });
        assert_eq!((scene.get(1), scene.get(1)), (1, 2));
        puts.join().expect("no panic");
    });
}

#[test]
fn who_gives_up_waiting_for_a_message_takes_no_wake_from_others() {
    model(|| {
        let scene = Scene::used(0, 0);
        let (one, other) = (scene.clone(), scene.clone());
        let gives_up = thread::spawn(move || {
            futex::let_slices_end();
            let mut wait = GetWait::new(one.face(), 2, None, Vec::new());
            matches!(wait.step().expect("no error"), Step::Done(Got::Bytes(1)))
        });
        let puts = thread::spawn(move || {
            other.put_in(1, 3);
            if gives_up.join().expect("no panic") {
                other.put_in(2, 3);
            }
        });
        scene.get(1);
        puts.join().expect("no panic");
    });
}

#[test]
fn who_gives_up_waiting_for_room_takes_no_wake_from_others() {
    model(|| {
        let scene = Scene::used(1, 0);
        scene.put(1);
        let (one, other) = (scene.clone(), scene.clone());
        let gives_up = thread::spawn(move || {
            futex::let_slices_end();
            let mut wait = PutWait::new(one.face(), 2, None);
            let step = wait.step(Message::Bytes(1, &[2; 3])).expect("no error");
            matches!(step, Step::Done(Put::Done))
        });
        let waits = thread::spawn(move || other.put_in(3, 3));
        assert_eq!(scene.get(1), 1);
        if gives_up.join().expect("no panic") {
            scene.get(1);
        }
        waits.join().expect("no panic");
    });
}

fn a_wake_dies(slices_end: bool) {
    model(move || {
        let scene = Scene::used(0, 0);
        let consumer = scene.clone();
        let waits = thread::spawn(move || {
            if slices_end {
                futex::let_slices_end();
            }
            consumer.get(2)
        });
        futex::die();
        scene.put(1);
        assert_eq!(waits.join().expect("no panic"), 1);
    });
}

#[test]
fn a_look_after_a_slice_makes_up_for_the_wake_of_a_producer_that_died() {
    a_wake_dies(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_slices_the_wake_of_a_producer_that_died_would_be_missed() {
    a_wake_dies(false);
}

fn shut(scene: &Scene) {
    let face = scene.face();
    let [producers, consumers] = [&scene.body.put_lock, &scene.body.get_lock].map(|side| lock_side(&scene.arena, side));
    face.shut(&producers, &consumers).expect("nobody listens");
    drop((producers, consumers));
    face.announce_all();
}

#[test]
fn what_was_put_before_a_channel_was_shut_is_got_and_then_its_end() {
    model(|| {
        let scene = Scene::used(0, 0);
        let (one, other) = (scene.clone(), scene.clone());
        let puts = thread::spawn(move || one.put_bytes(&[1; 3], 2));
        let gets = thread::spawn(move || (other.get_or_end(3), other.get_or_end(3)));
        shut(&scene);
        let was_put = puts.join().expect("no panic") == Put::Done;
        assert_eq!(gets.join().expect("no panic"), (was_put.then_some(1), None));
    });
}

#[test]
fn who_waits_for_room_is_told_that_the_channel_was_shut() {
    model(|| {
        let scene = Scene::used(1, 0);
        scene.put(1);
        let producer = scene.clone();
        let puts = thread::spawn(move || producer.put_bytes(&[2; 3], 2));
        shut(&scene);
        assert_eq!(puts.join().expect("no panic"), Put::Shut);
        assert_eq!((scene.get_or_end(1), scene.get_or_end(1)), (Some(1), None));
    });
}

#[test]
fn who_waits_for_all_tasks_goes_on_when_they_are_done_and_sees_what_they_did() {
    model(|| {
        let (scene, work) = (Scene::new(0, 0), Arc::new(Guarded::default()));
        scene.put(1);
        scene.put(2);
        let (worker, done) = (scene.clone(), work.clone());
        let works = thread::spawn(move || {
            for number in [1, 2] {
                assert_eq!(worker.get(2), number);
                done.add_one();
                assert!(worker.face().task_done());
            }
        });
        let mut wait = Until::tasks_are_done(scene.face(), 1);
        until_done(|| wait.step()).expect("in the end");
        assert_eq!(work.add_one(), 3);
        works.join().expect("no panic");
        assert!(!scene.face().task_done(), "all were");
    });
}
