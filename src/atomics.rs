//! The one door to atomics and to the mutexes of this process: shared memory is read and written through these and
//! nothing else. Under `--cfg loom` they are loom's, which goes through what threads and memory can do (`models.rs`).

#[cfg(loom)]
pub use loom::sync::{
    atomic::{fence, AtomicBool, AtomicU32, AtomicU64, Ordering},
    Mutex, MutexGuard,
};
#[cfg(not(loom))]
pub use std::sync::{
    atomic::{fence, AtomicBool, AtomicU32, AtomicU64, Ordering},
    Mutex, MutexGuard,
};

/// A full fence, right behind a swap of this thread's, of whatever word. On x86-64 a swap is one itself, for the CPU: then the
/// compiler is all that has to keep the order.
#[inline]
pub fn fence_behind_swap() {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(any(not(target_arch = "x86_64"), loom))]
    fence(Ordering::SeqCst);
}
