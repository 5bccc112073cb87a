//! Locks and what waits: see the README in this folder.

pub mod abandoned;
pub mod barrier;
pub mod condition;
pub mod event;
pub mod holds;
pub mod lock;
pub mod patience;
mod section;
pub mod semaphore;
pub mod side;
pub(crate) mod word;
