//! Post: sockets that others find by an abstract name, which is no file and ends with the socket (`unix(7)`). A letter
//! says nothing; it makes its receiver readable.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    bind, recv, sendto, socket_with, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::descriptor::above_streams;

/// Open a box of this name, which nobody else has.
///
/// # Errors
/// The kernel's: short of descriptors; `AddrInUse`.
pub fn open(name: &[u8]) -> io::Result<OwnedFd> {
    let letters = above_streams(socket()?)?;
    bind(&letters, &SocketAddrUnix::new_abstract_name(name)?)?;
    Ok(letters)
}

/// Put a letter into a box; false when there is no such box any more.
///
/// # Errors
/// The kernel's: short of descriptors.
pub fn send(name: &[u8]) -> io::Result<bool> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    match sendto(socket()?, b"!", SendFlags::empty(), &address) {
        // A box that is full has been readable for long.
        Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether letters of this thread arrive at a process: not in another network namespace. True where that cannot be seen.
#[must_use]
pub fn reaches(pid: u32) -> bool {
    let space = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
    match (space("thread-self"), space(&pid.to_string())) {
        (Ok(mine), Ok(its)) => mine == its,
        _ => true,
    }
}

/// Take all letters out of a box.
pub fn empty(letters: BorrowedFd<'_>) {
    while recv(letters, &mut [0_u8; 1], RecvFlags::DONTWAIT).is_ok() {}
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::super::poll::readable;
    use super::*;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    #[test]
    fn a_letter_makes_its_box_readable_until_it_is_emptied() {
        let name = format!("allcores-test-{}", std::process::id());
        assert!(!send(name.as_bytes()).expect("no error"), "there is no box");
        let letters = open(name.as_bytes()).expect("a box");
        let is_readable = || readable(letters.as_fd(), Some(Duration::ZERO)).expect("no error");
        assert!(!is_readable());
        for _ in 0..1000 {
            assert!(send(name.as_bytes()).expect("no error"));
        }
        assert!(is_readable());
        empty(letters.as_fd());
        assert!(!is_readable());
        drop(letters);
        // Gone with it, or with the last child that another test has forked meanwhile.
        let deadline = Instant::now() + Duration::from_secs(30);
        while send(name.as_bytes()).expect("no error") {
            assert!(Instant::now() < deadline, "it is still there");
            std::thread::yield_now();
        }
    }
}
