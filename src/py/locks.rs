//! Lock and RLock in Python: the standard library's `SemLock`, and who owns it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::arena::{exception, raise, thread, Address, Object};
use super::call::truth;
use super::fast::{add_to_class, Fast};
use super::semaphore::Semaphore;
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::Kind;
use crate::registry::processes::ProcessId;
use crate::registry::sites::Site;
use crate::sync::lock::{LockBody, LockWait, NotReleased, Waited, Who};
use crate::sync::patience::Step;

const BODY: u64 = 64 - BLOCK_HEADER;

/// A lock that any process of the session may release.
#[pyclass(frozen, subclass, module = "allcores._core")]
struct Lock(Object<LockBody>);

/// A lock that its thread may acquire again.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct RLock(pub Object<LockBody>);

/// Seconds as Python says them: None is for ever, less than none is none.
pub fn timeout_of(seconds: Option<f64>) -> Option<Duration> {
    // What does not fit, infinity included, is for ever.
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
}

/// Make steps of a wait without the GIL until it is over, and have signal handlers run in between.
pub fn until_done<T: Send>(
    py: Python<'_>,
    mut step: impl FnMut() -> crate::arena::Result<Step<T>> + Send,
) -> PyResult<Option<T>> {
    loop {
        match py.detach(&mut step).map_err(|error| raise(py, error))? {
            Step::Done(done) => return Ok(Some(done)),
            Step::TimedOut => return Ok(None),
            Step::GoOn => py.check_signals()?,
        }
    }
}

/// What others see of who has a lock, and how many wait: pid and name of the owner, and the number.
pub type Holder = Option<(u32, String)>;

pub fn released_too_often() -> PyErr {
    PyValueError::new_err("semaphore or lock released too many times")
}

impl Object<LockBody> {
    fn who(&self) -> Who {
        Who::of(self.arena.me(), thread())
    }

    #[cold]
    fn wait(&self, py: Python<'_>, seconds: Option<f64>, site: Option<Site>) -> PyResult<bool> {
        let timeout = timeout_of(seconds);
        let mut wait = LockWait::new(self.arena, self.body, self.offset(), self.who(), timeout).at(site);
        match until_done(py, || wait.step())? {
            None => Ok(false),
            Some(Waited::Acquired) => Ok(true),
            Some(Waited::OwnerDied(dead)) => {
                drop(wait);
                let name = self.name(py)?;
                Err(exception(
                    py,
                    "OwnerDiedError",
                    (dead.pid, dead.name, dead.wait_status, name),
                ))
            }
        }
    }

    fn holder(&self, py: Python<'_>) -> PyResult<Holder> {
        match self.body.owner() {
            0 => Ok(None),
            owner => {
                let seen = self.arena.see(ProcessId(owner)).map_err(|error| raise(py, error))?;
                Ok(Some(seen.map_or((0, String::new()), |seen| (seen.pid, seen.name))))
            }
        }
    }
}

impl<B: crate::sys::shared::Shared> Object<B> {
    pub fn waiters(&self) -> usize {
        self.arena.waiting(self.offset()).count()
    }
}

fn new_lock(
    py: Python<'_>,
    kind: Kind,
    name: Option<&str>,
    recover: bool,
    address: Option<Address>,
) -> PyResult<Object<LockBody>> {
    let (object, is_new) = Object::<LockBody>::new(py, kind, BODY, name, address)?;
    if is_new && !recover {
        object.body.keeps.store(1, Relaxed);
    }
    Ok(object)
}

#[pymethods]
impl Lock {
    #[new]
    #[pyo3(signature = (name=None, recover=true, address=None))]
    fn new(py: Python<'_>, name: Option<&str>, recover: bool, address: Option<Address>) -> PyResult<Self> {
        Ok(Self(new_lock(py, Kind::Lock, name, recover, address)?))
    }

    /// Acquire it; False when it was not free in time.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        if self.0.body.try_acquire(self.0.who()) {
            return Ok(true);
        }
        if block {
            self.0.wait(py, timeout, None)
        } else {
            Ok(false)
        }
    }

    /// As `acquire`, and record at which site that is.
    #[pyo3(signature = (site, block, timeout, /))]
    fn _acquire_at(
        &self,
        py: Python<'_>,
        site: u32,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let (who, site) = (self.0.who(), Site(site));
        if self.0.body.try_acquire(who) {
            self.0.body.note_site(who, site);
            return Ok(true);
        }
        if block {
            self.0.wait(py, timeout, Some(site))
        } else {
            Ok(false)
        }
    }

    /// Release it, whoever has it. ValueError when nobody has.
    fn release(&self) -> PyResult<()> {
        self.0.body.release().map_err(|_| released_too_often())
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire(py, true, None)
    }

    #[pyo3(signature = (_kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release()
    }

    /// Whether this thread has it.
    fn _is_mine(&self) -> bool {
        self.0.body.is_mine(self.0.who())
    }

    /// How often this process has it.
    fn _count(&self) -> u32 {
        u32::from(self.0.body.owner() == self.0.arena.me())
    }

    /// 1 when it is free, else 0.
    fn _get_value(&self) -> u32 {
        u32::from(self.0.body.owner() == 0)
    }

    /// Whether somebody has it.
    fn _is_zero(&self) -> bool {
        self.0.body.owner() != 0
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.0.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.name(py)
    }

    /// Pid and name of the process that has it.
    fn _holder(&self, py: Python<'_>) -> PyResult<Holder> {
        self.0.holder(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.0.waiters()
    }
}

