//! What a caller tells the zygote.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{body, invalid, present, receive, take_streams, INLINE_BYTES};
use crate::bytes::Reader;
use crate::sys::seqpacket::{self, Receive, Wait};

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Offer a spare; there is none in the queue. Brings surroundings and streams, to import the main module with.
    Need = 1,
    /// The spare `pid` has got work.
    Taken = 2,
    /// The main module changed since it was imported; retire.
    Stale = 3,
    /// The child `pid` may outlive the session.
    Detach = 4,
}

/// One message to the zygote.
#[derive(Debug)]
pub struct Ask {
    /// Which.
    pub kind: Kind,
    /// Of which child; 0 where none is meant.
    pub pid: i32,
    /// The caller's, of a `Need`.
    pub surroundings: Vec<u8>,
    /// The caller's, of a `Need`.
    pub streams: [Option<OwnedFd>; 3],
    /// What the resource tracker is to read from, of a `Need` of a session without one.
    pub tracker: Option<OwnedFd>,
    /// False when its descriptors found no room here; then it has none, and perhaps no surroundings.
    pub complete: bool,
}

const HEADER_BYTES: usize = 1 + 4 + 1 + 1 + 4;
const WITH_TRACKER: u8 = 1 << 7;

/// Send a message that is only a word about a child.
///
/// # Errors
/// As [`seqpacket::send`].
pub fn send_word(requests: BorrowedFd<'_>, kind: Kind, pid: i32, wait: Wait) -> io::Result<()> {
    send(requests, kind, pid, &[], &[None; 3], None, wait)
}

/// Send a `Need`.
///
/// # Errors
/// As [`seqpacket::send`], and those of a memfd.
pub fn send_need(
    requests: BorrowedFd<'_>,
    surroundings: &[u8],
    streams: &[Option<BorrowedFd<'_>>; 3],
    tracker: Option<BorrowedFd<'_>>,
    wait: Wait,
) -> io::Result<()> {
    send(requests, Kind::Need, 0, surroundings, streams, tracker, wait)
}

fn send(
    requests: BorrowedFd<'_>,
    kind: Kind,
    pid: i32,
    surroundings: &[u8],
    streams: &[Option<BorrowedFd<'_>>; 3],
    tracker: Option<BorrowedFd<'_>>,
    wait: Wait,
) -> io::Result<()> {
    let (mut bits, streams) = present(streams);
    if tracker.is_some() {
        bits |= WITH_TRACKER;
    }
    let mut content = Vec::new();
    let memfd = body::add([surroundings, &[]], &mut content)?;
    let mut message = Vec::with_capacity(HEADER_BYTES + content.len());
    message.push(kind as u8);
    message.extend(pid.to_ne_bytes());
    message.extend([bits, memfd.is_some().into()]);
    message.extend((surroundings.len() as u32).to_ne_bytes());
    message.append(&mut content);
    let descriptors: Vec<_> = super::borrowed(memfd.as_slice())
        .chain(streams)
        .chain(tracker)
        .collect();
    seqpacket::send(requests, &message, &descriptors, wait)
}

impl Ask {
    /// Receive one if there is one.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, `UnexpectedEof` when none will come, `InvalidData`.
    pub fn receive(requests: BorrowedFd<'_>) -> io::Result<Self> {
        let message = receive(requests, HEADER_BYTES + INLINE_BYTES, Receive::Take, Wait::No)?;
        let mut reader = Reader(&message.data);
        let [kind] = reader.take()?;
        let pid = i32::from_ne_bytes(reader.take()?);
        let [bits, outside] = reader.take()?;
        let size = u32::from_ne_bytes(reader.take()?) as usize;
        let kind = match kind {
            1 => Kind::Need,
            2 => Kind::Taken,
            3 => Kind::Stale,
            4 => Kind::Detach,
            _ => return Err(invalid("a message of no kind")),
        };
        let announced = u32::from(outside) + bits.count_ones();
        if announced > 0 && message.descriptors.is_empty() {
            return Ok(Self {
                kind,
                pid,
                surroundings: Vec::new(),
                streams: [None, None, None],
                tracker: None,
                complete: false,
            });
        }
        let mut descriptors = message.descriptors.into_iter();
        let memfd = if outside == 0 { None } else { descriptors.next() };
        Ok(Self {
            kind,
            pid,
            surroundings: body::find(reader.0, memfd, size)?,
            complete: true,
            streams: take_streams(bits, &mut descriptors)?,
            tracker: if bits & WITH_TRACKER == 0 {
                None
            } else {
                Some(
                    descriptors
                        .next()
                        .ok_or_else(|| invalid("a message without its tracker"))?,
                )
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_need_arrives_with_surroundings_of_any_length_and_the_open_streams() {
        let (one, other) = seqpacket::pair().expect("a pair");
        for length in [0, 10, INLINE_BYTES, INLINE_BYTES + 1] {
            let surroundings = vec![7; length];
            let streams = [Some(one.as_fd()), None, Some(other.as_fd())];
            let tracker = (length > 0).then_some(one.as_fd());
            send_need(one.as_fd(), &surroundings, &streams, tracker, Wait::No).expect("room");
            let ask = Ask::receive(other.as_fd()).expect("a message");
            assert_eq!((ask.kind, ask.pid, &ask.surroundings), (Kind::Need, 0, &surroundings));
            assert_eq!(ask.streams.map(|stream| stream.is_some()), [true, false, true]);
            assert_eq!(ask.tracker.is_some(), length > 0);
        }
    }

    #[test]
    fn a_need_whose_descriptors_found_no_room_is_told_from_nonsense() {
        let (one, other) = seqpacket::pair().expect("a pair");
        for (bits, outside) in [(7, 0), (0, 1), (WITH_TRACKER, 0)] {
            let message = [1, 0, 0, 0, 0, bits, outside, 1, 0, 0, 0];
            seqpacket::send(one.as_fd(), &message, &[], Wait::No).expect("room");
            let ask = Ask::receive(other.as_fd()).expect("a message");
            assert_eq!((ask.kind, ask.complete), (Kind::Need, false));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let (one, other) = seqpacket::pair().expect("a pair");
        let header = |kind: u8, bits: u8, outside: u8| [kind, 0, 0, 0, 0, bits, outside, 1, 0, 0, 0];
        for nonsense in [&b"x"[..], &header(9, 0, 0), &header(1, 0, 0)] {
            seqpacket::send(one.as_fd(), nonsense, &[], Wait::No).expect("room");
            let error = Ask::receive(other.as_fd()).expect_err("nonsense");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        drop(one);
        let error = Ask::receive(other.as_fd()).expect_err("the end");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
