//! What has been made of bytes, for when the same bytes come again: the last ones, each where the hash of its bytes says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// So many are kept.
const PLACES: usize = 128;

struct Kept<T> {
    bytes: Box<[u8]>,
    value: T,
}

/// Values by the bytes that they are made of. Never waited for: a garbage collection or a signal handler may come upon it in
/// the midst of being used.
pub struct Values<T>(Mutex<[Option<Kept<T>>; PLACES]>);

impl<T> Values<T> {
    pub const fn none() -> Self {
        Self(Mutex::new([const { None }; PLACES]))
    }

    /// What a function, which runs no Python, makes of the value of these bytes.
    pub fn find<R>(&self, bytes: &[u8], of: impl FnOnce(&T) -> R) -> Option<R> {
        let kept = self.0.try_lock().ok()?;
        let kept = kept[place(hash(bytes))].as_ref()?;
        (*kept.bytes == *bytes).then(|| of(&kept.value))
    }

    pub fn keep(&self, bytes: &[u8], value: T) {
        let kept = Kept {
            bytes: bytes.into(),
            value,
        };
        let before = match self.0.try_lock() {
            Ok(mut all) => all[place(hash(bytes))].replace(kept),
            Err(_) => None,
        };
        drop(before); // when the lock is given back: that may run Python
    }
}

/// Which bytes have come once, most likely.
pub struct Once([AtomicU64; PLACES]);

impl Once {
    pub const fn none() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }

    /// Whether these bytes have come before; they have now.
    pub fn has(&self, bytes: &[u8]) -> bool {
        let hash = hash(bytes);
        self.0[place(hash)].swap(hash, Ordering::Relaxed) == hash
    }
}

fn place(hash: u64) -> usize {
    (hash >> 32) as usize % PLACES
}

fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let words = bytes.chunks_exact(8);
    let last = words
        .remainder()
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    let words = words.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    mix(words.fold(bytes.len() as u64, mix), last)
}
