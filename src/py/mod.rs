//! The door to Python: thin functions over the floors below. Nothing else in the crate knows PyO3.

mod arena;
mod attributes;
mod batches;
mod birth;
mod building;
mod call;
mod caller;
mod channel;
mod classes;
mod deadlocks;
mod entries;
mod fast;
mod gathering;
mod items;
mod kept;
mod keys;
mod list;
mod listening;
mod listing;
mod locks;
mod memory;
mod messages;
mod numbers;
mod opcodes;
mod pace;
mod pickler;
mod pipe;
mod plain;
mod pool;
mod primitives;
mod process;
mod program;
mod reader;
mod readings;
mod recipe;
mod semaphore;
mod seqpacket;
mod sides;
mod simple;
mod spare;
mod state;
mod table;
mod tables;
mod unchanging;
mod unpickler;
mod values;
mod waits;
mod zygote;

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The native core of allcores.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    check_gil(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(is_of_another_interpreter, module)?)?;
    arena::add_to(module)?;
    attributes::add_to(module)?;
    caller::add_to(module)?;
    channel::add_to(module)?;
    deadlocks::add_to(module)?;
    list::add_to(module)?;
    locks::add_to(module)?;
    memory::add_to(module)?;
    numbers::add_to(module)?;
    pickler::add_to(module)?;
    gathering::add_to(module)?;
    pipe::add_to(module)?;
    pool::add_to(module)?;
    birth::add_to(module)?;
    process::add_to(module)?;
    program::add_to(module)?;
    seqpacket::add_to(module)?;
    spare::add_to(module)?;
    state::add_to(module)?;
    table::add_to(module)?;
    waits::add_to(module)?;
    zygote::add_to(module)?;
    Ok(())
}

/// Whether allcores is, or was, in use by another interpreter of this process: classes and modules are kept for all calls, and
/// are one interpreter's. The first one that asks is the one that has it.
///
/// Subinterpreters get a copy of the module without its being made again, so that making it is not the place to look.
#[pyfunction]
#[pyo3(signature = ())]
fn is_of_another_interpreter(py: Python<'_>) -> bool {
    const NONE: i64 = -1;
    static FIRST: AtomicI64 = AtomicI64::new(NONE);

    let this = fast::interpreter(py);
    let first = FIRST.compare_exchange(NONE, this, Relaxed, Relaxed);
    first.is_err_and(|first| first != this)
}

/// A Python that can do without the GIL holds it since it has seen `gil_used`, unless it was told not to; then one that has been
/// built from source would run with data that only the GIL guards (`fast/with_gil.rs`).
fn check_gil(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let is_held = match sys.getattr_opt("_is_gil_enabled")? {
        Some(is_enabled) => is_enabled.call0()?.is_truthy()?,
        None => true,
    };
    if is_held {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "allcores needs the GIL: start Python without PYTHON_GIL=0 and without -X gil=0",
    ))
}
