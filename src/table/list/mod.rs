//! The shared list: another index in front of the same slots (README: the list).

mod change;
mod chunks;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod crash;
mod entries;
mod read;
mod slice;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod tests;

pub use read::{Moment, Piece, Which};
pub use slice::{index_of, insertion_of, Slice};
