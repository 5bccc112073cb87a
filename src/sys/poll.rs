//! Waiting for descriptors (`poll(2)`).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};

/// Wait until a descriptor can be read, or has come to its end; false when `timeout` was over first.
///
/// # Errors
/// The kernel's: `Interrupted` by a signal.
pub fn readable(descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    Ok(any_readable([(descriptor, Until::Readable)], timeout)?[0])
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Something to read, or the end.
    Readable,
    /// The end only.
    Ended,
}

/// Wait for the first of some descriptors; say for each whether it was one.
///
/// # Errors
/// The kernel's: `Interrupted` by a signal.
pub fn any_readable<const N: usize>(
    descriptors: [(BorrowedFd<'_>, Until); N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut watched = descriptors.map(|(descriptor, until)| {
        let flags = match until {
            Until::Readable => PollFlags::IN,
            Until::Ended => PollFlags::empty(), // the end is always told
        };
        PollFd::from_borrowed_fd(descriptor, flags)
    });
    // What the kernel's seconds cannot hold is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    poll(&mut watched, timeout.as_ref())?;
    Ok(watched.map(|one| !one.revents().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{pipe, Write};
    use std::os::fd::AsFd;

    #[test]
    fn what_can_be_read_and_what_has_ended_is_told() {
        let (reader, mut writer) = pipe().expect("a pipe");
        let zero = Some(Duration::ZERO);
        assert!(!readable(reader.as_fd(), zero).expect("a look"));
        writer.write_all(b"x").expect("room");
        assert!(readable(reader.as_fd(), zero).expect("a look"));
        assert_eq!(
            any_readable([(reader.as_fd(), Until::Ended)], zero).expect("a look"),
            [false]
        );
        drop(writer);
        assert_eq!(
            any_readable([(reader.as_fd(), Until::Ended)], None).expect("a look"),
            [true]
        );
    }
}
