//! Descriptors that somebody else owns.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

/// Borrow a descriptor that the caller was handed as a number, for the duration of one kernel call.
///
/// # Errors
/// `InvalidInput` for a negative number. A number behind which nothing is open is the kernel's to refuse (`EBADF`).
pub fn borrow<'call>(number: RawFd) -> io::Result<BorrowedFd<'call>> {
    if number < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{number} is not a descriptor"),
        ));
    }
    // SAFETY: the number is not -1. It is handed to the kernel only, which looks it up anew at each call: if its owner
    // closed it meanwhile the call fails or reaches another open file, as with any descriptor in Python, and no memory
    // is touched through it.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_number_is_refused() {
        assert_eq!(borrow(-1).expect_err("-1").kind(), io::ErrorKind::InvalidInput);
    }
}
