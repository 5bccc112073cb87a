//! Barrier.

use std::time::Duration;

use super::patience::{Patience, Step};
use super::section::Section;
use crate::arena::{Arena, Result};
use crate::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::registry::processes::ProcessId;
use crate::registry::waiters::{Grant, Waiter, Waiting};
use crate::sys::futex;
use crate::sys::shared::shared_struct;

shared_struct! {
    /// The body.
    pub struct BarrierBody {
        /// The cycle that is being filled, which is the ticket of its waiters.
        pub cycle: AtomicU64,
        /// How many have to come.
        pub parties: AtomicU32,
        /// How many have come in this cycle.
        pub arrived: AtomicU32,
        /// `State`.
        pub state: AtomicU32,
        /// Raised whenever the barrier can be entered again: who came too early sleeps here.
        pub gate: AtomicU32,
        /// `section.rs`.
        pub changing: AtomicU32,
    }
}

/// What a barrier is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Parties come.
    Filling = 0,
    /// All have come; one of them runs the action.
    Acting = 1,
    /// Nobody gets through any more.
    Broken = 2,
}

/// The barrier is broken, or was while this one waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// What came of arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the last one runs the action"]
pub enum Passed {
    /// Through it, the how-many-th that arrived.
    As(u32),
    /// The last one, who has to run the action and then `open` or `abort`.
    Last(u32),
    /// Nobody passes.
    Broken(Broken),
}

/// A barrier, as this process has it.
#[derive(Clone, Copy)]
pub struct Barrier<'a> {
    /// Where it lies.
    pub arena: &'a Arena,
    /// Its numbers.
    pub body: &'static BarrierBody,
    /// Of its block.
    pub offset: u64,
}

impl Barrier<'_> {
    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        match self.body.state.load(Ordering::Acquire) {
            0 => State::Filling,
            1 => State::Acting,
            _ => State::Broken,
        }
    }

    fn set_state(&self, state: State) {
        self.body.state.store(state as u32, Ordering::Release);
    }

    /// Take the barrier's mutex. Who died with it broke the barrier.
    fn lock(&self) -> Result<Section> {
        let (section, has_died) = Section::enter(self.arena, self.offset, &self.body.changing)?;
        if has_died {
            self.settle(State::Broken, Grant::Refused);
        }
        Ok(section)
    }

    /// End this cycle with a grant for all who wait in it.
    fn settle(&self, state: State, grant: Grant) {
        let cycle = self.body.cycle.load(Ordering::Relaxed);
        let waiting: Vec<Waiting> = self.waiting(cycle).collect();
        for waiting in &waiting {
            let _ = waiting.grant(grant); // unless it has given up
        }
        self.body.arrived.store(0, Ordering::Relaxed);
        self.body.cycle.store(cycle.wrapping_add(1), Ordering::Relaxed);
        self.set_state(state);
        self.body.gate.fetch_add(1, Ordering::Release);
        futex::wake(&self.body.gate, u32::MAX);
        for waiting in waiting {
            waiting.wake();
        }
    }

    fn waiting(&self, cycle: u64) -> impl Iterator<Item = Waiting> + '_ {
        self.arena
            .waiting(self.offset)
            .filter(move |waiting| waiting.ticket == cycle)
    }

    /// Let everybody through who has come: the last one does, after the action.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn open(&self, cycle: u64) -> Result<std::result::Result<(), Broken>> {
        let _guard = self.lock()?;
        if self.body.cycle.load(Ordering::Relaxed) != cycle || self.state() == State::Broken {
            return Ok(Err(Broken)); // aborted or reset while the action ran
        }
        self.settle(State::Filling, Grant::Granted);
        Ok(Ok(()))
    }

    /// Break it.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn abort(&self) -> Result<()> {
        let _guard = self.lock()?;
        self.settle(State::Broken, Grant::Refused);
        Ok(())
    }

    /// Begin anew; who waits is refused.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn reset(&self) -> Result<()> {
        let _guard = self.lock()?;
        self.settle(State::Filling, Grant::Refused);
        Ok(())
    }

    /// Break it if less run than have come in this cycle: one has died, and perhaps its record was cleared away.
    fn look_for_the_dead(&self) -> Result<()> {
        let _guard = self.lock()?;
        let cycle = self.body.cycle.load(Ordering::Relaxed);
        let own = ProcessId(self.arena.me());
        let run = |waiting: &Waiting| waiting.process == own || self.arena.runs(waiting.process);
        if self.waiting(cycle).filter(run).count() < self.body.arrived.load(Ordering::Relaxed) as usize {
            self.settle(State::Broken, Grant::Refused);
        }
        Ok(())
    }
}

