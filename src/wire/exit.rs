//! How a child ended, and whether it may outlive the session: what goes along a child's line after its work.

use std::io;
use std::os::fd::BorrowedFd;

use super::{is_gone, receive};
use crate::bytes::Reader;
use crate::sys::seqpacket::{self, Receive, Wait};

const HEADER_BYTES: usize = 4 + 2;
const EVIDENCE_BYTES: usize = 1000;
const DETACH: &[u8] = b"D";

/// The longest account of an exit, in bytes.
pub const ACCOUNT_BYTES: usize = 24 * 1024;

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its status, or the negative number of the signal that ended it.
    pub code: i32,
    /// That there was a shortage of memory; or nothing.
    pub out_of_memory: String,
    /// What it left in its account.
    pub account: Vec<u8>,
}

impl Exit {
    /// Send it without ever waiting; the child of this line has ended.
    ///
    /// # Errors
    /// As [`seqpacket::send`]; a caller that is gone is no error.
    pub fn send(&self, line: BorrowedFd<'_>) -> io::Result<()> {
        drop_unread(line);
        let evidence = self.out_of_memory.as_bytes();
        let evidence = &evidence[..evidence.len().min(EVIDENCE_BYTES)];
        let account = &self.account[..self.account.len().min(ACCOUNT_BYTES)];
        let mut message = Vec::with_capacity(HEADER_BYTES + evidence.len() + account.len());
        message.extend(self.code.to_ne_bytes());
        message.extend((evidence.len() as u16).to_ne_bytes());
        message.extend_from_slice(evidence);
        message.extend_from_slice(account);
        unless_nobody_cares(seqpacket::send(line, &message, &[], Wait::No))
    }

    /// Read it, and leave it there for others to read.
    ///
    /// # Errors
    /// `WouldBlock` when it has not come, `UnexpectedEof` when it will not come, `InvalidData`.
    pub fn peek(line: BorrowedFd<'_>) -> io::Result<Self> {
        let longest = HEADER_BYTES + EVIDENCE_BYTES + ACCOUNT_BYTES;
        let message = receive(line, longest, Receive::Peek, Wait::No)?;
        let mut reader = Reader(&message.data);
        let code = i32::from_ne_bytes(reader.take()?);
        let evidence = u16::from_ne_bytes(reader.take()?);
        Ok(Self {
            code,
            out_of_memory: String::from_utf8_lossy(reader.take_slice(evidence.into())?).into_owned(),
            account: reader.0.to_vec(),
        })
    }
}

/// Let go of what the child has not received: who hears of its end finds, for instance, that nobody has the end of a pipe any
/// more that was among its arguments.
fn drop_unread(line: BorrowedFd<'_>) {
    loop {
        match receive(line, DETACH.len(), Receive::Take, Wait::No) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {} // it was longer
            Err(_) => return,
        }
    }
}

/// Take it for sent when there is nobody to receive, or no room since nobody does.
fn unless_nobody_cares(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

/// Let the child of this line outlive the session: a retired zygote finds this when the root has ended.
///
/// # Errors
/// As [`seqpacket::send`]; a child that has ended is no error.
pub fn send_detachment(line: BorrowedFd<'_>) -> io::Result<()> {
    unless_nobody_cares(seqpacket::send(line, DETACH, &[], Wait::No))
}

/// Whether the caller has said so; asked by the zygote, once, at the end of the session.
///
/// Not of a child whose work still lies in the line; that one's detachment came to the zygote itself.
#[must_use]
pub fn is_detached(line: BorrowedFd<'_>) -> bool {
    receive(line, DETACH.len(), Receive::Take, Wait::No).is_ok_and(|message| message.data == DETACH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_exit_stays_to_be_read_by_all_and_is_cut_where_it_is_too_long() {
        let (one, other) = seqpacket::pair().expect("a pair");
        let exit = Exit {
            code: -9,
            out_of_memory: "é".repeat(EVIDENCE_BYTES),
            account: vec![1; 2 * ACCOUNT_BYTES],
        };
        exit.send(one.as_fd()).expect("room");
        for _ in 0..2 {
            let got = Exit::peek(other.as_fd()).expect("an exit");
            assert_eq!((got.code, got.account.len()), (-9, ACCOUNT_BYTES));
            assert!(got.out_of_memory.starts_with("é") && got.out_of_memory.len() <= EVIDENCE_BYTES);
        }
    }

    #[test]
    fn what_a_child_has_not_received_is_let_go_before_its_end_is_told() {
        let (line, callers) = seqpacket::pair().expect("a pair");
        let (travelling, stays) = seqpacket::pair().expect("a pair");
        for message in [&[7; 1000][..], b"+", DETACH] {
            seqpacket::send(callers.as_fd(), message, &[travelling.as_fd()], Wait::No).expect("room");
        }
        drop(travelling);
        let end = || {
            receive(stays.as_fd(), 1, Receive::Take, Wait::No)
                .expect_err("nobody sends")
                .kind()
        };
        assert_eq!(end(), io::ErrorKind::WouldBlock);
        let exit = Exit {
            code: -9,
            out_of_memory: String::new(),
            account: Vec::new(),
        };
        exit.send(line.as_fd()).expect("room");
        assert_eq!(Exit::peek(callers.as_fd()).expect("an exit"), exit);
        assert_eq!(end(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_caller_that_is_gone_is_no_error() {
        let (one, other) = seqpacket::pair().expect("a pair");
        drop(other);
        let exit = Exit {
            code: 0,
            out_of_memory: String::new(),
            account: Vec::new(),
        };
        exit.send(one.as_fd()).expect("nobody cares");
        send_detachment(one.as_fd()).expect("nobody cares");
    }

    #[test]
    fn a_detachment_is_found() {
        let (one, other) = seqpacket::pair().expect("a pair");
        assert!(!is_detached(other.as_fd()));
        send_detachment(one.as_fd()).expect("room");
        assert!(is_detached(other.as_fd()));
    }
}
