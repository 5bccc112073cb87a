//! The one door to atomics: shared memory is read and written through these and nothing else.

pub use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