#[pymethods]
impl RLock {
    #[new]
    #[pyo3(signature = (name=None, recover=true, address=None))]
    fn new(py: Python<'_>, name: Option<&str>, recover: bool, address: Option<Address>) -> PyResult<Self> {
        Ok(Self(new_lock(py, Kind::RLock, name, recover, address)?))
    }

    /// Acquire it, perhaps once more; False when it was not free in time.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        if self.0.body.try_acquire_again(self.0.who()) {
            return Ok(true);
        }
        if block {
            self.0.wait(py, timeout, None)
        } else {
            Ok(false)
        }
    }

    /// As `acquire`, and record at which site that is.
    #[pyo3(signature = (site, block, timeout, /))]
    fn _acquire_at(
        &self,
        py: Python<'_>,
        site: u32,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let (who, site) = (self.0.who(), Site(site));
        if self.0.body.try_acquire_again(who) {
            self.0.body.note_site(who, site);
            return Ok(true);
        }
        if block {
            self.0.wait(py, timeout, Some(site))
        } else {
            Ok(false)
        }
    }

    /// Release it once. AssertionError when it is not this thread's.
    fn release(&self) -> PyResult<()> {
        self.0.body.release_once(self.0.who()).map_err(|error| match error {
            NotReleased::NotMine => PyAssertionError::new_err("attempt to release recursive lock not owned by thread"),
            NotReleased::Free => released_too_often(),
        })
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire(py, true, None)
    }

    #[pyo3(signature = (_kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release()
    }

    /// Whether this thread has it.
    fn _is_mine(&self) -> bool {
        self.0.body.is_mine(self.0.who())
    }

    /// How often this process has it.
    fn _count(&self) -> u32 {
        if self.0.body.owner() == self.0.arena.me() {
            self.0.body.depth.load(Relaxed)
        } else {
            0
        }
    }

    /// 1 when it is free, else 0.
    fn _get_value(&self) -> u32 {
        u32::from(self.0.body.owner() == 0)
    }

    /// Whether somebody has it.
    fn _is_zero(&self) -> bool {
        self.0.body.owner() != 0
    }

    /// Session, offset and generation, by which every process of the session finds it.
    fn _address(&self) -> Address {
        self.0.address()
    }

    /// The name it was given.
    fn _name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.0.name(py)
    }

    /// Pid and name of the process that has it.
    fn _holder(&self, py: Python<'_>) -> PyResult<Holder> {
        self.0.holder(py)
    }

    /// How many threads wait for it.
    fn _waiters(&self) -> usize {
        self.0.waiters()
    }
}

impl Fast for Lock {
    #[inline]
    fn acquire_at_once(&self) -> Option<bool> {
        Some(self.0.body.try_acquire(self.0.who()))
    }

    #[inline]
    fn release_at_once(&self) -> bool {
        self.0.body.release().is_ok()
    }
}

impl Fast for RLock {
    #[inline]
    fn acquire_at_once(&self) -> Option<bool> {
        Some(self.0.body.try_acquire_again(self.0.who()))
    }

    #[inline]
    fn release_at_once(&self) -> bool {
        self.0.body.release_once(self.0.who()).is_ok()
    }
}

/// Put the fast `acquire`, `release`, `__enter__` and `__exit__` into classes derived from Lock, RLock and Semaphore.
#[pyfunction]
#[pyo3(signature = (lock, rlock, semaphore, /))]
fn add_fast_methods(
    lock: &Bound<'_, PyType>,
    rlock: &Bound<'_, PyType>,
    semaphore: &Bound<'_, PyType>,
) -> PyResult<()> {
    add_to_class::<Lock>(lock)?;
    add_to_class::<RLock>(rlock)?;
    add_to_class::<Semaphore>(semaphore)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(add_fast_methods, module)?)?;
    module.add_class::<Lock>()?;
    module.add_class::<RLock>()?;
    module.add_class::<Semaphore>()?;
    Ok(())
}
