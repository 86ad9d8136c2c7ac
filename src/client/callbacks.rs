//! What an app is told of a client. Its callbacks are those of the connection, with the client in the place of that.

use std::any::Any;
use std::rc::Rc;

use super::AsyncTcpConnection;
use super::registry::{Stage, with};
use crate::callback::{self, CallbackResult, Site};
use crate::connection::{CONNECT_FAIL, Driver, Handlers, TcpConnection};
use crate::protocols::Codec;
use crate::reactor::Key;

/// # Callbacks
///
/// Each may be set again at any time. They are given the client, and may return what those of a
/// [`Worker`](crate::Worker#callbacks) may.
impl<P: Codec> AsyncTcpConnection<P> {
    /// Called each time the connection stands. What was sent before has been sent then.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_connect(|upstream| upstream.send("hello"));
    /// ```
    #[doc(alias = "onConnect")]
    #[track_caller]
    pub fn on_connect<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_connect");
        if let Some(handlers) = self.handlers() {
            handlers.callbacks.on_connect.set(
                site,
                Box::new(move |connection| match stands::<P>(self.key, connection) {
                    true => callback(self).into_result(),
                    false => Ok(()),
                }),
            );
        }
    }

    /// Called with each message.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Text};
    /// # let upstream = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1");
    /// upstream.on_message(|upstream, line| upstream.send(format!("you said {line}")));
    /// ```
    #[doc(alias = "onMessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, P::Message) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_message");
        if let Some(handlers) = self.handlers() {
            let call = move |_, message| callback(self, message).into_result();
            handlers.callbacks.on_message.set(site, Box::new(call));
        }
    }

    /// Called once for each connection that has ended, and for each attempt that has failed, after its `on_error`. A client
    /// that is not told to [`reconnect`](Self::reconnect) here is forgotten.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_close(|upstream| upstream.reconnect(1));
    /// ```
    #[doc(alias = "onClose")]
    #[track_caller]
    pub fn on_close<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_close");
        if let Some(handlers) = self.handlers() {
            handlers.callbacks.on_close.set(site, Box::new(move |_| callback(self).into_result()));
        }
    }

    /// Called with [`CONNECT_FAIL`] and a text when no connection comes about, and as
    /// [`Worker::on_error`](crate::Worker::on_error) while one stands.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_error(|upstream, code, text| eprintln!("{upstream:?}: {code} {text}"));
    /// ```
    #[doc(alias = "onError")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, u32, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_error");
        if let Some(handlers) = self.handlers() {
            let call = move |_, code, text: &str| callback(self, code, text).into_result();
            handlers.callbacks.on_error.set(site, Box::new(call));
        }
    }

    /// As [`Worker::on_buffer_full`](crate::Worker::on_buffer_full).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_buffer_full(|_| println!("the server reads slowly"));
    /// ```
    #[doc(alias = "onBufferFull")]
    #[track_caller]
    pub fn on_buffer_full<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_buffer_full");
        if let Some(handlers) = self.handlers() {
            handlers.callbacks.on_buffer_full.set(site, Box::new(move |_| callback(self).into_result()));
        }
    }

    /// As [`Worker::on_buffer_drain`](crate::Worker::on_buffer_drain).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_buffer_drain(|_| println!("it has caught up"));
    /// ```
    #[doc(alias = "onBufferDrain")]
    #[track_caller]
    pub fn on_buffer_drain<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_buffer_drain");
        if let Some(handlers) = self.handlers() {
            handlers.callbacks.on_buffer_drain.set(site, Box::new(move |_| callback(self).into_result()));
        }
    }

    /// What the framework itself has to hear, whether or not the app wants to.
    pub(super) fn set_first_callback(self, handlers: &Handlers<P>) {
        let key = self.key;
        let connect = move |connection| {
            stands::<P>(key, connection);
            Ok(())
        };
        handlers.callbacks.on_connect.set(Site::unset("on_connect"), Box::new(connect));
    }

    pub(super) fn handlers(self) -> Option<Rc<Handlers<P>>> {
        let handlers: Rc<dyn Any> = with(self.key, |entry| Rc::clone(&entry.handlers))?;
        handlers.downcast().ok()
    }
}

/// The callbacks of a client, whatever its protocol: those of its connections, and when it has none.
pub(super) trait Told: Driver + Any {
    /// `on_error`, without a connection.
    fn failed(&self, text: &str);

    /// `on_close`, without a connection.
    fn closed(&self);
}

impl<P: Codec> Told for Handlers<P> {
    fn failed(&self, text: &str) {
        let Some(mut taken) = self.callbacks.on_error.take() else { return };
        // Its failure is logged, and there is nothing to close.
        let _ = callback::call(taken.site(), || match taken.get() {
            Some(callback) => callback(nobody(), CONNECT_FAIL, text),
            None => Ok(()),
        });
    }

    fn closed(&self) {
        let Some(mut taken) = self.callbacks.on_close.take() else { return };
        let _ = callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(nobody())));
    }
}

/// A connection that there never is.
fn nobody<P: Codec>() -> TcpConnection<P> {
    TcpConnection::new(Key::NONE)
}

/// The connection stands: what was sent before it did is sent now. Unless nobody wants it any more: then nobody hears of it.
fn stands<P: Codec>(key: Key, connection: TcpConnection<P>) -> bool {
    let begun = with(key, |entry| {
        matches!(entry.stage, Stage::Opening).then(|| {
            entry.stage = Stage::Established(connection.key());
            let limits = entry.extra.as_ref().map(|extra| (extra.max_send_buffer_size, extra.max_package_size));
            (std::mem::take(&mut entry.queue), limits.unwrap_or_default())
        })
    });
    let Some((queue, (send_limit, package_limit))) = begun.flatten() else {
        connection.on_close(|_| ());
        connection.destroy();
        return false;
    };
    send_limit.into_iter().for_each(|bytes| connection.set_max_send_buffer_size(bytes));
    package_limit.into_iter().for_each(|bytes| connection.set_max_package_size(bytes));
    queue.into_iter().for_each(|send| send(connection.key()));
    true
}
