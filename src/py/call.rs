//! How calls into the floors below wait and fail in Python.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use pyo3::exceptions::PyEOFError;
use pyo3::prelude::*;

use crate::sys::descriptor::borrow;
use crate::sys::seqpacket::Wait;

/// Make a call at once, and only where it must wait let other threads run and signal handlers have their turn.
pub fn until_not_interrupted<T: Send>(
    py: Python<'_>,
    wait: bool,
    mut call: impl FnMut(Wait) -> io::Result<T> + Send,
) -> PyResult<T> {
    let mut result = call(Wait::No);
    while let Err(error) = &result {
        match error.kind() {
            io::ErrorKind::WouldBlock if wait => {}
            io::ErrorKind::Interrupted => py.check_signals()?,
            _ => break,
        }
        result = py.detach(|| call(if wait { Wait::Yes } else { Wait::No }));
    }
    result.map_err(raise)
}

/// Return the exception of an error: EOFError where nothing will come any more, else what Python makes of it.
pub fn raise(error: io::Error) -> PyErr {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return PyEOFError::new_err("the other side closed its end, or died");
    }
    error.into()
}

/// Return `None` where a result only says that there is nothing at the moment.
pub fn if_any<T>(result: io::Result<T>) -> PyResult<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some).map_err(raise),
    }
}

/// Borrow descriptors for the duration of a call.
pub fn borrow_all<'call, const N: usize>(numbers: [RawFd; N]) -> io::Result<[BorrowedFd<'call>; N]> {
    let borrowed: Vec<_> = numbers.into_iter().map(borrow).collect::<io::Result<_>>()?;
    borrowed.try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}
