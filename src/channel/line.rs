//! The line of a pipe: a descriptor that is readable when there may be a message (README: pipes).

use std::io;
use std::time::Duration;

use super::transfer::Channel;
use crate::arena::{Error, Result};
use crate::atomics::{fence, AtomicU32, Ordering};
use crate::registry::waiters::Waiter;
use crate::sync::patience::{spin, Patience, Step};
use crate::sync::side::Held;
use crate::sys::futex::Slept;
use crate::sys::line::Line;

/// Somebody has asked for the descriptor.
const LISTENED: u32 = 1;
/// The byte is in the line.
const RUNG: u32 = 2;
/// Whether it is, only somebody knew who was killed between the byte and the bit; nobody while the lock is held.
const UNSURE: u32 = 4;

/// What has come for who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A message, unless somebody else is faster.
    Message,
    /// Nobody has the other end, and there is no message.
    End,
}

/// Ring, with the producers' lock, before a message is put.
#[inline]
pub(super) fn ring(state: &AtomicU32, line: Line) {
    if state.load(Ordering::Relaxed) & RUNG == 0 {
        ring_now(state, line);
    }
}

#[cold]
fn ring_now(state: &AtomicU32, line: Line) {
    let before = state.fetch_or(UNSURE, Ordering::Relaxed);
    if line.give().is_ok() {
        state.fetch_or(RUNG, Ordering::Release);
    }
    if before & UNSURE == 0 {
        state.fetch_and(!UNSURE, Ordering::Relaxed);
    }
}

impl Channel<'_> {
    /// Have a pipe's descriptor not be readable, with the producers' lock, unless there is a message. What the program has
    /// sent through the descriptor itself stays there.
    pub fn silence_line(&self, producers: &Held, line: Line) {
        match self.body.put_bells.load(Ordering::Acquire) & (RUNG | UNSURE) {
            0 => {}
            RUNG => self.take_byte(producers, || line.take_one()),
            _ => self.take_byte(producers, || line.take_all()),
        }
    }

    /// The same for who waits for a message, and for nothing else that might come.
    fn empty_line(&self, producers: &Held, line: Line) {
        self.take_byte(producers, || line.take_all());
    }

    fn take_byte(&self, _producers: &Held, take: impl FnOnce()) {
        if self.is_empty() {
            let bells = &self.body.put_bells;
            bells.fetch_or(UNSURE, Ordering::Relaxed);
            bells.fetch_and(!RUNG, Ordering::AcqRel); // before the byte is taken: README
            take();
            bells.fetch_and(!UNSURE, Ordering::Release);
        }
    }

    /// From now on have the descriptor of a pipe that is empty not be readable.
    pub fn listen_to_line(&self) {
        self.body.put_bells.fetch_or(LISTENED, Ordering::AcqRel);
    }

    /// Whether it is readable for nothing, or a message is about to come, and somebody may care.
    #[must_use]
    pub fn line_is_loud(&self) -> bool {
        let bells = self.body.put_bells.load(Ordering::Acquire);
        bells & LISTENED != 0 && bells & (RUNG | UNSURE) != 0 && self.is_empty()
    }
}

/// A thread that waits for a pipe's message.
pub struct LineWait<'a> {
    channel: Channel<'a>,
    line: Line,
    thread: u64,
    patience: Patience,
    /// For the producers' lock, whose owner has to be looked at.
    locking: Patience,
    waiter: Option<Waiter>,
    /// The line was readable for nothing.
    is_loud: bool,
}

impl<'a> LineWait<'a> {
    /// Wait for `timeout` from now on.
    #[must_use]
    pub fn new(channel: Channel<'a>, line: Line, thread: u64, timeout: Option<Duration>) -> Self {
        Self {
            channel,
            line,
            thread,
            patience: Patience::without_owner(timeout),
            locking: Patience::with_owner(timeout),
            waiter: None,
            is_loud: false,
        }
    }

    /// Wait a while.
    ///
    /// # Errors
    /// `Full` when too many threads wait; the kernel's: the program has closed the descriptor.
    pub fn step(&mut self) -> Result<Step<Arrival>> {
        let channel = self.channel;
        let has_come = || (!channel.is_empty()).then_some(Step::Done(Arrival::Message));
        if self.waiter.is_none() {
            if let Some(done) = spin(has_come) {
                return Ok(done);
            }
            let waiter = channel.arena.waiter(self.thread)?;
            waiter.begin(channel.offset, 0);
            self.waiter = Some(waiter);
        }
        match Held::lock(channel.arena, &channel.body.put_lock, &mut self.locking)? {
            Step::Done(producers) if self.is_loud => channel.empty_line(&producers, self.line),
            Step::Done(producers) => channel.silence_line(&producers, self.line),
            Step::GoOn => return Ok(Step::GoOn),
            Step::TimedOut => return Ok(Step::TimedOut),
        }
        if let Some(done) = has_come() {
            return Ok(done);
        }
        let Some(slice) = self.patience.slice() else {
            return Ok(Step::TimedOut);
        };
        let uses = channel.arena.kept_uses();
        let seen = match self.line.look(slice) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Step::GoOn),
            Err(error) => return Err(Error::from(error)),
        };
        // After the look at the line: who put a message and ended did so in this order. The kernel promises none to who looks.
        fence(Ordering::Acquire);
        if let Some(done) = has_come() {
            return Ok(done);
        }
        if seen.has_ended {
            return Ok(Step::Done(Arrival::End));
        }
        self.is_loud = seen.is_readable;
        if !seen.is_readable && self.patience.note(Slept::TimedOut) {
            // A failure leaves the memory kept, and whoever needs the heap has it then.
            let _ = channel.arena.give_back_idle(uses);
        }
        Ok(Step::GoOn)
    }
}
