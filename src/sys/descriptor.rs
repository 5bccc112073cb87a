//! Descriptors: those that somebody else owns, what is behind a number, and which numbers are for the standard streams.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{fstat, Stat};
use rustix::io::fcntl_dupfd_cloexec;

/// Take over a descriptor that the caller was handed as a number and gives up. `None` for a negative one.
#[must_use]
pub fn take_over(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: the number is not -1, and its owner uses it no more. Should it be closed already, closing it again fails,
    // or hits another open file, as with any descriptor in Python; no memory is touched through it.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Return what the kernel's error number means, as Python puts it: without the number.
#[must_use]
pub fn message_of(error_number: i32) -> String {
    let text = io::Error::from_raw_os_error(error_number).to_string();
    text.rsplit_once(" (os error")
        .map_or(text.clone(), |(message, _)| message.to_owned())
}

/// The error of a process that has no room for more descriptors (EMFILE).
#[must_use]
pub fn none_left() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

/// The error of who writes where nobody reads (EPIPE).
#[must_use]
pub fn nobody_reads() -> io::Error {
    io::Error::from_raw_os_error(libc::EPIPE)
}

/// The error of who sends where nothing arrives from here (ENETUNREACH).
#[must_use]
pub fn unreachable() -> io::Error {
    io::Error::from_raw_os_error(libc::ENETUNREACH)
}

/// What tells one open file from another, as far as the kernel does: its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of a file that was looked at.
    #[must_use]
    pub fn of(status: &Stat) -> Self {
        Self {
            device: status.st_dev,
            inode: status.st_ino,
        }
    }

    /// The number that the kernel shows for it.
    #[must_use]
    pub fn inode(self) -> u64 {
        self.inode
    }
}

/// Look at what is open behind a number, if anything is.
#[must_use]
pub fn identify(number: RawFd) -> Option<Identity> {
    Some(Identity::of(&fstat(borrow(number).ok()?).ok()?))
}

/// Move a descriptor that would pass for a standard stream, in a process that has closed one.
///
/// # Errors
/// The kernel's: short of descriptors.
pub fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    const FIRST: RawFd = 3;
    if descriptor.as_raw_fd() >= FIRST {
        return Ok(descriptor);
    }
    Ok(fcntl_dupfd_cloexec(descriptor.as_fd(), FIRST)?)
}

/// Have what is open here at this number, too, closed on exec, in the place of what is open there.
///
/// # Errors
/// The kernel's.
pub fn put_at(number: RawFd, descriptor: &OwnedFd) -> io::Result<()> {
    // SAFETY: whoever knows the number means what is at it, as of a number in Python; no memory is touched through it.
    if unsafe { libc::dup3(descriptor.as_raw_fd(), number, libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

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
    fn what_is_behind_a_number_is_told_apart() {
        let (one, other) = (
            std::fs::File::open("/").expect("/"),
            std::fs::File::open("/proc").expect("/proc"),
        );
        assert_eq!(
            identify(one.as_raw_fd()),
            identify(one.try_clone().expect("a copy").as_raw_fd())
        );
        assert_ne!(identify(one.as_raw_fd()), identify(other.as_raw_fd()));
        assert_eq!(identify(-1), None);
    }

    #[test]
    fn a_negative_number_is_refused() {
        assert_eq!(borrow(-1).expect_err("-1").kind(), io::ErrorKind::InvalidInput);
    }
}
