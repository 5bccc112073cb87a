//! Mappings of large blocks that this process keeps for when it has the same place again: a place that is mapped and was
//! touched before is written without a page fault. A place whose memory was given back has none in a mapping either.

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

/// The mappings that are kept, the oldest first.
#[derive(Default)]
pub struct Mappings(Mutex<Vec<(Place, Mapping)>>);

impl Arena {
    /// Have a range of the file mapped.
    pub(super) fn mapping(&self, position: u64, length: usize, writable: bool) -> std::io::Result<Mapping> {
        let place = Place {
            position,
            length,
            writable,
        };
        // Another thread may have had it locked when this process was forked; then nothing is kept here.
        if let Ok(mut kept) = self.mappings.0.try_lock() {
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
        let Ok(mut kept) = self.mappings.0.try_lock() else {
            return;
        };
        kept.push((place, mapping));
        while kept.len() > KEPT || kept.iter().map(|(place, _)| place.length).sum::<usize>() > KEPT_BYTES {
            kept.remove(0);
        }
    }
}
