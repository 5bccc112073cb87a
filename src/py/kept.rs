//! What has been made of bytes, for when the same bytes come again: the last ones, each where the hash of its bytes says. And
//! classes of which something is known.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyType, PyWeakrefReference};

use super::fast::WithGil;

/// So many are kept.
const PLACES: usize = 128;

struct Kept<T> {
    bytes: Box<[u8]>,
    value: T,
}

/// Values by the bytes that they are made of.
pub struct Values<T>(WithGil<[Option<Kept<T>>; PLACES]>);

impl<T> Values<T> {
    pub const fn none() -> Self {
        Self(WithGil::new([const { None }; PLACES]))
    }

    /// What a function, which runs no Python, makes of the value of these bytes.
    #[inline]
    pub fn find<R>(&self, py: Python<'_>, bytes: &[u8], of: impl FnOnce(&T) -> R) -> Option<R> {
        let find = |all: &mut [Option<Kept<T>>; PLACES]| {
            let kept = all[place(hash(bytes))].as_ref()?;
            (*kept.bytes == *bytes).then(|| of(&kept.value))
        };
        self.0.with(py, find)?
    }

    /// Keep a value; what is not kept for it any more, or is not kept itself, is returned: to drop it may run Python, which is
    /// not to find this in the midst of being used.
    pub fn keep(&self, py: Python<'_>, bytes: &[u8], value: T) -> Option<T> {
        let mut kept = Some(Kept {
            bytes: bytes.into(),
            value,
        });
        self.0
            .with(py, |all| std::mem::swap(&mut all[place(hash(bytes))], &mut kept));
        kept.map(|dropped| dropped.value)
    }
}

impl<T> Values<Py<T>> {
    /// The object that is kept for these bytes, or the one that a function makes, which is kept from now on.
    ///
    /// # Errors
    /// The function's.
    pub fn find_or_make<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        make: impl FnOnce() -> PyResult<Bound<'py, T>>,
    ) -> PyResult<Bound<'py, T>> {
        if let Some(kept) = self.find(py, bytes, |kept| kept.bind(py).clone()) {
            return Ok(kept);
        }
        let made = make()?;
        let before = self.keep(py, bytes, made.clone().unbind());
        drop(before.map(|before| before.into_bound(py))); // at once also where a method of `fast` has called
        Ok(made)
    }
}

/// Classes of which something is known, the last ones, as long as they are there.
pub struct Classes(WithGil<[Option<Py<PyWeakrefReference>>; PLACES]>);

impl Classes {
    pub const fn none() -> Self {
        Self(WithGil::new([const { None }; PLACES]))
    }

    /// Whether it is known of this one.
    pub fn has(&self, class: &Bound<'_, PyType>) -> bool {
        let py = class.py();
        let is_class = |known: &Py<PyWeakrefReference>| known.bind(py).upgrade().is_some_and(|known| known.is(class));
        let has = self
            .0
            .with(py, |all| all[Self::place(class)].as_ref().is_some_and(is_class));
        has.unwrap_or(false)
    }

    /// Know it of this one.
    ///
    /// # Errors
    /// MemoryError.
    pub fn keep(&self, class: &Bound<'_, PyType>) -> PyResult<()> {
        let known = PyWeakrefReference::new(class)?.unbind();
        // The one before has no function that would be called.
        self.0.with(class.py(), |all| all[Self::place(class)] = Some(known));
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
    #[inline]
    pub fn has(&self, bytes: &[u8]) -> bool {
        let hash = hash(bytes);
        let last = &self.0[place(hash)];
        let has = last.load(Ordering::Relaxed) == hash;
        if !has {
            last.store(hash, Ordering::Relaxed);
        }
        has
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
