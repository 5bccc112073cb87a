//! Who has taken which task (README: claims): a record of one worker's, which others read when it has died.

use super::layout::Label;
use super::position::Position;
use super::transfer::{position, Channel};
use crate::atomics::{AtomicU64, Ordering};
use crate::sys::liveness::now_since_boot;
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The record.
    pub struct ClaimBody {
        /// The number of the task, and behind it that of the message; without a task `IDLE`, or 0 before the first look.
        pub word: AtomicU64,
        /// When the task of the word was taken, in nanoseconds since boot.
        pub since: AtomicU64,
    }
}

const IDLE: u64 = 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The worker has not looked for a task yet.
    New,
    /// It has none.
    Idle,
    /// It was about to take this one, whose message has this number.
    Noted(u32, u32),
}

impl ClaimBody {
    /// Note the message at the head, which is about to be taken.
    #[inline]
    pub fn note(&self, head: Position, label: Label) {
        let word = u64::from(label.number) << 32 | u64::from(head.number());
        // README: since. Release, so that who sees this time sees that the last task was cleared, too.
        self.since.store(now_since_boot(), Ordering::Release);
        // Before the head, which is stored after it with Release: who sees the head beyond sees this. Release, for the time.
        self.word.store(word, Ordering::Release);
    }

    /// Note that the last task is done with.
    #[inline]
    pub fn clear(&self) {
        self.word.store(IDLE, Ordering::Release); // after the result was put
    }

    /// What it says.
    #[must_use]
    pub fn read(&self) -> Claim {
        match self.word.load(Ordering::Acquire) {
            0 => Claim::New,
            word if word >> 32 == 0 => Claim::Idle,
            word => Claim::Noted((word >> 32) as u32, word as u32),
        }
    }

    /// What it says, and when the task that it names was taken, in nanoseconds since boot; None for the other ones.
    #[must_use]
    pub fn read_since(&self) -> Option<(u32, u32, u64)> {
        let claim = self.read();
        let since = self.since.load(Ordering::Acquire);
        match claim {
            // A later task's time is written after the clear in between: then this reads something else.
            Claim::Noted(task, message) if self.read() == claim => Some((task, message, since)),
            _ => None,
        }
    }
}

impl Channel<'_> {
    /// Whether the message of this number was taken.
    #[must_use]
    pub fn has_given(&self, number: u32) -> bool {
        let head = position(&self.body.head, Ordering::Acquire).number();
        (head.wrapping_sub(number) as i32) > 0
    }

    /// The number of the message that is put next.
    #[must_use]
    pub fn next_message(&self) -> u32 {
        position(&self.body.tail, Ordering::Acquire).number()
    }
}
