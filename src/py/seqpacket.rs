//! Messages with descriptors. Descriptors are plain numbers here, as everywhere in Python's `os`.

use std::io;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::call::{until_not_interrupted, Outcome};
use crate::sys::descriptor::borrow;
use crate::sys::seqpacket::{self, Message, Receive};

/// Return two connected sockets of the kind SEQPACKET, closed on exec.
#[pyfunction]
fn socket_pair() -> Outcome<(RawFd, RawFd)> {
    let (one, other) = seqpacket::pair()?;
    Ok((one.into_raw_fd(), other.into_raw_fd()))
}

/// Send one message with descriptors; with `wait` false raise BlockingIOError when there is no room.
#[pyfunction]
#[pyo3(signature = (socket, data, descriptors, /, *, wait=true))]
fn send_message(
    py: Python<'_>,
    socket: RawFd,
    data: &Bound<'_, PyBytes>,
    descriptors: Vec<RawFd>,
    wait: bool,
) -> Outcome<()> {
    let socket = borrow(socket)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.into_iter().map(borrow).collect::<io::Result<_>>()?;
    let data = data.as_bytes();
    until_not_interrupted(py, wait, |wait| seqpacket::send(socket, data, &descriptors, wait))
}

/// Receive one message of at most `size` bytes. Empty bytes at the end.
///
/// No descriptors at all when there was no room in this process for all of them.
#[pyfunction]
#[pyo3(signature = (socket, size, /, *, wait=true))]
fn receive_message<'py>(
    py: Python<'py>,
    socket: RawFd,
    size: usize,
    wait: bool,
) -> Outcome<(Bound<'py, PyBytes>, Vec<RawFd>)> {
    let socket = borrow(socket)?;
    let Message { data, descriptors } =
        until_not_interrupted(py, wait, |wait| seqpacket::receive(socket, size, Receive::Take, wait))?;
    Ok((
        PyBytes::new(py, &data),
        descriptors.into_iter().map(IntoRawFd::into_raw_fd).collect(),
    ))
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(socket_pair, module)?)?;
    module.add_function(wrap_pyfunction!(send_message, module)?)?;
    module.add_function(wrap_pyfunction!(receive_message, module)?)?;
    Ok(())
}
