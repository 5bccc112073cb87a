//! Sleeping on a word of shared memory, and waking who sleeps there (`futex(2)`).

use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags};
use rustix::time::Timespec;

use crate::atomics::AtomicU32;

/// Why a sleep ended. None says that the word has changed: look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an interruption is for the caller's signal handlers"]
pub enum Slept {
    /// Somebody woke this one, or the word was not as expected.
    Woken,
    /// The time was over.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// Sleep while the word is `expected`, at most `longest`, by the monotonic clock.
pub fn sleep(word: &AtomicU32, expected: u32, longest: Duration) -> Slept {
    let timeout = Timespec::try_from(longest).ok();
    match futex::wait(word, Flags::empty(), expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => Slept::TimedOut,
        Err(Errno::INTR) => Slept::Interrupted,
        // AGAIN: the word was not as expected. Others cannot happen with an aligned word; looking again is right for all.
        _ => Slept::Woken,
    }
}

/// Wake at most `count` of those who sleep on the word.
pub fn wake(word: &AtomicU32, count: u32) {
    // Waking cannot fail on a word that is mapped and aligned.
    let _ = futex::wake(word, Flags::empty(), count.min(i32::MAX as u32));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomics::Ordering;

    #[test]
    fn a_sleeper_is_woken() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 0 {
                    let _ = sleep(&word, 0, Duration::from_secs(30));
                }
            });
            word.store(1, Ordering::SeqCst);
            wake(&word, 1);
        });
    }

    #[test]
    fn a_sleep_ends_with_its_time_or_at_once_where_the_word_has_changed() {
        let word = AtomicU32::new(7);
        assert_eq!(sleep(&word, 7, Duration::from_millis(1)), Slept::TimedOut);
        assert_eq!(sleep(&word, 8, Duration::from_secs(30)), Slept::Woken);
    }
}
