//! Kernel calls behind a safe face: one kernel object a file.

pub mod bell;
pub mod credentials;
pub mod descriptor;
pub mod futex;
pub mod headroom;
pub mod liveness;
pub mod memfd;
pub mod poll;
pub mod process;
pub mod robust_mutex;
pub mod seqpacket;
pub mod shared;
pub mod signal;
pub mod state;
#[cfg(test)]
pub mod step;
pub mod streams;
