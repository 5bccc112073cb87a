//! Waiting for descriptors (`poll(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Wait until a descriptor can be read, or has come to its end; false when `timeout` was over first.
///
/// # Errors
/// The kernel's: `Interrupted` by a signal.
pub fn readable(descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    Ok(any_readable([(descriptor, Until::Readable)], timeout)?[0])
}

/// Have an epoll (`epoll(7)`) tell when a descriptor can be read, by its number.
///
/// # Errors
/// The kernel's: short of memory, or what is no epoll.
pub fn watch(events: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let number = epoll::EventData::new_u64(descriptor.as_raw_fd() as u64);
    Ok(epoll::add(events, descriptor, number, epoll::EventFlags::IN)?)
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
    let watched = descriptors.map(|(descriptor, until)| {
        let flags = match until {
            Until::Readable => PollFlags::IN,
            Until::Ended => PollFlags::empty(), // the end is always told
        };
        (descriptor, flags)
    });
    Ok(see(watched, timeout)?.map(|flags| !flags.is_empty()))
}

/// Wait for the first of some descriptors for which one of its flags holds; say which ones do, for each.
///
/// # Errors
/// The kernel's: `Interrupted` by a signal.
pub(super) fn see<const N: usize>(
    descriptors: [(BorrowedFd<'_>, PollFlags); N],
    timeout: Option<Duration>,
) -> io::Result<[PollFlags; N]> {
    let mut watched = descriptors.map(|(descriptor, flags)| PollFd::from_borrowed_fd(descriptor, flags));
    // What the kernel's seconds cannot hold is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // A look without a wait goes on when a signal comes; its handler runs later.
    while let Err(error) = poll(&mut watched, timeout.as_ref()) {
        if error != Errno::INTR || timeout != Some(Timespec::default()) {
            return Err(error.into());
        }
    }
    Ok(watched.map(|one| one.revents()))
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
