//! `sys/shared.rs` as loom can see it: loom's atomics are no numbers in a file, so what lies at an offset is made when it
//! is first asked for, and found again by offset and type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::guarded::Bytes;
use crate::atomics::{AtomicU32, AtomicU64};

/// What may lie in shared memory.
///
/// # Safety
/// As in `sys/shared.rs`.
pub unsafe trait Shared: Send + Sync + 'static {
    /// All zeroes, as memory is at first.
    fn zeroes() -> Self;
}

// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU32 {
    fn zeroes() -> Self {
        Self::new(0)
    }
}
// SAFETY: an atomic integer.
unsafe impl Shared for AtomicU64 {
    fn zeroes() -> Self {
        Self::new(0)
    }
}
// SAFETY: nothing but what may lie there.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {
    fn zeroes() -> Self {
        std::array::from_fn(|_| T::zeroes())
    }
}

/// A structure that may lie in shared memory.
macro_rules! shared_struct {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$of:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        pub struct $name { $($(#[$of])* pub $field: $type,)* }

        // SAFETY: each field is Shared, since it has `zeroes`.
        unsafe impl $crate::sys::shared::Shared for $name {
            fn zeroes() -> Self {
                Self { $($field: <$type as $crate::sys::shared::Shared>::zeroes(),)* }
            }
        }
    };
}
pub(crate) use shared_struct;

/// The end of the last window.
pub const WINDOWS_END: u64 = 2 << 30;

type Memory = HashMap<(u64, TypeId), Box<dyn Any + Send + Sync>>;

/// The file, as this process has it.
#[derive(Clone)]
pub struct SharedFile(Arc<Mutex<Memory>>);

impl SharedFile {
    /// Make one that nobody else has.
    ///
    /// # Errors
    /// None.
    pub fn create(_length: u64, _holders: fn(&Self) -> Vec<(u32, RawFd)>) -> io::Result<Self> {
        Ok(Self(Arc::default()))
    }

    /// There are no descriptors here: a second process has a clone.
    ///
    /// # Errors
    /// Always.
    pub fn join(_file: OwnedFd, _length: u64, _holders: fn(&Self) -> Vec<(u32, RawFd)>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// As above.
    ///
    /// # Errors
    /// Always.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'static>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What lies at an offset.
    ///
    /// # Errors
    /// None.
    pub fn at<T: Shared>(&self, offset: u64) -> io::Result<&'static T> {
        let key = (offset, TypeId::of::<T>());
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = memory.entry(key).or_insert_with(|| Box::new(T::zeroes()));
        let there = there.downcast_ref::<T>().ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: boxed, and never taken out of the map, which lives as long as the model has threads.
        Ok(unsafe { &*std::ptr::from_ref(there) })
    }

    /// Those of the real one are not modelled: all memory that is used by two kinds of structures.
    ///
    /// # Errors
    /// None.
    pub fn words(&self, _offset: u64, _count: usize) -> io::Result<&'static [AtomicU64]> {
        Ok(&[])
    }

    /// Not modelled.
    #[must_use]
    pub fn is_kept_here_only(&self) -> bool {
        false
    }

    /// Copy bytes to an offset.
    ///
    /// # Errors
    /// None.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.at::<Bytes>(offset)?.write(bytes);
        Ok(())
    }

    /// Append the bytes at an offset to a buffer: as many as were written there.
    ///
    /// # Errors
    /// When these are others.
    pub fn read(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let there = into.len();
        self.at::<Bytes>(offset)?.read(into);
        (into.len() == there + length)
            .then_some(())
            .ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Not modelled: mappings of bytes.
    ///
    /// # Errors
    /// Always.
    pub fn bytes(&self, _offset: u64, _length: u64, _writable: bool) -> io::Result<*mut u8> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is memory behind everything.
    ///
    /// # Errors
    /// None.
    pub fn reserve(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }

    /// Not modelled: large blocks.
    ///
    /// # Errors
    /// Always.
    pub fn punch(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// As above.
    ///
    /// # Errors
    /// Always.
    pub fn map(&self, _offset: u64, _length: usize, _writable: bool) -> io::Result<Mapping> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// There are none.
pub enum Mapping {}

impl Mapping {
    /// As in `sys/mapping.rs`.
    ///
    /// # Errors
    /// None.
    pub fn make_private(&self, _file: BorrowedFd<'_>, _offset: u64) -> io::Result<()> {
        match *self {}
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> *mut u8 {
        match *self {}
    }
}
