//! What the callbacks of a thread let other threads see: which of them runs, and how the last one failed.
//!
//! Invariant: it costs a callback one load and one store, and nothing when it has returned. So what follows from a
//! callback counts as a part of it, up to the next one or to the wait for events.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::site::{BITS, Site};

/// The bits of a mark that say which callback runs; those above count how many have begun.
const SITE: u64 = (1 << BITS) - 1;
/// The most bytes that are kept of a failure.
const LONGEST_FAILURE: usize = 1024;

/// The mark of one thread.
#[derive(Debug)]
pub struct Pulse {
    mark: AtomicU64,
    failure: Mutex<String>,
}

/// What another thread sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// No callback runs: the loop waits, or there is none.
    Waiting,
    /// A callback has begun. Each has another number, of which this thread's next is one more.
    Running {
        /// How many have begun.
        number: u64,
        /// Which one it is.
        site: Site,
    },
}

/// That of all threads which nobody looks at. So a callback need not ask whether there is one.
static UNSEEN: Pulse = Pulse::new();

thread_local! {
    static PULSE: Cell<&'static Pulse> = const { Cell::new(&UNSEEN) };
}

/// That of this thread, which is made when it is first asked for and then outlives the thread.
pub fn pulse() -> &'static Pulse {
    if ptr::eq(PULSE.get(), &raw const UNSEEN) {
        PULSE.set(Box::leak(Box::new(Pulse::new())));
    }
    PULSE.get()
}

/// A callback of this thread begins.
#[inline]
pub(super) fn begin(site: Site) {
    PULSE.get().begin(site);
}

impl Default for &'static Pulse {
    fn default() -> Self {
        pulse()
    }
}

/// How the last callback of this thread that failed did, if one has.
pub fn last_failure() -> Option<String> {
    pulse().last_failure()
}

impl Pulse {
    const fn new() -> Self {
        Self { mark: AtomicU64::new(0), failure: Mutex::new(String::new()) }
    }

    /// Only the thread itself writes, so nothing comes between the load and the store.
    #[inline]
    fn begin(&self, site: Site) {
        let begun = (self.mark.load(Ordering::Relaxed) | SITE).wrapping_add(1);
        self.mark.store(begun | u64::from(site.number()), Ordering::Relaxed);
    }

    /// No callback runs from here on.
    #[inline]
    pub(crate) fn wait(&self) {
        self.mark.store(self.mark.load(Ordering::Relaxed) & !SITE, Ordering::Relaxed);
    }

    /// What runs now. For any thread.
    pub fn look(&self) -> Look {
        let mark = self.mark.load(Ordering::Relaxed);
        match u32::try_from(mark & SITE) {
            Ok(0) | Err(_) => Look::Waiting,
            Ok(number) => Look::Running { number: mark >> BITS, site: Site::from_number(number) },
        }
    }

    /// How the last callback failed: its name, its place, and why. At most 1 KiB, for any thread.
    pub fn last_failure(&self) -> Option<String> {
        Some(self.failure().clone()).filter(|failure| !failure.is_empty())
    }

    #[cold]
    pub(super) fn keep_failure(&self, text: &str) {
        cut(text, LONGEST_FAILURE).clone_into(&mut self.failure());
    }

    fn failure(&self) -> MutexGuard<'_, String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As much of a text as fits into so many bytes.
pub(crate) fn cut(text: &str, length: usize) -> &str {
    let fits = (0..=length.min(text.len())).rev().find_map(|end| text.get(..end));
    fits.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::{PanicPolicy, call, discard, set_policy};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn another_thread_sees_what_runs() {
        let (tell, told) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let site = Site::here("on_test");
        let busy = thread::spawn(move || {
            let step = || {
                tell.send(pulse()).expect("it is heard");
                wait.recv().expect("it is told");
            };
            step();
            for _ in 0..2 {
                let _ = call(site, || {
                    // What is inside belongs to it.
                    discard(String::new());
                    step();
                    Ok(())
                });
            }
            step();
            pulse().wait();
            step();
        });
        let running = |number| Look::Running { number, site };
        for expected in [Look::Waiting, running(1), running(2), running(2), Look::Waiting] {
            assert_eq!(told.recv().expect("it tells").look(), expected);
            go_on.send(()).expect("it waits");
        }
        busy.join().expect("it ends");
    }

    #[test]
    fn the_last_failure_is_kept_with_its_place_and_in_bounds() {
        set_policy(PanicPolicy::CloseConnection);
        assert_eq!(last_failure(), None);
        let site = Site::here("on_test");
        let _ = call(site, || Err("bad".into()));
        assert_eq!(last_failure(), Some(format!("{site} returned an error: bad")));
        let _ = call(site, || panic!("boom"));
        assert_eq!(last_failure(), Some(format!("{site} panicked: boom")));
        let _ = call(site, || panic!("{}", "ä".repeat(10_000)));
        let kept = last_failure().expect("a failure");
        assert!((LONGEST_FAILURE - 1..=LONGEST_FAILURE).contains(&kept.len()), "{}", kept.len());
        assert!(kept.starts_with(&format!("{site} panicked: ää")));
        let _ = call(site, || Ok(()));
        assert_eq!(last_failure(), Some(kept));
    }
}
