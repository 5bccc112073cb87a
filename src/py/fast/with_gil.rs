//! What is looked at with the GIL held only.

use std::cell::RefCell;

use pyo3::prelude::*;

/// A value that one thread at a time uses: who has the GIL. That costs nothing, where a mutex is two swaps.
pub struct WithGil<T>(RefCell<T>);

// SAFETY: `with` is all that touches it, and gets a `Python`: its thread has the GIL at the beginning, at the end, and whenever
// it is in between, as always when it runs what is not detached. So each touch happens before the next one. (Where there is no
// GIL, the module is not imported: `check_gil`.) A thread that comes while another one waits for the GIL inside of `with` finds
// the value borrowed.
unsafe impl<T: Send> Sync for WithGil<T> {}

impl<T> WithGil<T> {
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// What a function makes of the value; `None`, and it is not called, in the midst of another such call.
    #[inline]
    pub fn with<R>(&self, _py: Python<'_>, make: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok().map(|mut value| make(&mut value))
    }
}
