//! Who has how much of the memory: for those who find that none is left.

use std::fmt;

use super::error::Result;
use super::session::{Arena, Pause};
use super::tag::{Kind, Tag};
use crate::atomics::Ordering;
use crate::registry::processes::name_of;

/// What a process has handles to. What several processes have counts for each of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// 0: one that is being forked.
    pub pid: u32,
    /// The process's.
    pub name: String,
    /// How many of them there are.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl fmt::Display for Holding {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            name,
            objects,
            bytes,
        } = self;
        let name = if name.is_empty() { "a process" } else { name };
        write!(text, "{name} (pid {pid}) has {objects} of {bytes} bytes")
    }
}

impl Arena {
    /// What each process has, the one with the most first.
    ///
    /// # Errors
    /// What the heap says.
    pub fn holdings(&self, pause: Pause<'_>) -> Result<Vec<Holding>> {
        let _heap = self.heap(pause)?;
        let mut holdings = Vec::new();
        for index in 0..self.processes_high() {
            let record = self.process(index)?;
            let mut found = Holding::default();
            self.each_reference_of(record, |arena, offset| {
                let block = arena.block(offset)?;
                if Tag(block.tag.load(Ordering::Relaxed)).kind() != Some(Kind::References) {
                    found.objects += 1;
                    found.bytes = found.bytes.saturating_add(block.size.load(Ordering::Relaxed));
                }
                Ok(())
            })?;
            if found.objects > 0 {
                found.pid = record.pid.load(Ordering::Relaxed);
                found.name = name_of(record);
                holdings.push(found);
            }
        }
        holdings.sort_by_key(|holding| std::cmp::Reverse(holding.bytes));
        Ok(holdings)
    }
}
