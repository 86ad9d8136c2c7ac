//! The callbacks of an app that are about its processes: they run in the master.

use std::rc::Rc;

use crate::callback::{self, CallbackResult, Site, WorkerCallback};
use crate::worker::{Which, Worker};

thread_local! {
    static MASTER: MasterCallbacks = MasterCallbacks::default();
}

#[derive(Default)]
struct MasterCallbacks {
    on_reload: Rc<WorkerCallback>,
    on_stop: Rc<WorkerCallback>,
}

/// # The master
///
/// With a [count](Worker::set_count) above 1, and in the background, one process of the app is the master of the others. No
/// loop runs in it, so timers and connections are of no use in its callbacks.
impl Worker<()> {
    /// Called in the master when the app is to be reloaded, before anything else happens; a single process is its own.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::on_master_reload(|| println!("a new program takes over"));
    /// ```
    #[doc(alias = "onMasterReload")]
    #[track_caller]
    pub fn on_master_reload<F, R>(mut callback: F)
    where
        F: FnMut() -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_master_reload");
        MASTER.with(|master| Rc::clone(&master.on_reload)).set(site, Box::new(move || callback().into_result()));
    }

    /// Called in the master at its end, when no process is left; a single process is its own.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::on_master_stop(|| println!("that is all"));
    /// ```
    #[doc(alias = "onMasterStop")]
    #[track_caller]
    pub fn on_master_stop<F, R>(mut callback: F)
    where
        F: FnMut() -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_master_stop");
        MASTER.with(|master| Rc::clone(&master.on_stop)).set(site, Box::new(move || callback().into_result()));
    }
}

pub(super) fn master_reload() {
    // Their failures are logged, and change nothing.
    let _ = MASTER.with(|master| Rc::clone(&master.on_reload)).run();
}

pub(super) fn master_stop() {
    let _ = MASTER.with(|master| Rc::clone(&master.on_stop)).run();
}

/// A process of these workers has ended.
pub(super) fn worker_exit(workers: &[usize], status: i32, pid: u32) {
    let all = Which::all();
    for which in workers.iter().filter_map(|worker| all.get(*worker)) {
        let Some(slot) = which.part(|part| Rc::clone(&part.on_exit)) else { continue };
        let Some(mut taken) = slot.take() else { continue };
        let _ = callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(status, pid)));
    }
}
