//! The side of a process that starts others: its way to the zygote, the offers it takes, the children it gets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::call::{borrow_all, if_any, until_not_interrupted, Outcome};
use crate::sys::credentials::Credentials;
use crate::sys::descriptor::{borrow, identify, take_over, Identity};
use crate::sys::poll::readable;
use crate::sys::seqpacket::Wait;
use crate::sys::signal::{self, CODE_OF_KILLED};
use crate::sys::{bell, streams};
use crate::wire::exit::Exit;
use crate::wire::offer::Spare;
use crate::wire::work::{Order, Sending};
use crate::wire::{ask, exit, is_gone, offer};

/// A descriptor that is kept for long. Programs close what they do not know, and its number may be reused.
#[pyclass(frozen, module = "allcores._core")]
struct Held {
    /// The descriptor.
    #[pyo3(get)]
    number: RawFd,
    identity: Option<Identity>,
}

#[pymethods]
impl Held {
    #[new]
    #[pyo3(signature = (number, /))]
    fn new(number: RawFd) -> Self {
        Self {
            number,
            identity: identify(number),
        }
    }

    /// Whether the number still means what it meant, as far as that can be told.
    fn is_ours(&self) -> bool {
        self.identity.is_some() && identify(self.number) == self.identity
    }
}

/// A way to a zygote, and the credentials that its children will have.
#[pyclass(frozen, module = "allcores._core")]
pub(super) struct Way {
    requests: Held,
    offers: Held,
    bell: Held,
    credentials: Credentials,
}

impl Way {
    fn is_ours(&self) -> bool {
        self.requests.is_ours() && self.offers.is_ours() && self.bell.is_ours()
    }

    /// The ends, unless the program has closed them: who wrote to those numbers would write into files of its own.
    fn ends(&self) -> io::Result<[BorrowedFd<'_>; 3]> {
        if !self.is_ours() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        borrow_all([self.requests.number, self.offers.number, self.bell.number])
    }
}

#[pymethods]
impl Way {
    #[new]
    #[pyo3(signature = (requests, offers, bell, /))]
    pub(super) fn new(requests: RawFd, offers: RawFd, bell: RawFd) -> Outcome<Self> {
        Ok(Self {
            requests: Held::new(requests),
            offers: Held::new(offers),
            bell: Held::new(bell),
            credentials: Credentials::look()?,
        })
    }

    /// Whether it can be asked for children of this process.
    fn is_good(&self) -> bool {
        self.is_ours() && Credentials::look().is_ok_and(|now| now == self.credentials)
    }

    /// Take an offer; None when there is none for `timeout` seconds. EOFError when none will come.
    #[pyo3(signature = (*, timeout))]
    fn take_offer(&self, py: Python<'_>, timeout: f64) -> Outcome<Option<Offer>> {
        let [_, offers, _] = self.ends()?;
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now); // what the clock cannot hold nobody asks for
        loop {
            if let Some(offer) = if_any(offer::Offer::receive(offers, Wait::No))? {
                return Ok(Some(offer.into()));
            }
            // Another process may be the one that receives what comes.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait_for(py, offers, Some(left))? {
                return Ok(None);
            }
        }
    }

    /// Ask for an offer, and for a resource tracker that reads from `tracker`. ConnectionError when nobody is there.
    #[pyo3(signature = (surroundings, tracker, /))]
    fn need(&self, py: Python<'_>, surroundings: &Bound<'_, PyBytes>, tracker: Option<RawFd>) -> Outcome<()> {
        let [requests, _, bell] = self.ends()?;
        let tracker = tracker.map(borrow).transpose()?;
        let (surroundings, streams) = (surroundings.as_bytes(), streams::open_ones());
        until_not_interrupted(py, true, |wait| {
            ask::send_need(requests, surroundings, &streams, tracker, wait)
        })?;
        Ok(bell::ring(bell)?)
    }

    /// Tell the zygote that its main module is not what it was.
    fn stale(&self) -> Outcome<()> {
        let [requests, _, bell] = self.ends()?;
        leave_word(requests, ask::Kind::Stale, 0);
        Ok(bell::ring(bell)?)
    }
}

