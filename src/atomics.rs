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
