//! The kernel's state of this process, as bytes that Python compares and hands on.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::call::Outcome;
use crate::sys::state::{State, UmaskLook};

/// Look at umask, niceness, limits, CPUs, signals and directory.
#[pyfunction]
#[pyo3(signature = (*, alone))]
fn process_state(py: Python<'_>, alone: bool) -> Outcome<Bound<'_, PyBytes>> {
    let umask = if alone { UmaskLook::Set } else { UmaskLook::Read };
    Ok(PyBytes::new(py, &State::look(umask)?.to_bytes()))
}

/// Have in this process what another one's look saw, signals apart.
#[pyfunction]
#[pyo3(signature = (state, /))]
fn take_over_state(state: &[u8]) -> Outcome<()> {
    State::from_bytes(state)?.take_over();
    Ok(())
}

/// Whether a process without privileges that goes from `one` to `other` could come back.
#[pyfunction]
#[pyo3(signature = (one, other, /))]
fn leads_back(one: &[u8], other: &[u8]) -> Outcome<bool> {
    Ok(State::from_bytes(one)?.leads_back_to(&State::from_bytes(other)?))
}

/// Return the signals that are blocked and ignored in a look, one bit each; bit 0 is signal 1.
#[pyfunction]
#[pyo3(signature = (state, /))]
fn signals_of_state(state: &[u8]) -> Outcome<(u64, u64)> {
    let state = State::from_bytes(state)?;
    Ok((state.blocked, state.ignored))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(process_state, module)?)?;
    module.add_function(wrap_pyfunction!(take_over_state, module)?)?;
    module.add_function(wrap_pyfunction!(leads_back, module)?)?;
    module.add_function(wrap_pyfunction!(signals_of_state, module)?)?;
    Ok(())
}
