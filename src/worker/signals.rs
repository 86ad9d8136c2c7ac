//! Signals stop the loop of the main thread, or reload it; what each of them means is in [`stop`] and [`reload`].
//!
//! Signals are the process's, so only the main thread's loop takes them; after it has ended, Ctrl-C kills again. A SIGHUP
//! that was ignored when the process started stays ignored: that is what `nohup` is for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::flag;
pub(crate) use signal_hook_mio::v1_0::Signals;

use super::{reload, stop};
use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::shared::Shared;

/// Those that stop, and how they are called.
pub(crate) const STOPPING: [(i32, &str); 4] =
    [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGQUIT, "SIGQUIT"), (SIGHUP, "SIGHUP")];
/// Those that have the app take over a new program.
pub(crate) const RELOADING: [i32; 2] = [SIGUSR1, SIGUSR2];

/// Whether the main thread's loop takes signals.
static ENABLED: AtomicBool = AtomicBool::new(true);

/// No loop takes signals now: they have their default meaning.
static ENDED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Those that have been taken once, which cannot be taken back.
static TAKEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());
/// Decided before the first is taken: afterwards none is ignored.
static IGNORES_HANGUP: LazyLock<bool> = LazyLock::new(|| is_ignored(SIGHUP));

thread_local! {
    static SIGNALS: Shared<Option<Signals>> = const { Shared::new(None) };
}

pub(super) fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Takes the signals for this thread's loop, for as long as the guard lives.
pub(super) fn install() -> Result<Option<Guard>, Error> {
    let Some((mut signals, guard)) = take(None)? else { return Ok(None) };
    let reactor = reactor::get();
    reactor.set_handler(Kind::Signal, Handler { ready: |_, _| arrived(), flush: |_| {} });
    reactor.register(&mut signals, Kind::Signal, Key { slot: 0, generation: 0 }).map_err(failed)?;
    SIGNALS.with(|slot| slot.with(|slot| *slot = Some(signals)));
    Ok(Some(guard))
}

/// Takes those that stop, that reload, and this other one, for as long as the guard lives; `None` where there is none to take.
/// An app that has all signals itself leaves the last, which is about processes of the framework.
pub(crate) fn take(other: Option<i32>) -> Result<Option<(Signals, Guard)>, Error> {
    if std::thread::current().name() != Some("main") {
        return Ok(None);
    }
    let ours = STOPPING.into_iter().map(|(signal, _)| signal).chain(RELOADING);
    let ours = ours.filter(|signal| ENABLED.load(Ordering::Relaxed) && (*signal != SIGHUP || !*IGNORES_HANGUP));
    let wanted: Vec<i32> = ours.chain(other).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    for signal in &wanted {
        if !taken.contains(signal) {
            flag::register_conditional_default(*signal, Arc::clone(&ENDED)).map_err(failed)?;
            taken.push(*signal);
        }
    }
    ENDED.store(false, Ordering::Relaxed);
    Ok(Some((Signals::new(wanted).map_err(failed)?, Guard)))
}

/// Has the system hold back those that stop and reload, also for the program that this process is about to become: until
/// that takes them, each would end it.
pub(crate) fn hold_back() -> Result<(), Error> {
    changed(held_back().thread_block())
}

/// Lets those come that were held back, if any.
pub(crate) fn let_through() -> Result<(), Error> {
    changed(held_back().thread_unblock())
}

/// A process that has failed to become another program is left without what keeps a broken pipe from ending it.
pub(crate) fn survive_broken_pipes() {
    if let Err(error) = flag::register(SIGPIPE, Arc::default()) {
        log::error!("a broken pipe will end this process: {error}");
    }
}

fn held_back() -> SigSet {
    let numbers = STOPPING.into_iter().map(|(signal, _)| signal).chain(RELOADING);
    numbers.filter_map(|number| Signal::try_from(number).ok()).collect()
}

fn changed(result: nix::Result<()>) -> Result<(), Error> {
    result.map_err(|errno| failed(errno.into()))
}

fn failed(source: std::io::Error) -> Error {
    Error::Loop { action: "take signals", source }
}

fn arrived() {
    let signals: Vec<i32> = SIGNALS
        .with(|slot| slot.with(|slot| slot.as_mut().map(|signals| signals.pending().collect()).unwrap_or_default()));
    for signal in signals {
        if RELOADING.contains(&signal) {
            reload::by_signal();
        } else {
            stop::by_signal(signal);
        }
    }
}

/// How a signal is called.
pub(crate) fn name(signal: i32) -> &'static str {
    STOPPING.into_iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name)
}

/// Whether the process ignores a signal, where the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Gives the signals their default meaning back when dropped.
#[derive(Debug)]
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        SIGNALS.with(|slot| slot.with(|slot| *slot = None));
        ENDED.store(true, Ordering::Relaxed);
    }
}
