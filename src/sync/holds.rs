//! Who has acquired how much of a semaphore that gives back what the dead had (`recover=True`).
//!
//! The truth is one entry for each process: how often it has acquired the semaphore more than released it. The value is
//! what follows: `base` less the sum of the entries. Both change under a robust mutex; who dies with it leaves an entry
//! that is right and a value that may not be, which the next one counts anew.

use super::section::Section;
use super::word::{change, SLEEPERS};
use crate::arena::heap::go_on;
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::{Arena, Error, Result, Shortage};
use crate::atomics::{AtomicU64, Ordering};
use crate::registry::processes::{Fate, ProcessId};
use crate::sync::semaphore::SemaphoreBody;
use crate::sys::futex;

/// Entries, and the words before them. The single-step tests go past each of them.
const WORDS: usize = if cfg!(test) { 8 } else { 1000 };
/// The value with all entries at zero, less what entries were that are gone.
const BASE: usize = 0;
/// Taking an entry off into the base is two stores; what they are is written down first, and done again by who finds it.
const NEW_BASE: usize = 1;
/// Which entry is taken off; 0: none.
const TAKEN_OFF: usize = 2;
const FIRST_ENTRY: usize = 3;
/// Where the words begin in the body.
const WORDS_AT: u64 = 32;
/// How large the body of such a semaphore is, in bytes.
pub const BODY: u64 = WORDS_AT + 8 * WORDS as u64;

/// A semaphore that gives back, as this process has it.
#[derive(Clone, Copy)]
pub struct Holds<'a> {
    arena: &'a Arena,
    body: &'static SemaphoreBody,
    offset: u64,
    words: &'static [AtomicU64],
}

impl<'a> Holds<'a> {
    /// The entries of a semaphore, if it has any.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn of(arena: &'a Arena, body: &'static SemaphoreBody, offset: u64) -> Result<Option<Self>> {
        if body.recovers.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        if arena.block(offset)?.size.load(Ordering::Relaxed) < BODY || arena.room(offset)? < BODY {
            return Err(Error::Corrupt("a semaphore has no room for what it is to give back"));
        }
        Ok(Some(Self {
            arena,
            body,
            offset,
            words: arena.file.words(offset + BLOCK_HEADER + WORDS_AT, WORDS)?,
        }))
    }

    /// Begin with a value; nobody else knows of the semaphore yet.
    pub fn begin(&self, value: u32) {
        self.words[BASE].store(u64::from(value), Ordering::Relaxed);
    }

    /// Who has acquired some of it and not released that, dead or alive.
    pub fn holders(&self) -> impl Iterator<Item = ProcessId> {
        let entries = self.words[FIRST_ENTRY..].iter();
        let split = entries.map(|entry| split(entry.load(Ordering::Relaxed)));
        split.filter_map(|(process, count)| (count > 0).then_some(process))
    }

    /// Acquire it if its value is above zero.
    ///
    /// # Errors
    /// `Full` when a thousand processes have used it and run still; what the mutex says.
    pub fn try_acquire(&self) -> Result<bool> {
        let _guard = self.lock()?;
        if self.body.value() == 0 {
            self.reclaim()?;
        }
        if self.body.value() == 0 {
            return Ok(false);
        }
        self.add(1)?;
        change(&self.body.word, 0, |value| value.checked_sub(1));
        Ok(true)
    }

    /// Release it; false when its value is the largest already.
    ///
    /// # Errors
    /// As `try_acquire`.
    pub fn release(&self) -> Result<bool> {
        let guard = self.lock()?;
        if self.body.value() >= self.body.maximum.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.add(-1)?;
        change(&self.body.word, 0, |value| value.checked_add(1));
        drop(guard);
        self.wake();
        Ok(true)
    }

    fn wake(&self) {
        if self.body.word.fetch_and(!SLEEPERS, Ordering::AcqRel) & SLEEPERS != 0 {
            futex::wake(&self.body.word, 1);
        }
    }

    fn lock(&self) -> Result<Section> {
        let (section, has_died) = Section::enter(self.arena, self.offset, &self.body.changing)?;
        if has_died {
            self.finish_taking_off();
            self.count();
            self.wake();
        }
        Ok(section)
    }

    /// Change this process's entry.
    fn add(&self, change: i32) -> Result<()> {
        let me = ProcessId(self.arena.me());
        let of = |process: ProcessId| move |entry: &&AtomicU64| split(entry.load(Ordering::Relaxed)).0 == process;
        let mut entries = self.words[FIRST_ENTRY..].iter();
        let entry = match entries.clone().find(of(me)) {
            Some(entry) => entry,
            None => match entries.find(of(ProcessId(0))) {
                Some(entry) => entry,
                None => self.take_off_an_entry()?,
            },
        };
        let (process, count) = split(entry.load(Ordering::Relaxed));
        let count = if process == me { count } else { 0 };
        entry.store(join(me, count.wrapping_add(change)), Ordering::Release);
        Ok(())
    }

    /// Give back what processes had that died.
    fn reclaim(&self) -> Result<()> {
        let mut found = false;
        for entry in &self.words[FIRST_ENTRY..] {
            let (process, count) = split(entry.load(Ordering::Relaxed));
            if process.0 != 0 && count > 0 && matches!(self.arena.fate(process, &mut go_on)?, Fate::Died(_)) {
                entry.store(0, Ordering::Release);
                found = true;
            }
        }
        if found {
            self.count();
            self.wake();
        }
        Ok(())
    }

    /// Make the value what follows from the entries.
    fn count(&self) {
        let mut value = self.words[BASE].load(Ordering::Relaxed) as i64;
        for entry in &self.words[FIRST_ENTRY..] {
            value = value.wrapping_sub(split(entry.load(Ordering::Relaxed)).1.into());
        }
        let value = value.clamp(0, self.body.maximum.load(Ordering::Relaxed).into()) as u32;
        change(&self.body.word, SLEEPERS, |_| Some(value));
    }

    /// Free the entry of a process that ended: what it had is given back if it died, and else it left that on purpose.
    fn take_off_an_entry(&self) -> Result<&'static AtomicU64> {
        self.reclaim()?;
        for (index, entry) in self.words.iter().enumerate().skip(FIRST_ENTRY) {
            let (process, count) = split(entry.load(Ordering::Relaxed));
            if process.0 == 0 {
                return Ok(entry);
            }
            if !self.arena.runs(process) {
                let base = self.words[BASE].load(Ordering::Relaxed) as i64;
                let new_base = base.wrapping_sub(count.into());
                self.words[NEW_BASE].store(new_base as u64, Ordering::Release);
                self.words[TAKEN_OFF].store(index as u64, Ordering::Release);
                self.finish_taking_off();
                return Ok(entry);
            }
        }
        Err(Error::Full(Shortage::Records {
            kind: "a semaphore with recovery",
            number: (WORDS - FIRST_ENTRY) as u32,
        }))
    }

    fn finish_taking_off(&self) {
        let index = self.words[TAKEN_OFF].load(Ordering::Acquire) as usize;
        if (FIRST_ENTRY..WORDS).contains(&index) {
            let new_base = self.words[NEW_BASE].load(Ordering::Acquire);
            self.words[BASE].store(new_base, Ordering::Release);
            self.words[index].store(0, Ordering::Release);
        }
        self.words[TAKEN_OFF].store(0, Ordering::Release);
    }
}

