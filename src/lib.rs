//! The native core of allcores.
//!
//! The floors go one way down, and a floor never names the one above it:
//!
//! ```text
//! py/    the only folder that knows Python (PyO3)       -> allcores._core
//! wire/  the messages between processes                 one message a file
//! sys/   the only folder that calls the kernel          one kernel object a file
//! bytes  reading numbers off bytes, for all of them
//! ```
//!
//! `python/allcores/_core.pyi` is the hand-written face of this library; a test compares the two.

#[cfg(not(target_os = "linux"))]
compile_error!("allcores supports Linux only (x86-64 and aarch64)");

pub mod arena;
mod atomics;
mod bytes;
pub mod channel;
// They step through instructions, as x86-64 has them.
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod corruption;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod crash;
#[cfg(all(test, loom))]
mod models;
#[cfg(feature = "python")]
mod py;
pub mod registry;
pub mod sync;
pub mod sys;
pub mod table;
pub mod wire;
