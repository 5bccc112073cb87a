//! The door to Python: thin functions over the floors below. Nothing else in the crate knows PyO3.

mod process;
mod seqpacket;
mod state;

use pyo3::prelude::*;

/// The native core of allcores.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    process::add_to(module)?;
    seqpacket::add_to(module)?;
    state::add_to(module)?;
    Ok(())
}
