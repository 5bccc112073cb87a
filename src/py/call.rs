//! How calls into the floors below wait and fail in Python.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use pyo3::exceptions::{PyEOFError, PyOSError};
use pyo3::prelude::*;

use crate::sys::descriptor::{borrow, message_of};
use crate::sys::seqpacket::Wait;

/// Make a call at once, and only where it must wait let other threads run and signal handlers have their turn.
pub fn until_not_interrupted<T: Send>(
    py: Python<'_>,
    wait: bool,
    mut call: impl FnMut(Wait) -> io::Result<T> + Send,
) -> Outcome<T> {
    let mut result = call(Wait::No);
    while let Err(error) = &result {
        match error.kind() {
            io::ErrorKind::WouldBlock if wait => {}
            io::ErrorKind::Interrupted => py.check_signals()?,
            _ => break,
        }
        result = py.detach(|| call(if wait { Wait::Yes } else { Wait::No }));
    }
    Ok(result?)
}

/// The truth of an argument such as `block`, which programs give as 0 and 1, too.
///
/// # Errors
/// Those of the object's `__bool__`.
pub fn truth(argument: &Bound<'_, PyAny>) -> PyResult<bool> {
    argument.is_truthy()
}

/// What a call fails with in Python.
pub struct Raised(PyErr);

/// What a call returns.
pub type Outcome<T> = Result<T, Raised>;

impl From<io::Error> for Raised {
    /// EOFError where nothing will come any more, else the OSError of the kernel's number.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self(PyEOFError::new_err("the other side closed its end, or died"));
        }
        match error.raw_os_error() {
            // Python makes the class that belongs to the number, such as BlockingIOError.
            Some(number) => Self(PyOSError::new_err((number, message_of(number)))),
            None => Self(error.into()),
        }
    }
}

impl From<PyErr> for Raised {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> Self {
        raised.0
    }
}

/// Return `None` where a result only says that there is nothing at the moment.
pub fn if_any<T>(result: io::Result<T>) -> Outcome<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => Ok(Some(result?)),
    }
}

/// Borrow descriptors for the duration of a call.
pub fn borrow_all<'call, const N: usize>(numbers: [RawFd; N]) -> io::Result<[BorrowedFd<'call>; N]> {
    let borrowed: Vec<_> = numbers.into_iter().map(borrow).collect::<io::Result<_>>()?;
    borrowed.try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
}
