//! `sys/line.rs` as loom can see it: the bytes of a line and its end, and the kernel's queue of those who wait for them.
//! There is one line, whatever the number says, and both its ends are the same.
//!
//! Who finds at once what it looks for has synchronized with nobody: `poll` does not promise that.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use loom::thread::{self, Thread};

use crate::atomics::{AtomicU32, Mutex, MutexGuard, Ordering};

/// This process's end.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The number.
    pub number: RawFd,
    /// Whether it is one of a socket pair.
    pub is_socket: bool,
}

/// What is to be seen of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// There are bytes to take, or there never will be any.
    pub is_readable: bool,
    /// Nobody has the other end.
    pub has_ended: bool,
}

loom::lazy_static! {
    static ref BYTES: AtomicU32 = AtomicU32::new(0);
    static ref HAS_ENDED: AtomicU32 = AtomicU32::new(0);
    static ref SLEEPERS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
}

fn sleepers() -> MutexGuard<'static, Vec<Thread>> {
    SLEEPERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn change(word: &AtomicU32, order: Ordering) {
    let mut sleepers = sleepers();
    word.fetch_add(1, order);
    for sleeper in sleepers.drain(..) {
        sleeper.unpark();
    }
}

/// Close the other end: the last use of a file is counted off with an order, as everywhere.
pub fn end() {
    change(&HAS_ENDED, Ordering::Release);
}

impl Line {
    /// Give a byte.
    ///
    /// # Errors
    /// None.
    pub fn give(self) -> io::Result<()> {
        change(&BYTES, Ordering::Relaxed);
        Ok(())
    }

    /// Take a byte, if there is one.
    pub fn take_one(self) {
        let _sleepers = sleepers();
        let there = BYTES.load(Ordering::Relaxed);
        BYTES.store(there.saturating_sub(1), Ordering::Relaxed);
    }

    /// Take all bytes that are there.
    pub fn take_all(self) {
        let _sleepers = sleepers();
        BYTES.swap(0, Ordering::Relaxed);
    }

    /// Wait until it can be read; no time-out ends that but one of nothing.
    ///
    /// # Errors
    /// None.
    pub fn look(self, timeout: Duration) -> io::Result<Look> {
        let me = thread::current().id();
        loop {
            let seen = see();
            if seen.is_readable || timeout.is_zero() {
                return Ok(seen);
            }
            let mut sleepers = sleepers();
            if !see().is_readable {
                sleepers.push(thread::current());
                drop(sleepers);
                while self::sleepers().iter().any(|sleeper| sleeper.id() == me) {
                    thread::park();
                }
            }
        }
    }

    /// Whether nobody has the other end.
    ///
    /// # Errors
    /// None.
    pub fn has_ended(self) -> io::Result<bool> {
        Ok(see().has_ended)
    }
}

fn see() -> Look {
    let has_ended = HAS_ENDED.load(Ordering::Relaxed) != 0;
    Look {
        is_readable: has_ended || BYTES.load(Ordering::Relaxed) != 0,
        has_ended,
    }
}
