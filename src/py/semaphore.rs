//! Semaphores in Python.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;

use super::arena::{raise, thread, Address, Object};
use super::call::truth;
use super::fast::Fast;
use super::locks::{released_too_often, timeout_of, until_done};
use crate::arena::layout::BLOCK_HEADER;
use crate::arena::tag::Kind;
use crate::sync::holds::{self, Holds};
use crate::sync::semaphore::{SemaphoreBody, SemaphoreWait, VALUE_MAX};

const BODY: u64 = 64 - BLOCK_HEADER;

/// A semaphore, which cannot be released above its `maximum`.
#[pyclass(frozen, subclass, module = "allcores._core")]
pub struct Semaphore {
    object: Object<SemaphoreBody>,
    holds: Option<Holds<'static>>,
    /// How often this process has acquired it more than released, and which thread did so last; as `SemLock` has it.
    count: AtomicI64,
    thread: AtomicU64,
    process: AtomicU64,
}

impl Semaphore {
    fn note(&self, change: i64) {
        let me = u64::from(self.object.arena.me());
        if self.process.swap(me, Relaxed) != me {
            self.count.store(0, Relaxed); // a fork: what the parent acquired it has not
        }
        self.count.fetch_add(change, Relaxed);
        if change > 0 {
            self.thread.store(thread(), Relaxed);
        }
    }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (value=1, maximum=2147483647, name=None, recover=false, address=None))]
    fn new(
        py: Python<'_>,
        value: i64,
        maximum: i64,
        name: Option<&str>,
        recover: bool,
        address: Option<Address>,
    ) -> PyResult<Self> {
        if value > VALUE_MAX.into() {
            return Err(PyOverflowError::new_err(format!(
                "a semaphore's value is at most {VALUE_MAX}"
            )));
        }
        let (Ok(value), Ok(maximum)) = (u32::try_from(value), u32::try_from(maximum)) else {
            return Err(PyValueError::new_err("a semaphore's value is not below zero"));
        };
        let size = if recover { holds::BODY } else { BODY };
        let (object, is_new) = Object::<SemaphoreBody>::new(py, Kind::Semaphore, size, name, address)?;
        if is_new {
            object.body.maximum.store(maximum, Relaxed);
            object.body.recovers.store(recover.into(), Relaxed);
            object.body.word.store(value, Relaxed);
        }
        let holds = Holds::of(object.arena, object.body, object.offset()).map_err(|error| raise(py, error))?;
        if let Some(holds) = holds.filter(|_| is_new) {
            holds.begin(value);
        }
        Ok(Self {
            object,
            holds,
            count: AtomicI64::new(0),
            thread: AtomicU64::new(0),
            process: AtomicU64::new(0),
        })
    }

    /// Acquire it; False when its value was not above zero in time.
    #[pyo3(signature = (block=true, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = truth)] block: bool,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let acquired = match self.holds {
            None => self.object.body.try_acquire(),
            Some(holds) => holds.try_acquire().map_err(|error| raise(py, error))?,
        };
        if !acquired {
            if !block {
                return Ok(false);
            }
            let Object { arena, body, .. } = self.object;
            let mut wait = SemaphoreWait::new(
                arena,
                body,
                self.holds,
                self.object.offset(),
                thread(),
                timeout_of(timeout),
            );
            if until_done(py, || wait.step())?.is_none() {
                return Ok(false);
            }
        }
        self.note(1);
        Ok(true)
    }

    /// Release it. ValueError when its value would be above the largest.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let released = match self.holds {
            None => self.object.body.release(),
            Some(holds) => holds.release().map_err(|error| raise(py, error))?,
        };
        if !released {
            return Err(released_too_often());
        }
        self.note(-1);
        Ok(())
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.acquire(py, true, None)
    }

    #[pyo3(signature = (_kind=None, _value=None, _traceback=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release(py)
    }

    /// Whether this thread was the last of this process to acquire it, and it was not released since.
    fn _is_mine(&self) -> bool {
        self._count() > 0 && self.thread.load(Relaxed) == thread()
    }

    /// How often this process has acquired it more than released.
    fn _count(&self) -> i64 {
        if self.process.load(Relaxed) == u64::from(self.object.arena.me()) {
            self.count.load(Relaxed)
        } else {
            0
        }
    }

    /// Its value.
    fn _get_value(&self) -> u32 {
        self.object.body.value()
    }

    /// Whether its value is zero.
    fn _is_zero(&self) -> bool {
        self.object.body.value() == 0
    }

    /// What its value may not exceed.
    #[getter]
    fn maxvalue(&self) -> u32 {
        self.object.body.maximum.load(Relaxed)
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
        self.object.waiters()
    }
}

impl Fast for Semaphore {
    #[inline]
    fn acquire_at_once(&self) -> Option<bool> {
        if self.holds.is_some() {
            return None;
        }
        let acquired = self.object.body.try_acquire();
        if acquired {
            self.note(1);
        }
        Some(acquired)
    }

    #[inline]
    fn release_at_once(&self) -> bool {
        let released = self.holds.is_none() && self.object.body.release();
        if released {
            self.note(-1);
        }
        released
    }
}
