//! Reading a list: with the lock, or without any (README: readers).

use super::super::section::{put_right, Section, Table};
use super::entries::{Entry, HEAD_WORDS};
use super::slice::index_of;
use crate::arena::Result;
use crate::atomics::Ordering;
use crate::sync::side::Held;

/// A value; its bytes end there in the buffer that they were appended to, and begin where those before end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The value's.
    pub kind: u8,
    /// In the buffer.
    pub end: usize,
}

/// When something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// As long as it is the same, nothing has changed.
    pub version: u64,
    /// How many items there were.
    pub count: u64,
}

/// Which items: so many, from one on, each a step on from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    /// The index of the first one.
    pub start: u64,
    /// May be negative.
    pub step: i64,
    /// How many.
    pub number: u64,
}

impl Table<'_> {
    /// Append the values of those items that `which` says, of how many there are. `None`: somebody writes all the while, or
    /// has died doing so.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub fn try_items(
        &self,
        which: impl Fn(u64) -> Which,
        into: (&mut Vec<u8>, &mut Vec<Piece>),
    ) -> Result<Option<Moment>> {
        let (bytes, pieces) = into;
        let starts = (bytes.len(), pieces.len());
        self.try_read(|version| {
            bytes.truncate(starts.0);
            pieces.truncate(starts.1);
            self.items_at(&which, (bytes, pieces), Some(version))
        })
    }

    /// The same with the lock.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn items_with(
        &self,
        _held: &Held,
        which: impl Fn(u64) -> Which,
        into: (&mut Vec<u8>, &mut Vec<Piece>),
    ) -> Result<Moment> {
        put_right(self)?;
        self.items_at(&which, into, None)
    }

    /// Append the value of the item that a number means, from the end if it is negative; its kind. `None`, as above, or when
    /// there is no such item.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub fn try_item(&self, number: i64, into: &mut Vec<u8>) -> Result<Option<Option<u8>>> {
        let start = into.len();
        self.try_read(|_| {
            into.truncate(start);
            self.item_of(number, into)
        })
    }

    /// The same with the lock.
    ///
    /// # Errors
    /// `Corrupt`, and what the heap says.
    pub fn item_with(&self, _held: &Held, number: i64, into: &mut Vec<u8>) -> Result<Option<u8>> {
        put_right(self)?;
        self.item_of(number, into)
    }

    fn item_of(&self, number: i64, into: &mut Vec<u8>) -> Result<Option<u8>> {
        match index_of(number, self.items()) {
            Some(index) => self.item_at(index, into).map(Some),
            None => Ok(None),
        }
    }

    fn items_at(
        &self,
        which: impl Fn(u64) -> Which,
        (bytes, pieces): (&mut Vec<u8>, &mut Vec<Piece>),
        version: Option<u64>,
    ) -> Result<Moment> {
        let moment = Moment {
            version: version.unwrap_or_else(|| self.body.version.load(Ordering::Relaxed)),
            count: self.items(),
        };
        let Which {
            start: mut index,
            step,
            number,
        } = which(moment.count);
        let mut steps = 0;
        for _ in 0..number {
            let kind = self.item_at(index, bytes)?;
            pieces.push(Piece { kind, end: bytes.len() });
            index = index.wrapping_add_signed(step);
            self.go_on(&mut steps, version)?;
        }
        Ok(moment)
    }

    /// Append an item's value; its kind.
    fn item_at(&self, index: u64, into: &mut Vec<u8>) -> Result<u8> {
        let entry = self.word(self.place_of_entry(index)?)?.load(Ordering::Relaxed);
        match Entry::of(entry) {
            Entry::Here { kind, bytes, length } => {
                into.extend_from_slice(&bytes[..length]);
                Ok(kind)
            }
            Entry::Slot(slot) => {
                let head = self.head(slot)?;
                let place = (u64::from(slot) + HEAD_WORDS as u64) * 8;
                self.look_at(place, usize::from(head.length).div_ceil(8))?;
                self.arena.file.read(place, head.length.into(), into)?;
                Ok(head.kind)
            }
        }
    }
}

impl Section<'_> {
    /// An item's value, appended to a buffer; its kind.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn item(&self, index: u64, into: &mut Vec<u8>) -> Result<Option<u8>> {
        if index >= self.table.items() {
            return Ok(None);
        }
        self.table.item_at(index, into).map(Some)
    }

    /// Whether nothing has changed since something was read.
    #[must_use]
    pub fn is_at(&self, version: u64) -> bool {
        self.version() == version
    }
}
