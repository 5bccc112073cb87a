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
    /// A shared dict, which has keys.
    Table {
        /// The one that it was given.
        name: Option<String>,
    },
    /// A shared list, which has items.
    List {
        /// The one that it was given.
        name: Option<String>,
    },
}

/// What somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Who it is.
    pub holder: Holder,
    /// How many objects, messages, keys or items there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl fmt::Display for Holding {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, bytes, .. } = self;
        let mut of = |name: &Option<String>, kind: &str, what: &str| {
            match name {
                Some(name) => write!(text, "the {kind} '{name}'")?,
                None => write!(text, "a {kind}")?,
            }
            write!(text, " has {objects} {what} {bytes} bytes")
        };
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
            Holder::Table { name } => of(name, "shared dict", "keys with"),
            Holder::List { name } => of(name, "shared list", "items with"),
        }
    }
}

impl Arena {
    /// What each process has, each channel that has messages, and each table that has something in it, the one with the
    /// most first.
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
            let of: fn(Option<String>) -> Holder;
            let (objects, bytes);
            match Tag(arena.block(offset)?.tag.load(Ordering::Relaxed)).kind() {
                Some(Kind::Channel) => {
                    of = |name| Holder::Channel { name };
                    (objects, bytes) = arena.messages_of_channel(offset)?;
                }
                Some(Kind::Table) => {
                    of = |name| Holder::Table { name };
                    (objects, bytes) = arena.content_of_table(offset)?;
                }
                Some(Kind::List) => {
                    of = |name| Holder::List { name };
                    (objects, bytes) = arena.content_of_table(offset)?;
                }
                _ => return Ok(()),
            }
            if objects > 0 {
                let holder = of(arena.name_of(offset)?);
                holdings.push(Holding { holder, objects, bytes });
            }
            Ok(())
        })?;
        holdings.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
        Ok(holdings)
    }
}
