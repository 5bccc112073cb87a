//! Kernel calls behind a safe face: one kernel object a file. What loom has to see has a model of the same face.

pub mod bell;
pub mod copying;
pub mod credentials;
pub mod descriptor;
pub mod ending;
pub mod fork;
#[cfg_attr(loom, path = "modelled/futex.rs")]
pub mod futex;
#[cfg(all(test, loom))]
#[path = "modelled/guarded.rs"]
pub mod guarded;
pub mod headroom;
#[cfg(all(test, target_arch = "x86_64"))]
pub mod lasting;
#[cfg_attr(loom, path = "modelled/line.rs")]
pub mod line;
pub mod liveness;
pub mod mapping;
pub mod memfd;
pub mod number;
pub mod poll;
pub mod post;
pub mod process;
#[cfg_attr(loom, path = "modelled/robust_mutex.rs")]
pub mod robust_mutex;
pub mod seqpacket;
#[cfg_attr(loom, path = "modelled/shared.rs")]
pub mod shared;
pub mod signal;
pub mod state;
#[cfg(all(test, target_arch = "x86_64"))]
pub mod step;
pub mod streams;
