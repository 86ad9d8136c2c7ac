//! What an app is told of a client. Its callbacks are those of the connection, with the client in the place of that.

use std::any::Any;
use std::marker::PhantomData;
use std::rc::Rc;

use super::AsyncTcpConnection;
use super::owner::OfClient;
use super::registry::{Stage, with};
use crate::callback::{self, CallbackResult, Site};
use crate::connection::{CONNECT_FAIL, Callbacks, Driver, Handlers, Owner as _, TcpConnection};
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
            let call = move |connection| match stands(connection) {
                true => callback(client_of(connection)).into_result(),
                false => Ok(()),
            };
            handlers.callbacks().on_connect.set(site, Box::new(call));
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
            let call = move |connection, message| callback(client_of(connection), message).into_result();
            handlers.callbacks().on_message.set(site, Box::new(call));
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
            let call = move |connection| callback(client_of(connection)).into_result();
            handlers.callbacks().on_close.set(site, Box::new(call));
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
            let call = move |connection, code, text: &str| callback(client_of(connection), code, text).into_result();
            handlers.callbacks().on_error.set(site, Box::new(call));
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
            let call = move |connection| callback(client_of(connection)).into_result();
            handlers.callbacks().make_rare().on_buffer_full.set(site, Box::new(call));
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
            let call = move |connection| callback(client_of(connection)).into_result();
            handlers.callbacks().make_rare().on_buffer_drain.set(site, Box::new(call));
        }
    }

    pub(super) fn handlers(self) -> Option<Rc<Handlers<P, OfClient<P>>>> {
        let handlers: Rc<dyn Any> = with(self.key, |entry| Rc::clone(&entry.handlers))?;
        handlers.downcast().ok()
    }
}

/// Those of a new client: what the framework itself has to hear, whether or not the app wants to.
pub(super) fn first_callbacks<P: Codec>() -> Callbacks<P> {
    let callbacks = Callbacks::default();
    let connect = |connection| {
        stands(connection);
        Ok(())
    };
    callbacks.on_connect.set(Site::unset("on_connect"), Box::new(connect));
    callbacks
}

/// The callbacks of a client, whatever its protocol: those of its connections, and when it has none.
pub(super) trait Told: Driver + Any {
    /// `on_error`, without a connection.
    fn failed(&self, client: Key, text: &str);

    /// `on_close`, without a connection.
    fn closed(&self, client: Key);

    /// Of its protocol.
    fn scheme(&self) -> &'static str;
}

impl<P: Codec> Told for Handlers<P, OfClient<P>> {
    fn failed(&self, client: Key, text: &str) {
        let Some(mut taken) = self.callbacks().on_error.take() else { return };
        // Its failure is logged, and there is nothing to close.
        let _ = callback::call(taken.site(), || match taken.get() {
            Some(callback) => callback(nobody(client), CONNECT_FAIL, text),
            None => Ok(()),
        });
    }

    fn closed(&self, client: Key) {
        let Some(mut taken) = self.callbacks().on_close.take() else { return };
        let _ = callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(nobody(client))));
    }

    fn scheme(&self) -> &'static str {
        P::SCHEME
    }
}

/// The connection that this client does not have: a key of none, since no table has so many slots, that tells the client.
fn nobody<P: Codec>(client: Key) -> TcpConnection<P> {
    TcpConnection::new(Key { slot: !client.slot, ..client })
}

/// The client whose connection this is, or would be. So callbacks need not keep whose they are, and those that keep nothing
/// take no memory.
pub(super) fn client_of<P: Codec>(connection: TcpConnection<P>) -> AsyncTcpConnection<P> {
    let Key { slot, generation } = connection.key();
    let nobodys = Key { slot: !slot, generation };
    let key = if slot > u32::MAX >> 1 { nobodys } else { connection.client() };
    AsyncTcpConnection { key, protocol: PhantomData }
}

/// The connection stands: what was sent before it did is sent now. Unless nobody wants it any more: then nobody hears of it.
fn stands<P: Codec>(connection: TcpConnection<P>) -> bool {
    let begun = with(connection.client(), |entry| {
        matches!(entry.stage, Stage::Opening).then(|| {
            entry.stage = Stage::Established(connection.key());
            let limits = entry.extra.as_ref().map(|extra| (extra.max_send_buffer_size, extra.max_package_size));
            let queue = entry.take_queue();
            entry.meanwhile = None;
            (queue, limits.unwrap_or_default())
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
