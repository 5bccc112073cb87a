//! Process records: who is in the session, and how those who are not any more have ended.
//!
//! A record is changed under the heap's mutex, but for what a process says of itself. Its state is true (arena README).
//!
//! ```text
//! FREE ── register ──────────────> ALIVE ── ended, having said so ──────────> FREE
//!   └──── before a fork ──> EMBRYO ──┘   └── ended otherwise ──> DEAD ── nobody's lock is its any more ──> FREE
//! ```

use std::os::fd::AsRawFd;

use crate::arena::heap::Heap;
use crate::arena::layout::{ProcessRecord, PAGE, PROCESSES, PROCESSES_AT};
use crate::arena::objects::{cut, text_of, words_of};
use crate::arena::tag::{Kind, Tag};
use crate::arena::{Arena, Error, Pause, Result, Shortage};
use crate::atomics::{AtomicU32, Ordering};
use crate::sync::holds::Holds;
use crate::sys::liveness::{is_alive, now_since_boot, own_identity, pid_namespace, Known};

/// A process of the session, for ever: the index of its record, and that record's generation. 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId(pub u32);

const INDEX_BITS: u32 = PROCESSES.trailing_zeros();
/// The bits that an id may have.
pub const ID_MASK: u32 = (1 << 30) - 1;
const GENERATION_MASK: u32 = ID_MASK >> INDEX_BITS;
const NAME_BYTES: usize = 63;
/// The first bit of a record's `ended`: there is a wait status.
const ENDED: u32 = 1 << 31;

impl ProcessId {
    fn of(index: u32, generation: u32) -> Self {
        Self((generation & GENERATION_MASK) << INDEX_BITS | index)
    }

    /// Of its record.
    #[must_use]
    pub fn index(self) -> u32 {
        self.0 & (PROCESSES - 1)
    }
}

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody.
    Free = 0,
    /// A process that is being forked.
    Embryo = 1,
    /// A process that runs, or whose end nobody has noticed yet.
    Alive = 2,
    /// A process that ended without having said so.
    Dead = 3,
}

impl State {
    fn of(number: u32) -> Self {
        match number {
            1 => Self::Embryo,
            2 => Self::Alive,
            3 => Self::Dead,
            _ => Self::Free,
        }
    }
}

/// What has become of whoever holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a dead owner's lock has to be taken over"]
pub enum Fate {
    /// It runs, or ended having said so: what it holds it holds on purpose.
    Holds,
    /// It died.
    Died(Obituary),
}

/// Who died, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obituary {
    /// It had.
    pub pid: u32,
    /// It had.
    pub name: String,
    /// As of `wait(2)`; `None` when whoever reaped it has not told.
    pub wait_status: Option<u32>,
}

/// A process as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// 0 while it is being forked.
    pub pid: u32,
    /// As `Process.name` says.
    pub name: String,
    /// Of its record.
    pub state: State,
}

impl Arena {
    /// Enter this process in the session, with no references.
    ///
    /// # Errors
    /// `Full` when there are too many processes.
    pub fn register(&self, name: &str, pause: Pause<'_>) -> Result<()> {
        self.own().forget(); // what a process that forked this one had is not its own
        self.sweep_now_and_then(pause)?;
        let (_heap, id, record) = self.new_record(pause)?;
        self.begin(record, name);
        self.me.store(id.0, Ordering::Relaxed);
        record.state.store(State::Alive as u32, Ordering::Release);
        Ok(())
    }

    /// Take the heap, and a record in it. Where all are taken, first those of processes that ended untold are given back.
    pub(super) fn new_record(&self, pause: Pause<'_>) -> Result<(Heap<'_>, ProcessId, &'static ProcessRecord)> {
        self.with_room(pause, |arena, pause| {
            let heap = arena.heap(pause)?;
            let (id, record) = heap.record()?;
            Ok((heap, id, record))
        })
    }

