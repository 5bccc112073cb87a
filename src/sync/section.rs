//! Changing what several words of an object say, under a robust mutex.
//!
//! There are fewer mutexes than objects: the next one who takes the mutex of one that died may have come for another
//! object. So each object says itself that it is being changed, and whoever finds it so puts it right.

use crate::arena::heap::go_on;
use crate::arena::layout::MUTEXES;
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, Ordering};
use crate::sys::robust_mutex::Guard;

/// The right to change an object; dropping it gives it back.
pub struct Section {
    changing: &'static AtomicU32,
    _guard: Guard<'static>,
}

impl Section {
    /// Begin to change the object at an offset; true when somebody died while changing it.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn enter(arena: &Arena, offset: u64, changing: &'static AtomicU32) -> Result<(Self, bool)> {
        let index = 1 + (offset / 64) as usize % (MUTEXES - 1);
        let mut guard = arena.mutex(index)?.lock(go_on)?;
        if guard.is_inconsistent() {
            guard.put_right();
        }
        let has_died = changing.swap(1, Ordering::Acquire) != 0;
        let section = Self {
            changing,
            _guard: guard,
        };
        Ok((section, has_died))
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        self.changing.store(0, Ordering::Release); // before the mutex is given back
    }
}
