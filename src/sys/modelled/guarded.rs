//! What a lock guards: loom says so when two use it at the same time, or one does not see what another one did.

use loom::cell::UnsafeCell;

/// A number that whoever has the lock changes.
pub struct Guarded(UnsafeCell<u32>);

// SAFETY: that it is used by one at a time is what the models are about, and loom looks at each use.
unsafe impl Sync for Guarded {}

impl Default for Guarded {
    fn default() -> Self {
        Self(UnsafeCell::new(0))
    }
}

impl Guarded {
    /// Add one, and return what it is then.
    pub fn add_one(&self) -> u32 {
        self.0.with_mut(|number| {
            // SAFETY: the pointer is the cell's, which loom has looked at for this moment.
            let number = unsafe { &mut *number };
            *number += 1;
            *number
        })
    }
}
