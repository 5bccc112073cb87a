//! Looking keys up: with the lock, or without any (README: readers).

use std::hint;

use super::layout::{Shape, OTHER, OTHERS_HASH, SLOT_HEADER};
use super::links::Slot;
use super::log::low;
use super::section::{put_right, Table};
use super::slots::are_bytes;
use crate::arena::{Error, Result};
use crate::atomics::{fence, Ordering};
use crate::sync::side::Held;

/// A key as it is compared: bytes of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'b> {
    /// `hash` of the rest.
    pub hash: u32,
    /// Below 16.
    pub kind: u8,
    /// `LONGEST_KEY` at most.
    pub bytes: &'b [u8],
}

impl<'b> Key<'b> {
    /// The key of these bytes, in a session.
    #[must_use]
    pub fn of(session: u128, kind: u8, bytes: &'b [u8]) -> Self {
        let hash = if kind == OTHER {
            OTHERS_HASH
        } else {
            hash(session as u64, kind, bytes)
        };
        Self { hash, kind, bytes }
    }
}

/// A key as it was, where that is not what its bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Original<'b> {
    /// Below 16.
    pub kind: u8,
    /// As long as `LONGEST_KEY` allows, with the key's.
    pub bytes: &'b [u8],
}

/// What was found for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The value's.
    pub kind: u8,
    /// Which insertion it was.
    pub sequence: u64,
}

/// How often to look without the lock.
const ATTEMPTS: usize = 16;
/// How many steps of a walk are taken before it is looked whether anything has changed.
const STEPS: u64 = 32;

impl Table<'_> {
    /// Append a key's value to a buffer. `None`: somebody writes all the while, or has died doing so.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub fn try_get(&self, key: Key<'_>, into: &mut Vec<u8>) -> Result<Option<Option<Found>>> {
        let start = into.len();
        self.try_read(|version| {
            into.truncate(start);
            self.get_at(key, into, Some(version))
        })
    }

    /// The same with the lock, from now on.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn get(&self, _held: &Held, key: Key<'_>, into: &mut Vec<u8>) -> Result<Option<Found>> {
        put_right(self)?;
        self.get_at(key, into, None)
    }

    pub(super) fn get_at(&self, key: Key<'_>, into: &mut Vec<u8>, version: Option<u64>) -> Result<Option<Found>> {
        let (_, Some(slot)) = self.find(key, version)? else {
            return Ok(None);
        };
        let (shape, sequence) = (slot.shape(), slot.sequence());
        self.bytes(slot, shape.value_at(), shape.value.into(), into)?;
        Ok(Some(Found {
            kind: shape.value_kind,
            sequence,
        }))
    }

    /// Look at something until nothing has changed meanwhile; `None` when that does not come.
    ///
    /// # Errors
    /// What looking says when nothing has changed.
    #[inline]
    pub(super) fn try_read<T>(&self, mut look: impl FnMut(u64) -> Result<T>) -> Result<Option<T>> {
        let version = &self.body.version;
        for _ in 0..ATTEMPTS {
            let before = version.load(Ordering::Acquire); // README: d
            if before & 1 != 0 {
                hint::spin_loop();
                continue;
            }
            let seen = look(before);
            fence(Ordering::Acquire); // with the one of `Section::enter`
            if version.load(Ordering::Relaxed) == before {
                return seen.map(Some);
            }
        }
        Ok(None)
    }

    /// The slot of a key, and where its number stands: in its bucket, or another slot; without one, where that list ends.
    #[inline]
    pub(super) fn find(&self, key: Key<'_>, version: Option<u64>) -> Result<(u64, Option<Slot>)> {
        let mut place = self.place_in_array(Self::bucket_of(key.hash, self.buckets()))?;
        let mut steps = 0;
        loop {
            let at = low(self.word(place)?);
            if at == 0 {
                return Ok((place, None));
            }
            let slot = self.slot(at)?;
            if slot.hash() == key.hash && self.is(slot, key)? {
                return Ok((place, Some(slot)));
            }
            place = slot.chain_place();
            self.go_on(&mut steps, version)?;
        }
    }

    /// Count a step of a walk: it ends when something has changed since a version.
    ///
    /// Not where somebody only writes since then: who changes nothing has the version be what it was, and then the reader
    /// would take this error for one of the table.
    pub(super) fn go_on(&self, steps: &mut u64, version: Option<u64>) -> Result<()> {
        self.bound(steps)?;
        let is_time = *steps % STEPS == 0;
        match version {
            Some(before) if is_time && self.body.version.load(Ordering::Acquire) & !1 != before => {
                Err(Error::Corrupt("a table was changed while it was read")) // the reader looks at the version, too
            }
            _ => Ok(()),
        }
    }

    fn is(&self, slot: Slot, key: Key<'_>) -> Result<bool> {
        let Shape {
            key_kind, key: length, ..
        } = slot.shape();
        if key_kind != key.kind || usize::from(length) != key.bytes.len() {
            return Ok(false);
        }
        let words = self.words(slot.place() + SLOT_HEADER as u64 * 8, key.bytes.len().div_ceil(8))?;
        Ok(are_bytes(words, key.bytes))
    }
}

/// Fold two words into one; each bit of it depends on all of theirs.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// A hash of bytes: words folded with odd constants (as wyhash does), the session's own.
#[must_use]
fn hash(seed: u64, kind: u8, bytes: &[u8]) -> u32 {
    const ONE: u64 = 0xa076_1d64_78bd_642f;
    const OTHER: u64 = 0xe703_7ed1_a0b4_28db;
    let mut hash = seed ^ ONE.wrapping_mul(u64::from(kind) + 1);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = fold(hash ^ u64::from_ne_bytes(word), OTHER);
    }
    hash = fold(hash ^ bytes.len() as u64, ONE);
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_spread_over_buckets() {
        for step in [1_u64, 8, 64, 1 << 20, 1 << 32] {
            let mut buckets = vec![0; 1024];
            for number in 0..1024_u64 {
                buckets[hash(7, 3, &(number * step).to_ne_bytes()) as usize % 1024] += 1;
            }
            let longest = buckets.iter().max().copied();
            assert!(longest < Some(10), "{step} {longest:?}");
        }
    }

    #[test]
    fn a_hash_is_of_kind_length_and_session() {
        let hashes = [
            hash(1, 2, b"a"),
            hash(1, 3, b"a"),
            hash(2, 2, b"a"),
            hash(1, 2, b"a\0"),
            hash(1, 2, b""),
        ];
        for (index, one) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(one));
        }
        assert_eq!(hash(1, 2, b"abcdefghij"), hash(1, 2, b"abcdefghij"));
    }
}
