//! `sys/futex.rs` as loom can see it: the kernel's queues of sleepers, under one mutex as there under one for each word.
//!
//! A thread sleeps until it is woken, so that loom finds a wake that is lost: nobody runs any more. What a death leaves
//! behind needs the time-outs, which `let_slices_end` gives to a thread.

use std::cell::Cell;
use std::time::Duration;

use loom::thread::{self, Thread};

use crate::atomics::{AtomicU32, Mutex, MutexGuard, Ordering};

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

struct Sleeper {
    word: usize,
    thread: Thread,
}

loom::lazy_static! {
    static ref SLEEPERS: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
}

loom::thread_local! {
    static SLICES_END: Cell<bool> = Cell::new(false);
    static IS_DEAD: Cell<bool> = Cell::new(false);
}

fn sleepers() -> MutexGuard<'static, Vec<Sleeper>> {
    SLEEPERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// From now on this thread's sleeps end by themselves, each at a moment of loom's choice.
pub fn let_slices_end() {
    SLICES_END.with(|ends| ends.set(true));
}

/// From now on this thread wakes nobody: it was killed before its next call of the kernel.
pub fn die() {
    IS_DEAD.with(|dead| dead.set(true));
}

/// Whether this thread was killed.
#[must_use]
pub fn is_dead() -> bool {
    IS_DEAD.with(Cell::get)
}

/// Sleep while the word is `expected`.
pub fn sleep(word: &AtomicU32, expected: u32, _longest: Duration) -> Slept {
    {
        let mut sleepers = sleepers();
        if word.load(Ordering::Relaxed) != expected {
            return Slept::Woken;
        }
        sleepers.push(Sleeper {
            word: address(word),
            thread: thread::current(),
        });
    }
    let me = thread::current().id();
    let sleeps = |sleeper: &Sleeper| sleeper.thread.id() == me;
    if SLICES_END.with(Cell::get) {
        thread::yield_now();
        let mut sleepers = sleepers();
        return match sleepers.iter().position(sleeps) {
            None => Slept::Woken,
            Some(at) => {
                sleepers.remove(at);
                Slept::TimedOut
            }
        };
    }
    while sleepers().iter().any(sleeps) {
        thread::park();
    }
    Slept::Woken
}

/// Wake at most `count` of those who sleep on the word, the longest sleeping first.
pub fn wake(word: &AtomicU32, count: u32) {
    if is_dead() {
        return;
    }
    let mut sleepers = sleepers();
    for _ in 0..count {
        let Some(at) = sleepers.iter().position(|sleeper| sleeper.word == address(word)) else {
            return;
        };
        sleepers.remove(at).thread.unpark();
    }
}
