//! Time: the only place that reads the system's clocks.
//!
//! Two clocks, both replaceable: a monotonic one in nanoseconds since the loop was made, for timers, and the wall clock,
//! for `Date`. `now` is read once a turn and kept; whoever needs the time inside a long callback asks for it afresh.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Clock {
    source: Cell<Source>,
    now: Cell<u64>,
    date: Cell<[u8; 29]>,
    /// The second of the wall clock that `date` tells ends at this time of the monotonic clock.
    date_until: Cell<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Real {
        origin: Instant,
    },
    /// Nanoseconds that a test has let pass since [`MANUAL_START`].
    Manual {
        elapsed: u64,
    },
}

/// Where the wall clock of a test starts: Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
const MANUAL_START: Duration = Duration::from_secs(784_111_777);

impl Default for Clock {
    fn default() -> Self {
        Self {
            source: Cell::new(Source::Real { origin: instant_now() }),
            now: Cell::new(0),
            date: Cell::new([0; 29]),
            date_until: Cell::new(0),
        }
    }
}

impl Clock {
    /// The time at which this turn began.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Reads the clock.
    pub(crate) fn read(&self) -> u64 {
        let now = match self.source.get() {
            Source::Real { origin } => nanoseconds(instant_now().duration_since(origin)),
            Source::Manual { elapsed } => elapsed,
        };
        self.now.set(now);
        now
    }

    /// Takes the clock in hand: from now on only [`Clock::advance`] moves it.
    pub(crate) fn make_manual(&self) {
        self.source.set(Source::Manual { elapsed: self.now() });
        self.date_until.set(0);
    }

    /// Lets time pass on a manual clock.
    pub(crate) fn advance(&self, nanoseconds: u64) {
        if let Source::Manual { elapsed } = self.source.get() {
            self.source.set(Source::Manual { elapsed: elapsed.saturating_add(nanoseconds) });
            self.read();
        }
    }

    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.source.get(), Source::Manual { .. })
    }

    /// The value of a `Date` header now, formatted once a second.
    #[inline]
    pub(crate) fn date(&self) -> [u8; 29] {
        if self.now() >= self.date_until.get() {
            self.format_date();
        }
        self.date.get()
    }

    /// The wall clock, read now.
    pub(crate) fn wall(&self) -> SystemTime {
        match self.source.get() {
            Source::Real { .. } => wall_clock(),
            Source::Manual { elapsed } => SystemTime::UNIX_EPOCH + MANUAL_START + Duration::from_nanos(elapsed),
        }
    }

    #[cold]
    fn format_date(&self) {
        let wall = self.wall();
        let text = httpdate::fmt_http_date(wall);
        let mut date = self.date.get();
        for (to, from) in date.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.date.set(date);
        let into_second =
            wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_nanos()));
        self.date_until.set(self.now() + SECOND - into_second);
    }
}

/// Nanoseconds of the system's monotonic clock, which all processes of the machine share.
pub(crate) fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned().saturating_mul(SECOND).saturating_add(time.tv_nsec.cast_unsigned())
}

/// As nanoseconds, saturating after 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[allow(clippy::disallowed_methods)] // the one home of the monotonic clock
fn instant_now() -> Instant {
    Instant::now()
}

/// The system's wall clock, for what is said on threads without a loop; else [`Clock::wall`] tells.
#[allow(clippy::disallowed_methods)] // the one home of the wall clock
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::default();
        clock.make_manual();
        let start = clock.read();
        assert_eq!(clock.read(), start);
        clock.advance(5);
        assert_eq!(clock.now(), start + 5);
    }

    #[test]
    fn the_date_changes_with_the_second() {
        let clock = Clock::default();
        clock.make_manual();
        assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(999_999_999);
        assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(1);
        assert_eq!(&clock.date(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
