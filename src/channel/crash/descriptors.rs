//! Who waits by a descriptor hears of every message, and of none that there is not.

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::sys::descriptor::borrow;
use crate::sys::poll::readable;

fn is_readable(number: RawFd) -> bool {
    readable(borrow(number).expect("a number"), Some(Duration::ZERO)).expect("no error")
}

#[test]
fn who_listens_hears_of_what_comes_wherever_a_producer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::new(&arena);
            let face = scene.face();
            let producers = face.try_producers().expect("free");
            let listener = face.listen_for_arrivals(&producers).expect("a box");
            (scene, listener)
        },
        |(scene, _)| {
            enter(scene.arena);
            scene.face()
        },
        |face| put(face, Message::Bytes(0, &[1; 20])),
        |(scene, listener), pid| {
            let is_heard = || is_readable(listener.descriptor(&arena).expect("open"));
            assert!(is_heard() || scene.face().is_empty());
            let numbers: Vec<u8> = std::iter::from_fn(|| scene.get()).collect();
            assert!(numbers == [1] || numbers == [0_u8; 0], "{numbers:?}");
            let silence = || {
                let face = scene.face();
                face.silence_arrivals(&scene.lock(&face.body.put_lock), &listener);
            };
            silence();
            assert!(!is_heard(), "there is nothing");
            scene.put_number(2, 20);
            silence();
            assert!(is_heard(), "there is something");
            assert_eq!(scene.end(pid), [2]);
        },
    );
}

#[test]
fn who_listens_hears_of_what_comes_wherever_another_one_is_killed_that_begins_to() {
    let arena = session();
    kill_at_instructions(
        || {
            let scene = Scene::new(&arena);
            let face = scene.face();
            let listener = face.listen_for_arrivals(&scene.lock(&face.body.put_lock));
            scene.put_number(1, 20);
            (scene, listener.expect("a box"))
        },
        |(scene, _)| {
            enter(scene.arena);
            scene.face()
        },
        |face| {
            let producers = face.try_producers().expect("free");
            drop(face.listen_for_arrivals(&producers).expect("a box"));
        },
        |(scene, listener), pid| {
            let is_heard = || is_readable(listener.descriptor(&arena).expect("open"));
            assert!(is_heard(), "there is something");
            assert_eq!(scene.get(), Some(1));
            let face = scene.face();
            face.silence_arrivals(&scene.lock(&face.body.put_lock), &listener);
            assert!(!is_heard(), "there is nothing");
            scene.put_number(2, 20);
            assert!(is_heard(), "there is something");
            let late = face
                .listen_for_arrivals(&scene.lock(&face.body.put_lock))
                .expect("a box");
            assert!(is_readable(late.descriptor(&arena).expect("open")));
            assert_eq!(scene.end(pid), [2]);
        },
    );
}

/// A pipe.
struct Pipe<'a> {
    scene: Scene<'a>,
    reader: UnixStream,
    _writer: UnixStream,
}

impl<'a> Pipe<'a> {
    fn new(arena: &'a Arena) -> Self {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        let mut scene = Scene::new(arena);
        scene.line = Some(Line {
            number: writer.as_raw_fd(),
            is_socket: true,
        });
        Self {
            scene,
            reader,
            _writer: writer,
        }
    }

    fn is_readable(&self) -> bool {
        is_readable(self.reader.as_raw_fd())
    }

    fn reading(&self) -> Line {
        Line {
            number: self.reader.as_raw_fd(),
            is_socket: true,
        }
    }

    /// Whatever was: have it silent, and hear of the next message.
    fn end(self, dead: u32) {
        let (scene, face) = (&self.scene, self.scene.face());
        face.silence_line(&scene.lock(&face.body.put_lock), self.reading());
        assert!(!self.is_readable(), "there is nothing");
        scene.put_number(2, 20);
        assert!(self.is_readable(), "there is something");
        face.silence_line(&scene.lock(&face.body.put_lock), self.reading());
        assert!(self.is_readable(), "there is something");
        assert_eq!(self.scene.end(dead), [2]);
    }
}

#[test]
fn a_line_is_readable_when_there_is_a_message_wherever_a_producer_is_killed() {
    let arena = session();
    kill_at_instructions(
        || Pipe::new(&arena),
        |pipe| {
            enter(pipe.scene.arena);
            pipe.scene.face()
        },
        |face| put(face, Message::Bytes(0, &[1; 20])),
        |pipe, pid| {
            assert!(pipe.is_readable() || pipe.scene.face().is_empty());
            pipe.scene.put_number(2, 20);
            assert!(pipe.is_readable(), "there is something");
            let numbers: Vec<u8> = std::iter::from_fn(|| pipe.scene.get()).collect();
            assert!(numbers == [1, 2] || numbers == [2], "{numbers:?}");
            pipe.end(pid);
        },
    );
}

#[test]
fn a_line_is_readable_when_there_is_a_message_wherever_one_is_killed_that_has_it_silent() {
    let arena = session();
    kill_at_instructions(
        || {
            let pipe = Pipe::new(&arena);
            pipe.scene.put_number(1, 20);
            assert_eq!(pipe.scene.get(), Some(1));
            pipe
        },
        |pipe| {
            enter(pipe.scene.arena);
            (pipe.scene.face(), pipe.reading())
        },
        |(face, reading)| face.silence_line(&face.try_producers().expect("free"), reading),
        |pipe, pid| {
            pipe.scene.put_number(1, 20);
            assert!(pipe.is_readable(), "there is something");
            assert_eq!(pipe.scene.get(), Some(1));
            pipe.end(pid);
        },
    );
}