    /// Do what needs room, and once more where there is none, when what the dead had is given back of whom nobody has told.
    pub(crate) fn with_room<'arena, T>(
        &'arena self,
        pause: Pause<'_>,
        attempt: impl Fn(&'arena Self, Pause<'_>) -> Result<T>,
    ) -> Result<T> {
        match attempt(self, pause) {
            Err(Error::Full(_)) => {
                self.sweep(pause)?;
                attempt(self, pause)
            }
            result => result,
        }
    }

    pub(super) fn begin(&self, record: &ProcessRecord, name: &str) {
        record.pid.store(std::process::id(), Ordering::Relaxed);
        record.since.store(now_since_boot(), Ordering::Relaxed);
        record.identity.store(own_identity(), Ordering::Relaxed);
        record.pid_namespace.store(pid_namespace(), Ordering::Relaxed);
        record.ends_cleanly.store(0, Ordering::Relaxed);
        record.ended.store(0, Ordering::Relaxed);
        let descriptor = self.descriptor().map_or(u32::MAX, |file| file.as_raw_fd() as u32);
        record.descriptor.store(descriptor, Ordering::Relaxed);
        set_name(record, name);
    }

    /// Say by which name others know this process, which runs from now on, whatever it has rehearsed before.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn name_process(&self, name: &str) -> Result<()> {
        let record = self.own_record()?;
        record.ends_cleanly.store(0, Ordering::Release);
        set_name(record, name);
        Ok(())
    }

    /// Say that this process is about to end: what it holds from now on it leaves on purpose.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn end_cleanly(&self) -> Result<()> {
        self.own_record()?.ends_cleanly.store(1, Ordering::Release);
        Ok(())
    }

    /// Say that a process has ended, which whoever reaped it knows; what it held is given back.
    ///
    /// # Errors
    /// What the heap says.
    pub fn process_ended(&self, pid: u32, wait_status: Option<u32>, pause: Pause<'_>) -> Result<()> {
        for index in 0..self.processes_high() {
            let record = self.process(index)?;
            let state = State::of(record.state.load(Ordering::Acquire));
            if state == State::Free || record.pid.load(Ordering::Acquire) != pid {
                continue;
            }
            if state == State::Embryo {
                if record.parent.load(Ordering::Relaxed) == self.me() {
                    self.bury(index, pause)?;
                }
                continue;
            }
            if lives(record) {
                continue;
            }
            if let Some(status) = wait_status {
                record.ended.store(status & !ENDED | ENDED, Ordering::Relaxed);
            }
            if state == State::Alive {
                return self.bury(index, pause);
            }
        }
        Ok(())
    }

    /// Give back what processes held that ended without anybody's having told.
    ///
    /// # Errors
    /// What the heap says.
    pub fn sweep(&self, pause: Pause<'_>) -> Result<()> {
        for index in 0..self.processes_high() {
            let record = self.process(index)?;
            let has_ended = match State::of(record.state.load(Ordering::Acquire)) {
                State::Free | State::Dead => false,
                State::Alive => !lives(record),
                State::Embryo => self.is_given_up(record)?,
            };
            if has_ended {
                self.bury(index, pause)?;
            }
        }
        Ok(())
    }

    /// Give back what a process held, and close its record.
    pub(super) fn bury(&self, index: u32, pause: Pause<'_>) -> Result<()> {
        let heap = self.heap(pause)?;
        let record = self.process(index)?;
        let state = State::of(record.state.load(Ordering::Acquire));
        if matches!(state, State::Free | State::Dead) {
            return Ok(()); // somebody else was first
        }
        self.forget_waiters(id_of(index, record))?; // first: its references keep what it waited for
        heap.clear_chain(&record.references)?;
        let cleanly = record.ends_cleanly.load(Ordering::Acquire) != 0 || state == State::Embryo;
        let state = if cleanly { State::Free } else { State::Dead };
        record.state.store(state as u32, Ordering::Release);
        Ok(())
    }

    /// What has become of a process that holds something; if it died, what else it held is given back, too.
    ///
    /// # Errors
    /// What the heap says.
    pub fn fate(&self, id: ProcessId, pause: Pause<'_>) -> Result<Fate> {
        let record = self.process(id.index())?;
        if id_of(id.index(), record) != id {
            return Ok(Fate::Holds); // its record is somebody else's: it ended cleanly
        }
        match State::of(record.state.load(Ordering::Acquire)) {
            State::Free | State::Embryo => return Ok(Fate::Holds),
            State::Alive if lives(record) => return Ok(Fate::Holds),
            State::Alive => self.bury(id.index(), pause)?,
            State::Dead => {}
        }
        if record.state.load(Ordering::Acquire) != State::Dead as u32 {
            return Ok(Fate::Holds);
        }
        let ended = record.ended.load(Ordering::Relaxed);
        Ok(Fate::Died(Obituary {
            pid: record.pid.load(Ordering::Relaxed),
            name: name_of(record),
            wait_status: (ended & ENDED != 0).then_some(ended & !ENDED),
        }))
    }

    /// Whether a process runs, as far as can be told fast.
    pub(crate) fn runs(&self, id: ProcessId) -> bool {
        self.process(id.index()).is_ok_and(|record| {
            id_of(id.index(), record) == id
                && record.state.load(Ordering::Acquire) == State::Alive as u32
                && lives(record)
        })
    }

    /// A process as others see it; `None` when its record is somebody else's by now.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn see(&self, id: ProcessId) -> Result<Option<Seen>> {
        let record = self.process(id.index())?;
        if id_of(id.index(), record) != id {
            return Ok(None);
        }
        Ok(Some(Seen {
            pid: record.pid.load(Ordering::Relaxed),
            name: name_of(record),
            state: State::of(record.state.load(Ordering::Acquire)),
        }))
    }

    /// This process's record.
    pub(crate) fn own_record(&self) -> Result<&'static ProcessRecord> {
        self.process(ProcessId(self.me()).index())
    }
}

