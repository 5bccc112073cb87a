//! Being told of forks by the C library, whoever makes them (`pthread_atfork(3)`).

use std::io;

extern "C" {
    /// Missing from the libc crate for glibc, whose static part has it.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;
}

/// Have `prepare` called in the thread that forks, right before it does so, and `child` in the child, before anything else
/// of it runs. Both must not panic; nothing undoes this.
///
/// # Errors
/// The kernel's: short of memory.
pub fn watch(prepare: extern "C" fn(), child: extern "C" fn()) -> io::Result<()> {
    // SAFETY: the functions live as long as this library, which Python never unloads; they take nothing and return nothing.
    match unsafe { pthread_atfork(Some(prepare), None, Some(child)) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}
