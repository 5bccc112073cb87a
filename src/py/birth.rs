//! A spare's birth: what it and the zygote share, from before the fork until both have what is theirs.

use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::call::Outcome;
use crate::sys::descriptor::{self, borrow, take_over};
use crate::sys::process::{self, Bond};
use crate::sys::{bell, ending, memfd, poll, seqpacket};
use crate::wire::offer;

/// What a spare and its zygote share. Made before the fork; parent and child each take what is theirs, once.
#[pyclass(module = "allcores._core")]
struct Birth(Option<Shared>);

struct Shared {
    /// Of the spare and the zygote.
    line: OwnedFd,
    callers_line: OwnedFd,
    bell: OwnedFd,
    account: OwnedFd,
}

#[pymethods]
impl Birth {
    #[new]
    fn new() -> Outcome<Self> {
        ending::remember();
        let (line, callers_line) = seqpacket::pair()?;
        Ok(Self(Some(Shared {
            line,
            callers_line,
            bell: bell::new()?,
            account: memfd::new(c"allcores-account")?,
        })))
    }

    /// In the zygote: have `events`, an epoll, watch the spare's pidfd, and offer it. Returns the pidfd, the line and the account.
    ///
    /// OSError when that fails; then the spare is no more. Nobody can have given it work.
    #[pyo3(signature = (pid, events, offers, version, /))]
    fn offer(
        &mut self,
        pid: u32,
        events: RawFd,
        offers: RawFd,
        version: Option<offer::Version>,
    ) -> Outcome<(RawFd, RawFd, RawFd)> {
        let shared = self.take()?;
        let offered = process::open(pid).and_then(|pidfd| {
            poll::watch(borrow(events)?, pidfd.as_fd())?;
            let descriptors = [shared.callers_line.as_fd(), shared.bell.as_fd(), pidfd.as_fd()];
            offer::send_spare(borrow(offers)?, pid as i32, version, descriptors)?;
            Ok(pidfd)
        });
        match offered {
            Ok(pidfd) => Ok((
                pidfd.into_raw_fd(),
                shared.line.into_raw_fd(),
                shared.account.into_raw_fd(),
            )),
            Err(error) => {
                process::kill_and_reap(pid);
                Err(error.into())
            }
        }
    }

    /// In the spare: be bound to the zygote's life, let go of what is the zygote's, have the account at this number.
    ///
    /// Returns the line and the bell. EOFError when the zygote has ended.
    #[pyo3(signature = (zygote, zygotes, account, /))]
    fn begin(&mut self, zygote: u32, zygotes: Vec<RawFd>, account: RawFd) -> Outcome<(RawFd, RawFd)> {
        let shared = self.take()?;
        if process::die_with_parent(zygote)? == Bond::Orphan {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        ending::may_end_ahead();
        close_all(zygotes);
        descriptor::put_at(account, &shared.account)?;
        Ok((shared.line.into_raw_fd(), shared.bell.into_raw_fd()))
    }
}

impl Birth {
    fn take(&mut self) -> PyResult<Shared> {
        self.0
            .take()
            .ok_or_else(|| PyValueError::new_err("each side takes what is its own once"))
    }
}

/// Close these descriptors; one that is closed already is no error.
#[pyfunction]
#[pyo3(signature = (descriptors, /))]
pub(super) fn close_all(descriptors: Vec<RawFd>) {
    for descriptor in descriptors {
        drop(take_over(descriptor));
    }
}

pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Birth>()?;
    module.add_function(wrap_pyfunction!(close_all, module)?)?;
    Ok(())
}
