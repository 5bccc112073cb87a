//! Bells: how a process waits for a channel by a descriptor (README: bells).

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};

use super::layout::{Bells, LISTENERS};
use super::transfer::Channel;
use crate::arena::{Arena, Error, Result, Shortage, Unheard};
use crate::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::registry::processes::ProcessId;
use crate::sync::side::Held;
use crate::sys::descriptor::{identify, Identity};
use crate::sys::post;

/// Somebody listens.
const HEARD: u32 = 1;
/// All who listen have been rung for, and nobody has found since that there is nothing.
const RUNG: u32 = 2;

/// One side's bells: rung by who has its lock, before what they announce is so.
#[derive(Clone, Copy)]
pub struct Ringer<'a> {
    pub arena: &'a Arena,
    pub state: &'static AtomicU32,
    pub bells: &'static Bells,
    /// What tells them from all others of the session.
    pub place: u64,
}

/// A descriptor that is readable when there may be something.
pub struct Listener {
    /// `None` only while it is dropped.
    letters: Option<OwnedFd>,
    identity: Option<Identity>,
    process: u32,
    /// Where it is written down, and as what.
    place: (&'static AtomicU64, u64),
    pid: u32,
}

impl Ringer<'_> {
    /// Ring, with the side's lock, before something becomes so.
    ///
    /// # Errors
    /// `Unheard` when somebody listens and cannot be told, who would sleep for ever: then it must not become so.
    #[inline]
    pub fn ring(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) == HEARD {
            self.ring_all()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn ring_all(&self) -> Result<()> {
        let mut is_heard = false;
        for listener in &self.bells.listeners {
            let seen = listener.load(Ordering::Relaxed);
            if seen == 0 {
                continue;
            }
            match post::send(&self.name(seen)) {
                Ok(true) => is_heard = true,
                Ok(false) if self.is_elsewhere(seen)? => return Err(Error::Unheard(Unheard::ElsewhereInTheNetwork)),
                Ok(false) => {
                    let _ = listener.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
                }
                Err(error) => return Err(Error::Unheard(Unheard::Kernel(error))), // the next one rings all again
            }
        }
        // After the last one was rung: killed before, it is done again.
        self.state
            .store(if is_heard { HEARD | RUNG } else { 0 }, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a listener runs, and where this process's letters do not arrive.
    fn is_elsewhere(&self, listener: u64) -> Result<bool> {
        let id = ProcessId((listener >> 32) as u32);
        Ok(match self.arena.see(id)? {
            Some(seen) if self.arena.runs(id) => !post::reaches(seen.pid),
            _ => false,
        })
    }

    /// Listen from now on, with the side's lock.
    ///
    /// # Errors
    /// `Full` when as many listen as can; the kernel's.
    pub fn listen(&self) -> Result<Listener> {
        let me = self.arena.me();
        for _ in 0..=LISTENERS {
            let serial = self.bells.serial.fetch_add(1, Ordering::Relaxed) as u32;
            let mine = u64::from(me) << 32 | u64::from(serial);
            let letters = match post::open(&self.name(mine)) {
                Ok(letters) => letters,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(error.into()),
            };
            let vacant = self.bells.listeners.iter().find(|listener| {
                let seen = listener.load(Ordering::Relaxed);
                seen == 0 || !self.arena.runs(ProcessId((seen >> 32) as u32))
            });
            let Some(listener) = vacant else { break };
            listener.store(mine, Ordering::Relaxed);
            self.state.store(HEARD, Ordering::Relaxed);
            return Ok(Listener {
                identity: identify(letters.as_raw_fd()),
                letters: Some(letters),
                process: me,
                place: (listener, mine),
                pid: std::process::id(),
            });
        }
        Err(Error::Full(Shortage::Records {
            kind: "those who wait for a queue by a descriptor",
            number: LISTENERS as u32,
        }))
    }

    /// There is nothing, with the side's lock: be silent until there may be something again.
    pub fn silence(&self, listener: &Listener) {
        if let Some(letters) = listener.letters.as_ref().filter(|_| listener.is_open()) {
            post::empty(letters.as_fd());
        }
        if self.state.load(Ordering::Relaxed) & HEARD != 0 {
            self.state.store(HEARD, Ordering::Relaxed);
        }
    }

    fn name(&self, listener: u64) -> Vec<u8> {
        format!("allcores-{:x}-{:x}-{listener:x}", self.arena.session(), self.place).into_bytes()
    }
}

impl Listener {
    /// The descriptor, if it was this process that has listened, and not one that forked it, and the program has not
    /// closed it.
    #[must_use]
    pub fn descriptor(&self, arena: &Arena) -> Option<RawFd> {
        let is_good = self.process == arena.me() && self.is_open();
        self.letters.as_ref().filter(|_| is_good).map(AsRawFd::as_raw_fd)
    }

    fn is_open(&self) -> bool {
        let number = self.letters.as_ref().map(AsRawFd::as_raw_fd);
        number.and_then(identify) == self.identity
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.is_open() {
            let _ = self.letters.take().map(IntoRawFd::into_raw_fd); // the number is something else's by now
        }
        let (place, mine) = self.place;
        // In a process that was forked it stays, for the one that has listened.
        if self.pid == std::process::id() {
            let _ = place.compare_exchange(mine, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl<'a> Channel<'a> {
    /// Listen for messages, with the producers' lock.
    ///
    /// # Errors
    /// `Full` when as many listen as can; the kernel's.
    pub fn listen_for_arrivals(&self, producers: &Held) -> Result<Listener> {
        let listener = self.arrival_bells().listen()?;
        self.silence_arrivals(producers, &listener);
        if !self.is_empty() || self.is_shut() {
            self.arrival_bells().ring()?;
        }
        Ok(listener)
    }

    /// Have a listener be silent if there is no message, with the producers' lock: so none is about to be put.
    pub fn silence_arrivals(&self, _producers: &Held, listener: &Listener) {
        if self.is_empty() && !self.is_shut() {
            self.arrival_bells().silence(listener);
        }
    }

    /// Listen for room, with the consumers' lock.
    ///
    /// # Errors
    /// `Full` when as many listen as can; the kernel's.
    pub fn listen_for_departures(&self, consumers: &Held) -> Result<Listener> {
        let listener = self.departure_bells().listen()?;
        self.silence_departures(consumers, &listener);
        if !self.is_full() || self.is_shut() {
            self.departure_bells().ring()?;
        }
        Ok(listener)
    }

    /// Have a listener be silent if there is no room, with the consumers' lock.
    pub fn silence_departures(&self, _consumers: &Held, listener: &Listener) {
        if self.is_full() && !self.is_shut() {
            self.departure_bells().silence(listener);
        }
    }

    /// Ring, with the producers' lock, before a message is put.
    #[inline]
    pub(super) fn ring_for_arrival(&self) -> Result<()> {
        match self.line {
            None => self.arrival_bells().ring(),
            Some(line) => {
                super::line::ring(&self.body.put_bells, line);
                Ok(())
            }
        }
    }

    pub(super) fn arrival_bells(&self) -> Ringer<'a> {
        Ringer {
            arena: self.arena,
            state: &self.body.put_bells,
            bells: &self.body.arrival_bells,
            place: self.offset,
        }
    }

    pub(super) fn departure_bells(&self) -> Ringer<'a> {
        Ringer {
            arena: self.arena,
            state: &self.body.get_bells,
            bells: &self.body.departure_bells,
            place: self.offset + 1,
        }
    }
}
