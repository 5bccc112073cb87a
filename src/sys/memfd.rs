//! Files that are memory and have no name: for what is too long for a message (`memfd_create(2)`).

use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{fstat, memfd_create, MemfdFlags};
use rustix::io::{pread, write, Errno};

/// Return one that holds nothing; its name is what `/proc/PID/fd` shows.
///
/// # Errors
/// The kernel's: short of descriptors.
pub fn new(name: &CStr) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?)
}

/// Return one that holds `data`.
///
/// # Errors
/// The kernel's: short of descriptors, memory, or this process's limit on the size of files.
pub fn holding(data: &[u8]) -> io::Result<OwnedFd> {
    let file = new(c"allcores")?;
    let mut rest = data;
    while !rest.is_empty() {
        match write(&file, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(file)
}

/// Read one from its beginning, `longest` bytes at most.
///
/// # Errors
/// The kernel's.
pub fn read(file: BorrowedFd<'_>, longest: usize) -> io::Result<Vec<u8>> {
    let size = usize::try_from(fstat(file)?.st_size).unwrap_or(0).min(longest);
    let mut data = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match pread(file, &mut data[filled..], filled as u64) {
            Ok(0) => break, // it became shorter
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    data.truncate(filled);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_was_written_is_read_up_to_a_length() {
        let file = holding(b"hello").expect("memory");
        assert_eq!(read(file.as_fd(), 100).expect("a read"), b"hello");
        assert_eq!(read(file.as_fd(), 2).expect("a read"), b"he");
    }
}
