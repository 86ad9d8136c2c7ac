//! What a connection may have of its own: data, timers, callbacks.

use super::callbacks::{self, Callbacks};
use super::state::Connection;
use super::{Status, TcpConnection, lifecycle};
use crate::callback::{self, CallbackResult, Site};
use crate::data;
use crate::protocols::Codec;
use crate::reactor;
use crate::timer::{self, Interval, TimerCallback, TimerId};

/// # Data and timers of its own
impl<P: Codec> TcpConnection<P> {
    /// Keeps a value with the connection: PHP's `$connection->uid = 5`. There is one value of each type, so give it a
    /// type of its own. It is dropped after `on_close`.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// #[derive(Clone)]
    /// struct Uid(u32);
    ///
    /// worker.on_connect(|connection| connection.set(Uid(5)));
    /// worker.on_close(|connection| {
    ///     if let Some(Uid(uid)) = connection.get() {
    ///         println!("{uid} has gone");
    ///     }
    /// });
    /// ```
    pub fn set<T: 'static>(self, value: T) {
        data::set(self.key, value);
    }

    /// A copy of the value of this type.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// let name: Option<String> = connection.get();
    /// # }
    /// ```
    pub fn get<T: Clone + 'static>(self) -> Option<T> {
        data::get(self.key)
    }

    /// Lends the value of this type to a closure; `None` if there is none, or while another `with` has it.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// struct Requests(u32);
    ///
    /// connection.with(|requests: &mut Requests| requests.0 += 1);
    /// # }
    /// ```
    pub fn with<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        data::with(self.key, f)
    }

    /// Removes the value of this type and gives it back; `None` if there is none, or while a `with` has it.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// struct Upload(std::fs::File);
    ///
    /// if let Some(Upload(file)) = connection.take() {
    ///     drop(file);
    /// }
    /// # }
    /// ```
    #[doc(alias = "unset")]
    pub fn take<T: 'static>(self) -> Option<T> {
        data::take(self.key)
    }

    /// A timer that ends with the connection, before its `on_close`: as [`Timer::add`](crate::Timer::add) otherwise. A
    /// failing callback closes the connection.
    ///
    /// ```
    /// # use workerman::{Http, Response, ServerSentEvents, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| {
    ///     connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
    ///     connection.add_timer(2, move || connection.send(ServerSentEvents::new().data("tick")));
    /// });
    /// ```
    #[doc(alias = "Timer::add")]
    #[track_caller]
    pub fn add_timer<A, C: TimerCallback<A>>(self, interval: impl Interval, mut callback: C) -> TimerId {
        if self.status() == Status::Closed {
            callback::discard(callback);
            return TimerId::none();
        }
        let interval = interval.nanoseconds();
        let site = Site::here("a connection's timer");
        let fire = move |number| {
            if self.status() == Status::Closed {
                return;
            }
            if callback::call(site, || callback.call(TimerId::new(number))).is_err() {
                lifecycle::fail(self.key);
            }
        };
        let timer_id = timer::start(interval, interval, Box::new(fire));
        let ended = self.update(|connection| connection.keep_timer(timer_id));
        if ended.is_none() {
            timer::Timer::del(timer_id);
        }
        timer_id
    }
}

/// # Callbacks of its own
///
/// Each takes precedence over the worker's of the same name.
impl<P: Codec> TcpConnection<P> {
    /// Called with each message.
    ///
    /// ```
    /// # use workerman::{Tcp, Worker};
    /// # let worker = Worker::<Tcp>::new("");
    /// worker.on_connect(|connection| {
    ///     connection.on_message(|connection, bytes| connection.send(bytes));
    /// });
    /// ```
    #[doc(alias = "onMessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, P::Message) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_message");
        self.callbacks(|callbacks| {
            callbacks
                .on_message
                .set(site, Box::new(move |connection, message| callback(connection, message).into_result()));
        });
    }

    /// Called once when the connection is gone, whatever ended it. Id, addresses and data can still be read.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| connection.on_close(|connection| println!("{} closed", connection.id())));
    /// ```
    #[doc(alias = "onClose")]
    #[track_caller]
    pub fn on_close<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_close");
        self.callbacks(|callbacks| {
            callbacks.on_close.set(site, Box::new(move |connection| callback(connection).into_result()));
        });
    }

    /// Called when a message cannot be sent: with [`SEND_FAIL`](crate::SEND_FAIL) and a text; or when its protocol cannot go
    /// on: with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL). What is dropped inside an `on_error` raises no other.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| connection.on_error(|_, code, text| eprintln!("{code}: {text}")));
    /// ```
    #[doc(alias = "onError")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, u32, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_error");
        self.callbacks(|callbacks| {
            callbacks
                .on_error
                .set(site, Box::new(move |connection, code, text| callback(connection, code, text).into_result()));
        });
    }

    /// Called when the send buffer has reached its limit.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>, source: TcpConnection<Http>) {
    /// connection.on_buffer_full(move |_| source.pause_recv());
    /// # }
    /// ```
    #[doc(alias = "onBufferFull")]
    #[track_caller]
    pub fn on_buffer_full<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
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

    /// Called each time everything that had to wait for the peer has left.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>, source: TcpConnection<Http>) {
    /// connection.on_buffer_drain(move |_| source.resume_recv());
    /// # }
    /// ```
    #[doc(alias = "onBufferDrain")]
    #[track_caller]
    pub fn on_buffer_drain<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
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

    /// For a connection that is gone nothing is set.
    pub(super) fn callbacks(self, set: impl FnOnce(&Callbacks<P>)) {
        if let Some(callbacks) = callbacks::make_own_callbacks::<P>(self.key) {
            set(&callbacks);
        }
    }
}

impl Connection {
    /// Remembers a timer that ends with the connection, and forgets those that have ended.
    fn keep_timer(&mut self, timer_id: TimerId) {
        let timers = &mut self.extra().timers;
        if timers.len() == timers.capacity() {
            timers.retain(|timer| reactor::get().has_timer(*timer));
        }
        timers.extend(timer_id.key());
    }
}
