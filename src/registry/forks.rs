//! Forks: how a child comes into the session with its parent's references (arena README: truth, 5).

use std::io::Write;
use std::time::Duration;

use super::processes::{id_of, lives, name_of, ProcessId, State};
use crate::arena::heap::go_on;
use crate::arena::layout::ProcessRecord;
use crate::arena::{Arena, Error, Pause, Result};
use crate::atomics::Ordering;
use crate::sys::liveness::now_since_boot;

/// An embryo whose parent has not named it, and that was not born for so long, was never forked.
const LONGEST_BIRTH: Duration = Duration::from_secs(60);
/// After so many processes that this one has entered it looks who has ended.
const PROCESSES_PER_SWEEP: u32 = 64;

/// A child that is about to be forked.
pub struct Embryo {
    /// It will have.
    pub id: ProcessId,
    chain: Vec<u64>,
    /// `Own::changes` when its references were copied.
    changes: u64,
}

impl Arena {
    /// Enter a child that is about to be forked, with a copy of this process's references.
    ///
    /// # Errors
    /// `Full`.
    pub fn prepare_fork(&self, pause: Pause<'_>) -> Result<Embryo> {
        self.sweep_now_and_then(pause)?;
        let (heap, id, record) = self.new_record(pause)?;
        let own = self.own();
        record.pid.store(0, Ordering::Relaxed);
        record.parent.store(self.me(), Ordering::Relaxed);
        record.since.store(now_since_boot(), Ordering::Relaxed);
        // Before the copy: what a record that is free refers to does not count.
        record.state.store(State::Embryo as u32, Ordering::Release);
        let chain = heap.copy_chain(&own, &record.references)?;
        Ok(Embryo {
            id,
            chain,
            changes: own.changes,
        })
    }

    /// In the parent, right before the fork: have the copy be what this process has now.
    ///
    /// # Errors
    /// `Full`; what the heap says. It cannot be born then.
    pub fn complete(&self, embryo: &mut Embryo) -> Result<()> {
        if self.own().changes == embryo.changes {
            return Ok(());
        }
        let heap = self.heap(&mut go_on)?;
        let own = self.own();
        let record = self.embryo_record(embryo.id)?.ok_or(Error::Freed)?;
        heap.clear_chain(&record.references)?;
        embryo.chain = heap.copy_chain(&own, &record.references)?;
        embryo.changes = own.changes;
        Ok(())
    }

    /// In the forked child, first of all: be the one that was entered.
    ///
    /// # Errors
    /// `Freed` when it was given up meanwhile; what the heap says.
    pub fn be_born(&self, embryo: &mut Embryo) -> Result<()> {
        let heap = self.heap(&mut go_on)?;
        let record = self.embryo_record(embryo.id)?.ok_or(Error::Freed)?;
        let before = self.me.swap(embryo.id.0, Ordering::Relaxed);
        let name = self.process(ProcessId(before).index()).map(name_of).unwrap_or_default();
        self.begin(record, &name);
        std::mem::swap(&mut self.own().chain, &mut embryo.chain);
        record.state.store(State::Alive as u32, Ordering::Release);
        drop(heap);
        Ok(())
    }

    /// In a forked child that nobody has entered: it is nobody, and has nothing.
    ///
    /// What it has inherited it can use as long as somebody else refers to it. It enters the session when it first acts.
    pub fn be_orphan(&self) {
        self.me.store(0, Ordering::Relaxed);
        self.is_orphan.store(true, Ordering::Relaxed);
        // Locked only where a thread without Python's lock has forked: nobody can run Python in such a child.
        if let Ok(mut own) = self.own.try_lock() {
            own.forget();
        }
    }

    /// This process, which is in the session from now on if it is an orphan; 0 when it is none.
    #[cold]
    pub(crate) fn enter_late(&self) -> u32 {
        if !self.is_orphan.swap(false, Ordering::Relaxed) {
            return 0;
        }
        if let Err(error) = self.register("", &mut go_on) {
            // It would pass for another process, and have others' locks.
            let text = format!("allcores: this forked process cannot be in its program's session, and ends: {error}\n");
            let _ = std::io::stderr().write_all(text.as_bytes()); // eprintln! would panic where nobody reads
            std::process::exit(1);
        }
        self.me.load(Ordering::Relaxed)
    }

    /// In the parent of a forked child, whose pid is known now: should it die before it is born, that can be told.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn name_embryo(&self, id: ProcessId, pid: u32) -> Result<()> {
        let record = self.process(id.index())?;
        if id_of(id.index(), record) == id {
            // The child writes the same.
            let _ = record
                .pid
                .compare_exchange(0, pid, Ordering::Release, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Give back what those have held that ended without anybody's having told, when that has not been done for a while.
    pub(super) fn sweep_now_and_then(&self, pause: Pause<'_>) -> Result<()> {
        let entered = self.entered.fetch_add(1, Ordering::Relaxed);
        if entered % PROCESSES_PER_SWEEP == PROCESSES_PER_SWEEP - 1 {
            self.sweep(pause)?;
        }
        Ok(())
    }

    /// Whether an embryo will never be born, by all that is known.
    pub(super) fn is_given_up(&self, embryo: &ProcessRecord) -> Result<bool> {
        let parent = ProcessId(embryo.parent.load(Ordering::Relaxed));
        let record = self.process(parent.index())?;
        if id_of(parent.index(), record) != parent {
            return Ok(true);
        }
        let parent_lives = record.state.load(Ordering::Acquire) == State::Alive as u32 && lives(record);
        let age = Duration::from_nanos(now_since_boot().saturating_sub(embryo.since.load(Ordering::Relaxed)));
        Ok(!parent_lives || (embryo.pid.load(Ordering::Relaxed) == 0 && age > LONGEST_BIRTH))
    }

    /// The record of an embryo; `None` when it was given up. Under the heap's mutex.
    fn embryo_record(&self, id: ProcessId) -> Result<Option<&'static ProcessRecord>> {
        let record = self.process(id.index())?;
        let is_embryo = record.state.load(Ordering::Acquire) == State::Embryo as u32;
        Ok((is_embryo && id_of(id.index(), record) == id).then_some(record))
    }
}