/// A thread that has come to a barrier.
pub struct BarrierWait<'a> {
    barrier: Barrier<'a>,
    waiter: Waiter,
    patience: Patience,
    place: Option<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    cycle: u64,
    index: u32,
}

impl<'a> BarrierWait<'a> {
    /// Come to it.
    ///
    /// # Errors
    /// `Full` when too many threads wait.
    pub fn new(barrier: Barrier<'a>, thread: u64, timeout: Option<Duration>) -> Result<Self> {
        Ok(Self {
            barrier,
            waiter: barrier.arena.waiter(thread)?,
            // The others may die.
            patience: Patience::with_owner(timeout),
            place: None,
        })
    }

    /// The cycle that this one is in, for `open`.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.place.map_or(0, |place| place.cycle)
    }

    /// Wait a while.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn step(&mut self) -> Result<Step<Passed>> {
        let Some(place) = self.place else {
            return self.enter();
        };
        match self.waiter.grant() {
            Grant::None => {}
            granted => return Ok(Step::Done(passed(granted, place))),
        }
        let Some(slice) = self.patience.slice() else {
            return self.give_up(place);
        };
        let slept = self.waiter.sleep(slice);
        if self.patience.note(slept) {
            self.barrier.look_for_the_dead()?;
        }
        Ok(match self.waiter.grant() {
            Grant::None => Step::GoOn,
            granted => Step::Done(passed(granted, place)),
        })
    }

    /// The time is over: break the barrier, unless it was passed meanwhile. Under the mutex, so that all pass or none.
    #[cold]
    fn give_up(&self, place: Place) -> Result<Step<Passed>> {
        let _guard = self.barrier.lock()?;
        Ok(Step::Done(match self.waiter.give_up() {
            Grant::None => {
                self.barrier.settle(State::Broken, Grant::Refused);
                Passed::Broken(Broken)
            }
            granted => passed(granted, place),
        }))
    }

    fn enter(&mut self) -> Result<Step<Passed>> {
        let body = self.barrier.body;
        let gate = body.gate.load(Ordering::Acquire);
        let guard = self.barrier.lock()?;
        match self.barrier.state() {
            State::Broken => return Ok(Step::Done(Passed::Broken(Broken))),
            State::Filling => {}
            State::Acting => {
                drop(guard);
                let Some(slice) = self.patience.slice() else {
                    self.barrier.abort()?;
                    return Ok(Step::Done(Passed::Broken(Broken)));
                };
                let slept = futex::sleep(&body.gate, gate, slice);
                if self.patience.note(slept) {
                    self.barrier.look_for_the_dead()?;
                }
                return Ok(Step::GoOn);
            }
        }
        let place = Place {
            cycle: body.cycle.load(Ordering::Relaxed),
            index: body.arrived.load(Ordering::Relaxed),
        };
        // One that has died was counted, and cleared away before any other came to look.
        if self.barrier.waiting(place.cycle).count() < place.index as usize {
            self.barrier.settle(State::Broken, Grant::Refused);
            return Ok(Step::Done(Passed::Broken(Broken)));
        }
        self.waiter.begin(self.barrier.offset, place.cycle);
        self.place = Some(place);
        body.arrived.store(place.index.saturating_add(1), Ordering::Release);
        if place.index.saturating_add(1) < body.parties.load(Ordering::Relaxed) {
            return Ok(Step::GoOn);
        }
        self.barrier.set_state(State::Acting);
        Ok(Step::Done(Passed::Last(place.index)))
    }

    /// Go away before anything came of it, as an exception makes one do: as if this one had not come.
    ///
    /// # Errors
    /// What the mutex says.
    pub fn leave(self) -> Result<()> {
        let Some(place) = self.place else { return Ok(()) };
        let _guard = self.barrier.lock()?;
        if self.waiter.give_up() != Grant::None {
            return Ok(());
        }
        let body = self.barrier.body;
        if body.cycle.load(Ordering::Relaxed) == place.cycle {
            let arrived = body.arrived.load(Ordering::Relaxed).saturating_sub(1);
            body.arrived.store(arrived, Ordering::Release);
        }
        Ok(())
    }
}

fn passed(grant: Grant, place: Place) -> Passed {
    match grant {
        Grant::Granted => Passed::As(place.index),
        _ => Passed::Broken(Broken),
    }
}
