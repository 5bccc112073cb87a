//! An entry: one word, which is the value itself or the number of its slot; and what such a slot begins with.

use super::super::layout::{class_of, IN_BLOCK};

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A value of a kind: the first so many of these bytes.
    Here { kind: u8, bytes: [u8; 8], length: usize },
    /// The value is in a slot.
    Slot(u32),
}

/// The entry is the value.
const HERE: u64 = 1 << 63;
/// Kinds that have room in an entry are below.
const KINDS: u8 = 8;
/// Bytes that have.
const BITS: u32 = 56;

impl Entry {
    /// The entry of a value, if it has room in one.
    pub fn of_value(kind: u8, bytes: &[u8]) -> Option<u64> {
        if kind >= KINDS || bytes.len() > 8 {
            return None;
        }
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = i64::from_le_bytes(word);
        if word << (64 - BITS) >> (64 - BITS) != word && bytes.len() == 8 {
            return None;
        }
        let payload = word as u64 & ((1 << BITS) - 1);
        Some(HERE | u64::from(kind) << (BITS + 4) | (bytes.len() as u64) << BITS | payload)
    }

    pub fn of(word: u64) -> Self {
        if word & HERE == 0 {
            return Self::Slot(word as u32);
        }
        let length = ((word >> BITS) as usize & 15).min(8);
        let payload = word << (64 - BITS);
        let value = match length {
            8 => (payload as i64 >> (64 - BITS)) as u64,
            _ => payload >> (64 - BITS),
        };
        Self::Here {
            kind: (word >> (BITS + 4)) as u8 & (KINDS - 1),
            bytes: value.to_le_bytes(),
            length,
        }
    }
}

/// What a slot's first word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the chunk in which the entry is that leads to it.
    pub chunk: u32,
    /// The value's: the caller's affair, but for `IN_BLOCK`.
    pub kind: u8,
    /// The value's, in bytes.
    pub length: u16,
}

/// Words in front of the value.
pub const HEAD_WORDS: usize = 1;

impl Head {
    pub fn word(self) -> u64 {
        u64::from(self.chunk) << 32 | u64::from(self.kind) << 16 | u64::from(self.length)
    }

    pub fn of(word: u64) -> Self {
        Self {
            chunk: (word >> 32) as u32,
            kind: (word >> 16) as u8,
            length: word as u16,
        }
    }

    /// The size that the slot has; `None` when it is too long for any.
    pub fn class(self) -> Option<usize> {
        class_of(HEAD_WORDS * 8 + usize::from(self.length))
    }

    pub fn is_in_block(self) -> bool {
        self.kind & IN_BLOCK != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_value_that_it_was_made_of() {
        for number in [0, 1, -1, i64::MIN >> 8, i64::MAX >> 8] {
            let word = Entry::of_value(4, &number.to_le_bytes()).expect("has room");
            let is = Entry::Here {
                kind: 4,
                bytes: number.to_le_bytes(),
                length: 8,
            };
            assert_eq!(Entry::of(word), is);
        }
        for length in 0..8 {
            let word = Entry::of_value(7, &[0xff; 8][..length]).expect("has room");
            let mut bytes = [0; 8];
            bytes[..length].fill(0xff);
            assert_eq!(Entry::of(word), Entry::Here { kind: 7, bytes, length });
        }
    }

    #[test]
    fn what_has_no_room_is_in_a_slot() {
        for number in [(i64::MAX >> 8) + 1, (i64::MIN >> 8) - 1, i64::MIN] {
            assert_eq!(Entry::of_value(4, &number.to_le_bytes()), None);
        }
        assert_eq!(Entry::of_value(8, &[]), None);
        assert_eq!(Entry::of_value(6, &[1; 9]), None);
        assert_eq!(Entry::of(0x7fff_fff1), Entry::Slot(0x7fff_fff1));
        let head = Head {
            chunk: u32::MAX,
            kind: IN_BLOCK | 9,
            length: u16::MAX,
        };
        assert_eq!(Head::of(head.word()), head);
    }
}
