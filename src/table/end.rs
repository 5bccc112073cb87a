//! The end of those who gave a table out: an event that is set then. Whoever uses the table looks at it before.

use super::section::Table;
use crate::arena::heap::go_on;
use crate::arena::tag::{entry, of_entry, Kind};
use crate::arena::{Error, Handle, Result};
use crate::atomics::Ordering;
use crate::sync::event::EventBody;

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
}
