//! The shared dict and the shared list: see the README in this folder.

mod array;
mod blocks;
mod buckets;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod crash;
mod end;
pub mod layout;
mod links;
pub mod list;
mod log;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod nested;
mod pages;
mod read;
mod scan;
mod section;
mod slots;
#[cfg(all(test, not(loom), target_arch = "x86_64"))]
mod tests;
mod write;

pub use blocks::block_of;
pub use read::{Found, Key, Original};
pub use scan::{Cursor, Item};
pub use section::{Section, Table};
pub use write::{Added, Put, Value};
