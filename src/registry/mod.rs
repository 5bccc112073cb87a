//! Who is in the session, who waits for what, and where in the program: records in the arena, which anybody may read.

mod cycles;
pub mod deadlocks;
pub mod forks;
pub mod processes;
pub mod sites;
pub mod waiters;
