//! Consumers of which one is enough (README: waiting).

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::transfer::Channel;

/// When others have got so many messages since this thread waited last, each in less than that time, they need no help.
const MANY: u32 = 16;
const QUICK: Duration = Duration::from_nanos(600);
/// Then it looks that much later. The kernel adds 50 microseconds of its own.
const NAP: Duration = Duration::from_micros(50);

/// How many messages this process has got, of whatever channel. Whether one is lost among threads does not matter.
static OWN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static LAST_WAIT: Cell<Option<Wait>> = const { Cell::new(None) };
}

/// How things were when a thread found nothing to get.
#[derive(Clone, Copy)]
struct Wait {
    channel: u64,
    when: Instant,
    got: u32,
    own: u32,
}

impl Wait {
    fn nap_after(&self, before: &Self) -> Option<Duration> {
        let own = self.own.wrapping_sub(before.own);
        let others = self.got.wrapping_sub(before.got).saturating_sub(own);
        // More than half of all numbers: another channel in the same place.
        let are_enough = (MANY..1 << 31).contains(&others) && self.when - before.when < QUICK * others;
        (self.channel == before.channel && are_enough).then_some(NAP)
    }
}

/// This process has got a message.
#[inline]
pub fn note_own() {
    OWN.store(OWN.load(Relaxed).wrapping_add(1), Relaxed);
}

/// How long this thread, which finds nothing to get, had better be away; `None` if it is to be woken for the next message. Woken
/// for each, it would take the CPU from a producer, find that others were faster, and sleep again.
#[must_use]
pub fn nap(channel: &Channel<'_>) -> Option<Duration> {
    if cfg!(loom) {
        return None; // the clock is not loom's
    }
    let now = Wait {
        channel: channel.offset,
        when: Instant::now(),
        got: channel.got(),
        own: OWN.load(Relaxed),
    };
    LAST_WAIT.replace(Some(now)).and_then(|before| now.nap_after(&before))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_needed_stays_away_and_nobody_else_does() {
        let before = Wait {
            channel: 7,
            when: Instant::now(),
            got: u32::MAX - 10,
            own: u32::MAX - 3,
        };
        let nap = |channel, microseconds, got, own| {
            let now = Wait {
                channel,
                when: before.when + Duration::from_micros(microseconds),
                got: before.got.wrapping_add(got),
                own: before.own.wrapping_add(own),
            };
            now.nap_after(&before)
        };
        assert_eq!(nap(7, 10, 40, 0), Some(NAP));
        assert_eq!(nap(7, 10, 40, 20), Some(NAP));
        assert_eq!(nap(7, 10, 40, 40), None, "all of them are its own");
        assert_eq!(nap(7, 10, 40, 90), None, "its own, of other channels, too");
        assert_eq!(nap(7, 10, 15, 0), None, "too few to tell");
        assert_eq!(nap(7, 30, 40, 0), None, "others are slow");
        assert_eq!(nap(8, 10, 40, 0), None, "another channel");
        assert_eq!(nap(7, 10, u32::MAX - 5, 0), None, "another channel in its place");
    }
}
