//! What a lock guards: loom says so when two use it at the same time, or one does not see what another one did.

use loom::cell::UnsafeCell;

use super::shared::Shared;

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

/// Bytes in shared memory, which are copied in and out.
pub struct Bytes(UnsafeCell<Vec<u8>>);

// SAFETY: as above.
unsafe impl Sync for Bytes {}
// SAFETY: not in shared memory at all.
unsafe impl Shared for Bytes {
    fn zeroes() -> Self {
        Self(UnsafeCell::new(Vec::new()))
    }
}

impl Bytes {
    /// Have these there.
    pub fn write(&self, bytes: &[u8]) {
        self.0.with_mut(|there| {
            // SAFETY: as above.
            let there = unsafe { &mut *there };
            bytes.clone_into(there);
        });
    }

    /// Append them to a buffer.
    pub fn read(&self, into: &mut Vec<u8>) {
        self.0.with(|there| {
            // SAFETY: as above.
            let there = unsafe { &*there };
            into.extend_from_slice(there);
        });
    }
}
