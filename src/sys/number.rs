//! Numbers in memory that other processes change at the same time: one instruction changes each.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};

/// A place of 1, 2, 4 or 8 bytes, as bits: those that it does not have are zeroes.
pub enum Place<'a> {
    /// 1 byte.
    One(&'a AtomicU8),
    /// 2 bytes.
    Two(&'a AtomicU16),
    /// 4 bytes.
    Four(&'a AtomicU32),
    /// 8 bytes.
    Eight(&'a AtomicU64),
}

impl Place<'_> {
    /// The place of a number of so many bytes; `None` unless it is 1, 2, 4 or 8, and the address a multiple of it.
    ///
    /// # Safety
    /// There is memory that may be written, as long as the place lives, and that is bytes to everybody: who changes it by
    /// other means meanwhile changes a number and nothing else.
    #[must_use]
    pub unsafe fn at(address: usize, bytes: usize) -> Option<Self> {
        if bytes == 0 || address % bytes != 0 {
            return None;
        }
        let there = address as *mut u8;
        Some(match bytes {
            // SAFETY: the caller's promise; it is aligned, and any bits are a number.
            1 => Self::One(unsafe { AtomicU8::from_ptr(there) }),
            // SAFETY: as above.
            2 => Self::Two(unsafe { AtomicU16::from_ptr(there.cast()) }),
            // SAFETY: as above.
            4 => Self::Four(unsafe { AtomicU32::from_ptr(there.cast()) }),
            // SAFETY: as above.
            8 => Self::Eight(unsafe { AtomicU64::from_ptr(there.cast()) }),
            _ => return None,
        })
    }

    /// Change it to what `change` makes of it, unless that is `None`; the bits before, and whether they were changed.
    pub fn update(&self, mut change: impl FnMut(u64) -> Option<u64>) -> (u64, bool) {
        // A number on its own orders nothing else; who waits for one to change and then reads others expects that it does.
        const ORDER: Ordering = Ordering::SeqCst;
        macro_rules! update {
            ($place:ident, $bits:ty) => {
                $place
                    .fetch_update(ORDER, ORDER, |bits| Some(change(bits.into())? as $bits))
                    .map(u64::from)
                    .map_err(u64::from)
            };
        }
        let changed = match self {
            Self::One(place) => update!(place, u8),
            Self::Two(place) => update!(place, u16),
            Self::Four(place) => update!(place, u32),
            Self::Eight(place) => update!(place, u64),
        };
        match changed {
            Ok(before) => (before, true),
            Err(before) => (before, false),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_aligned_and_of_a_number_s_size_is_a_place() {
        let words = [0_u64; 2];
        let start = words.as_ptr() as usize;
        for (offset, bytes, is_one) in [
            (0, 8, true),
            (4, 8, false),
            (4, 4, true),
            (1, 1, true),
            (1, 2, false),
            (0, 3, false),
            (0, 0, false),
        ] {
            // SAFETY: it is within the words, and nothing is written.
            let place = unsafe { Place::at(start + offset, bytes) };
            assert_eq!(place.is_some(), is_one, "{bytes} bytes at {offset}");
        }
    }

    #[test]
    fn nothing_is_lost_when_threads_change_a_number_at_once() {
        let word = AtomicU64::new(0);
        let address = word.as_ptr() as usize;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    // SAFETY: the word lives longer than the scope.
                    let place = unsafe { Place::at(address, 2) }.expect("aligned");
                    for _ in 0..10_000 {
                        let _ = place.update(|bits| Some(bits + 1));
                    }
                });
            }
        });
        assert_eq!(word.load(Ordering::SeqCst), 40_000);
    }
}
