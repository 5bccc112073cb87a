//! The descriptors by which a process waits for a channel (channel/README.md: bells).

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::arena::raise;
use super::sides::{lock, lock_within, Face, Side};
use crate::channel::{Listener, A_MOMENT};

/// What one object listens to: to who puts, for messages, and to who gets, for room.
#[derive(Default)]
pub struct Listening {
    /// Locked with the GIL held, and never while that is released.
    listeners: [Mutex<Option<Listener>>; 2],
    /// Whether there was ever one: nearly never, and then no lock is looked at.
    has_begun: AtomicBool,
}

impl Listening {
    fn listener(&self, to: Side) -> MutexGuard<'_, Option<Listener>> {
        self.listeners[to as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Have the descriptor for messages, if there is one, not be readable if there are none, unless somebody puts just now.
    #[inline]
    pub fn silence_arrivals(&self, face: &Face) {
        if self.has_begun.load(Relaxed) {
            self.silence_arrivals_now(face);
        }
    }

    #[cold]
    fn silence_arrivals_now(&self, face: &Face) {
        if let Some(listener) = self.listener(Side::Producers).as_ref().filter(|_| face.is_empty()) {
            if let Some(producers) = face.try_producers() {
                face.silence_arrivals(&producers, listener);
            }
        }
    }

    /// The same for room.
    #[inline]
    pub fn silence_departures(&self, face: &Face) {
        if self.has_begun.load(Relaxed) {
            self.silence_departures_now(face);
        }
    }

    #[cold]
    fn silence_departures_now(&self, face: &Face) {
        if let Some(listener) = self.listener(Side::Consumers).as_ref().filter(|_| face.is_full()) {
            if let Some(consumers) = face.try_consumers() {
                face.silence_departures(&consumers, listener);
            }
        }
    }

    /// Where there is a descriptor for what a side does: whoever of it has rung, and is about to do it, is waited for, a moment.
    pub fn wait_for(&self, py: Python<'_>, face: &Face, side: Side) -> PyResult<()> {
        if self.listener(side).is_some() {
            drop(lock_within(py, face, side, Some(A_MOMENT))?);
        }
        Ok(())
    }

    /// A descriptor that is readable when a side may have done something.
    pub fn listen(&self, py: Python<'_>, face: &Face, to: Side) -> PyResult<RawFd> {
        let descriptor = |listener: &Option<Listener>| listener.as_ref()?.descriptor(face.arena);
        if let Some(descriptor) = descriptor(&self.listener(to)) {
            return Ok(descriptor);
        }
        let held = lock(py, face, to)?;
        let listener = match to {
            Side::Producers => face.listen_for_arrivals(&held),
            Side::Consumers => face.listen_for_departures(&held),
        };
        drop(held);
        let listener = listener.map_err(|error| raise(py, error))?;
        let mut kept = self.listener(to);
        if descriptor(&kept).is_none() {
            self.has_begun.store(true, Relaxed);
            *kept = Some(listener); // or else another thread was faster
        }
        descriptor(&kept).ok_or_else(|| PyRuntimeError::new_err("the descriptor was closed at once"))
    }
}