/// Tell the zygote something that it can do without; it may be gone.
fn leave_word(requests: BorrowedFd<'_>, kind: ask::Kind, pid: i32) {
    let _ = ask::send_word(requests, kind, pid, Wait::No);
}

impl Drop for Way {
    fn drop(&mut self) {
        // All or none: where the program has closed one it has closed others, and an eventfd cannot be told from
        // another one under the same number.
        if self.is_ours() {
            for held in [&self.requests, &self.offers, &self.bell] {
                drop(take_over(held.number));
            }
        }
    }
}

/// A spare for whoever took it, or why there is none.
#[pyclass(frozen, module = "allcores._core")]
struct Offer {
    spare: Mutex<Option<Spare>>,
    error_number: i32,
    threaded: bool,
    /// Whether the zygote was told that the spare is taken.
    told: AtomicBool,
}

impl From<offer::Offer> for Offer {
    fn from(offer: offer::Offer) -> Self {
        let (spare, error_number, threaded) = match offer {
            offer::Offer::Spare(spare) => (Some(spare), 0, false),
            offer::Offer::Failed(number) => (None, number, false),
            offer::Offer::Threaded => (None, 0, true),
        };
        Self {
            spare: Mutex::new(spare),
            error_number,
            threaded,
            told: AtomicBool::new(false),
        }
    }
}

impl Offer {
    /// Tell the zygote, once, that the spare is taken: should it end before it has work, that says nothing about spares.
    fn tell_taken(&self, requests: BorrowedFd<'_>, spare: &Spare) {
        if !self.told.swap(true, Ordering::Relaxed) {
            leave_word(requests, ask::Kind::Taken, spare.pid);
        }
    }
}

#[pymethods]
impl Offer {
    /// The number of the error for which the kernel forked none, else 0.
    #[getter]
    fn error_number(&self) -> i32 {
        self.error_number
    }

    /// Whether there is none since importing the main module started threads.
    #[getter]
    fn threaded(&self) -> bool {
        self.threaded
    }

    /// Whether the spare has this version of the main module, or none at all.
    #[pyo3(signature = (version, /))]
    fn is_of(&self, version: Option<offer::Version>) -> bool {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare
            .as_ref()
            .is_some_and(|spare| spare.main_version.is_none() || spare.main_version == version)
    }

    /// Wake the spare, if it is one; its work is being made ready.
    #[pyo3(signature = (way, /))]
    fn wake(&self, way: &Bound<'_, Way>) -> Outcome<()> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spare) = spare.as_ref() {
            bell::ring(spare.bell.as_fd())?; // first, as it wakes while this goes on
            self.tell_taken(way.get().ends()?[0], spare);
        }
        Ok(())
    }

    /// Give the spare its work; None when it is gone, which is then all that happened.
    #[pyo3(signature = (way, parent, tracker, descriptors, surroundings, process, /))]
    #[allow(clippy::too_many_arguments)] // they are the parts of one message
    fn hand_over(
        &self,
        py: Python<'_>,
        way: &Bound<'_, Way>,
        parent: RawFd,
        tracker: RawFd,
        descriptors: Vec<RawFd>,
        surroundings: &Bound<'_, PyBytes>,
        process: &Bound<'_, PyBytes>,
    ) -> Outcome<Option<Child>> {
        let ends = way.get().ends()?;
        let Some(spare) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(None);
        };
        let order = Order {
            way: ends,
            parent: borrow(parent)?,
            tracker: borrow(tracker)?,
            streams: streams::open_ones(),
            descriptors: descriptors.into_iter().map(borrow).collect::<io::Result<_>>()?,
            surroundings: surroundings.as_bytes(),
            process: process.as_bytes(),
        };
        let mut sending = Sending::new(&order)?;
        // First: the child may end before this process goes on.
        self.tell_taken(ends[0], &spare);
        let line = spare.line.as_fd();
        let sent = until_not_interrupted(py, true, |wait| match sending.send(line, wait) {
            Err(error) if is_gone(&error) => Ok(false),
            result => result.map(|()| true),
        })?;
        if !sent {
            return Ok(None);
        }
        bell::ring(spare.bell.as_fd())?;
        bell::ring(ends[2])?;
        Ok(Some(Child {
            pid: spare.pid,
            line: Held::new(spare.line.into_raw_fd()),
            sentinel: Held::new(spare.sentinel.into_raw_fd()),
        }))
    }
}

