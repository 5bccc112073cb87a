//! The program that the command runs.

use std::ffi::{CString, NulError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::code::{PyCode, PyCodeInput};

/// Compile a program, in no need of what `compile` gets ready at its first call: all classes of the module `ast`.
///
/// `path` is the file's name as the system has it. ValueError for a NUL in either.
#[pyfunction]
#[pyo3(signature = (source, path, /))]
fn compile_program<'py>(py: Python<'py>, source: &[u8], path: &[u8]) -> PyResult<Bound<'py, PyCode>> {
    let refused = |_: NulError| PyValueError::new_err("source code cannot contain null bytes");
    let (source, path) = (
        CString::new(source).map_err(refused)?,
        CString::new(path).map_err(refused)?,
    );
    PyCode::compile(py, &source, &path, PyCodeInput::File)
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(compile_program, module)?)
}
