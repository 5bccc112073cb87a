//! Kernel calls behind a safe face: one kernel object a file.

pub mod descriptor;
pub mod process;
pub mod seqpacket;
pub mod signal;
pub mod state;
