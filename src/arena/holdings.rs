//! Who has how much of the memory: for those who find that none is left.

use std::fmt;

use super::error::Result;
use super::session::{Arena, Pause};
use super::tag::{Kind, Tag};
use crate::atomics::Ordering;
use crate::registry::processes::name_of;

/// Who has something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process, which has handles. What several processes have counts for each of them.
    Process {
        /// 0: one that is being forked.
        pid: u32,
        /// The process's.
        name: String,
    },
    /// A queue or pipe, which has messages.
    Channel {
        /// The one that it was given.
        name: Option<String>,
    },
}

/// What somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Who it is.
    pub holder: Holder,
    /// How many objects or messages there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl fmt::Display for Holding {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, bytes, .. } = self;
        match &self.holder {
            Holder::Process { pid, name } => {
                let name = if name.is_empty() { "a process" } else { name };
                write!(text, "{name} (pid {pid}) has {objects} of {bytes} bytes")
            }
            Holder::Channel { name } => {
                match name {
                    Some(name) => write!(text, "the queue '{name}'")?,
                    None => write!(text, "a queue or pipe")?,
                }
                write!(text, " has {objects} messages of {bytes} bytes")
            }
        }
    }
}

impl Arena {
    /// What each process has, and each channel that has messages, the one with the most first.
    ///
    /// # Errors
    /// What the heap says.
    pub fn holdings(&self, pause: Pause<'_>) -> Result<Vec<Holding>> {
        let _heap = self.heap(pause)?;
        let mut holdings = Vec::new();
        for index in 0..self.processes_high() {
            let record = self.process(index)?;
            let (mut objects, mut bytes) = (0, 0u64);
            self.each_reference_of(record, |arena, offset| {
                let block = arena.block(offset)?;
                if Tag(block.tag.load(Ordering::Relaxed)).kind() != Some(Kind::References) {
                    objects += 1;
                    bytes = bytes.saturating_add(block.size.load(Ordering::Relaxed));
                }
                Ok(())
            })?;
            if objects > 0 {
                let (pid, name) = (record.pid.load(Ordering::Relaxed), name_of(record));
                let holder = Holder::Process { pid, name };
                holdings.push(Holding { holder, objects, bytes });
            }
        }
        self.each_block(|arena, offset, _| {
            if Tag(arena.block(offset)?.tag.load(Ordering::Relaxed)).kind() == Some(Kind::Channel) {
                let (objects, bytes) = arena.messages_of_channel(offset)?;
                if objects > 0 {
                    let name = arena.name_of(offset)?;
                    let holder = Holder::Channel { name };
                    holdings.push(Holding { holder, objects, bytes });
                }
            }
            Ok(())
        })?;
        holdings.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
        Ok(holdings)
    }
}
