//! Lines: a pipe's or a socket pair's descriptors, over which bytes say that there is something (`pipe(7)`, `unix(7)`).

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::{ioctl_fionread, read, write, Errno};
use rustix::net::{recv, send, RecvFlags, SendFlags};

use super::descriptor::borrow;
use super::poll;

/// This process's end, by a number that the program may close at any time. None of this waits but `look`.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The number.
    pub number: RawFd,
    /// Whether it is one of a socket pair.
    pub is_socket: bool,
}

/// What is to be seen of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// There are bytes to take, or there never will be any.
    pub is_readable: bool,
    /// Nobody has the other end.
    pub has_ended: bool,
}

impl Line {
    fn descriptor<'call>(self) -> io::Result<BorrowedFd<'call>> {
        borrow(self.number)
    }

    /// Give a byte, unless there is no room for it: then there are many.
    ///
    /// # Errors
    /// The kernel's: the program has closed it; nobody has the other end.
    pub fn give(self) -> io::Result<()> {
        let line = self.descriptor()?;
        if self.is_socket {
            return match send(line, b"!", SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) | Err(Errno::AGAIN) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        let seen = see(line, PollFlags::OUT, Duration::ZERO)?;
        if seen.contains(PollFlags::OUT) && !seen.intersects(PollFlags::ERR | PollFlags::HUP) {
            write(line, b"!")?;
        }
        Ok(())
    }

    /// Take a byte, if there is one.
    pub fn take_one(self) {
        let _ = self.take(&mut [0_u8; 1]);
    }

    fn take(self, into: &mut [u8]) -> io::Result<usize> {
        let line = self.descriptor()?;
        if self.is_socket {
            return Ok(recv(line, into, RecvFlags::DONTWAIT)?.0);
        }
        if ioctl_fionread(line)? == 0 {
            return Ok(0);
        }
        Ok(read(line, into)?)
    }

    /// Take all bytes that are there.
    pub fn take_all(self) {
        let mut bytes = [0_u8; 64];
        while self.take(&mut bytes).is_ok_and(|got| got == bytes.len()) {}
    }

    /// Wait until it can be read, `timeout` at most.
    ///
    /// # Errors
    /// The kernel's: `Interrupted` by a signal; the program has closed it.
    pub fn look(self, timeout: Duration) -> io::Result<Look> {
        let seen = see(self.descriptor()?, PollFlags::IN, timeout)?;
        Ok(Look {
            is_readable: seen.contains(PollFlags::IN),
            has_ended: seen.intersects(PollFlags::HUP | PollFlags::ERR),
        })
    }

    /// Whether nobody has the other end.
    ///
    /// # Errors
    /// The kernel's: the program has closed it.
    pub fn has_ended(self) -> io::Result<bool> {
        let seen = see(self.descriptor()?, PollFlags::empty(), Duration::ZERO)?;
        Ok(!seen.is_empty())
    }
}

fn see(line: BorrowedFd<'_>, flags: PollFlags, timeout: Duration) -> io::Result<PollFlags> {
    let [seen] = poll::see([(line, flags)], Some(timeout))?;
    if seen.contains(PollFlags::NVAL) {
        return Err(Errno::BADF.into());
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    /// Children that other tests have forked may have an end for a moment.
    fn until(holds: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        holds()
    }

    fn goes_as_it_should(reader: impl AsRawFd, writer: impl AsRawFd, is_socket: bool) {
        let [read, write] = [reader.as_raw_fd(), writer.as_raw_fd()].map(|number| Line { number, is_socket });
        let nothing = Look {
            is_readable: false,
            has_ended: false,
        };
        assert_eq!(read.look(Duration::ZERO).expect("a look"), nothing);
        for _ in 0..100_000 {
            write.give().expect("never waits");
        }
        assert!(read.look(Duration::ZERO).expect("a look").is_readable);
        read.take_all();
        assert_eq!(read.look(Duration::ZERO).expect("a look"), nothing);
        read.take_all();
        assert!(!write.has_ended().expect("a look"));
        drop(writer);
        assert!(until(|| read.look(Duration::ZERO).expect("a look").has_ended));
        read.take_all();
        drop(reader);
        let closed = Line { number: -1, is_socket };
        assert!(closed.give().is_err() && closed.has_ended().is_err());
    }

    #[test]
    fn bytes_are_given_and_taken_and_the_end_is_seen() {
        let (reader, writer) = pipe().expect("a pipe");
        goes_as_it_should(reader, writer, false);
        let (one, other) = UnixStream::pair().expect("a pair");
        goes_as_it_should(one, other, true);
    }

    #[test]
    fn a_writer_sees_the_end() {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let writer = Line {
            number: writer.as_raw_fd(),
            is_socket: false,
        };
        assert!(until(|| writer.has_ended().expect("a look")));
    }
}
