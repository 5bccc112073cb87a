//! Waiting for a message, for room, or for all tasks to be done (README: waiting).

use std::time::Duration;

use super::claims::ClaimBody;
use super::crowd;
use super::layout::Label;
use super::transfer::{Channel, Got, Message, Put};
use crate::arena::Result;
use crate::atomics::{fence, AtomicU32, Ordering};
use crate::registry::waiters::Waiter;
use crate::sync::patience::{spin, Patience, Step};
use crate::sync::side::Held;
use crate::sync::word::{announce, change, SLEEPERS};
use crate::sys::futex;

/// How long the lock is waited for at least: whoever has it has it for a moment, if it is not stopped.
pub const A_MOMENT: Duration = Duration::from_millis(50);

/// A thread that sleeps until something has come.
struct Sleeper<'a> {
    channel: Channel<'a>,
    word: &'static AtomicU32,
    thread: u64,
    patience: Patience,
    /// For the side's lock, whose owner has to be looked at.
    locking: Patience,
    waiter: Option<Waiter>,
    slept: bool,
}

impl<'a> Sleeper<'a> {
    fn new(channel: Channel<'a>, word: &'static AtomicU32, thread: u64, timeout: Option<Duration>) -> Self {
        Self {
            channel,
            word,
            thread,
            patience: Patience::without_owner(timeout),
            locking: Patience::with_owner(timeout.map(|timeout| timeout.max(A_MOMENT))),
            waiter: None,
            slept: false,
        }
    }

    /// Spin, the first time, and be seen waiting then.
    fn begin(&mut self, has_come: impl Fn() -> bool) -> Result<()> {
        if self.waiter.is_none() && spin(|| has_come().then_some(())).is_none() {
            let waiter = self.channel.arena.waiter(self.thread)?;
            waiter.begin(self.channel.offset, 0);
            self.waiter = Some(waiter);
        }
        Ok(())
    }

    /// Sleep a slice, unless it has come; false when the time is over.
    fn sleep(&mut self, has_come: impl Fn() -> bool) -> bool {
        let Some(slice) = self.patience.slice() else {
            return false;
        };
        let seen = self.word.load(Ordering::Acquire);
        if let Some(asleep) = announce(self.word, seen) {
            self.slept = true;
            fence(Ordering::SeqCst); // with the one of who announces; README: waiting
            if !has_come() {
                let uses = self.channel.arena.kept_uses();
                let slept = futex::sleep(self.word, asleep, slice);
                if self.patience.note(slept) {
                    // A failure leaves the memory kept, and whoever needs the heap has it then.
                    let _ = self.channel.arena.give_back_idle(uses);
                }
            }
        }
        true
    }

    /// Sleep so long where nobody wakes, but for a signal; false when the time is over. A wake that this one may have had in
    /// place of others is theirs first.
    fn nap(&mut self, long: Duration, has_come: impl Fn() -> bool) -> bool {
        let Some(slice) = self.patience.slice() else {
            return false;
        };
        self.end(has_come);
        self.slept = false;
        let _ = futex::sleep(&AtomicU32::new(0), 0, long.min(slice));
        true
    }

    /// Leave the bit behind, then look whether there is more, and wake another one for it.
    fn end(&self, is_more: impl Fn() -> bool) {
        if self.slept {
            change(self.word, SLEEPERS, Some);
            fence(Ordering::SeqCst); // with the one of who announces, as before a sleep: it finds the bit, or this one finds more
            if is_more() {
                futex::wake(self.word, 1);
            }
        }
    }
}

/// A thread that waits for a message.
pub struct GetWait<'a> {
    sleeper: Sleeper<'a>,
    message: Vec<u8>,
    label: Label,
    claim: Option<&'static ClaimBody>,
}

impl<'a> GetWait<'a> {
    /// Wait for `timeout` from now on. A message is appended to the buffer.
    #[must_use]
    pub fn new(channel: Channel<'a>, thread: u64, timeout: Option<Duration>, buffer: Vec<u8>) -> Self {
        Self {
            sleeper: Sleeper::new(channel, &channel.body.arrivals, thread, timeout),
            message: buffer,
            label: Label::default(),
            claim: None,
        }
    }

    /// Have the message noted in a claim before it is taken.
    #[must_use]
    pub fn claiming(mut self, claim: Option<&'static ClaimBody>) -> Self {
        self.claim = claim;
        self
    }

    /// The label of the message that was got.
    #[must_use]
    pub fn label(&self) -> Label {
        self.label
    }

