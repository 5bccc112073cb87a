//! Bells: eventfds, which wake whoever waits for them without a hint that the waker is about to sleep (`eventfd(2)`).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{eventfd, EventfdFlags};

/// Return one, closed on exec.
///
/// # Errors
/// The kernel's: short of descriptors.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC)?)
}

/// Ring it. One that was rung and not heard yet stays rung.
///
/// # Errors
/// The kernel's: it is no bell.
pub fn ring(bell: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::io::write(bell, &1u64.to_ne_bytes()) {
        // The counter is full: it has been rung often enough to be heard.
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Hear a bell that has rung, so that it is silent until it is rung again.
///
/// # Errors
/// The kernel's: it is no bell; `WouldBlock` where it does not wait and was not rung.
pub fn hear(bell: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::read(bell, &mut [0; 8])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_bell_is_heard_once_however_often_it_was_rung() {
        let bell = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
        ring(bell.as_fd()).expect("rung");
        ring(bell.as_fd()).expect("rung again");
        hear(bell.as_fd()).expect("heard");
        assert_eq!(
            hear(bell.as_fd()).expect_err("silent").kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_full_bell_can_be_rung() {
        let bell = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
        rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).expect("full");
        ring(bell.as_fd()).expect("rung");
    }
}