fn split(entry: u64) -> (ProcessId, i32) {
    (ProcessId((entry >> 32) as u32), entry as u32 as i32)
}

fn join(process: ProcessId, count: i32) -> u64 {
    (u64::from(process.0) << 32) | u64::from(count as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "tests")]

    use super::*;
    use crate::arena::layout::PROCESSES;
    use crate::arena::tag::Kind;

    /// A pid that no process has.
    const NOBODY: u32 = u32::MAX;

    /// What one of two had who died comes back, although each of so many others died since, having done something.
    fn comes_back(deaths: u32, something: impl Fn(&Holds<'_>)) {
        let arena = Arena::create(None).expect("an arena");
        arena.register("", &mut go_on).expect("a record");
        let made = arena
            .make(Kind::Semaphore, BODY, None, &mut go_on)
            .expect("a semaphore");
        let body: &SemaphoreBody = arena.body_of(&made).expect("its body");
        body.maximum.store(2, Ordering::Relaxed);
        body.recovers.store(1, Ordering::Relaxed);
        body.word.store(2, Ordering::Relaxed);
        let holds = Holds::of(&arena, body, made.offset).expect("no error").expect("some");
        holds.begin(2);
        assert!(holds.try_acquire().expect("no error"));
        for _ in 0..=deaths {
            // This process becomes another one, and who it was has died.
            let record = arena.own_record().expect("a record");
            arena.register("", &mut go_on).expect("a record");
            arena
                .attach(made.offset, made.generation, Kind::Semaphore, &mut go_on)
                .expect("attached");
            record.pid.store(NOBODY, Ordering::Relaxed);
            record.identity.store(0, Ordering::Relaxed);
            arena.process_ended(NOBODY, Some(9), &mut go_on).expect("buried");
            something(&holds);
        }
        for expected in [true, true, false] {
            assert_eq!(holds.try_acquire().expect("no error"), expected);
        }
    }

    #[test]
    fn what_one_had_who_died_comes_back_however_many_others_died_since() {
        comes_back(PROCESSES, |_| ());
    }

    #[test]
    fn what_one_had_who_died_comes_back_however_many_others_used_it_since() {
        comes_back(WORDS as u32, |holds| {
            assert!(holds.try_acquire().expect("no error"));
            assert!(holds.release().expect("no error"));
        });
    }
}
