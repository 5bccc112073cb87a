//! Ranges of files, mapped into this process's memory (`mmap(2)`).

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering}; // of this process alone, hence not by the door for loom

use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use rustix::param::page_size;

/// A range of a file, mapped for as long as this lives. For bytes that the program reads and writes, as in any mmap.
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: it only hands out its address; what is done there is the caller's business, from whatever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Map a range of a file.
    ///
    /// # Errors
    /// The kernel's: a limit on address space.
    pub fn new(file: BorrowedFd<'_>, offset: u64, length: usize, writable: bool) -> io::Result<Self> {
        Ok(Self {
            start: map(file, offset, length, writable)?,
            length,
        })
    }

    /// Have what is written here stay in this process, and its forks: the same range of the same file, in the same place.
    ///
    /// # Errors
    /// The kernel's: short of memory. Then it is as it was.
    pub fn make_private(&self, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let map_as = |sharing: MapFlags| {
            let flags = sharing | MapFlags::FIXED | MapFlags::NORESERVE;
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: it takes the place of a mapping of ours, as long as it, and has the same content.
            unsafe { mmap(self.start.cast(), self.length, protection, flags, file, offset) }
        };
        map_as(MapFlags::PRIVATE).inspect_err(|_| {
            // Kernels before 6.12 have unmapped it by the time they find that there is no memory, which this needs not.
            let _ = map_as(MapFlags::SHARED);
        })?;
        Ok(())
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> *mut u8 {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.start, self.length);
    }
}

static MAPPED_PAGES: AtomicU64 = AtomicU64::new(0);

/// How many of this process's pages are mapped by this module.
#[must_use]
pub fn mapped_pages() -> u64 {
    MAPPED_PAGES.load(Ordering::Relaxed)
}

fn pages(length: usize) -> u64 {
    length.div_ceil(page_size()) as u64
}

/// Map a range of a file, for ever unless it is unmapped.
pub(super) fn map(file: BorrowedFd<'_>, offset: u64, length: usize, writable: bool) -> io::Result<*mut u8> {
    let mut protection = ProtFlags::READ;
    protection.set(ProtFlags::WRITE, writable);
    // SAFETY: a new mapping at an address of the kernel's choice; no memory that exists is touched.
    let mapped = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, offset) }?;
    MAPPED_PAGES.fetch_add(pages(length), Ordering::Relaxed);
    Ok(mapped.cast())
}

/// Unmap a range that nobody refers to any more.
pub(super) fn unmap(start: *mut u8, length: usize) {
    // SAFETY: a mapping of ours, of this length, to which nobody refers any more. Failing leaves it mapped.
    if unsafe { munmap(start.cast(), length) }.is_ok() {
        MAPPED_PAGES.fetch_sub(pages(length), Ordering::Relaxed);
    }
}
