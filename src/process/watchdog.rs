//! Which callback keeps the loop from going on: a thread looks at times, and tells the master.
//!
//! [`Watchdog`] is told what a look has shown and when, and says what there is to report. The thread around it waits at a
//! lifeline, a socket whose other end the master holds. When that end is gone so is the master, and the process ends even
//! if its loop never hears of it.
//!
//! Invariants: the thread wakes up once a second at most, unless a shorter limit was asked for; it takes no lock that a
//! callback may hold, and writes to no log.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{process, thread};

use crate::callback::{Look, Pulse, cut};
use crate::reactor;
use crate::timer::Interval;
use crate::worker::Worker;

/// Between two looks, unless the limit is shorter.
const PERIOD: Duration = Duration::from_secs(1);
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// What the loop has to end by itself when the master is gone.
const GRACE: Duration = Duration::from_secs(1);
/// How long a master may be too busy for a report.
const WRITING: Duration = Duration::from_millis(100);
/// The most bytes of a report, its line break among them.
const LONGEST_REPORT: usize = 2048;
/// Of the thread. What it does needs a tenth of that.
const STACK: usize = 128 * 1024;

/// Nanoseconds; 0 for no watchdog.
static LIMIT: AtomicU64 = AtomicU64::new(1_000_000_000);

/// # Watchdog
impl Worker<()> {
    /// Sets how long a callback may run before the log says which one it is, and where it was registered: 1 s unless set, 0
    /// for never. Call it before `run_all`. A process without a master does not watch itself.
    ///
    /// The time is looked at once a second, or as often as a shorter limit wants it.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_watchdog(0.25);
    /// # Worker::set_watchdog(1);
    /// ```
    pub fn set_watchdog(time: impl Interval) {
        LIMIT.store(time.nanoseconds(), Ordering::Relaxed);
    }
}

/// What [`Worker::set_watchdog`] has set.
pub fn limit() -> Duration {
    Duration::from_nanos(LIMIT.load(Ordering::Relaxed))
}

/// Has a thread watch the callbacks of another one, and the master's end of the lifeline. It lives as long as the process.
///
/// Each report is a line of text of at most 2 KiB. When the lifeline ends the process does so one second later, with
/// exit code 1, unless it has by then. What the master writes is read and means nothing.
///
/// # Errors
///
/// What the system has against the socket's timeouts or another thread.
pub fn spawn(pulse: &'static Pulse, limit: Duration, lifeline: UnixStream) -> io::Result<()> {
    let period = (!limit.is_zero()).then(|| limit.clamp(SHORTEST_PERIOD, PERIOD));
    lifeline.set_nonblocking(false)?;
    lifeline.set_read_timeout(period)?;
    lifeline.set_write_timeout(Some(WRITING))?;
    let guard = move || {
        watch(pulse, Watchdog::new(limit), &lifeline);
        thread::sleep(GRACE);
        process::exit(1);
    };
    thread::Builder::new().name("watchdog".to_owned()).stack_size(STACK).spawn(guard)?;
    Ok(())
}

/// Until the lifeline ends.
fn watch(pulse: &Pulse, mut watchdog: Watchdog, mut lifeline: &UnixStream) {
    let start = reactor::monotonic();
    let is_a_pause = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted);
    loop {
        match lifeline.read(&mut [0; 64]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if is_a_pause(error.kind()) => {}
            // The master has left reports unread.
            Err(_) => return,
        }
        let now = Duration::from_nanos(reactor::monotonic().saturating_sub(start));
        if let Some(report) = watchdog.look(now, pulse.look()) {
            // A master that does not listen will miss it.
            let _ = lifeline.write_all(line(&report).as_bytes());
        }
    }
}

/// One line, whatever stands in the names of types and files.
fn line(report: &str) -> String {
    let report = report.replace(char::is_control, "?");
    format!("{}\n", cut(&report, LONGEST_REPORT - 1))
}

/// Tells callbacks that run for too long, by looks from time to time.
#[derive(Debug)]
pub struct Watchdog {
    limit: Duration,
    seen: Option<Seen>,
}

/// A callback that has been seen running.
#[derive(Debug)]
struct Seen {
    look: Look,
    since: Duration,
    /// Once it has been running for so long, there is something to report.
    next: Duration,
    reported: bool,
}