/// How long even a wait that should not wait stays for the exit code of a process that has ended.
const GRACE: Duration = Duration::from_secs(1);

/// A child that was started, as its caller holds it.
#[pyclass(frozen, module = "allcores._core")]
struct Child {
    pid: i32,
    line: Held,
    sentinel: Held,
}

/// The exit code of a process of which nobody can tell any more how it ended; forkserver's, too.
const CODE_UNKNOWN: i32 = 255;

impl Child {
    /// What it is known by, unless the program has closed that.
    fn ends(&self) -> Option<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        if !(self.line.is_ours() && self.sentinel.is_ours()) {
            return None;
        }
        borrow(self.line.number).ok().zip(borrow(self.sentinel.number).ok())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ends().is_some() {
            drop(take_over(self.line.number));
            drop(take_over(self.sentinel.number));
        }
    }
}

/// How it ended: code, evidence of a shortage of memory, account.
type End<'py> = (i32, String, Bound<'py, PyBytes>);

#[pymethods]
impl Child {
    /// Its number.
    #[getter]
    fn pid(&self) -> i32 {
        self.pid
    }

    /// A pidfd; it is this object's.
    #[getter]
    fn sentinel(&self) -> RawFd {
        self.sentinel.number
    }

    /// Wait until it has ended; None when it still runs after `timeout` seconds.
    ///
    /// A zygote that died took its children with it: that is code -9, as the kernel did it. Code 255 when the program has
    /// closed what the child is known by.
    #[pyo3(signature = (timeout, /))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> Outcome<Option<End<'py>>> {
        let Some((line, sentinel)) = self.ends() else {
            return Ok(Some((CODE_UNKNOWN, String::new(), PyBytes::new(py, b""))));
        };
        // What a duration cannot hold is for ever.
        let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        if !wait_for(py, line, timeout)? {
            // The zygote tells how a moment after the end, unless it is stopped.
            let ended = wait_for(py, sentinel, Some(Duration::ZERO))?;
            if !(ended && wait_for(py, line, Some(GRACE))?) {
                return Ok(None);
            }
        }
        match Exit::peek(line) {
            Ok(exit) => Ok(Some((exit.code, exit.out_of_memory, PyBytes::new(py, &exit.account)))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // The zygote's end closed, at its death; the child's follows, if it has not come.
                let left = timeout.map(|timeout| timeout.max(GRACE));
                let ended = wait_for(py, sentinel, left)?;
                Ok(ended.then(|| (CODE_OF_KILLED, String::new(), PyBytes::new(py, b""))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Let it outlive the session; `way` leads to its zygote, if there still is one.
    #[pyo3(signature = (way, /))]
    fn detach(&self, way: Option<&Bound<'_, Way>>) -> Outcome<()> {
        if let Some(Ok([requests, _, bell])) = way.map(|way| way.get().ends()) {
            leave_word(requests, ask::Kind::Detach, self.pid);
            bell::ring(bell)?;
        }
        if let Some((line, _)) = self.ends() {
            exit::send_detachment(line)?;
        }
        Ok(())
    }

    /// Send it a signal; one that has ended gets none.
    #[pyo3(signature = (number, /))]
    fn send_signal(&self, number: i32) -> Outcome<()> {
        if let Some((_, sentinel)) = self.ends() {
            signal::send(sentinel, number)?;
        }
        Ok(())
    }
}

/// Wait as `readable` does; other threads run, and signal handlers have their turn.
fn wait_for(py: Python<'_>, descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> Outcome<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let result = if left == Some(Duration::ZERO) {
            readable(descriptor, left)
        } else {
            py.detach(|| readable(descriptor, left))
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
            result => return Ok(result?),
        }
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Held>()?;
    module.add_class::<Way>()?;
    module.add_class::<Offer>()?;
    module.add_class::<Child>()?;
    Ok(())
}