impl Heap<'_> {
    /// Find a record for a process; it has no references and its next generation.
    pub(super) fn record(&self) -> Result<(ProcessId, &'static ProcessRecord)> {
        let arena = self.arena;
        let found = match self.free_record()? {
            Some(index) => Some(index),
            None => {
                self.free_the_dead()?;
                self.free_record()?
            }
        };
        let index = found.ok_or(Error::Full(Shortage::Records {
            kind: "processes",
            number: PROCESSES,
        }))?;
        let record = arena.process(index)?;
        let generation = match record.generation.load(Ordering::Relaxed).wrapping_add(1) & GENERATION_MASK {
            0 => 1, // an id is never 0
            generation => generation,
        };
        record.generation.store(generation, Ordering::Relaxed);
        record.references.store(0, Ordering::Relaxed);
        arena.process_hint().store(index, Ordering::Relaxed);
        Ok((ProcessId::of(index, generation), record))
    }

    /// A free record, looked for from the last one on, so that generations grow slowly.
    fn free_record(&self) -> Result<Option<u32>> {
        const PER_PAGE: u32 = (PAGE / size_of::<ProcessRecord>() as u64) as u32;
        let arena = self.arena;
        let (high, hint) = (arena.processes_high(), arena.process_hint().load(Ordering::Relaxed));
        for step in 1..=high {
            let index = (hint.wrapping_add(step)) % high;
            if arena.process(index)?.state.load(Ordering::Acquire) == State::Free as u32 {
                return Ok(Some(index));
            }
        }
        if high == PROCESSES {
            return Ok(None);
        }
        arena
            .file
            .reserve(PROCESSES_AT + u64::from(high) * size_of::<ProcessRecord>() as u64, PAGE)?;
        arena.raise_processes(high + PER_PAGE);
        Ok(Some(high))
    }

    /// Free the records of the dead that no lock names as its owner, and no semaphore as one who has some of it.
    fn free_the_dead(&self) -> Result<()> {
        let mut named = vec![false; PROCESSES as usize];
        self.arena.each_block(|arena, offset, _| {
            let mut name = |process: ProcessId| named[process.index() as usize] = true;
            match Tag(arena.block(offset)?.tag.load(Ordering::Relaxed)).kind() {
                Some(Kind::Lock | Kind::RLock) => {
                    let word: &AtomicU32 = arena.body(offset)?;
                    name(ProcessId(word.load(Ordering::Relaxed)));
                }
                Some(Kind::Semaphore) => {
                    if let Some(holds) = Holds::of(arena, arena.body(offset)?, offset)? {
                        holds.holders().for_each(name);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        for index in 0..self.arena.processes_high() {
            let record = self.arena.process(index)?;
            if !named[index as usize] && record.state.load(Ordering::Acquire) == State::Dead as u32 {
                record.state.store(State::Free as u32, Ordering::Release);
            }
        }
        Ok(())
    }
}

pub(super) fn id_of(index: u32, record: &ProcessRecord) -> ProcessId {
    ProcessId::of(index, record.generation.load(Ordering::Acquire))
}

pub(super) fn lives(record: &ProcessRecord) -> bool {
    is_alive(Known {
        pid: record.pid.load(Ordering::Relaxed),
        since: record.since.load(Ordering::Relaxed),
        identity: record.identity.load(Ordering::Relaxed),
        pid_namespace: record.pid_namespace.load(Ordering::Relaxed),
    })
}

fn set_name(record: &ProcessRecord, name: &str) {
    let mut words = words_of(cut(name, NAME_BYTES));
    for word in &record.name {
        word.store(words.next().unwrap_or(0), Ordering::Relaxed);
    }
}

/// The name of a process, as far as it is one.
pub(crate) fn name_of(record: &ProcessRecord) -> String {
    let words: Vec<u64> = record.name.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    text_of(&words, NAME_BYTES).trim_end_matches('\0').to_owned()
}
