//! What only clients of WebSocket can be told, and are told.

use super::AsyncTcpConnection;
use super::callbacks::client_of;
use crate::callback::{CallbackResult, Site};
use crate::connection::{Owner as _, SendStatus, TcpConnection};
use crate::error::BoxError;
use crate::protocols::http::Response;
#[cfg(feature = "deflate")]
use crate::protocols::websocket::Deflate;
use crate::protocols::websocket::client::Setup;
use crate::protocols::websocket::{WebsocketSignal, WebsocketType, Ws};
use crate::timer::Interval;

/// # WebSocket: the handshake
///
/// What is set here counts from the next connection on.
impl AsyncTcpConnection<Ws> {
    /// Sets a header of the handshake: a cookie, a token, or another `Host` than that of the address. What the handshake says
    /// itself cannot be set; nor can what would be no header.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_header("Authorization", "Bearer 0123");
    /// ```
    #[doc(alias = "headers")]
    pub fn set_header(self, name: &str, value: &str) {
        self.set_up(|setup| setup.set_header(name, value));
    }

    /// Sets several: PHP's `headers`.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_headers(&[("Authorization", "Bearer 0123"), ("Cookie", "sid=1")]);
    /// ```
    #[doc(alias = "headers")]
    pub fn set_headers(self, headers: &[(&str, &str)]) {
        self.set_up(|setup| headers.iter().for_each(|(name, value)| setup.set_header(name, value)));
    }

    /// Sets the page that asks, for servers that look at it. None unless set.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_origin("https://example.com");
    /// ```
    #[doc(alias = "websocketOrigin")]
    pub fn set_origin(self, origin: &str) {
        self.set_header("Origin", origin);
    }

    /// Offers sub-protocols, the best first. The answer says in `Sec-WebSocket-Protocol` which the server has chosen, if any; an
    /// answer with another one fails the connection.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_protocols(&["mqtt", "chat"]);
    /// prices.on_websocket_connect(|_, answer| println!("{:?}", answer.header("sec-websocket-protocol")));
    /// ```
    #[doc(alias = "websocketClientProtocol")]
    pub fn set_protocols(self, protocols: &[&str]) {
        self.set_up(|setup| setup.set_protocols(protocols));
    }

    /// Sets how messages are compressed, if the server goes along; or that none are. With the feature `deflate`.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Deflate, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_deflate(Deflate::off());
    /// ```
    #[cfg(feature = "deflate")]
    pub fn set_deflate(self, deflate: Deflate) {
        self.set_up(|setup| setup.set_deflate(deflate));
    }

    fn set_up(self, change: impl FnOnce(&mut Setup)) {
        if let Some(handlers) = self.handlers() {
            handlers.set_up(change);
        }
    }
}

/// # WebSocket: afterwards
impl AsyncTcpConnection<Ws> {
    /// Has a server of which nothing was heard for so long asked with a Ping whether it is there; seconds or a `Duration`, 0 for
    /// never, which is so unless set. The connection closes when nothing comes for 10 s after that. Proxies cut off what is
    /// silent for a minute or so.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_ping_interval(55);
    /// ```
    #[doc(alias = "websocketPingInterval")]
    pub fn set_ping_interval(self, time: impl Interval) {
        if let Some(handlers) = self.handlers() {
            handlers.set_ping_interval(time);
        }
    }

    /// Sets what `send` makes of text and bytes from here on.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, WebsocketType, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.set_websocket_type(WebsocketType::Binary);
    /// ```
    #[doc(alias = "websocketType")]
    pub fn set_websocket_type(self, kind: WebsocketType) {
        self.set_up(|setup| setup.set_type(kind));
        if let Some(connection) = self.connection() {
            connection.set_websocket_type(kind);
        }
    }

    /// Sends a Ping with at most 125 bytes. Its Pong comes to [`on_websocket_pong`](Self::on_websocket_pong).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.on_websocket_connect(|prices, _answer| prices.ping("are you there?"));
    /// ```
    pub fn ping(self, payload: impl AsRef<[u8]>) -> SendStatus {
        self.connection().map_or(SendStatus::Closed, |connection| connection.ping(payload))
    }

    /// Closes with a code and a reason, which the server is told, as
    /// [`TcpConnection::close_with_code`](crate::TcpConnection::close_with_code); [`close`](Self::close) says 1000.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.close_with_code(4000, "enough");
    /// ```
    #[doc(alias = "close")]
    pub fn close_with_code(self, code: u16, reason: &str) {
        self.end(|connection| connection.close_with_code(code, reason));
    }
}

/// # WebSocket: callbacks
impl AsyncTcpConnection<Ws> {
    /// Called when the server has let us in, with its answer. What was sent before has left; messages come from here on.
    ///
    /// A server that does not let us in is told of by `on_error`, with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL) and the status.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.on_websocket_connect(|prices, answer| prices.send(format!("hello {:?}", answer.header("server"))));
    /// ```
    #[doc(alias = "onWebSocketConnect")]
    #[track_caller]
    pub fn on_websocket_connect<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &Response) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_connect");
        self.on_signal(site, WebsocketSignal::CONNECT, move |client, signal| match signal {
            WebsocketSignal::Opened(answer) => callback(client, answer).into_result(),
            _ => Ok(()),
        });
    }

    /// Called with the payload of each Ping, which has been answered.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.on_websocket_ping(|_, payload| println!("{payload:?}"));
    /// ```
    #[doc(alias = "onWebSocketPing")]
    #[track_caller]
    pub fn on_websocket_ping<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_ping");
        self.on_signal(site, WebsocketSignal::PING, move |client, signal| match signal {
            WebsocketSignal::Ping(payload) => callback(client, payload).into_result(),
            _ => Ok(()),
        });
    }

    /// Called with the payload of each Pong.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.on_websocket_pong(|_, payload| println!("{payload:?}"));
    /// ```
    #[doc(alias = "onWebSocketPong")]
    #[track_caller]
    pub fn on_websocket_pong<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_pong");
        self.on_signal(site, WebsocketSignal::PONG, move |client, signal| match signal {
            WebsocketSignal::Pong(payload) => callback(client, payload).into_result(),
            _ => Ok(()),
        });
    }

    /// Called when the server closes, with its code, 1005 for none, and its reason. It has been answered; `on_close` follows
    /// when it has closed the connection too.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Ws};
    /// # let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:1");
    /// prices.on_websocket_close(|_, code, reason| println!("{code} {reason}"));
    /// ```
    #[doc(alias = "onWebSocketClose")]
    #[track_caller]
    pub fn on_websocket_close<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, u16, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_websocket_close");
        self.on_signal(site, WebsocketSignal::CLOSE, move |client, signal| match signal {
            WebsocketSignal::Close(code, reason) => callback(client, *code, reason).into_result(),
            _ => Ok(()),
        });
    }

    fn on_signal(
        self,
        site: Site,
        nth: usize,
        mut callback: impl FnMut(Self, &WebsocketSignal) -> Result<(), BoxError> + 'static,
    ) {
        let call = move |connection: TcpConnection<Ws>, signal: &_| callback(client_of(connection), signal);
        if let Some(handlers) = self.handlers() {
            handlers.callbacks().set_signal(nth, site, Box::new(call));
        }
    }
}
