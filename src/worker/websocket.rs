//! What only workers of WebSocket can be told.

use super::Worker;
use crate::callback::{CallbackResult, Site};
use crate::connection::TcpConnection;
use crate::protocols::http::Request;
#[cfg(feature = "deflate")]
use crate::protocols::websocket::Deflate;
use crate::protocols::websocket::Websocket;

/// # WebSocket
impl Worker<Websocket> {
    /// Called with the request that asks for a WebSocket, before it is answered: its path, query, cookies and headers are
    /// at hand. Unless the callback says otherwise, the client is let in.
    ///
    /// `send` takes a [`Response`](crate::Response) here. With 101 the client is let in, and the answer has its headers:
    /// a sub-protocol, which has to be one that the client offers, or cookies. With anything else it is not, and the
    /// connection closes; after `close()` alone it is told 403. What else is sent here waits for the handshake.
    ///
    /// (PHP sets `$connection->headers` for the first, and sends raw bytes for the second.)
    ///
    /// ```
    /// # use workerman::{Response, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_connect(|connection, request| {
    ///     if !request.is_from(&["https://example.com"]) {
    ///         connection.send(Response::new(403, &[], "not from there"));
    ///     } else if request.header("sec-websocket-protocol") == Some("chat") {
    ///         connection.send(Response::new(101, &[("Sec-WebSocket-Protocol", "chat")], ""));
    ///     }
    /// });
    /// ```
    #[doc(alias = "onWebSocketConnect")]
    #[track_caller]
    pub fn on_websocket_connect<F, R>(self, callback: F)
    where
        F: FnMut(TcpConnection<Websocket>, &Request) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_connect");
        self.with_handlers(|handlers| handlers.callbacks.set_websocket_connect(site, callback));
    }

    /// Called when the handshake is done. From here on messages come and go.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_connected(|connection, request| {
    ///     connection.send(format!("welcome to {}", request.path()))
    /// });
    /// ```
    #[doc(alias = "onWebSocketConnected")]
    #[track_caller]
    pub fn on_websocket_connected<F, R>(self, callback: F)
    where
        F: FnMut(TcpConnection<Websocket>, &Request) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_connected");
        self.with_handlers(|handlers| handlers.callbacks.set_websocket_connected(site, callback));
    }

    /// Called with the payload of each Ping. It has been answered, as RFC 6455 wants it. (In PHP the callback answers
    /// instead, or nobody does.)
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_ping(|connection, payload| {
    ///     println!("connection {} lives: {}", connection.id(), payload.escape_ascii());
    /// });
    /// ```
    #[doc(alias = "onWebSocketPing")]
    #[track_caller]
    pub fn on_websocket_ping<F, R>(self, callback: F)
    where
        F: FnMut(TcpConnection<Websocket>, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_ping");
        self.with_handlers(|handlers| handlers.callbacks.set_websocket_ping(site, callback));
    }

    /// Called with the payload of each Pong.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_pong(|connection, payload| println!("connection {} lives", connection.id()));
    /// ```
    #[doc(alias = "onWebSocketPong")]
    #[track_caller]
    pub fn on_websocket_pong<F, R>(self, callback: F)
    where
        F: FnMut(TcpConnection<Websocket>, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_pong");
        self.with_handlers(|handlers| handlers.callbacks.set_websocket_pong(site, callback));
    }

    /// Called when the peer closes first, with its code and its reason; the code is 1005 if it gave none, as in browsers.
    /// It has been answered, and nothing can be sent any more. (In PHP the callback answers instead, or nobody does.)
    /// `on_close` follows, as it does when a connection ends in any other way.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_close(|connection, code, reason| {
    ///     println!("connection {} closes: {code} {reason}", connection.id());
    /// });
    /// ```
    #[doc(alias = "onWebSocketClose")]
    #[track_caller]
    pub fn on_websocket_close<F, R>(self, callback: F)
    where
        F: FnMut(TcpConnection<Websocket>, u16, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_close");
        self.with_handlers(|handlers| handlers.callbacks.set_websocket_close(site, callback));
    }

    /// Sets how messages are compressed on connections whose handshake is to come. With the feature `deflate`.
    ///
    /// ```
    /// # use workerman::{Deflate, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.set_deflate(Deflate::default().level(1).threshold(1024));
    /// ```
    #[cfg(feature = "deflate")]
    #[doc(alias = "permessage-deflate")]
    #[doc(alias = "BINARY_TYPE_BLOB_DEFLATE")]
    #[doc(alias = "BINARY_TYPE_ARRAYBUFFER_DEFLATE")]
    pub fn set_deflate(self, deflate: Deflate) {
        self.with_handlers(|handlers| handlers.limit(|limits| limits.deflate = deflate));
    }
}
