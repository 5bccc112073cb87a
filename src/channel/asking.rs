//! What a channel can be asked without a lock.

use std::mem;

use super::layout::SHUT;
use super::sizes::{self, LOOKS};
use super::transfer::{position, Channel};
use crate::atomics::Ordering;

impl Channel<'_> {
    /// How many messages it has.
    #[must_use]
    pub fn len(&self) -> u32 {
        let mut head = position(&self.body.head, Ordering::Acquire);
        for _ in 0..LOOKS {
            // The tail after the head, which never is ahead of it then; and as long as the head stays, so many there are.
            let tail = position(&self.body.tail, Ordering::Acquire);
            let before = mem::replace(&mut head, position(&self.body.head, Ordering::Acquire));
            if head == before {
                return tail.messages_since(head);
            }
        }
        // It changes all the while: so many there may have been.
        let found = position(&self.body.tail, Ordering::Acquire).messages_since(head);
        match self.body.capacity.load(Ordering::Relaxed) {
            0 => found,
            most => found.min(most),
        }
    }

    /// How many messages were ever got, as far as 32 bits say.
    #[must_use]
    pub fn got(&self) -> u32 {
        position(&self.body.head, Ordering::Relaxed).number()
    }

    /// Whether there is a message, by what was seen last by who gets; false says nothing.
    #[inline]
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.is_more_than(position(&self.body.head, Ordering::Relaxed))
    }

    /// Whether there is nothing to get.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no message can be put now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let capacity = self.body.capacity.load(Ordering::Relaxed);
        (capacity != 0 && self.len() >= capacity) || !sizes::has_room(self.body)
    }

    /// Whether nothing can be put any more.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.body.flags.load(Ordering::Acquire) & SHUT != 0
    }
}
