//! The zygote's side of the messages.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arena;
use super::call::{if_any, Outcome};
use crate::sys::descriptor::borrow;
use crate::sys::seqpacket::Wait;
use crate::sys::{bell, memfd, process};
use crate::wire::exit::{self, Exit, ACCOUNT_BYTES};
use crate::wire::{ask, offer};

/// What a caller tells the zygote.
#[pyclass(frozen, module = "allcores._core")]
struct Ask {
    kind: ask::Kind,
    pid: i32,
    surroundings: Vec<u8>,
    streams: Mutex<[Option<OwnedFd>; 3]>,
    tracker: Mutex<Option<OwnedFd>>,
    /// False when its descriptors found no room in this process.
    #[pyo3(get)]
    complete: bool,
}

#[pymethods]
impl Ask {
    /// "need", "taken", "stale" or "detach".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.kind {
            ask::Kind::Need => "need",
            ask::Kind::Taken => "taken",
            ask::Kind::Stale => "stale",
            ask::Kind::Detach => "detach",
        }
    }

    /// Of which child; 0 where none is meant.
    #[getter]
    fn pid(&self) -> i32 {
        self.pid
    }

    /// The caller's, where it needs a spare.
    #[getter]
    fn surroundings<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.surroundings)
    }

    /// The caller's, where it needs a spare; -1 for one that it has closed.
    #[getter]
    fn streams(&self) -> [RawFd; 3] {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        [0, 1, 2].map(|number| streams[number].as_ref().map_or(-1, AsRawFd::as_raw_fd))
    }

    /// What a resource tracker is to read from; None when there is one.
    #[getter]
    fn tracker(&self) -> Option<RawFd> {
        let tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        tracker.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Close the streams, and what the tracker reads from.
    fn close(&self) {
        *self.tracker.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.streams.lock().unwrap_or_else(PoisonError::into_inner) = [None, None, None];
    }
}

/// Hear a bell; one that does not wait need not have been rung.
#[pyfunction]
#[pyo3(signature = (bell, /))]
fn hear(bell: RawFd) -> Outcome<()> {
    if_any(bell::hear(borrow(bell)?))?;
    Ok(())
}

/// Receive what a caller tells the zygote, None when there is nothing. EOFError when nobody is left.
#[pyfunction]
#[pyo3(signature = (requests, /))]
fn receive_ask(requests: RawFd) -> Outcome<Option<Ask>> {
    let ask = if_any(ask::Ask::receive(borrow(requests)?))?;
    Ok(ask.map(|ask| Ask {
        kind: ask.kind,
        pid: ask.pid,
        surroundings: ask.surroundings,
        streams: Mutex::new(ask.streams),
        tracker: Mutex::new(ask.tracker),
        complete: ask.complete,
    }))
}

/// Say that the kernel forked none, by the number of its error.
#[pyfunction]
#[pyo3(signature = (offers, error_number, /))]
fn offer_failed(offers: RawFd, error_number: i32) -> Outcome<()> {
    Ok(offer::send_failed(borrow(offers)?, error_number)?)
}

/// Say that there will be none, since importing the main module started threads.
#[pyfunction]
#[pyo3(signature = (offers, /))]
fn offer_threaded(offers: RawFd) -> Outcome<()> {
    Ok(offer::send_threaded(borrow(offers)?)?)
}

/// Take a spare back that was offered; false when there is none. What else was offered stays.
#[pyfunction]
#[pyo3(signature = (callers_offers, offers, /))]
fn take_back(callers_offers: RawFd, offers: RawFd) -> Outcome<bool> {
    Ok(
        match if_any(offer::Offer::receive(borrow(callers_offers)?, Wait::No))? {
            Some(offer::Offer::Spare(_)) => true,
            Some(offer::Offer::Failed(number)) => {
                offer::send_failed(borrow(offers)?, number)?;
                false
            }
            Some(offer::Offer::Threaded) => {
                offer::send_threaded(borrow(offers)?)?;
                false
            }
            None => false,
        },
    )
}

/// Reap a child that has ended, give back what it held, and tell its caller how it ended, with what is in its account.
///
/// `descriptors` are what `Birth.offer` has returned; `shortage` says, when it was killed, whether memory was short.
#[pyfunction]
#[pyo3(signature = (pid, descriptors, shortage, /))]
fn reap(py: Python<'_>, pid: u32, descriptors: (RawFd, RawFd, RawFd), shortage: &Bound<'_, PyAny>) -> Outcome<()> {
    let (_, line, account) = descriptors;
    let status = process::reap(pid)?;
    arena::process_ended(py, pid, Some(status.raw()))?;
    let code = status.exit_code();
    let out_of_memory = if status.is_killed() {
        shortage.call0()?.extract()?
    } else {
        String::new()
    };
    let account = memfd::read(borrow(account)?, ACCOUNT_BYTES)?;
    let exit = Exit {
        code,
        out_of_memory,
        account,
    };
    Ok(exit.send(borrow(line)?)?)
}

/// Whether the caller of a child lets it outlive the session.
#[pyfunction]
#[pyo3(signature = (line, /))]
fn is_detached(line: RawFd) -> Outcome<bool> {
    Ok(exit::is_detached(borrow(line)?))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Ask>()?;
    module.add_function(wrap_pyfunction!(hear, module)?)?;
    module.add_function(wrap_pyfunction!(receive_ask, module)?)?;
    module.add_function(wrap_pyfunction!(offer_failed, module)?)?;
    module.add_function(wrap_pyfunction!(offer_threaded, module)?)?;
    module.add_function(wrap_pyfunction!(take_back, module)?)?;
    module.add_function(wrap_pyfunction!(reap, module)?)?;
    module.add_function(wrap_pyfunction!(is_detached, module)?)?;
    Ok(())
}
