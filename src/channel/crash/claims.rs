//! A worker is killed anywhere from looking for a task to having replied: the task is there, or replied to, or the claim
//! says that it is lost; one of them, and of no other task.

use super::{Scene, BLOCK_BYTES};
use crate::arena::heap::go_on;
use crate::arena::tag::Kind;
use crate::arena::{Arena, Handle};
use crate::channel::claims::{Claim, ClaimBody};
use crate::channel::layout::Label;
use crate::channel::{Channel, Got, Message, Put};
use crate::crash::{enter, session};
use crate::sys::step::kill_at_instructions;

const FIRST: u32 = 41;

/// Tasks, replies, and a worker's claim.
struct Pool<'a> {
    arena: &'a Arena,
    tasks: Scene<'a>,
    replies: Scene<'a>,
    claim: Handle,
}

impl<'a> Pool<'a> {
    /// With two tasks, the first of them in a block or not.
    fn new(arena: &'a Arena, in_block: bool) -> Self {
        let size = size_of::<ClaimBody>() as u64;
        let pool = Self {
            arena,
            tasks: Scene::new(arena),
            replies: Scene::new(arena),
            claim: arena.make(Kind::Claim, size, None, &mut go_on).expect("a claim"),
        };
        if in_block {
            let block = arena
                .make_to_write(Kind::Memory, BLOCK_BYTES, &mut go_on)
                .expect("memory");
            pool.send(FIRST, Message::Block(0, &block));
            arena.release(&block, &mut go_on).expect("released");
        } else {
            pool.send(FIRST, Message::Bytes(0, &[1; 20]));
        }
        pool.send(FIRST + 1, Message::Bytes(0, &[2; 20]));
        pool
    }

    fn send(&self, number: u32, message: Message<'_>) {
        put(self.tasks.face(), number, message);
    }

    fn claim(&self) -> &'static ClaimBody {
        self.arena.body_of(&self.claim).expect("a body")
    }

    /// The labels of all messages of a channel, in their order, which then is empty.
    fn numbers(&self, scene: &Scene<'_>) -> Vec<u32> {
        let mut numbers = Vec::new();
        loop {
            let face = scene.face();
            let consumers = scene.lock(&face.body.get_lock);
            let (got, label) = face
                .get_labelled(&consumers, &mut Vec::new(), true, None)
                .expect("no error");
            drop(consumers);
            match got {
                Got::Bytes(_) => {}
                Got::Block(_, block) => self.arena.release(&block, &mut go_on).expect("released"),
                Got::Empty | Got::Shut | Got::BlockAhead => return numbers,
            }
            numbers.push(label.number);
        }
    }

    /// Say what became of the tasks, and leave nothing behind.
    fn end(self, dead: u32) {
        // In the order of who judges: the claim, what was taken, and then the replies.
        let lost = match self.claim().read() {
            Claim::Noted(task, message) if self.tasks.face().has_given(message) => Some(task),
            _ => None,
        };
        let replied = self.numbers(&self.replies);
        let lost = lost.filter(|task| !replied.contains(task));
        let left = self.numbers(&self.tasks);
        let all: Vec<u32> = replied.iter().copied().chain(lost).chain(left).collect();
        assert_eq!(all, [FIRST, FIRST + 1], "replied {replied:?}, lost {lost:?}");
        self.arena.process_ended(dead, Some(9), &mut go_on).expect("buried");
        for handle in [&self.tasks.channel, &self.replies.channel, &self.claim] {
            self.arena.release(handle, &mut go_on).expect("released");
        }
        let account = self.arena.account(&mut go_on).expect("a heap in order");
        assert_eq!((account.objects, account.references), (0, 0));
    }
}

fn put(face: Channel<'_>, number: u32, message: Message<'_>) {
    let producers = face.try_producers().expect("free");
    let label = Label { number, mark: 3 };
    let put = face.put_labelled(&producers, message, label).expect("no error");
    assert_eq!(put, Put::Done);
    drop(producers);
    face.announce_arrival();
}

#[test]
fn a_task_is_there_or_done_or_known_to_be_lost_wherever_its_worker_is_killed() {
    let arena = session();
    for in_block in [false, true] {
        kill_at_instructions(
            || Pool::new(&arena, in_block),
            |pool| {
                enter(pool.arena);
                (
                    pool.tasks.face(),
                    pool.replies.face(),
                    pool.claim(),
                    Vec::with_capacity(1000),
                )
            },
            |(tasks, replies, claim, mut bytes)| {
                claim.clear();
                let consumers = tasks.try_consumers().expect("free");
                let (got, label) = tasks
                    .get_labelled(&consumers, &mut bytes, true, Some(claim))
                    .expect("no error");
                drop(consumers);
                if let Got::Block(_, block) = got {
                    tasks.arena.release(&block, &mut go_on).expect("released");
                }
                put(replies, label.number, Message::Bytes(0, &[7; 9]));
                claim.clear();
            },
            |pool, pid| pool.end(pid),
        );
    }
}
