//! What a worker can be told and asked of its processes, beside [how many](super::processes) there are.

use std::rc::Rc;

use super::Worker;
use crate::callback::{CallbackResult, Site};
use crate::protocols::Codec;

/// # Its processes
impl<P: Codec> Worker<P> {
    /// Which of the worker's processes this is, from 0 on: PHP's `$worker->id`. A process that takes another's place has
    /// its id. 0 in the master, and where there is one process.
    ///
    /// ```
    /// # use workerman::{Http, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_count(4);
    /// worker.on_worker_start(|worker| {
    ///     if worker.id() == 0 {
    ///         Timer::add(60, || println!("once a minute, not four times"));
    ///     }
    /// });
    /// ```
    pub fn id(self) -> usize {
        self.entry(|entry| entry.part.id).unwrap_or(0)
    }

    /// Sets whether a reload replaces the worker's processes, which it does unless set. Those that stay are told by
    /// [`on_worker_reload`](Self::on_worker_reload), and run the old program on.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_reloadable(false);
    /// ```
    #[doc(alias = "reloadable")]
    pub fn set_reloadable(self, reloadable: bool) {
        self.entry(|entry| entry.part.stays = !reloadable);
    }

    /// Sets whom the worker's processes run as: a name of `/etc/passwd`, or a number. They change to that user, its groups
    /// with it, when their sockets are there and before `on_worker_start`. It takes root; whoever else starts the app is
    /// told so by an error of `run_all`. Threads that run by then would keep their rights, so they are an error too.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_user("www-data");
    /// ```
    #[doc(alias = "user")]
    pub fn set_user(self, user: &str) {
        self.entry(|entry| entry.part.user = user.into());
    }

    /// Sets the group of the worker's processes, where that is not the one of their [user](Self::set_user): a name of
    /// `/etc/group`, or a number.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_group("www-data");
    /// ```
    #[doc(alias = "group")]
    pub fn set_group(self, group: &str) {
        self.entry(|entry| entry.part.group = group.into());
    }

    /// Called in each process of the worker when the app is reloaded: before it stops, or, of a worker that is
    /// [not reloaded](Self::set_reloadable), and without a master, before it goes on.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_worker_reload(|worker| println!("{} is reloaded", worker.name()));
    /// ```
    #[doc(alias = "onWorkerReload")]
    #[track_caller]
    pub fn on_worker_reload<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_reload");
        self.own_callback(|entry| &entry.part.on_reload, site, Box::new(move || callback(self).into_result()));
    }

    /// Called in the master when a process of the worker has ended, with the system's word for how (0 for a good end, the
    /// number of a signal, 256 times the exit code), and its pid. Another one is started whatever this does. No loop runs in
    /// the master, so timers and connections are of no use there.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_worker_exit(|worker, status, pid| {
    ///     eprintln!("process {pid} of {} ended with status {status}", worker.name());
    /// });
    /// ```
    #[doc(alias = "onWorkerExit")]
    #[track_caller]
    pub fn on_worker_exit<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, i32, u32) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_exit");
        if let Some(slot) = self.entry(|entry| Rc::clone(&entry.part.on_exit)) {
            slot.set(site, Box::new(move |status, pid| callback(self, status, pid).into_result()));
        }
    }
}
