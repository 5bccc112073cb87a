//! The word of a lock or semaphore: transitions, and nothing else (README: `word.rs`).

use crate::atomics::{AtomicU32, Ordering};

/// Somebody may sleep.
pub const SLEEPERS: u32 = 1 << 31;

/// Change the bits below SLEEPERS, keeping that bit or setting it; `None` when `change` does not want to.
pub fn change(word: &AtomicU32, sleepers: u32, change: impl Fn(u32) -> Option<u32>) -> Option<u32> {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let value = change(seen & !SLEEPERS)?;
        let wanted = value | (seen & SLEEPERS) | sleepers;
        match word.compare_exchange_weak(seen, wanted, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Some(value),
            Err(now) => seen = now,
        }
    }
}

/// Change the bits below SLEEPERS and clear that bit; true when it was set, and one sleeper is to be woken.
pub fn change_and_clear(word: &AtomicU32, change: impl Fn(u32) -> Option<u32>) -> Option<bool> {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let value = change(seen & !SLEEPERS)?;
        match word.compare_exchange_weak(seen, value, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Some(seen & SLEEPERS != 0),
            Err(now) => seen = now,
        }
    }
}

/// Clear SLEEPERS and count one more in the bits below; true when it was set.
pub fn change_and_count(word: &AtomicU32) -> bool {
    change_and_clear(word, |count| Some(count.wrapping_add(1) & !SLEEPERS)).unwrap_or_default()
}

/// Set SLEEPERS if the word still is as it was seen; the word to sleep on.
pub fn announce(word: &AtomicU32, seen: u32) -> Option<u32> {
    let wanted = seen | SLEEPERS;
    if seen == wanted {
        return Some(wanted);
    }
    word.compare_exchange(seen, wanted, Ordering::AcqRel, Ordering::Relaxed)
        .ok()
        .map(|_| wanted)
}
