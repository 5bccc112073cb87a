//! Who is in the session, and who waits for what: records in the arena, which anybody may read.

pub mod processes;
pub mod waiters;
