//! Event, Condition and Barrier in Python.

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;

use super::arena::{raise, thread, waiting, Address, Object};
use super::locks::{timeout_of, until_done};
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::Kind;
use crate::atomics::Ordering::Relaxed;
use crate::sync::barrier::{self, BarrierBody, BarrierWait, Passed, State};
use crate::sync::condition::{self, ConditionBody, ConditionWait};
use crate::sync::event::{EventBody, EventWait};

const BODY: u64 = 64 - BLOCK_HEADER;

/// A flag that can be waited for.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Event(pub Object<EventBody>);

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (name=None, address=None))]
    fn new(py: Python<'_>, name: Option<&str>, address: Option<Address>) -> PyResult<Self> {
        Ok(Self(Object::new(py, Kind::Event, BODY, name, address)?.0))
    }

    /// Whether it is set.
    fn is_set(&self) -> bool {
        self.0.body.is_set()
    }

    /// Set it: everybody who waits goes on.
    fn set(&self) {
        self.0.body.set();
    }

    /// Clear it: who waits from now on waits.
    fn clear(&self) {
        self.0.body.clear();
    }

    /// Wait until it is set; False when that took longer than `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if self.0.body.is_set() {
            return Ok(true);
        }
        if timeout.is_some_and(|seconds| seconds <= 0.0) {
            return Ok(false);
        }
        let Object { arena, body, .. } = self.0;
        let mut wait = EventWait::new(arena, body, self.0.offset(), thread(), timeout_of(timeout));
        Ok(until_done(py, || wait.step())?.is_some())
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.0.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.name(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.0.arena.waiting(self.0.offset()).count()
    }
}

/// A place to wait until somebody says that something has changed; `lock` belongs to it.
#[pyclass(frozen, subclass, module = "allcores._core")]
struct Condition {
    object: Object<ConditionBody>,
    lock: Py<PyAny>,
}

impl Condition {
    fn assert_mine(&self, py: Python<'_>, otherwise: &'static str) -> PyResult<()> {
        let is_mine = self.lock.bind(py).call_method0(intern!(py, "_is_mine"))?;
        if is_mine.is_truthy()? {
            Ok(())
        } else {
            Err(PyAssertionError::new_err(otherwise))
        }
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (lock, name=None, address=None))]
    fn new(py: Python<'_>, lock: Py<PyAny>, name: Option<&str>, address: Option<Address>) -> PyResult<Self> {
        Ok(Self {
            object: Object::new(py, Kind::Condition, BODY, name, address)?.0,
            lock,
        })
    }

    /// The lock that belongs to it.
    #[getter]
    fn _lock(&self, py: Python<'_>) -> Py<PyAny> {
        self.lock.clone_ref(py)
    }

    /// Release the lock, wait for a notification, and acquire the lock again; False when none came in time.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.assert_mine(py, "must acquire() condition before using wait()")?;
        let lock = self.lock.bind(py);
        let Object { arena, body, .. } = self.object;
        // From here on a notification is for this one, too: before the lock is released.
        let mut wait = ConditionWait::new(arena, body, self.object.offset(), thread(), timeout_of(timeout))
            .map_err(|error| raise(py, error))?;
        let count: u32 = lock.call_method0(intern!(py, "_count"))?.extract()?;
        for _ in 0..count {
            lock.call_method0(intern!(py, "release"))?;
        }
        let waited = until_done(py, || wait.step());
        drop(wait);
        for _ in 0..count {
            lock.call_method0(intern!(py, "acquire"))?;
        }
        Ok(waited?.is_some())
    }

    /// Wake up to `n` of those who wait, the longest waiting first.
    #[pyo3(signature = (n=1))]
    fn notify(&self, py: Python<'_>, n: usize) -> PyResult<()> {
        self.assert_mine(py, "lock is not owned")?;
        condition::notify(self.object.arena, self.object.offset(), n);
        Ok(())
    }

    /// Wake everybody who waits.
    fn notify_all(&self, py: Python<'_>) -> PyResult<()> {
        self.notify(py, usize::MAX)
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.object.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.object.name(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.object.arena.waiting(self.object.offset()).count()
    }
}

/// A place where `parties` meet.
#[pyclass(frozen, subclass, module = "allcores._core")]
struct Barrier(Object<BarrierBody>);

impl Barrier {
    fn face(&self) -> barrier::Barrier<'static> {
        barrier::Barrier {
            arena: self.0.arena,
            body: self.0.body,
            offset: self.0.offset(),
        }
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (parties, name=None, address=None))]
    fn new(py: Python<'_>, parties: u32, name: Option<&str>, address: Option<Address>) -> PyResult<Self> {
        let (object, is_new) = Object::<BarrierBody>::new(py, Kind::Barrier, BODY, name, address)?;
        if is_new {
            object.body.parties.store(parties, Relaxed);
        }
        Ok(Self(object))
    }

    /// Wait until all have come, at most `timeout` seconds; the last one calls `action` first.
    ///
    /// Returns the how-many-th this one was, -1 when the barrier is broken.
    #[pyo3(signature = (timeout, action, /))]
    fn _pass(&self, py: Python<'_>, timeout: Option<f64>, action: Option<&Bound<'_, PyAny>>) -> PyResult<i64> {
        let face = self.face();
        let mut wait = BarrierWait::new(face, thread(), timeout_of(timeout)).map_err(|error| raise(py, error))?;
        match until_done(py, || wait.step()) {
            Err(raised) => {
                wait.leave().map_err(|error| raise(py, error))?;
                Err(raised)
            }
            Ok(None | Some(Passed::Broken(_))) => Ok(-1),
            Ok(Some(Passed::As(index))) => Ok(index.into()),
            Ok(Some(Passed::Last(index))) => {
                if let Some(action) = action {
                    if let Err(raised) = action.call0() {
                        face.abort().map_err(|error| raise(py, error))?;
                        return Err(raised);
                    }
                }
                let opened = face.open(wait.cycle()).map_err(|error| raise(py, error))?;
                Ok(opened.map_or(-1, |()| index.into()))
            }
        }
    }

    /// Begin anew; who waits is told that the barrier is broken.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, |_| self.face().reset())
    }

    /// Break it.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        waiting(py, |_| self.face().abort())
    }

    /// How many have to come.
    #[getter]
    fn parties(&self) -> u32 {
        self.0.body.parties.load(Relaxed)
    }

    /// How many wait.
    #[getter]
    fn n_waiting(&self) -> u32 {
        match self.face().state() {
            State::Filling => self.0.body.arrived.load(Relaxed),
            State::Acting | State::Broken => 0,
        }
    }

    /// Whether it is broken.
    #[getter]
    fn broken(&self) -> bool {
        self.face().state() == State::Broken
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.0.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.name(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.0.arena.waiting(self.0.offset()).count()
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Event>()?;
    module.add_class::<Condition>()?;
    module.add_class::<Barrier>()?;
    Ok(())
}
