//! What a process does when the app is reloaded: its workers are told. Replacing processes is their master's.

use std::cell::Cell;
use std::rc::Rc;

use super::Which;
use crate::reactor;

thread_local! {
    static BY_SIGNAL: Cell<fn()> = const { Cell::new(tell_workers) };
}

/// What is to happen when a signal reloads the loop of this thread, instead of [`tell_workers`].
pub(crate) fn set_by_signal(reload: fn()) {
    BY_SIGNAL.set(reload);
}

/// Tells the workers that run here.
pub(crate) fn tell_workers() {
    #[cfg(feature = "_tls")]
    super::tls::read_all_files();
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
