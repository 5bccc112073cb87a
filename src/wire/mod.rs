//! The messages between a caller, the zygote and its spares; `python/allcores/_zygote/README.md` says who sends which when.
//!
//! Both ends are processes of one session running the same version, over sockets that nobody else can reach. All the
//! same, lengths and numbers are checked when a message is read: a program may have written into a socket of ours.

pub mod ask;
mod body;
pub mod exit;
pub mod offer;
pub mod work;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::seqpacket::{self, Message, Receive, Wait};

/// A body that is longer travels in a memfd beside its message.
pub const INLINE_BYTES: usize = 16 * 1024;

/// Receive one message of at most `longest` bytes. `UnexpectedEof` when none will come.
///
/// A sender that closes its end right behind a message can make a waiting receiver see the end first: the kernel looks
/// at its queue, then at whether the other side is gone, and both may change in between. Whoever sees the end looks
/// once more; by then what was sent before the end is there.
fn receive(socket: BorrowedFd<'_>, longest: usize, how: Receive, wait: Wait) -> io::Result<Message> {
    for _ in 0..2 {
        match seqpacket::receive(socket, longest, how, wait) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Ok(message) if message.data.is_empty() => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Whether an error of sending only says that whoever should receive is gone.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The standard streams that come with a message: which of them are open, one bit each, and their descriptors.
fn present<'a>(streams: &[Option<BorrowedFd<'a>>; 3]) -> (u8, Vec<BorrowedFd<'a>>) {
    let bits = streams
        .iter()
        .enumerate()
        .fold(0, |bits, (number, stream)| bits | u8::from(stream.is_some()) << number);
    (bits, streams.iter().flatten().copied().collect())
}

/// Take the standard streams off the descriptors that came with a message.
fn take_streams(bits: u8, descriptors: &mut impl Iterator<Item = OwnedFd>) -> io::Result<[Option<OwnedFd>; 3]> {
    let mut streams = [None, None, None];
    for (number, stream) in streams.iter_mut().enumerate() {
        if bits >> number & 1 == 1 {
            *stream = Some(
                descriptors
                    .next()
                    .ok_or_else(|| invalid("a message without its streams"))?,
            );
        }
    }
    Ok(streams)
}

fn borrowed(descriptors: &[OwnedFd]) -> impl Iterator<Item = BorrowedFd<'_>> {
    descriptors.iter().map(AsFd::as_fd)
}
