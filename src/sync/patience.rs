//! How long to wait: a moment of spinning, then sleep in slices, each followed by a look around.

use std::cell::Cell;
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
/// How long to wait for what is seldom found taken.
const SHORT: [Duration; 4] = [
    Duration::from_nanos(200),
    Duration::from_nanos(200),
    Duration::from_nanos(400),
    Duration::from_nanos(800),
];
/// And for what two processes do nothing but have. Ten sets of a shared dict's key take two microseconds; twice as long adds
/// a twentieth to what two get done.
const LONG: [Duration; 2] = [Duration::from_micros(2); 2];
/// Who waits again so soon has done next to nothing else in between.
const SOON: Duration = Duration::from_micros(8);
const MANY_IN_A_ROW: u32 = 3;

thread_local! {
    /// When this thread's last wait of this kind ended, and how many came soon behind one another.
    static LAST_BACK_OFF: Cell<(Option<Instant>, u32)> = const { Cell::new((None, 0)) };
}

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

/// Try a few times. Who has done so again and again tries far enough apart that whoever was first does many things in
/// between, with all that he needs still in his cache: two that take turns for each of them wait for memory more than they
/// work. For what is had for less than a microsecond; with or without the GIL.
pub fn back_off<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let mut now = Instant::now();
    let (before, in_a_row) = LAST_BACK_OFF.get();
    let in_a_row = match before {
        Some(before) if now - before < SOON => in_a_row + 1,
        _ => 0,
    };
    let waits: &[Duration] = if in_a_row < MANY_IN_A_ROW { &SHORT } else { &LONG };
    let mut done = None;
    for wait in waits {
        let until = now + *wait;
        while now < until {
            hint::spin_loop();
            now = Instant::now();
        }
        done = attempt();
        if done.is_some() {
            break;
        }
    }
    LAST_BACK_OFF.set((Some(now), in_a_row));
    done
}

/// Let a moment pass, with the CPU kept, in which nobody's memory is looked at.
pub fn pause(long: Duration) {
    let start = Instant::now();
    while start.elapsed() < long {
        hint::spin_loop();
    }
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
