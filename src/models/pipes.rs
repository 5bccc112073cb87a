//! The line of a pipe: readable whenever there is a message, so that nobody sleeps there in vain.

use super::*;
use crate::channel::layout::ChannelBody;
use crate::channel::{Arrival, Channel, Got, LineWait, Message, Put};
use crate::sys::line::{self, Line};

const LINE: Line = Line {
    number: 3,
    is_socket: false,
};

/// A pipe, of which a thread has both ends.
#[derive(Clone)]
struct Scene {
    arena: Arc<Arena>,
    body: &'static ChannelBody,
}

impl Scene {
    /// A pipe that was used, and listens.
    fn new() -> Self {
        let arena = session();
        let body = arena.body(OBJECT).expect("a body");
        let scene = Self { arena, body };
        scene.put(0);
        assert_eq!(scene.try_get(), Some(0));
        scene
    }

    fn face(&self) -> Channel<'_> {
        Channel {
            arena: &self.arena,
            body: self.body,
            offset: OBJECT,
            line: Some(LINE),
        }
    }

    /// Put a message as `Connection.send` does, by the only producer.
    fn put(&self, number: u8) {
        let face = self.face();
        let producers = lock_side(&self.arena, &self.body.put_lock);
        let put = face.put(&producers, Message::Bytes(1, &[number; 3]));
        assert_eq!(put.expect("no error"), Put::Done);
    }

    fn try_get(&self) -> Option<u8> {
        let face = self.face();
        let consumers = face.try_consumers()?;
        let mut bytes = Vec::new();
        let got = face.get(&consumers, &mut bytes).expect("no error");
        matches!(got, Got::Bytes(1)).then(|| bytes[0])
    }

    /// Have the line silent, if nobody puts just now.
    fn silence(&self) {
        let face = self.face();
        if face.line_is_loud() {
            if let Some(producers) = face.try_producers() {
                face.silence_line(&producers, LINE);
            }
        }
    }

    /// Get a message as `Connection.recv` does; nothing: the end.
    fn get(&self, thread: u64) -> Option<u8> {
        let mut wait = LineWait::new(self.face(), LINE, thread, None);
        loop {
            if let Some(number) = self.try_get() {
                self.silence();
                return Some(number);
            }
            drop(lock_side(&self.arena, &self.body.get_lock)); // somebody else may have it
            if until_done(|| wait.step()) == Some(Arrival::End) {
                return None;
            }
        }
    }
}

#[test]
fn who_waits_at_a_line_gets_all_messages_and_then_the_end() {
    model(|| {
        let scene = Scene::new();
        let writer = scene.clone();
        let puts = thread::spawn(move || {
            writer.put(1);
            writer.put(2);
            line::end();
        });
        assert_eq!([(); 3].map(|()| scene.get(1)), [Some(1), Some(2), None]);
        puts.join().expect("no panic");
    });
}

#[test]
fn of_two_who_share_an_end_one_gets_the_message_and_the_other_one_the_end() {
    large_model(|| {
        let scene = Scene::new();
        let (reader, writer) = (scene.clone(), scene.clone());
        let gets = thread::spawn(move || reader.get(2));
        let puts = thread::spawn(move || {
            writer.put(1);
            line::end();
        });
        let got = (scene.get(1), gets.join().expect("no panic"));
        assert!(got == (Some(1), None) || got == (None, Some(1)), "{got:?}");
        puts.join().expect("no panic");
    });
}

#[test]
fn a_line_is_readable_whenever_there_is_a_message_also_while_others_have_it_silent() {
    model(|| {
        let scene = Scene::new();
        scene.face().listen_to_line();
        scene.silence();
        let (reader, other) = (scene.clone(), scene.clone());
        let look = || LINE.look(Duration::ZERO).expect("a look").is_readable;
        let reads = thread::spawn(move || {
            let is_there = !reader.face().is_empty();
            assert!(look() || !is_there);
            if let Some(got) = reader.try_get() {
                assert_eq!(got, 1);
                reader.silence();
            }
            let is_there = !reader.face().is_empty();
            assert!(look() || !is_there);
        });
        let silences = thread::spawn(move || other.silence());
        scene.put(1);
        scene.put(2);
        reads.join().expect("no panic");
        silences.join().expect("no panic");
        assert!(look());
        while scene.try_get().is_some() {}
        scene.silence();
        assert!(!look());
    });
}
