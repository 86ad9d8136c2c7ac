//! What a connection of WebSocket can do besides.

use super::callbacks::{self, Callbacks};
use super::status::SendStatus;
use super::{TcpConnection, lifecycle, write};
use crate::callback::{CallbackResult, Site};
use crate::protocols::Encoded;
use crate::protocols::http::Request;
use crate::protocols::websocket::{EitherSide, Websocket, WebsocketSignal, WebsocketType};

/// # WebSocket
///
/// Of a worker's connection, and of a client's.
impl<P: EitherSide> TcpConnection<P> {
    /// Closes with a code and a reason, which the peer is told: 1000 to 1003, 1007 to 1014, or one of your own from 3000
    /// to 4999. What was sent before leaves first. The reason is cut to 123 bytes; a code that may not be sent becomes
    /// 1011 and is logged.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_message(|connection, message| {
    ///     if message == "bye" {
    ///         connection.close_with_code(4000, "see you");
    ///     }
    /// });
    /// ```
    #[doc(alias = "close")]
    pub fn close_with_code(self, code: u16, reason: &str) {
        write::transmit(self.key, 0, write::Limit::Ignore, |codec: &mut P, output| {
            codec.close(code, reason, output);
            Encoded::Done
        });
        lifecycle::close(self.key);
    }

    /// Sends a Ping with at most 125 bytes, however much waits for the peer. Its Pong comes to
    /// [`on_websocket_pong`](Self::on_websocket_pong).
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_connected(|connection, _request| {
    ///     connection.add_timer(30, move || connection.ping("still there?"));
    /// });
    /// ```
    pub fn ping(self, payload: impl AsRef<[u8]>) -> SendStatus {
        // User code: before anything is taken out.
        let payload = payload.as_ref();
        write::transmit(self.key, 0, write::Limit::Ignore, |codec: &mut P, output| codec.ping(payload, output))
    }

    /// Sets what `send` makes of text and bytes from here on: PHP's `$connection->websocketType`. A
    /// [`Message`](crate::Message) goes out as what it is.
    ///
    /// ```
    /// # use workerman::{Websocket, WebsocketType, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| connection.set_websocket_type(WebsocketType::Binary));
    /// ```
    #[doc(alias = "websocketType")]
    pub fn set_websocket_type(self, kind: WebsocketType) {
        write::transmit(self.key, 0, write::Limit::Ignore, |codec: &mut P, _output| {
            codec.set_type(kind);
            Encoded::Done
        });
    }
}

/// # WebSocket callbacks of its own
///
/// Each takes precedence over the worker's of the same name, which tells more.
impl TcpConnection<Websocket> {
    /// Called with the request that asks for a WebSocket, before it is answered.
    ///
    /// ```
    /// # use workerman::{Response, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| {
    ///     connection.on_websocket_connect(|connection, request| {
    ///         if request.path() != "/chat" {
    ///             connection.send(Response::new(404, &[], ""));
    ///         }
    ///     });
    /// });
    /// ```
    #[doc(alias = "onWebSocketConnect")]
    #[track_caller]
    pub fn on_websocket_connect<F, R>(self, callback: F)
    where
        F: FnMut(Self, &Request) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_connect");
        self.own(|callbacks| callbacks.set_websocket_connect(site, callback));
    }

    /// Called when the handshake is done.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| {
    ///     connection.on_websocket_connected(|connection, _request| connection.send("welcome"));
    /// });
    /// ```
    #[doc(alias = "onWebSocketConnected")]
    #[track_caller]
    pub fn on_websocket_connected<F, R>(self, callback: F)
    where
        F: FnMut(Self, &Request) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_connected");
        self.own(|callbacks| callbacks.set_websocket_connected(site, callback));
    }

    /// Called with the payload of each Ping, which has been answered.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| connection.on_websocket_ping(|_, payload| println!("{payload:?}")));
    /// ```
    #[doc(alias = "onWebSocketPing")]
    #[track_caller]
    pub fn on_websocket_ping<F, R>(self, callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_ping");
        self.own(|callbacks| callbacks.set_websocket_ping(site, callback));
    }

    /// Called with the payload of each Pong.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| connection.on_websocket_pong(|_, payload| println!("{payload:?}")));
    /// ```
    #[doc(alias = "onWebSocketPong")]
    #[track_caller]
    pub fn on_websocket_pong<F, R>(self, callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_pong");
        self.own(|callbacks| callbacks.set_websocket_pong(site, callback));
    }

    /// Called when the peer closes, with its code and its reason.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_connect(|connection| {
    ///     connection.on_websocket_close(|_, code, reason| println!("{code} {reason}"));
    /// });
    /// ```
    #[doc(alias = "onWebSocketClose")]
    #[track_caller]
    pub fn on_websocket_close<F, R>(self, callback: F)
    where
        F: FnMut(Self, u16, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_close");
        self.own(|callbacks| callbacks.set_websocket_close(site, callback));
    }

    /// For a connection that is gone nothing is set.
    fn own(self, set: impl FnOnce(&Callbacks<Websocket>)) {
        if let Some(callbacks) = callbacks::make_own_callbacks(self.key) {
            set(&callbacks);
        }
    }
}

/// How each callback is kept: as one that takes the signal that is meant for it.
macro_rules! setter {
    ($name:ident, $kind:ident, |$callback:ident: ($($argument:ty),*), $connection:ident| $pattern:pat => $call:expr) => {
        pub(crate) fn $name<F, R>(&self, site: Site, mut $callback: F)
        where
            F: FnMut(TcpConnection<Websocket>, $($argument),*) -> R + 'static,
            R: CallbackResult,
        {
            self.set_signal(WebsocketSignal::$kind, site, Box::new(move |$connection, signal| match signal {
                $pattern => $call.into_result(),
                _ => Ok(()),
            }));
        }
    };
}

impl Callbacks<Websocket> {
    setter!(set_websocket_connect, CONNECT, |callback: (&Request), connection|
        WebsocketSignal::Connect(request) => callback(connection, request));
    setter!(set_websocket_connected, CONNECTED, |callback: (&Request), connection|
        WebsocketSignal::Connected(request) => callback(connection, request));
    setter!(set_websocket_ping, PING, |callback: (&[u8]), connection|
        WebsocketSignal::Ping(payload) => callback(connection, payload));
    setter!(set_websocket_pong, PONG, |callback: (&[u8]), connection|
        WebsocketSignal::Pong(payload) => callback(connection, payload));
    setter!(set_websocket_close, CLOSE, |callback: (u16, &str), connection|
        WebsocketSignal::Close(code, reason) => callback(connection, *code, reason));
}
