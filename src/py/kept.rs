//! What has been made of bytes, for when the same bytes come again: the last ones, each where the hash of its bytes says. And
//! classes of which something is known.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::{PyType, PyWeakrefReference};

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

    /// Keep a value; what is not kept for it any more, or is not kept itself, is returned: to drop it may run Python, which the
    /// lock has to be given back before.
    pub fn keep(&self, bytes: &[u8], value: T) -> Option<T> {
        let kept = Kept {
            bytes: bytes.into(),
            value,
        };
        let dropped = match self.0.try_lock() {
            Ok(mut all) => all[place(hash(bytes))].replace(kept),
            Err(_) => Some(kept),
        };
        dropped.map(|dropped| dropped.value)
    }
}

/// Classes of which something is known, the last ones, as long as they are there.
pub struct Classes(Mutex<[Option<Py<PyWeakrefReference>>; PLACES]>);

impl Classes {
    pub const fn none() -> Self {
        Self(Mutex::new([const { None }; PLACES]))
    }

    /// Whether it is known of this one.
    pub fn has(&self, class: &Bound<'_, PyType>) -> bool {
        let Ok(known) = self.0.try_lock() else { return false };
        let known = known[Self::place(class)].as_ref();
        known.is_some_and(|known| known.bind(class.py()).upgrade().is_some_and(|known| known.is(class)))
    }

    /// Know it of this one.
    ///
    /// # Errors
    /// MemoryError.
    pub fn keep(&self, class: &Bound<'_, PyType>) -> PyResult<()> {
        let known = PyWeakrefReference::new(class)?.unbind();
        if let Ok(mut all) = self.0.try_lock() {
            all[Self::place(class)] = Some(known); // the one before has no function that would be called
        }
        Ok(())
    }

    fn place(class: &Bound<'_, PyType>) -> usize {
        place(hash(&(class.as_ptr() as usize).to_ne_bytes()))
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

/// A hash of what one is of, and of one more word.
pub fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn hash(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    let last = words
        .remainder()
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    let words = words.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    mix(words.fold(bytes.len() as u64, mix), last)
}
