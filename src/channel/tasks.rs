//! Messages as tasks: how many are not done with (README: tasks).

use super::transfer::{position, Channel};
use crate::atomics::{fence, Ordering};
use crate::sync::word::change_and_count;
use crate::sys::futex;

impl Channel<'_> {
    /// How many of the messages that were put were not said to be done with.
    #[must_use]
    pub fn unfinished(&self) -> u32 {
        let done = self.body.tasks_done.load(Ordering::Acquire);
        position(&self.body.tail, Ordering::Acquire).number().wrapping_sub(done)
    }

    /// Say that one more is done with; false when all were.
    #[must_use]
    pub fn task_done(&self) -> bool {
        let mut done = self.body.tasks_done.load(Ordering::Acquire);
        loop {
            let tail = position(&self.body.tail, Ordering::Acquire).number();
            if tail == done {
                return false;
            }
            let next = done.wrapping_add(1);
            match self
                .body
                .tasks_done
                .compare_exchange(done, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Err(now) => done = now,
                Ok(_) => {
                    if next == tail {
                        fence(Ordering::SeqCst);
                        if change_and_count(&self.body.tasks_waited_for) {
                            futex::wake(&self.body.tasks_waited_for, u32::MAX);
                        }
                    }
                    return true;
                }
            }
        }
    }
}
