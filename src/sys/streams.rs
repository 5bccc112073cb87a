//! The standard streams: descriptors 0, 1 and 2.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::descriptor::{borrow, identify};

/// Return those that are open.
#[must_use]
pub fn open_ones() -> [Option<BorrowedFd<'static>>; 3] {
    [0, 1, 2].map(|number| identify(number).and_then(|_| borrow(number).ok()))
}

/// Make these the standard streams of this process, and close those that are `None`.
///
/// # Errors
/// The kernel's.
pub fn replace(streams: [Option<OwnedFd>; 3]) -> io::Result<()> {
    for (number, stream) in (0..).zip(streams) {
        match (number, stream) {
            (0, Some(stream)) => dup2_stdin(stream)?,
            (1, Some(stream)) => dup2_stdout(stream)?,
            (_, Some(stream)) => dup2_stderr(stream)?,
            (_, None) => {
                // SAFETY: a standard stream is nobody's own in Rust; who uses it next is told that it is closed.
                unsafe { libc::close(number) };
            }
        }
    }
    Ok(())
}
