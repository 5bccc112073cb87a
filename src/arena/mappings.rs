//! Mappings of large blocks that this process keeps for when it has the same place again: a place that is mapped and was
//! touched before is written without a page fault. A place whose memory was given back has none in a mapping either.

use std::collections::HashMap;

use super::session::Arena;
use crate::atomics::Mutex;
use crate::sys::shared::Mapping;

/// At most so many, and so many bytes.
const KEPT: usize = 16;
const KEPT_BYTES: usize = 64 << 20;

/// Which part of the file a mapping is of, and whether it can be written to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    position: u64,
    length: usize,
    writable: bool,
}

/// The mappings that are kept, the oldest first, and those of messages that this process has received, by their address.
#[derive(Default)]
pub struct Mappings {
    kept: Mutex<Vec<(Place, Mapping)>>,
    received: Mutex<HashMap<usize, Received>>,
}

/// The mapping of a message, which the program writes to.
struct Received {
    place: Place,
    mapping: Mapping,
    is_private: bool,
}

impl Arena {
    /// Have a range of the file mapped.
    pub(super) fn mapping(&self, position: u64, length: usize, writable: bool) -> std::io::Result<Mapping> {
        let place = Place {
            position,
            length,
            writable,
        };
        // Another thread may have had it locked when this process was forked; then nothing is kept here.
        if let Ok(mut kept) = self.mappings.kept.try_lock() {
            let index = kept.iter().position(|(of, _)| *of == place);
            if let Some((_, mapping)) = index.map(|index| kept.remove(index)) {
                return Ok(mapping);
            }
        }
        self.file.map(position, length, writable)
    }

    /// Keep a mapping of a large object that nobody refers to any more, or have it end.
    pub fn keep_mapping(&self, position: u64, length: usize, writable: bool, mapping: Mapping) {
        let place = Place {
            position,
            length,
            writable,
        };
        let Ok(mut kept) = self.mappings.kept.try_lock() else {
            return;
        };
        kept.push((place, mapping));
        while kept.len() > KEPT || kept.iter().map(|(place, _)| place.length).sum::<usize>() > KEPT_BYTES {
            kept.remove(0);
        }
    }

    /// Have the mapping of a message that was received, until `end_received`; it is given back where that cannot be.
    ///
    /// # Errors
    /// The mapping, in a process that another thread has forked while it was here.
    pub fn begin_received(&self, position: u64, length: usize, mapping: Mapping) -> Result<(), Mapping> {
        let Ok(mut received) = self.mappings.received.try_lock() else {
            return Err(mapping);
        };
        let place = Place {
            position,
            length,
            writable: true,
        };
        let is_private = false;
        received.insert(
            mapping.address() as usize,
            Received {
                place,
                mapping,
                is_private,
            },
        );
        Ok(())
    }

    /// End the mapping of a message at an address, or keep it.
    pub fn end_received(&self, address: usize) {
        let Ok(mut received) = self.mappings.received.try_lock() else {
            return; // as above: it stays mapped
        };
        let Some(ended) = received.remove(&address) else { return };
        drop(received);
        if !ended.is_private {
            self.keep_mapping(ended.place.position, ended.place.length, true, ended.mapping);
        }
    }

    /// Before a fork: what parent and child write to the messages that were received until now is each one's own.
    ///
    /// Where there is no memory for that they see what the other one writes.
    pub fn part_received(&self) {
        let (Ok(mut received), Ok(file)) = (self.mappings.received.try_lock(), self.file.descriptor()) else {
            return;
        };
        for message in received.values_mut().filter(|message| !message.is_private) {
            message.is_private = message.mapping.make_private(file, message.place.position).is_ok();
        }
    }
}
