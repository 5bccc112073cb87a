//! What the zygote offers: a spare for whoever takes it, or why there is none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{invalid, receive};
use crate::bytes::Reader;
use crate::sys::descriptor::none_left;
use crate::sys::seqpacket::{self, Receive, Wait};

/// What changes when the main module's file does: time of change in nanoseconds, size in bytes.
pub type Version = (i64, u64);

/// A child without work.
#[derive(Debug)]
pub struct Spare {
    /// Its number.
    pub pid: i32,
    /// Of the main module that it has, if it has one.
    pub main_version: Option<Version>,
    /// Where work goes in, and the exit comes out.
    pub line: OwnedFd,
    /// Wakes it.
    pub bell: OwnedFd,
    /// A pidfd.
    pub sentinel: OwnedFd,
}

/// One offer.
#[derive(Debug)]
pub enum Offer {
    /// A spare.
    Spare(Spare),
    /// None: the kernel forked none, with this error number.
    Failed(i32),
    /// None: importing the main module started threads. Another zygote should leave that to the children.
    Threaded,
}

const SPARE: u8 = 1;
const FAILED: u8 = 2;
const THREADED: u8 = 3;
const BYTES: usize = 1 + 4 + 1 + 8 + 8;

fn send(
    offers: BorrowedFd<'_>,
    kind: u8,
    value: i32,
    version: Option<Version>,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let (changed, size) = version.unwrap_or_default();
    let mut message = Vec::with_capacity(BYTES);
    message.push(kind);
    message.extend(value.to_ne_bytes());
    message.push(version.is_some().into());
    message.extend(changed.to_ne_bytes());
    message.extend(size.to_ne_bytes());
    seqpacket::send(offers, &message, descriptors, Wait::No)
}

/// Offer a spare: its pid, the main module that it has, its line, bell and pidfd.
///
/// # Errors
/// As [`seqpacket::send`]; `WouldBlock` when there is no room.
pub fn send_spare(
    offers: BorrowedFd<'_>,
    pid: i32,
    version: Option<Version>,
    descriptors: [BorrowedFd<'_>; 3],
) -> io::Result<()> {
    send(offers, SPARE, pid, version, &descriptors)
}

/// Say why there is none.
///
/// # Errors
/// As [`send_spare`].
pub fn send_failed(offers: BorrowedFd<'_>, error_number: i32) -> io::Result<()> {
    send(offers, FAILED, error_number, None, &[])
}

/// Say why there will be none.
///
/// # Errors
/// As [`send_spare`].
pub fn send_threaded(offers: BorrowedFd<'_>) -> io::Result<()> {
    send(offers, THREADED, 0, None, &[])
}

impl Offer {
    /// Receive one.
    ///
    /// # Errors
    /// `UnexpectedEof` when none will come, `WouldBlock` when there is none and `wait` is `No`; EMFILE when this
    /// process has no room for its descriptors, and then the spare ends by itself.
    pub fn receive(offers: BorrowedFd<'_>, wait: Wait) -> io::Result<Self> {
        let message = receive(offers, BYTES, Receive::Take, wait)?;
        let mut reader = Reader(&message.data);
        let [kind] = reader.take()?;
        let value = i32::from_ne_bytes(reader.take()?);
        let [has_version] = reader.take()?;
        let version = (i64::from_ne_bytes(reader.take()?), u64::from_ne_bytes(reader.take()?));
        match kind {
            SPARE => {
                let Ok([line, bell, sentinel]) = <[OwnedFd; 3]>::try_from(message.descriptors) else {
                    return Err(none_left());
                };
                Ok(Self::Spare(Spare {
                    pid: value,
                    main_version: (has_version != 0).then_some(version),
                    line,
                    bell,
                    sentinel,
                }))
            }
            FAILED => Ok(Self::Failed(value)),
            THREADED => Ok(Self::Threaded),
            _ => Err(invalid("an offer of no kind")),
        }
    }
}

impl Spare {
    /// The descriptors as they are offered.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.line.as_fd(), self.bell.as_fd(), self.sentinel.as_fd()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_arrive_as_they_were_made() {
        let (one, other) = seqpacket::pair().expect("a pair");
        let three = [one.as_fd(), one.as_fd(), other.as_fd()];
        for version in [None, Some((-1, 2))] {
            send_spare(one.as_fd(), 17, version, three).expect("room");
            match Offer::receive(other.as_fd(), Wait::No).expect("an offer") {
                Offer::Spare(spare) => assert_eq!((spare.pid, spare.main_version), (17, version)),
                offer => unreachable!("{offer:?}"),
            }
        }
        send_failed(one.as_fd(), 11).expect("room");
        let offer = Offer::receive(other.as_fd(), Wait::No).expect("an offer");
        assert!(matches!(offer, Offer::Failed(11)));
        send_threaded(one.as_fd()).expect("room");
        let offer = Offer::receive(other.as_fd(), Wait::No).expect("an offer");
        assert!(matches!(offer, Offer::Threaded));
    }

    #[test]
    fn a_spare_whose_descriptors_found_no_room_is_an_error() {
        let (one, other) = seqpacket::pair().expect("a pair");
        send(one.as_fd(), SPARE, 17, None, &[]).expect("room");
        let error = Offer::receive(other.as_fd(), Wait::No).expect_err("no descriptors");
        assert_eq!(error.raw_os_error(), none_left().raw_os_error());
    }
}
