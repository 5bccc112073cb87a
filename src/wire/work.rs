//! What a spare is to become.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{body, borrowed, invalid, present, receive, take_streams, INLINE_BYTES};
use crate::bytes::Reader;
use crate::sys::seqpacket::{self, Receive, Wait};

/// How many of the arguments' descriptors the first message carries; more follow. The kernel's own limit is
/// [`seqpacket::DESCRIPTORS_MAX`].
const DESCRIPTORS_PER_MESSAGE: usize = 200;
const HEADER_BYTES: usize = 1 + 1 + 4 + 8 + 8 + 8;

/// What a caller sends.
#[derive(Debug)]
pub struct Order<'a> {
    /// What the child will ask for children of its own with: the callers' ends for requests and offers, and the bell.
    pub way: [BorrowedFd<'a>; 3],
    /// A pidfd of the caller: the sentinel of the child's parent process.
    pub parent: BorrowedFd<'a>,
    /// The write end of the resource tracker's pipe.
    pub tracker: BorrowedFd<'a>,
    /// The caller's standard streams, as far as they are open.
    pub streams: [Option<BorrowedFd<'a>>; 3],
    /// Those to which the arguments refer, by index.
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// As the zygote knows them.
    pub surroundings: &'a [u8],
    /// The pickled process object.
    pub process: &'a [u8],
}

/// What a spare gets: the same, owned.
#[derive(Debug)]
pub struct Work {
    /// The pid of who sent it.
    pub caller: u32,
    /// As in [`Order`].
    pub way: [OwnedFd; 3],
    /// As in [`Order`].
    pub parent: OwnedFd,
    /// As in [`Order`].
    pub tracker: OwnedFd,
    /// As in [`Order`].
    pub streams: [Option<OwnedFd>; 3],
    /// As in [`Order`].
    pub descriptors: Vec<OwnedFd>,
    /// As in [`Order`].
    pub surroundings: Vec<u8>,
    /// As in [`Order`].
    pub process: Vec<u8>,
}

/// An order on its way, which may have to wait for room.
#[derive(Debug)]
pub struct Sending<'a> {
    message: Vec<u8>,
    memfd: Option<OwnedFd>,
    first: Vec<BorrowedFd<'a>>,
    later: Vec<BorrowedFd<'a>>,
    sent_first: bool,
    sent_later: usize,
}

impl<'a> Sending<'a> {
    /// Get an order ready to be sent.
    ///
    /// # Errors
    /// Those of a memfd, where it is long.
    pub fn new(order: &Order<'a>) -> io::Result<Self> {
        let (now, later) = order
            .descriptors
            .split_at(order.descriptors.len().min(DESCRIPTORS_PER_MESSAGE));
        let (bits, streams) = present(&order.streams);
        let mut content = Vec::new();
        let memfd = body::add([order.surroundings, order.process], &mut content)?;
        let mut message = Vec::with_capacity(HEADER_BYTES + content.len());
        message.extend([bits, memfd.is_some().into()]);
        message.extend(std::process::id().to_ne_bytes());
        for length in [later.len(), order.surroundings.len(), order.process.len()] {
            message.extend((length as u64).to_ne_bytes());
        }
        message.append(&mut content);
        let mut first = Vec::with_capacity(8 + now.len());
        first.extend(order.way);
        first.extend([order.parent, order.tracker]);
        first.extend(streams);
        first.extend_from_slice(now);
        Ok(Self {
            message,
            memfd,
            first,
            later: later.to_vec(),
            sent_first: false,
            sent_later: 0,
        })
    }

    /// Send it, or what is left of it after an error that does not last.
    ///
    /// # Errors
    /// As [`seqpacket::send`].
    pub fn send(&mut self, line: BorrowedFd<'_>, wait: Wait) -> io::Result<()> {
        if !self.sent_first {
            let descriptors: Vec<_> = borrowed(self.memfd.as_slice())
                .chain(self.first.iter().copied())
                .collect();
            seqpacket::send(line, &self.message, &descriptors, wait)?;
            self.sent_first = true;
        }
        for part in self.later[self.sent_later..].chunks(DESCRIPTORS_PER_MESSAGE) {
            seqpacket::send(line, b"+", part, wait)?;
            self.sent_later += part.len();
        }
        Ok(())
    }
}

impl Work {
    /// Receive it if it is there.
    ///
    /// # Errors
    /// `WouldBlock` when it is not, `UnexpectedEof` when the caller changed its mind or died, `InvalidData` when its
    /// descriptors found no room here.
    pub fn receive(line: BorrowedFd<'_>) -> io::Result<Self> {
        let message = receive(line, HEADER_BYTES + INLINE_BYTES, Receive::Take, Wait::No)?;
        let mut reader = Reader(&message.data);
        let [bits, outside] = reader.take()?;
        let caller = u32::from_ne_bytes(reader.take()?);
        let [later, surroundings, process] = [reader.take()?, reader.take()?, reader.take()?].map(u64::from_ne_bytes);
        let mut came = message.descriptors.into_iter();
        let memfd = if outside == 0 { None } else { came.next() };
        let mut next = || came.next().ok_or_else(|| invalid("work without its descriptors"));
        let way = [next()?, next()?, next()?];
        let (parent, tracker) = (next()?, next()?);
        let size = (surroundings as usize).saturating_add(process as usize);
        let mut body = body::find(reader.0, memfd, size)?;
        let process = body.split_off(surroundings as usize);
        let streams = take_streams(bits, &mut came)?;
        let mut descriptors: Vec<OwnedFd> = came.collect();
        let wanted = descriptors.len().saturating_add(later as usize);
        while descriptors.len() < wanted {
            let more = match receive(line, 1, Receive::Take, Wait::Yes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if more.descriptors.is_empty() {
                return Err(invalid("work without its descriptors"));
            }
            descriptors.extend(more.descriptors);
        }
        Ok(Self {
            caller,
            way,
            parent,
            tracker,
            streams,
            descriptors,
            surroundings: body,
            process,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn work_arrives_whole_however_long_it_is_and_however_many_descriptors_it_has() {
        let (one, other) = seqpacket::pair().expect("a pair");
        for (length, count) in [
            (0, 0),
            (100, 3),
            (INLINE_BYTES, 200),
            (INLINE_BYTES + 1, 201),
            (10 * INLINE_BYTES, 450),
        ] {
            let process = vec![8; length];
            let order = Order {
                way: [one.as_fd(); 3],
                parent: one.as_fd(),
                tracker: one.as_fd(),
                streams: [None, Some(other.as_fd()), None],
                descriptors: vec![other.as_fd(); count],
                surroundings: b"around",
                process: &process,
            };
            Sending::new(&order)
                .expect("memory")
                .send(one.as_fd(), Wait::No)
                .expect("room");
            let work = Work::receive(other.as_fd()).expect("work");
            assert_eq!(
                (work.surroundings.as_slice(), &work.process),
                (&b"around"[..], &process)
            );
            assert_eq!(work.descriptors.len(), count);
            assert_eq!(work.streams.map(|stream| stream.is_some()), [false, true, false]);
        }
    }

    #[test]
    fn work_whose_descriptors_found_no_room_is_refused() {
        let (one, other) = seqpacket::pair().expect("a pair");
        seqpacket::send(one.as_fd(), &[0; HEADER_BYTES], &[one.as_fd()], Wait::No).expect("room");
        let error = Work::receive(other.as_fd()).expect_err("no descriptors");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
