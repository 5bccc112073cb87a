//! `sys/robust_mutex.rs` as loom can see it.

use std::io;
use std::ops::ControlFlow;
use std::sync::PoisonError;

use super::futex::is_dead;
use super::shared::Shared;
use crate::atomics::{Mutex, MutexGuard};

/// The mutex; what it guards is whether its last owner died.
pub struct RobustMutex(Mutex<bool>);

// SAFETY: not in shared memory at all.
unsafe impl Shared for RobustMutex {
    fn zeroes() -> Self {
        Self(Mutex::new(false))
    }
}

/// The right to what the mutex guards; dropping it gives it back.
pub struct Guard<'a>(MutexGuard<'a, bool>);

impl RobustMutex {
    /// Make it.
    ///
    /// # Errors
    /// None.
    pub fn initialize(&self) -> io::Result<()> {
        Ok(())
    }

    /// Take it.
    ///
    /// # Errors
    /// None.
    pub fn lock(&self, _pause: impl FnMut() -> ControlFlow<io::Error>) -> io::Result<Guard<'_>> {
        Ok(Guard(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Guard<'_> {
    /// Whether the last owner died, so that what the mutex guards may be half done.
    #[must_use]
    pub fn is_inconsistent(&self) -> bool {
        *self.0
    }

    /// Say that it has been put right.
    pub fn put_right(&mut self) {
        *self.0 = false;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        *self.0 |= is_dead();
    }
}
