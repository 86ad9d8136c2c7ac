//! Setting a worker's callbacks.

use std::rc::Rc;

use super::Worker;
use super::registry::Entry;
use crate::callback::{CallbackResult, Site, WorkerCallback};
use crate::connection::{Callbacks, TcpConnection};
use crate::error::Result;
use crate::protocols::Codec;

/// # Callbacks
///
/// Each may be set again at any time, which counts for all connections from the next event on. A callback may return
/// nothing, what `send` or `Timer` return, or a `Result`: see [`PanicPolicy`](crate::PanicPolicy) for what an error costs.
impl<P: Codec> Worker<P> {
    /// Called when the loop starts, before the worker accepts connections. An error here ends `run_all` with it.
    ///
    /// ```
    /// # use workerman::{Http, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_worker_start(|worker| {
    ///     Timer::add(10, move || println!("{} connections", worker.connections().count()));
    /// });
    /// ```
    #[doc(alias = "onWorkerStart")]
    #[track_caller]
    pub fn on_worker_start<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_start");
        self.own_callback(|entry| &entry.on_start, site, Box::new(move || callback(self).into_result()));
    }

    /// Called when the loop [stops](Worker#stopping): nobody else comes in, and nothing has happened to the connections yet.
    /// Answers that are still owed are given after it. The listener is closed, so `local_addr` knows no address any more.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_worker_stop(|worker| println!("{} stops", worker.name()));
    /// ```
    #[doc(alias = "onWorkerStop")]
    #[track_caller]
    pub fn on_worker_stop<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_stop");
        self.own_callback(|entry| &entry.on_stop, site, Box::new(move || callback(self).into_result()));
    }

    /// Called with each new connection.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| println!("{} came", connection.remote_address()));
    /// ```
    #[doc(alias = "onConnect")]
    #[track_caller]
    pub fn on_connect<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_connect");
        self.callbacks(|callbacks| {
            callbacks.on_connect.set(site, Box::new(move |connection| callback(connection).into_result()));
        });
    }

    /// Called with each message, one at a time: of an HTTP connection the next request comes when the answer to the
    /// last is complete. The answer may be sent later, from a timer or another callback.
    ///
    /// ```
    /// # use workerman::{Http, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| match request.path() {
    ///     "/slow" => {
    ///         Timer::delay(1, move || connection.send("late"));
    ///     }
    ///     _ => {
    ///         connection.send("at once");
    ///     }
    /// });
    /// ```
    #[doc(alias = "onMessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>, P::Message) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_message");
        self.callbacks(|callbacks| {
            callbacks
                .on_message
                .set(site, Box::new(move |connection, message| callback(connection, message).into_result()));
        });
    }

    /// Called exactly once for each connection that was announced by `on_connect`, whatever ended it, right after the
    /// callback that did. Its id, addresses and data can still be read.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_close(|connection| println!("{} went", connection.remote_address()));
    /// ```
    #[doc(alias = "onClose")]
    #[track_caller]
    pub fn on_close<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_close");
        self.callbacks(|callbacks| {
            callbacks.on_close.set(site, Box::new(move |connection| callback(connection).into_result()));
        });
    }

    /// Called when a message cannot be sent, with [`SEND_FAIL`](crate::SEND_FAIL) and a text: the send buffer is full,
    /// or the peer is gone. Called with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL) when the connection ends because its
    /// protocol cannot go on. What is dropped inside an `on_error` raises no other, whichever connection it was for: there
    /// `send` alone tells.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_error(|connection, code, text| eprintln!("connection {}: {code} {text}", connection.id()));
    /// ```
    #[doc(alias = "onError")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>, u32, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_error");
        self.callbacks(|callbacks| {
            callbacks
                .on_error
                .set(site, Box::new(move |connection, code, text| callback(connection, code, text).into_result()));
        });
    }

    /// Called when so much waits for a peer that its send buffer has reached the limit; further messages are dropped
    /// until some of it has left.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_buffer_full(|connection| println!("connection {} reads slowly", connection.id()));
    /// ```
    #[doc(alias = "onBufferFull")]
    #[track_caller]
    pub fn on_buffer_full<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_buffer_full");
        self.callbacks(|callbacks| {
            callbacks
                .make_rare()
                .on_buffer_full
                .set(site, Box::new(move |connection| callback(connection).into_result()));
        });
    }

    /// Called each time everything that had to wait for a peer has left, even if the limit was never reached.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_buffer_drain(|connection| println!("connection {} has caught up", connection.id()));
    /// ```
    #[doc(alias = "onBufferDrain")]
    #[track_caller]
    pub fn on_buffer_drain<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<P>) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_buffer_drain");
        self.callbacks(|callbacks| {
            callbacks
                .make_rare()
                .on_buffer_drain
                .set(site, Box::new(move |connection| callback(connection).into_result()));
        });
    }

    fn callbacks(self, set: impl FnOnce(&Callbacks<P>)) {
        self.with_handlers(|handlers| set(&handlers.callbacks));
    }

    pub(super) fn own_callback(
        self,
        slot: impl FnOnce(&Entry) -> &Rc<WorkerCallback>,
        site: Site,
        callback: Box<dyn FnMut() -> Result<()>>,
    ) {
        if let Some(slot) = self.entry(|entry| Rc::clone(slot(entry))) {
            slot.set(site, callback);
        }
    }
}
