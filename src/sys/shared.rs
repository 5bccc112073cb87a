//! A file that several processes map: what lies in it is reached as atomics, by offset, and nothing else.
//!
//! The file is mapped in windows, each when something in it is first asked for, and never unmapped: under a limit on
//! address space (`ulimit -v`) a process pays for what it uses. Whatever other processes write, and whatever an offset
//! read from the file says, the worst that comes of it is a wrong number: offsets are checked against the window,
//! alignment included, and atomics have no invalid values.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use rustix::fs::{
    fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create, stat, FallocateFlags, MemfdFlags, SealFlags,
};
use rustix::io::Errno;

use super::descriptor::{above_streams, identify, Identity};
use super::mapping::{map, unmap};
use crate::atomics::{AtomicU32, AtomicU64};

pub use super::mapping::Mapping;

/// What may lie in shared memory.
///
/// # Safety
/// Every pattern of bits is a valid value, and whatever other processes write there, using it from here is no data race:
/// atomics, and structures (`repr(C)`) and arrays of nothing else.
pub unsafe trait Shared: Sync {}

// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU64 {}
// SAFETY: nothing but what may lie there, without padding in between.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// A structure that may lie in shared memory: fields that may, in the order of C.
macro_rules! shared_struct {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$of:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[repr(C)]
        pub struct $name { $($(#[$of])* pub $field: $type,)* }

        // SAFETY: repr(C), and each field may lie in shared memory itself, which the next item has the compiler check.
        unsafe impl $crate::sys::shared::Shared for $name {}

        const _: () = {
            const fn may_be_shared<T: $crate::sys::shared::Shared>() {}
            $(may_be_shared::<$type>();)*
        };
    };
}
pub(crate) use shared_struct;

/// The file's first window, in bytes; each further one is as long as all before it together.
pub const FIRST_WINDOW: u64 = 4 << 20;
/// What is reserved at once at least, where signals come all the while, in bytes.
const SMALLEST_PIECE: u64 = 1 << 18;
/// How many windows there are.
pub const WINDOWS: usize = 10;
/// The end of the last window.
pub const WINDOWS_END: u64 = FIRST_WINDOW << (WINDOWS - 1);

/// The file, as this process has it.
pub struct SharedFile {
    descriptor: AtomicI32,
    identity: Option<Identity>,
    /// Which other processes have it, and as which descriptors.
    holders: fn(&SharedFile) -> Vec<(u32, RawFd)>,
    windows: [AtomicPtr<u8>; WINDOWS],
    /// The same places once more, mapped for reading alone.
    reading_windows: [AtomicPtr<u8>; WINDOWS],
}

impl SharedFile {
    /// Make one that nobody else has, `length` bytes of zeroes that take no memory until they are reserved.
    ///
    /// # Errors
    /// The kernel's: short of descriptors, or a limit on the size of files (`ulimit -f`).
    pub fn create(length: u64, holders: fn(&SharedFile) -> Vec<(u32, RawFd)>) -> io::Result<Self> {
        let file = memfd_create(c"allcores-arena", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, length)?;
        // Touching what lies behind the end of a file is a SIGBUS: it stays as long as it is.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self::of(above_streams(file)?, holders))
    }

    /// Take over one that another process made, of this length.
    ///
    /// # Errors
    /// `InvalidData` for one that is shorter; the kernel's.
    pub fn join(file: OwnedFd, length: u64, holders: fn(&SharedFile) -> Vec<(u32, RawFd)>) -> io::Result<Self> {
        if u64::try_from(fstat(&file)?.st_size).is_ok_and(|there| there < length) {
            return Err(out_of_bounds());
        }
        Ok(Self::of(above_streams(file)?, holders))
    }

    fn of(file: OwnedFd, holders: fn(&SharedFile) -> Vec<(u32, RawFd)>) -> Self {
        let descriptor = file.into_raw_fd();
        Self {
            descriptor: AtomicI32::new(descriptor),
            identity: identify(descriptor),
            holders,
            windows: Default::default(),
            reading_windows: Default::default(),
        }
    }

    /// The descriptor. A program that has closed it, or uses its number for something else, gets another one, from
    /// another process that has the file.
    ///
    /// # Errors
    /// `NotConnected`, which is no error of the kernel's, when nobody else has it.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'static>> {
        let mut descriptor = self.descriptor.load(Ordering::Acquire);
        if self.identity.is_none() || identify(descriptor) != self.identity {
            descriptor = self.find_again()?.into_raw_fd();
            self.descriptor.store(descriptor, Ordering::Release);
        }
        // SAFETY: it is open: looked at just now, and nobody but a program that closes what it does not know closes it.
        // Should that happen in between, the kernel refuses the number, or reaches another file, as with any in Python.
        Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    #[cold]
    fn find_again(&self) -> io::Result<OwnedFd> {
        for (process, number) in (self.holders)(self) {
            let path = format!("/proc/{process}/fd/{number}");
            if !stat(&path).is_ok_and(|status| Some(Identity::of(&status)) == self.identity) {
                continue; // opening what it does not know may do something
            }
            let file = File::options().read(true).write(true).open(path);
            if let Ok(file) = file.and_then(|file| above_streams(file.into())) {
                if identify(file.as_raw_fd()) == self.identity {
                    return Ok(file);
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "this process has closed the descriptor of the session's shared memory, and no other process has it",
        ))
    }

    /// Whether another process has it mapped, and none but this one has it open: without this one, none could pass it on.
    #[must_use]
    pub fn is_kept_here_only(&self) -> bool {
        let Some(identity) = self.identity else { return false };
        let mut others = (self.holders)(self);
        others.retain(|(process, _)| *process != std::process::id());
        let has_it_open = |(process, number): &(u32, RawFd)| {
            let open = stat(format!("/proc/{process}/fd/{number}"));
            open.is_ok_and(|status| Identity::of(&status) == identity)
        };
        !others.iter().any(has_it_open) && others.iter().any(|(process, _)| maps(*process, identity))
    }

    /// What lies at an offset, if it lies within one window, aligned. The window is mapped if it is not yet.
    ///
    /// # Errors
    /// `InvalidData` for what does not; the kernel's, when it cannot be mapped.
    pub fn at<T: Shared>(&self, offset: u64) -> io::Result<&'static T> {
        let (index, start, length) = window_of(offset);
        let size = size_of::<T>() as u64;
        let within = offset - start;
        if index >= WINDOWS || offset % align_of::<T>() as u64 != 0 || length - within < size {
            return Err(out_of_bounds());
        }
        let address = self.window(index, start, length, true)?;
        // SAFETY: the window is mapped, `within + size` ends inside of it, and it is never unmapped. It begins on a page,
        // so an aligned offset is an aligned address.
        let there = unsafe { address.add(within as usize) };
        // SAFETY: as above. `T` is Shared: any bytes are a value of it, whoever else writes there.
        Ok(unsafe { &*there.cast::<T>() })
    }

    /// The words from an offset on, if they lie within one window, aligned.
    ///
    /// # Errors
    /// As `at`.
    pub fn words(&self, offset: u64, count: usize) -> io::Result<&'static [AtomicU64]> {
        let bytes = (count as u64).checked_mul(size_of::<AtomicU64>() as u64);
        let bytes = bytes.filter(|_| offset % align_of::<AtomicU64>() as u64 == 0);
        let first = self.bytes(offset, bytes.ok_or_else(out_of_bounds)?, true)?;
        // SAFETY: as many bytes lie there in one window, which is never unmapped; it begins on a page, so an aligned offset
        // is an aligned address. Atomics are Shared: any bytes are values of them, whoever else writes there.
        Ok(unsafe { slice::from_raw_parts(first.cast(), count) })
    }

    /// Where bytes begin, if they lie within one window. Unless they are `writable`, writing there is a SIGSEGV.
    ///
    /// # Errors
    /// As `at`.
    pub fn bytes(&self, offset: u64, count: u64, writable: bool) -> io::Result<*mut u8> {
        let (index, start, length) = window_of(offset);
        let within = offset - start;
        if index >= WINDOWS || length - within < count {
            return Err(out_of_bounds());
        }
        Ok(self
            .window(index, start, length, writable)?
            .wrapping_add(within as usize))
    }

    #[inline]
    fn window(&self, index: usize, start: u64, length: u64, writable: bool) -> io::Result<*mut u8> {
        let windows = if writable { &self.windows } else { &self.reading_windows };
        let address = windows[index].load(Ordering::Acquire);
        if address.is_null() {
            return self.map_window(&windows[index], start, length, writable);
        }
        Ok(address)
    }

    /// Copy bytes to an offset. They must lie within one window.
    ///
    /// # Errors
    /// As `at`.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let there = self.words(offset, bytes.len().div_ceil(8))?.as_ptr();
        // SAFETY: as many words lie there, and `bytes` is none of them: nobody has a reference to them but as atomics. Who
        // writes them, too, at the same time, which a lock keeps all from who know what they do, garbles bytes and
        // nothing else.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), there.cast_mut().cast(), bytes.len()) };
        Ok(())
    }

    /// Append the bytes at an offset to a buffer. They must lie within one window.
    ///
    /// # Errors
    /// As `at`.
    pub fn read(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let there = self.words(offset, length.div_ceil(8))?.as_ptr();
        into.reserve(length);
        let end = into.spare_capacity_mut();
        // SAFETY: as many words lie there, and there is room for as many bytes behind the buffer's end.
        unsafe { ptr::copy_nonoverlapping(there.cast(), end.as_mut_ptr().cast::<u8>(), length) };
        // SAFETY: they were written just now.
        unsafe { into.set_len(into.len() + length) };
        Ok(())
    }

    /// Copy the bytes at an offset, as many as there is room for. They must lie within one window.
    ///
    /// # Errors
    /// As `at`.
    #[inline]
    pub fn read_to(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let there = self.words(offset, to.len().div_ceil(8))?.as_ptr();
        // SAFETY: as many words lie there, and `to` is none of them: nobody has a reference to them but as atomics.
        unsafe { ptr::copy_nonoverlapping(there.cast(), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    #[cold]
    fn map_window(&self, window: &AtomicPtr<u8>, start: u64, length: u64, writable: bool) -> io::Result<*mut u8> {
        let mapped = map(self.descriptor()?, start, length as usize, writable)?;
        // Without a lock, which a fork in another thread could leave locked.
        match window.compare_exchange(ptr::null_mut(), mapped, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(mapped),
            Err(first) => {
                unmap(mapped, length as usize);
                Ok(first)
            }
        }
    }

    /// Have memory behind a range, so that touching it cannot fail.
    ///
    /// # Errors
    /// The kernel's: out of memory.
    pub fn reserve(&self, offset: u64, length: u64) -> io::Result<()> {
        allocate(self.descriptor()?, FallocateFlags::empty(), offset, length)
    }

    /// Give the memory behind a range back to the system; it reads as zeroes again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        allocate(self.descriptor()?, flags, offset, length)
    }

    /// Map a range of its own, which ends with the value.
    ///
    /// # Errors
    /// The kernel's: a limit on address space.
    pub fn map(&self, offset: u64, length: usize, writable: bool) -> io::Result<Mapping> {
        Mapping::new(self.descriptor()?, offset, length, writable)
    }
}

fn allocate(file: BorrowedFd<'_>, flags: FallocateFlags, offset: u64, length: u64) -> io::Result<()> {
    let (mut done, mut piece) = (0, length);
    while done < length {
        match fallocate(file, flags, offset + done, piece.min(length - done)) {
            Ok(()) => done += piece,
            // Some kernels undo what they have done when a signal comes: with a timer that goes on, for ever.
            Err(Errno::INTR) => piece = (piece / 2).max(SMALLEST_PIECE),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether a process has mapped a file without a name.
fn maps(process: u32, file: Identity) -> bool {
    let Ok(maps) = File::open(format!("/proc/{process}/maps")) else {
        return false;
    };
    let inode = file.inode().to_string();
    let mut lines = BufReader::new(maps).lines().map_while(io::Result::ok);
    // address, permissions, offset, device, inode, name
    lines.any(|line| line.contains("/memfd:") && line.split_ascii_whitespace().nth(4) == Some(&inode))
}

/// Which window an offset lies in, where that begins and how long it is. The index is not bounded.
fn window_of(offset: u64) -> (usize, u64, u64) {
    let quarters = offset / FIRST_WINDOW;
    match quarters.checked_ilog2() {
        None => (0, 0, FIRST_WINDOW),
        Some(power) => {
            let start = FIRST_WINDOW << power;
            (power as usize + 1, start, start)
        }
    }
}

fn out_of_bounds() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an offset leads out of the arena")
}

/// A copy of a descriptor, for whoever is to own it.
///
/// # Errors
/// The kernel's.
pub fn copy_of(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    descriptor.as_fd().try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    fn nobody(_: &SharedFile) -> Vec<(u32, RawFd)> {
        Vec::new()
    }

    #[test]
    fn windows_lie_end_to_end() {
        let (mut end, mut expected) = (0, 0);
        while expected < WINDOWS {
            let (index, start, length) = window_of(end);
            assert_eq!((index, start), (expected, end));
            assert_eq!(window_of(end + length - 1), (index, start, length));
            (end, expected) = (end + length, expected + 1);
        }
        assert_eq!(end, WINDOWS_END);
    }

    #[test]
    fn what_is_written_in_one_process_view_is_read_in_another() {
        let one = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        let other = SharedFile::join(
            copy_of(one.descriptor().expect("open")).expect("a copy"),
            WINDOWS_END,
            nobody,
        )
        .expect("joined");
        for offset in [0, FIRST_WINDOW - 8, FIRST_WINDOW, 5 * FIRST_WINDOW] {
            one.reserve(offset, 8).expect("memory");
            one.at::<AtomicU64>(offset)
                .expect("within")
                .store(offset + 1, Ordering::SeqCst);
            let word = other.at::<AtomicU64>(offset).expect("within");
            assert_eq!(word.load(Ordering::SeqCst), offset + 1);
        }
    }

    #[test]
    fn a_file_is_as_long_as_it_should_be_and_stays_so() {
        let file = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        let descriptor = file.descriptor().expect("open");
        assert!(ftruncate(descriptor, 0).is_err());
        let other = copy_of(descriptor).expect("a copy");
        assert!(SharedFile::join(other, WINDOWS_END + 1, nobody).is_err());
    }

    #[test]
    fn what_does_not_lie_within_is_refused() {
        let file = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        for offset in [1, FIRST_WINDOW - 4, WINDOWS_END, u64::MAX - 7] {
            assert!(file.at::<AtomicU64>(offset).is_err(), "{offset}");
        }
        for (offset, count) in [(FIRST_WINDOW - 4, 5), (0, u64::MAX), (WINDOWS_END, 1), (u64::MAX, 1)] {
            assert!(file.bytes(offset, count, false).is_err(), "{offset} {count}");
        }
    }

    #[test]
    fn bytes_that_are_only_read_are_those_that_are_written() {
        let file = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        for offset in [64, FIRST_WINDOW - 8, FIRST_WINDOW] {
            let writable = file.bytes(offset, 8, true).expect("within");
            let readable = file.bytes(offset, 8, false).expect("within");
            assert_ne!(writable, readable);
            // SAFETY: eight aligned bytes of a window that is mapped and never unmapped; no other thread knows of them.
            unsafe { writable.cast::<u64>().write_volatile(offset) };
            // SAFETY: as above.
            assert_eq!(unsafe { readable.cast::<u64>().read_volatile() }, offset);
        }
    }

    #[test]
    fn memory_that_was_given_back_reads_as_zeroes() {
        let file = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        let word = file.at::<AtomicU64>(1 << 16).expect("within");
        word.store(5, Ordering::SeqCst);
        file.punch(1 << 16, 1 << 16).expect("given back");
        assert_eq!(word.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_program_that_closed_the_descriptor_is_told_so() {
        let file = SharedFile::create(WINDOWS_END, nobody).expect("a file");
        // SAFETY: it is `file`'s, which looks before it uses it.
        drop(unsafe { OwnedFd::from_raw_fd(file.descriptor().expect("open").as_raw_fd()) });
        assert_eq!(
            file.descriptor().expect_err("closed").kind(),
            io::ErrorKind::NotConnected
        );
    }
}