impl Watchdog {
    /// One that reports what has been running for so long; zero for nothing.
    pub fn new(limit: Duration) -> Self {
        Self { limit, seen: None }
    }

    /// What there is to report after a look at this time. How long a callback has been running counts from the first look
    /// that has shown it, so it is never reported too early.
    pub fn look(&mut self, now: Duration, look: Look) -> Option<String> {
        match &mut self.seen {
            Some(seen) if seen.look == look => seen.goes_on(now),
            _ => {
                let next = (look != Look::Waiting && !self.limit.is_zero()).then_some(self.limit);
                let next = next.map(|next| Seen { look, since: now, next, reported: false });
                std::mem::replace(&mut self.seen, next)?.returned(now)
            }
        }
    }
}

impl Seen {
    fn goes_on(&mut self, now: Duration) -> Option<String> {
        let time = now.saturating_sub(self.since);
        if time < self.next {
            return None;
        }
        self.next = time.saturating_mul(2);
        self.reported = true;
        Some(self.tell("has been running for", time))
    }

    fn returned(self, now: Duration) -> Option<String> {
        self.reported.then(|| self.tell("has returned after", now.saturating_sub(self.since)))
    }

    fn tell(&self, what: &str, time: Duration) -> String {
        let site = match self.look {
            Look::Running { site, .. } => site,
            Look::Waiting => return String::new(),
        };
        match time.as_secs() {
            0 => format!("{site} {what} {} ms", time.as_millis()),
            _ => format!("{site} {what} {:.1} s", time.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::Site;

    /// What is reported of these looks, each at its time in milliseconds: which callback ran, 0 for none.
    fn reports(limit: u64, looks: &[(u64, u64)]) -> Vec<(u64, String)> {
        let mut watchdog = Watchdog::new(Duration::from_millis(limit));
        let site = Site::unset("on_test");
        let look = |(time, number): &(u64, u64)| {
            let look = if *number == 0 { Look::Waiting } else { Look::Running { number: *number, site } };
            Some((*time, watchdog.look(Duration::from_millis(*time), look)?))
        };
        looks.iter().filter_map(look).collect()
    }

    fn said(time: u64, text: &str) -> (u64, String) {
        (time, format!("on_test {text}"))
    }

    #[test]
    fn a_callback_is_told_at_the_limit_when_its_time_has_doubled_and_when_it_returns() {
        let looks: Vec<(u64, u64)> = (0..10).map(|second| (second * 1000, u64::from(second < 8) * 7)).collect();
        let expected = [
            said(1000, "has been running for 1.0 s"),
            said(2000, "has been running for 2.0 s"),
            said(4000, "has been running for 4.0 s"),
            said(8000, "has returned after 8.0 s"),
        ];
        assert_eq!(reports(1000, &looks), expected);
    }

    #[test]
    fn many_short_callbacks_are_no_long_one() {
        let looks: Vec<(u64, u64)> = (0..100).map(|second| (second * 1000, second + 1)).collect();
        assert_eq!(reports(1000, &looks), []);
        assert_eq!(reports(1000, &[(0, 1), (900, 1), (1800, 2), (2700, 2), (3600, 0)]), []);
    }

    #[test]
    fn the_next_callback_ends_the_one_before() {
        let looks = [(0, 1), (60, 1), (100, 2), (140, 2), (155, 2), (200, 0)];
        let expected = [
            said(60, "has been running for 60 ms"),
            said(100, "has returned after 100 ms"),
            said(155, "has been running for 55 ms"),
            said(200, "has returned after 100 ms"),
        ];
        assert_eq!(reports(50, &looks), expected);
    }

    #[test]
    fn without_a_limit_nothing_is_told() {
        assert_eq!(reports(0, &[(0, 1), (1_000_000, 1), (2_000_000, 0)]), []);
    }

    #[test]
    fn a_report_is_one_line_of_2_kib_at_most() {
        assert_eq!(line("a\nb"), "a?b\n");
        let long = line(&"ä".repeat(5000));
        assert!((LONGEST_REPORT - 1..=LONGEST_REPORT).contains(&long.len()) && long.ends_with("ä\n"));
    }
}
