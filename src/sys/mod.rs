//! Kernel calls behind a safe face: one kernel object a file.

pub mod bell;
pub mod credentials;
pub mod descriptor;
pub mod memfd;
pub mod poll;
pub mod process;
pub mod seqpacket;
pub mod signal;
pub mod state;
pub mod streams;