    /// Wait a while. Never done with `Empty`.
    ///
    /// # Errors
    /// `Full` when too many threads wait; `Corrupt`.
    pub fn step(&mut self) -> Result<Step<Got>> {
        let channel = self.sleeper.channel;
        let has_come = || !channel.is_empty() || channel.is_shut();
        self.sleeper.begin(has_come)?;
        if !has_come() {
            let is_time_left = match crowd::nap(&channel) {
                Some(nap) => self.sleeper.nap(nap, has_come),
                None => self.sleeper.sleep(has_come),
            };
            if !is_time_left {
                return Ok(Step::TimedOut);
            }
        }
        if !has_come() {
            return Ok(Step::GoOn);
        }
        let got = match Held::lock(channel.arena, &channel.body.get_lock, &mut self.sleeper.locking)? {
            Step::Done(consumers) => {
                let (got, label) = channel.get_labelled(&consumers, &mut self.message, false, self.claim)?;
                self.label = label;
                got
            }
            Step::TimedOut => return Ok(Step::TimedOut),
            Step::GoOn => return Ok(Step::GoOn),
        };
        match got {
            Got::Empty => Ok(Step::GoOn), // somebody else was faster
            Got::Bytes(_) | Got::Block(..) => {
                channel.announce_departure();
                Ok(Step::Done(got))
            }
            Got::Shut | Got::BlockAhead => Ok(Step::Done(got)),
        }
    }

    /// The buffer, with the message that was got.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }
}

impl Drop for GetWait<'_> {
    fn drop(&mut self) {
        self.sleeper.end(|| !self.sleeper.channel.is_empty());
    }
}

/// A thread that waits for room.
pub struct PutWait<'a> {
    sleeper: Sleeper<'a>,
}

impl<'a> PutWait<'a> {
    /// Wait for `timeout` from now on.
    #[must_use]
    pub fn new(channel: Channel<'a>, thread: u64, timeout: Option<Duration>) -> Self {
        Self {
            sleeper: Sleeper::new(channel, &channel.body.departures, thread, timeout),
        }
    }

    /// Wait a while. Never done with `Full`.
    ///
    /// # Errors
    /// `Full`, of memory, and when too many threads wait; `Corrupt`.
    pub fn step(&mut self, message: Message<'_>) -> Result<Step<Put>> {
        let channel = self.sleeper.channel;
        let has_come = || !channel.is_full() || channel.is_shut();
        self.sleeper.begin(has_come)?;
        if !has_come() && !self.sleeper.sleep(has_come) {
            return Ok(Step::TimedOut);
        }
        if !has_come() {
            return Ok(Step::GoOn);
        }
        let put = match Held::lock(channel.arena, &channel.body.put_lock, &mut self.sleeper.locking)? {
            Step::Done(producers) => channel.put(&producers, message)?,
            Step::TimedOut => return Ok(Step::TimedOut),
            Step::GoOn => return Ok(Step::GoOn),
        };
        match put {
            Put::Full => Ok(Step::GoOn), // somebody else was faster
            Put::Done => {
                channel.announce_arrival();
                Ok(Step::Done(put))
            }
            Put::Shut => Ok(Step::Done(put)),
        }
    }
}

impl Drop for PutWait<'_> {
    fn drop(&mut self) {
        self.sleeper.end(|| !self.sleeper.channel.is_full());
    }
}

/// A thread that waits for something to become so, and changes nothing.
pub struct Until<'a> {
    sleeper: Sleeper<'a>,
    is_so: fn(&Channel<'a>) -> bool,
}

impl<'a> Until<'a> {
    /// Wait from now on until all tasks are done.
    #[must_use]
    pub fn tasks_are_done(channel: Channel<'a>, thread: u64) -> Self {
        Self {
            sleeper: Sleeper::new(channel, &channel.body.tasks_waited_for, thread, None),
            is_so: |channel| channel.unfinished() == 0,
        }
    }

    /// Wait for `timeout` from now on until there is a message.
    #[must_use]
    pub fn there_is_a_message(channel: Channel<'a>, thread: u64, timeout: Option<Duration>) -> Self {
        Self {
            sleeper: Sleeper::new(channel, &channel.body.arrivals, thread, timeout),
            is_so: |channel| !channel.is_empty() || channel.is_shut(),
        }
    }

    /// Wait a while.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn step(&mut self) -> Result<Step<()>> {
        let channel = self.sleeper.channel;
        let is_so = || (self.is_so)(&channel);
        self.sleeper.begin(is_so)?;
        if is_so() {
            return Ok(Step::Done(()));
        }
        if !self.sleeper.sleep(is_so) {
            return Ok(Step::TimedOut);
        }
        Ok(if is_so() { Step::Done(()) } else { Step::GoOn })
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.sleeper.end(|| (self.is_so)(&self.sleeper.channel)); // it may have had a wake that was for another one
    }
}
