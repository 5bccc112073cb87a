//! Deadlocks, and the sites that locks are acquired at, in Python.

use pyo3::prelude::*;

use super::arena::{arena, arena_if_any, raise, waiting};
use crate::registry::deadlocks;
use crate::registry::sites::Site;
use crate::sync::abandoned;
use crate::sys::liveness::now_since_boot;

/// A thread that waits for a lock which the next one of its deadlock has.
#[pyclass(frozen, get_all, module = "allcores._core")]
struct Blocked {
    process_name: String,
    pid: u32,
    thread_id: u32,
    waited_seconds: f64,
    has_timeout: bool,
    waiting_at: Option<String>,
    recursive: bool,
    lock_name: Option<String>,
    lock_handle: u64,
    acquired_at: Option<String>,
}

impl From<deadlocks::Blocked> for Blocked {
    fn from(blocked: deadlocks::Blocked) -> Self {
        let nanoseconds = now_since_boot().saturating_sub(blocked.since);
        Self {
            process_name: blocked.process.name,
            pid: blocked.process.pid,
            thread_id: blocked.thread_id,
            waited_seconds: nanoseconds as f64 / 1e9,
            has_timeout: blocked.has_timeout,
            waiting_at: blocked.waiting_at,
            recursive: blocked.recursive,
            lock_name: blocked.name,
            lock_handle: blocked.offset,
            acquired_at: blocked.acquired_at,
        }
    }
}

/// Return the deadlocks of the session; in each, who is blocked: the lock that one waits for the next one has.
#[pyfunction]
fn read_deadlocks(py: Python<'_>) -> PyResult<Vec<Vec<Blocked>>> {
    let Some(arena) = arena_if_any() else {
        return Ok(Vec::new());
    };
    let found = py.detach(|| arena.deadlocks()).map_err(|error| raise(py, error))?;
    Ok(found
        .into_iter()
        .map(|deadlock| deadlock.into_iter().map(Blocked::from).collect())
        .collect())
}

/// Return who waits for a lock whose owner has ended with it: with that one's pid and name, 0 and nothing if unknown.
#[pyfunction]
fn read_abandoned_waits(py: Python<'_>) -> PyResult<Vec<(Blocked, u32, String)>> {
    let Some(arena) = arena_if_any() else {
        return Ok(Vec::new());
    };
    let found = waiting(py, |pause| arena.abandoned_waits(pause))?;
    let tell = |one: abandoned::Abandoned| {
        let (pid, name) = one.owner.map_or((0, String::new()), |owner| (owner.pid, owner.name));
        (one.blocked.into(), pid, name)
    };
    Ok(found.into_iter().map(tell).collect())
}

/// Return the number by which a place in the program is known in the session; 0 when there is no room for it.
#[pyfunction]
#[pyo3(signature = (text, /))]
fn acquire_site(py: Python<'_>, text: &str) -> PyResult<u32> {
    // A lock is acquired all the same where there is no memory for its site.
    Ok(arena(py)?.site(text).unwrap_or(Site::UNKNOWN).0)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_deadlocks, module)?)?;
    module.add_function(wrap_pyfunction!(read_abandoned_waits, module)?)?;
    module.add_function(wrap_pyfunction!(acquire_site, module)?)?;
    module.add_class::<Blocked>()?;
    Ok(())
}
