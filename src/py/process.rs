//! What a process tells the kernel about itself, and hears from it.

use std::ffi::CString;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::call::Outcome;
use crate::sys::process;

/// Set the name that `ps` and `top` show for this process (at most 15 bytes).
#[pyfunction]
#[pyo3(signature = (name, /))]
fn set_process_name(name: &str) -> Outcome<()> {
    let name = CString::new(name).map_err(|_| PyValueError::new_err("a process name holds no NUL"))?;
    Ok(process::set_name(&name)?)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_process_name, module)?)?;
    Ok(())
}
