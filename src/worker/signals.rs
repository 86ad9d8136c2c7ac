//! Signals stop the loop of the main thread; what each of them means is in [`stop`].
//!
//! Signals are the process's, so only the main thread's loop takes them; after it has ended, Ctrl-C kills again. A SIGHUP
//! that was ignored when the process started stays ignored: that is what `nohup` is for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals;

use super::stop;
use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::shared::Shared;

const STOPPING: [(i32, &str); 4] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGQUIT, "SIGQUIT"), (SIGHUP, "SIGHUP")];

/// Whether the main thread's loop takes signals.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// No loop takes signals now: they have their default meaning. Registered once, because it cannot be taken back.
static ENDED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Those that are taken. Decided before the first is: afterwards none is ignored.
static TAKEN: LazyLock<Vec<i32>> = LazyLock::new(|| {
    let taken = |signal: &i32| *signal != SIGHUP || !is_ignored(SIGHUP);
    STOPPING.into_iter().map(|(signal, _)| signal).filter(taken).collect()
});

thread_local! {
    static SIGNALS: Shared<Option<Signals>> = const { Shared::new(None) };
}

pub(super) fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Takes the signals for as long as the guard lives.
pub(super) fn install() -> Result<Option<Guard>, Error> {
    if !ENABLED.load(Ordering::Relaxed) || std::thread::current().name() != Some("main") {
        return Ok(None);
    }
    let failed = |source| Error::Loop { action: "take signals", source };
    let taken = &*TAKEN;
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        for signal in taken {
            flag::register_conditional_default(*signal, Arc::clone(&ENDED)).map_err(failed)?;
        }
    }
    ENDED.store(false, Ordering::Relaxed);
    let mut signals = Signals::new(taken).map_err(failed)?;
    let reactor = reactor::get();
    reactor.set_handler(Kind::Signal, Handler { ready: |_, _| arrived(), flush: |_| {} });
    reactor.register(&mut signals, Kind::Signal, Key { slot: 0, generation: 0 }).map_err(failed)?;
    SIGNALS.with(|slot| slot.with(|slot| *slot = Some(signals)));
    Ok(Some(Guard))
}

fn arrived() {
    let signals: Vec<i32> = SIGNALS
        .with(|slot| slot.with(|slot| slot.as_mut().map(|signals| signals.pending().collect()).unwrap_or_default()));
    for signal in signals {
        let name = STOPPING.into_iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name);
        stop::by_signal(signal, name);
    }
}

/// Whether the process ignores a signal, where the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Gives the signals their default meaning back when dropped.
pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        SIGNALS.with(|slot| slot.with(|slot| *slot = None));
        ENDED.store(true, Ordering::Relaxed);
    }
}
