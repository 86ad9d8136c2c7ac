//! What a process does when the app is reloaded: its workers are told, and those that stay read their files again. Replacing
//! processes is their master's.

use std::cell::Cell;
use std::rc::Rc;

use super::Which;
use crate::error::Error;
use crate::reactor;

thread_local! {
    static BY_SIGNAL: Cell<fn()> = const { Cell::new(|| drop(stay())) };
}

/// What is to happen when a signal reloads the loop of this thread, instead of [`stay`].
pub(crate) fn set_by_signal(reload: fn()) {
    BY_SIGNAL.set(reload);
}

/// Those that run here go on: they take what is new in their files, and are told. Answers which files stay as they were;
/// that is in the log, too.
pub(crate) fn stay() -> Vec<Error> {
    #[cfg(feature = "_tls")]
    let wrong = super::tls::read_all_files();
    #[cfg(not(feature = "_tls"))]
    let wrong = Vec::new();
    tell_workers();
    wrong
}

/// Tells the workers that run here.
pub(crate) fn tell_workers() {
    for which in Which::present() {
        if let Some(on_reload) = which.part(|part| Rc::clone(&part.on_reload)) {
            // Its failure is logged; the reload goes on.
            let _ = on_reload.run();
            reactor::get().settle();
        }
    }
}

/// One of the signals that reload has come to a process of its own.
pub(super) fn by_signal() {
    log::warn!("a process without a master cannot be replaced: its workers are told of the reload, and it goes on");
    BY_SIGNAL.get()();
}
