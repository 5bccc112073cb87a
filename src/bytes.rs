//! Reading numbers off bytes.

use std::io;

/// What is left to be read.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Take the next bytes, as many as a number has. `InvalidData` when there are less.
    pub fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*first)
    }

    /// Take the next `count` bytes. `InvalidData` when there are less.
    pub fn take_slice(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(count).ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(first)
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is cut short")
}
