//! Kernel calls behind a safe face: one kernel object a file.

pub mod process;
