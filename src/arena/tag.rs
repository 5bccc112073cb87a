//! A block's tag: one word that says whether it is live, what it is, and how often its place was used before.

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// References of a process.
    References = 1,
    /// The name of another block.
    Name = 2,
    /// Bytes of the user's.
    Memory = 3,
    /// `sync::lock`.
    Lock = 4,
    /// The same, of a thread.
    RLock = 5,
    /// `sync::semaphore`.
    Semaphore = 6,
    /// `sync::condition`.
    Condition = 7,
    /// `sync::event`.
    Event = 8,
    /// `sync::barrier`.
    Barrier = 9,
    /// `channel`.
    Channel = 10,
    /// Where a channel's messages are.
    Segment = 11,
    /// Which task a worker has: `channel::claims`.
    Claim = 12,
    /// `table`: a dict.
    Table = 13,
    /// Where a table's keys and values are.
    Page = 14,
    /// References of what is kept together: `arena::bundles`.
    Bundle = 15,
    /// `table`: a list.
    List = 16,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::References,
        Self::Name,
        Self::Memory,
        Self::Lock,
        Self::RLock,
        Self::Semaphore,
        Self::Condition,
        Self::Event,
        Self::Barrier,
        Self::Channel,
        Self::Segment,
        Self::Claim,
        Self::Table,
        Self::Page,
        Self::Bundle,
        Self::List,
    ];

    /// Whether it has a table's body and pages.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::List)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The word: generation, kind, live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub u64);

const LIVE: u64 = 1;

impl Tag {
    /// The tag of a live block.
    #[must_use]
    pub fn live(generation: u32, kind: Kind) -> Self {
        Self((generation as u64) << 32 | (kind as u64) << 8 | LIVE)
    }

    /// The tag of the same place when it is free, and what is made there next has another generation.
    #[must_use]
    pub fn freed(self) -> Self {
        Self((self.generation().wrapping_add(1) as u64) << 32)
    }

    /// Whether the block is one, and not a free place.
    #[must_use]
    pub fn is_live(self) -> bool {
        self.0 & LIVE != 0
    }

    /// How often the place was freed before.
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Of a live block; `None` for what no block is.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        if self.is_live() {
            Kind::of((self.0 >> 8) as u8)
        } else {
            None
        }
    }
}

/// A handle's entry among a process's references. Never 0, since no block lies at offset 0.
#[must_use]
pub fn entry(offset: u64, generation: u32) -> u64 {
    ((generation as u64) << 32) | (offset / UNIT)
}

/// Offset and generation of an entry.
#[must_use]
pub fn of_entry(entry: u64) -> (u64, u32) {
    ((entry & u64::from(u32::MAX)) * UNIT, (entry >> 32) as u32)
}

/// Blocks begin at multiples of this.
const UNIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_it_was_made_of() {
        for kind in Kind::ALL {
            let tag = Tag::live(7, kind);
            assert!(tag.is_live());
            assert_eq!((tag.generation(), tag.kind()), (7, Some(kind)));
        }
    }

    #[test]
    fn a_freed_place_is_of_no_kind_and_of_the_next_generation() {
        let freed = Tag::live(u32::MAX, Kind::Lock).freed();
        assert_eq!((freed.is_live(), freed.kind(), freed.generation()), (false, None, 0));
    }

    #[test]
    fn an_entry_says_what_it_was_made_of() {
        assert_eq!(of_entry(entry(0x7fff_ffc0, 9)), (0x7fff_ffc0, 9));
    }
}
