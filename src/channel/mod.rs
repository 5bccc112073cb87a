//! Queues of messages in the arena: see the README in this folder.

mod asking;
mod bells;
mod blocks;
pub mod claims;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod crash;
mod crowd;
mod getting;
pub mod layout;
mod line;
pub mod position;
mod segments;
mod sizes;
mod tasks;
mod transfer;
mod wait;

pub use bells::Listener;
pub use getting::Ahead;
pub use line::{Arrival, LineWait};
pub use transfer::{Channel, Got, Message, Put};
pub use wait::{GetWait, PutWait, Until, A_MOMENT};
