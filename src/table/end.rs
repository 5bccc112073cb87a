//! What belongs to a table: the end of those who gave it out, an event that is set then, and that whoever uses the table looks
//! at before; and the lock that transactions have one after another.

use super::section::Table;
use crate::arena::heap::go_on;
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::{entry, of_entry, Kind};
use crate::arena::{Error, Handle, Pause, Result};
use crate::atomics::Ordering;
use crate::sync::event::EventBody;

/// A lock's body.
const TURN_BYTES: u64 = 64 - BLOCK_HEADER;

impl Table<'_> {
    /// Have a new table, which nobody else has yet, refer to the event.
    ///
    /// # Errors
    /// What the heap says.
    pub fn have_end(&self, event: &Handle) -> Result<()> {
        let heap = self.arena.heap(&mut go_on)?;
        let entry = entry(event.offset, event.generation);
        let place = self.vacancy(&heap)?;
        heap.set_entry(place, entry)?;
        self.body.end.store(entry, Ordering::Release);
        Ok(())
    }

    /// The event, which is there as long as the table is.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn end(&self) -> Result<Option<&'static EventBody>> {
        let (offset, generation) = of_entry(self.body.end.load(Ordering::Acquire));
        if offset == 0 {
            return Ok(None);
        }
        self.arena.size_of_kind(offset, Kind::Event)?;
        if self.arena.tag_of(offset).map(|tag| tag.generation()) != Some(generation) {
            return Err(Error::Corrupt("a table's end is another event"));
        }
        self.arena.body(offset).map(Some)
    }

    /// A handle to the lock of transactions, which is made for the first one.
    ///
    /// # Errors
    /// What the heap says.
    pub fn turn(&self, pause: Pause<'_>) -> Result<Handle> {
        let turn = &self.body.turn;
        if turn.load(Ordering::Acquire) == 0 {
            let made = self.arena.make(Kind::RLock, TURN_BYTES, None, pause)?;
            let stored = self.arena.heap(pause).and_then(|heap| {
                if turn.load(Ordering::Acquire) == 0 {
                    let (place, entry) = (self.vacancy(&heap)?, entry(made.offset, made.generation));
                    heap.set_entry(place, entry)?;
                    turn.store(entry, Ordering::Release);
                }
                Ok(())
            });
            self.arena.release(&made, pause)?;
            stored?;
        }
        let (offset, generation) = of_entry(turn.load(Ordering::Acquire));
        self.arena.attach(offset, generation, Kind::RLock, pause)
    }
}
