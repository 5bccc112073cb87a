//! Sockets of the kind SEQPACKET: a message arrives whole or not at all, and can carry descriptors (`unix(7)`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    recv, recvmsg, sendmsg, socketpair, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags,
    ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::descriptor::above_streams;

/// Descriptors in one message at most: the kernel's `SCM_MAX_FD`.
pub const DESCRIPTORS_MAX: usize = 253;

/// The length of messages, in bytes, for which a buffer is made without measuring them.
pub const SHORT: usize = 256;

/// Whether to wait: for a message to come, or for room to send one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As long as it takes.
    Yes,
    /// `WouldBlock` instead.
    No,
}

/// What becomes of a message that is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// It is taken.
    Take,
    /// It stays, for others to receive.
    Peek,
}

/// What was received.
#[derive(Debug)]
pub struct Message {
    /// Its bytes; none at the end.
    pub data: Vec<u8>,
    /// The descriptors that came along, closed on exec; none of them when there was no room here for all of them.
    pub descriptors: Vec<OwnedFd>,
}

/// Return two connected sockets, closed on exec, and not under the numbers of the standard streams.
///
/// # Errors
/// The kernel's: short of descriptors or memory.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((above_streams(one)?, above_streams(other)?))
}

/// Send one message with descriptors, of which the receiver gets copies.
///
/// # Errors
/// The kernel's: `BrokenPipe` when nobody can receive it any more, `WouldBlock` when there is no room and `wait` is
/// `No`, `Interrupted` by a signal; `InvalidInput` for more than [`DESCRIPTORS_MAX`] descriptors.
pub fn send(socket: BorrowedFd<'_>, data: &[u8], descriptors: &[BorrowedFd<'_>], wait: Wait) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a message carries at most {DESCRIPTORS_MAX} descriptors, not {}",
                descriptors.len()
            ),
        ));
    }
    let mut flags = SendFlags::NOSIGNAL;
    if wait == Wait::No {
        flags |= SendFlags::DONTWAIT;
    }
    sendmsg(socket, &[IoSlice::new(data)], &mut ancillary, flags)?;
    Ok(())
}

/// Receive one message of at most `longest` bytes.
///
/// Where many receive from one socket, messages are no longer than [`SHORT`]: one that is longer is measured first, and
/// taken after that.
///
/// # Errors
/// The kernel's: `WouldBlock` when there is none and `wait` is `No`, `ConnectionReset` when the other side closed its
/// end with messages unread, `Interrupted` by a signal. `InvalidData` when the message is longer; its descriptors are
/// closed.
pub fn receive(socket: BorrowedFd<'_>, longest: usize, receive: Receive, wait: Wait) -> io::Result<Message> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::PEEK, receive == Receive::Peek);
    flags.set(RecvFlags::DONTWAIT, wait == Wait::No);
    let room = if longest <= SHORT {
        longest
    } else {
        let measure = flags | RecvFlags::PEEK | RecvFlags::TRUNC;
        recv(socket, &mut [0u8; 0][..], measure)?.1.min(longest)
    };
    let mut data = vec![0; room];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut data)], &mut ancillary, flags)?;
    let mut descriptors = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .map(above_streams)
        .collect::<io::Result<Vec<OwnedFd>>>()?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        descriptors.clear();
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message longer than agreed",
        ));
    }
    data.truncate(received.bytes);
    Ok(Message { data, descriptors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn text(socket: &OwnedFd, how: Receive) -> (String, usize) {
        let message = receive(socket.as_fd(), SHORT, how, Wait::No).expect("a message");
        (
            String::from_utf8_lossy(&message.data).into_owned(),
            message.descriptors.len(),
        )
    }

    #[test]
    fn a_message_arrives_whole_with_its_descriptors_and_can_be_looked_at_first() {
        let (one, other) = pair().expect("a pair");
        send(one.as_fd(), b"hello", &[one.as_fd(), other.as_fd()], Wait::Yes).expect("room");
        send(one.as_fd(), b"again", &[], Wait::Yes).expect("room");
        assert_eq!(text(&other, Receive::Peek), ("hello".into(), 2));
        assert_eq!(text(&other, Receive::Take), ("hello".into(), 2));
        assert_eq!(text(&other, Receive::Take), ("again".into(), 0));
        let error = receive(other.as_fd(), 8, Receive::Take, Wait::No).expect_err("nothing left");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_end_is_an_empty_message_and_sending_into_it_an_error() {
        let (one, other) = pair().expect("a pair");
        drop(one);
        assert_eq!(text(&other, Receive::Take), (String::new(), 0));
        let error = send(other.as_fd(), b"x", &[], Wait::No).expect_err("nobody there");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error_not_a_part() {
        let (one, other) = pair().expect("a pair");
        for longest in [3, SHORT + 1] {
            send(one.as_fd(), &[b'x'; SHORT + 2], &[], Wait::No).expect("room");
            let error = receive(other.as_fd(), longest, Receive::Take, Wait::No).expect_err("too long");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_long_message_is_received_whole() {
        let (one, other) = pair().expect("a pair");
        let long = vec![7; 40 * SHORT];
        send(one.as_fd(), &long, &[one.as_fd()], Wait::No).expect("room");
        let message = receive(other.as_fd(), 50 * SHORT, Receive::Take, Wait::No).expect("a message");
        assert_eq!((message.data, message.descriptors.len()), (long, 1));
    }

    #[test]
    fn more_descriptors_than_a_message_holds_are_refused() {
        let (one, _other) = pair().expect("a pair");
        let many = vec![one.as_fd(); DESCRIPTORS_MAX + 1];
        let error = send(one.as_fd(), b"x", &many, Wait::No).expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
