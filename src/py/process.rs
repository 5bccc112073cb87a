//! What a process tells the kernel about itself, and hears from it.

use std::ffi::CString;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::call::Outcome;
use crate::sys::process::{self, Bond};

/// Bind this process to its parent: the kernel sends SIGKILL when the thread that forked it ends.
///
/// False means that the parent, which should be `parent_pid`, has ended already.
#[pyfunction]
#[pyo3(signature = (parent_pid, /))]
fn die_with_parent(parent_pid: u32) -> Outcome<bool> {
    Ok(process::die_with_parent(parent_pid)? == Bond::Bound)
}

/// Set the name that `ps` and `top` show for this process (at most 15 bytes).
#[pyfunction]
#[pyo3(signature = (name, /))]
fn set_process_name(name: &str) -> Outcome<()> {
    let name = CString::new(name).map_err(|_| PyValueError::new_err("a process name holds no NUL"))?;
    Ok(process::set_name(&name)?)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(die_with_parent, module)?)?;
    module.add_function(wrap_pyfunction!(set_process_name, module)?)?;
    Ok(())
}
