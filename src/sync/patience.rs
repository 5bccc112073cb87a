//! How long to wait: a moment of spinning, then sleep in slices, each followed by a look around.

use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::sys::futex::Slept;

/// What came of a step of waiting. Steps are made without the GIL, and signals are looked for in between.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a step says whether to go on"]
pub enum Step<T> {
    /// It is over.
    Done(T),
    /// The time was over first.
    TimedOut,
    /// Nothing yet: look for signals, and go on.
    GoOn,
}

/// How long a wait goes on, and how long each sleep of it is.
#[derive(Debug)]
pub struct Patience {
    deadline: Option<Instant>,
    slice: Duration,
    longest_slice: Duration,
    has_slept: bool,
}

// About a microsecond: who shares the CPU comes only when it is given away. The single-step tests go through each of
// them, and let an owner die at each.
const SPINS: u32 = if cfg!(test) { 2 } else { 20 };
// Ten sets of a shared dict's key take two microseconds; twice as long adds a twentieth to what two get done.
const BACK_OFF_FOR: Duration = Duration::from_micros(2);
const BACK_OFFS: u32 = 2;
const SLICE_WITH_OWNER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });
const YIELDS_FOR: Duration = Duration::from_micros(20);
/// A yield that takes so long has given the CPU to somebody who keeps it: the next waits sleep at once, since who is woken
/// has the CPU before who computes.
const LONG_YIELD: Duration = Duration::from_micros(60);
const WAITS_WITHOUT_YIELDS: u32 = 256;

/// How many waits of this process's threads are still to be without yields. Whether one is lost does not matter.
static WITHOUT_YIELDS: AtomicU32 = AtomicU32::new(0);

impl Patience {
    /// For a lock, whose owner has to be looked at.
    #[must_use]
    pub fn with_owner(timeout: Option<Duration>) -> Self {
        Self::new(timeout, SLICE_WITH_OWNER, SLICE_WITH_OWNER)
    }

    /// For what has no owner: only a waker that was killed makes a look necessary.
    #[must_use]
    pub fn without_owner(timeout: Option<Duration>) -> Self {
        Self::new(timeout, 2 * SLICE_WITH_OWNER, 20 * SLICE_WITH_OWNER)
    }

    fn new(timeout: Option<Duration>, slice: Duration, longest_slice: Duration) -> Self {
        Self {
            // What the clock cannot hold is for ever.
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            slice,
            longest_slice,
            has_slept: false,
        }
    }

    /// Whether it ends at some time.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.deadline.is_some()
    }

    /// Whether it ever came to sleep.
    #[must_use]
    pub fn has_slept(&self) -> bool {
        self.has_slept
    }

    /// How long to sleep now; `None` when the time is over.
    #[must_use]
    pub fn slice(&self) -> Option<Duration> {
        let Some(deadline) = self.deadline else {
            return Some(self.slice);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(self.slice))
    }

    /// Take note of how a sleep ended; true when it was a whole slice, after which it is time to look around.
    pub fn note(&mut self, slept: Slept) -> bool {
        self.has_slept = true;
        let whole = slept == Slept::TimedOut;
        if whole {
            self.slice = (self.slice * 2).min(self.longest_slice);
        }
        whole
    }
}

/// Try a few times, far enough apart that whoever was first does many things in between, with all that he needs still in
/// his cache: two that take turns for each of them wait for memory more than they work. For what is had for less than
/// a microsecond, and again at once; with or without the GIL.
pub fn back_off<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..BACK_OFFS {
        let start = Instant::now();
        while start.elapsed() < BACK_OFF_FOR {
            hint::spin_loop();
        }
        if let Some(done) = attempt() {
            return Some(done);
        }
    }
    None
}

/// Try for a moment: with the CPU kept, then with giving it to whoever needs it.
pub fn spin<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    if cfg!(loom) {
        return attempt(); // the clock is not loom's, and spinning is nothing new to it
    }
    for _ in 0..SPINS {
        if let Some(done) = attempt() {
            return Some(done);
        }
        hint::spin_loop();
    }
    let without = WITHOUT_YIELDS.load(Ordering::Relaxed);
    if without > 0 {
        WITHOUT_YIELDS.store(without - 1, Ordering::Relaxed);
        return None;
    }
    let start = Instant::now();
    let mut before = Duration::ZERO;
    while before < YIELDS_FOR {
        rustix::thread::sched_yield();
        let now = start.elapsed();
        if now - before > LONG_YIELD {
            WITHOUT_YIELDS.store(WAITS_WITHOUT_YIELDS, Ordering::Relaxed);
        }
        before = now;
        if let Some(done) = attempt() {
            return Some(done);
        }
    }
    None
}
