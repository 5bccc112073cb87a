//! Sites: places in a program, as texts that are written once and known by number from then on.
//!
//! A record is claimed (its hash swapped in), written, and complete with the store of its length. It is never changed or
//! freed after that: to note a site is one store of its number, which cannot be half done. Who dies while it writes a
//! record leaves one that is never complete, and the next one who needs that site takes another.

use crate::arena::layout::{SiteRecord, SITES, SITE_WORDS};
use crate::arena::objects::{text_of, words_of};
use crate::arena::{Arena, Result};
use crate::atomics::Ordering;

/// A place in a program, by its number in the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site(pub u32);

impl Site {
    /// One that nobody has told, or for which there was no room.
    pub const UNKNOWN: Self = Self(0);
}

/// The longest text of a site, in bytes. Of a longer one the end is kept, which says more than the beginning.
pub const SITE_MAX_BYTES: usize = 8 * SITE_WORDS;

impl Arena {
    /// The site of a text; `UNKNOWN` when there are too many.
    ///
    /// # Errors
    /// The kernel's: no memory.
    pub fn site(&self, text: &str) -> Result<Site> {
        let text = ending(text, SITE_MAX_BYTES);
        let hash = hash_of(text.as_bytes());
        for index in 0..SITES {
            if index >= self.sites_high() {
                self.reserve_sites(index)?;
            }
            let record = self.site_record(index)?;
            match record
                .hash
                .compare_exchange(0, hash, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    write(record, text);
                    return Ok(Site(index + 1));
                }
                Err(other) if other == hash && read(record).as_deref() == Some(text) => return Ok(Site(index + 1)),
                Err(_) => {}
            }
        }
        Ok(Site::UNKNOWN)
    }

    /// The text of a site, whose number may be anything.
    #[must_use]
    pub fn text_of_site(&self, site: Site) -> Option<String> {
        let index = site.0.checked_sub(1).filter(|index| *index < self.sites_high())?;
        read(self.site_record(index).ok()?)
    }
}

fn write(record: &SiteRecord, text: &str) {
    for (word, value) in record.text.iter().zip(words_of(text)) {
        word.store(value, Ordering::Relaxed);
    }
    record.length.store(text.len() as u64, Ordering::Release); // complete: `read`
}

/// The text of a record that is complete, and in which nobody has written since.
fn read(record: &SiteRecord) -> Option<String> {
    let length = record.length.load(Ordering::Acquire); // complete: `write`
    let length = usize::try_from(length)
        .ok()
        .filter(|length| (1..=SITE_MAX_BYTES).contains(length))?;
    let words: Vec<u64> = record.text.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    let text = text_of(&words, length);
    (record.hash.load(Ordering::Relaxed) == hash_of(text.as_bytes())).then_some(text)
}

/// FNV-1a, of which 0 stands for no hash.
fn hash_of(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

/// As much of the end of a text as fits, without cutting a character.
fn ending(text: &str, longest: usize) -> &str {
    let mut start = text.len().saturating_sub(longest);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "tests")]

    use super::*;

    fn arena() -> Arena {
        Arena::create(None).expect("an arena")
    }

    #[test]
    fn a_site_has_one_number_and_gives_its_text_back() {
        let arena = arena();
        let one = arena.site("one.py:1 in f").expect("room");
        let other = arena.site("other.py:2 in g").expect("room");
        assert_ne!(one, other);
        assert_eq!(arena.site("one.py:1 in f").expect("room"), one);
        assert_eq!(arena.text_of_site(one).as_deref(), Some("one.py:1 in f"));
        assert_eq!(arena.text_of_site(other).as_deref(), Some("other.py:2 in g"));
    }

    #[test]
    fn a_number_that_is_none_has_no_text() {
        let arena = arena();
        arena.site("one.py:1 in f").expect("room");
        for number in [0, 2, SITES, SITES + 1, u32::MAX] {
            assert_eq!(arena.text_of_site(Site(number)), None);
        }
    }

    #[test]
    fn of_a_long_text_the_end_is_kept_in_whole_characters() {
        let arena = arena();
        let text = format!("{}.py:1 in f", "ü".repeat(SITE_MAX_BYTES));
        let kept = arena.text_of_site(arena.site(&text).expect("room")).expect("a text");
        assert!(text.ends_with(&kept) && kept.len() > SITE_MAX_BYTES - 2);
    }

    #[test]
    fn a_text_that_was_overwritten_or_never_completed_is_none() {
        let arena = arena();
        let site = arena.site("one.py:1 in f").expect("room");
        let record = arena.site_record(site.0 - 1).expect("a record");
        record.text[0].fetch_xor(1, Ordering::Relaxed);
        assert_eq!(arena.text_of_site(site), None);
        record.text[0].fetch_xor(1, Ordering::Relaxed);
        for length in [0, 1, u64::MAX] {
            record.length.store(length, Ordering::Relaxed);
            assert_eq!(arena.text_of_site(site), None);
        }
        assert_ne!(arena.site("one.py:1 in f").expect("room"), site, "another record");
    }

    #[test]
    fn when_there_are_too_many_sites_the_rest_is_unknown() {
        let arena = arena();
        for number in 0..SITES {
            assert_eq!(arena.site(&number.to_string()).expect("room"), Site(number + 1));
        }
        assert_eq!(arena.site("one more").expect("no error"), Site::UNKNOWN);
        assert_eq!(arena.site("7").expect("no error"), Site(8));
    }
}
