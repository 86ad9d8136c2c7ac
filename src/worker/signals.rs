//! SIGINT and SIGTERM stop the loop of the main thread.
//!
//! Signals are the process's, so only the main thread's loop takes them; after it has ended, Ctrl-C kills again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals;

use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::shared::Shared;

/// Whether the main thread's loop takes signals.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// No loop takes signals now: they have their default meaning. Registered once, because it cannot be taken back.
static ENDED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static REGISTERED: AtomicBool = AtomicBool::new(false);

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
    if !REGISTERED.swap(true, Ordering::Relaxed) {
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&ENDED)).map_err(failed)?;
        }
    }
    ENDED.store(false, Ordering::Relaxed);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let reactor = reactor::get();
    reactor.set_handler(Kind::Signal, Handler { ready: |_, _| arrived(), flush: |_| {} });
    reactor.register(&mut signals, Kind::Signal, Key { slot: 0, generation: 0 }).map_err(failed)?;
    SIGNALS.with(|slot| slot.with(|slot| *slot = Some(signals)));
    Ok(Some(Guard))
}

fn arrived() {
    let signals: Vec<i32> = SIGNALS
        .with(|slot| slot.with(|slot| slot.as_mut().map(|signals| signals.pending().collect()).unwrap_or_default()));
    if let Some(signal) = signals.first() {
        log::info!("stopping: {}", if *signal == SIGINT { "SIGINT" } else { "SIGTERM" });
        reactor::get().stop();
    }
}

/// Gives the signals their default meaning back when dropped.
pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        SIGNALS.with(|slot| slot.with(|slot| *slot = None));
        ENDED.store(true, Ordering::Relaxed);
    }
}
