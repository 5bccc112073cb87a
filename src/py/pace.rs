//! The pace at which a process gets from a channel.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::sides::Face;
use crate::sync::patience::pause;
use crate::sys::liveness::now_since_boot;

/// Who has got no more messages than that since its last look, each in less than that time, is as fast as those who put.
const FEW: u32 = 32;
const QUICK_NANOSECONDS: u64 = 600;
/// Then it looks that much later: so a few more come, while those who put have their memory for themselves. Two that take
/// turns at it for each message wait for it more than they work. Who answers each message, and waits for the next one, takes
/// longer than that for each, and is not kept waiting.
const LATER: Duration = Duration::from_micros(1);

/// When it was looked last whether more has come, and how many messages had been got then.
#[derive(Default)]
pub struct Pace {
    looked: AtomicU64,
    got: AtomicU32,
    /// Whether this process has put something since: that is here already.
    has_put: AtomicBool,
}

impl Pace {
    /// Have put something.
    #[inline]
    pub fn put(&self) {
        self.has_put.store(true, Relaxed);
    }

    /// Be about to get. Whether something of this is lost among threads does not matter.
    #[inline]
    pub fn before_get(&self, face: &Face) {
        if !face.has_more() {
            self.before_look(face.got());
        }
    }

    #[cold]
    fn before_look(&self, got: u32) {
        let messages = got.wrapping_sub(self.got.load(Relaxed));
        self.got.store(got, Relaxed);
        if self.has_put.load(Relaxed) {
            self.has_put.store(false, Relaxed);
            return;
        }
        let mut now = now_since_boot();
        let time = now.wrapping_sub(self.looked.load(Relaxed));
        if (1..=FEW).contains(&messages) && time < u64::from(messages) * QUICK_NANOSECONDS {
            pause(LATER);
            now = now_since_boot();
        }
        self.looked.store(now, Relaxed);
    }
}
