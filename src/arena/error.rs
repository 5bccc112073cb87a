//! What can go wrong with the arena.

use std::fmt;
use std::io;

use crate::sys::descriptor::{message_of, unreachable};

/// Why the arena did not do what it was asked for.
#[derive(Debug)]
pub enum Error {
    /// There is no room.
    Full(Shortage),
    /// What was read from it does not fit.
    Corrupt(&'static str),
    /// The object that a handle means is no more.
    Freed,
    /// A handle means something else than what was asked for.
    OtherKind,
    /// Who waits by a descriptor cannot be told.
    Unheard(Unheard),
    /// The kernel's.
    Kernel(io::Error),
}

/// Why who waits for a channel by a descriptor cannot be told of what is about to be so.
#[derive(Debug)]
pub enum Unheard {
    /// It is in another network namespace.
    ElsewhereInTheNetwork,
    /// The kernel's reason.
    Kernel(io::Error),
}

/// What there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Of what the session's memory may grow to.
    Limit {
        /// In bytes, besides those in use.
        asked: u64,
        /// In bytes.
        used: u64,
        /// In bytes.
        limit: u64,
    },
    /// Of what the machine, or a cgroup of this process, has.
    Memory {
        /// In bytes.
        asked: u64,
        /// In bytes.
        left: u64,
    },
    /// Of records.
    Records {
        /// What they are for.
        kind: &'static str,
        /// How many there are.
        number: u32,
    },
}

impl Unheard {
    /// The kernel's number for it.
    #[must_use]
    pub fn number(&self) -> i32 {
        let number = match self {
            Self::ElsewhereInTheNetwork => unreachable().raw_os_error(),
            Self::Kernel(error) => error.raw_os_error(),
        };
        number.unwrap_or_default()
    }
}

/// What the arena returns.
pub type Result<T> = std::result::Result<T, Error>;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(shortage) => shortage.fmt(text),
            Self::Corrupt(what) => write!(text, "the session's shared memory is damaged: {what}"),
            Self::Freed => write!(text, "the object that this handle means is no more"),
            Self::OtherKind => write!(text, "this handle means an object of another kind"),
            Self::Unheard(why) => why.fmt(text),
            Self::Kernel(error) => error.fmt(text),
        }
    }
}

impl fmt::Display for Unheard {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ElsewhereInTheNetwork => write!(
                text,
                "a process that waits for this queue by a descriptor (select, asyncio) is in another network namespace \
                 and cannot be woken from here, so nothing was done; have it wait in get() or put() instead"
            ),
            Self::Kernel(_) => write!(
                text,
                "a process that waits for this queue by a descriptor (select, asyncio) cannot be woken, so nothing was \
                 done: {}",
                message_of(self.number())
            ),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { asked, used, limit } => write!(
                text,
                "{asked} bytes do not fit: the session's shared memory has {used} of its limit of {limit} bytes, which the \
                 environment variable ALLCORES_ARENA_BYTES sets for the whole program"
            ),
            Self::Memory { asked, left } => write!(
                text,
                "{asked} bytes do not fit: the machine, or this program's cgroup, has {left} bytes left; give it more, or \
                 keep less in shared memory at once"
            ),
            Self::Records { kind, number } => write!(text, "all {number} records of {kind} are taken"),
        }
    }
}
