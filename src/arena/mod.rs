//! A session's shared memory: see the README in this folder.

mod bundles;
pub mod error;
pub(crate) mod heap;
mod holdings;
mod kept;
pub mod layout;
mod mappings;
pub mod objects;
mod recovery;
mod references;
pub mod session;
mod spans;
pub mod tag;
mod walk;

pub use error::{Error, Result, Shortage, Unheard};
pub use objects::Handle;
pub use session::{Arena, Pause};
