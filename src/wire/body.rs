//! The part of a message that can be long: it follows the header, or lies in a memfd that comes along.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{invalid, INLINE_BYTES};
use crate::sys::memfd;

/// Put a body into a message, or return the memfd that has it instead.
pub fn add(parts: [&[u8]; 2], message: &mut Vec<u8>) -> io::Result<Option<OwnedFd>> {
    if parts[0].len() + parts[1].len() > INLINE_BYTES {
        return memfd::holding(&parts.concat()).map(Some);
    }
    message.extend_from_slice(parts[0]);
    message.extend_from_slice(parts[1]);
    Ok(None)
}

/// Return the body of `size` bytes that follows the header or, if there is one, lies in the memfd.
pub fn find(inline: &[u8], memfd: Option<OwnedFd>, size: usize) -> io::Result<Vec<u8>> {
    let body = match memfd {
        Some(memfd) => memfd::read(memfd.as_fd(), size)?,
        None => inline.to_vec(),
    };
    if body.len() != size {
        return Err(invalid("a message whose body is not as long as it says"));
    }
    Ok(body)
}
