//! Switching to another protocol in the middle of a connection: by an HTTP upgrade, or because both ends know.
//!
//! The codec, the driver and what follows from them change at once. What the app is to be told (`on_connect` of a worker
//! that the connection joins, `on_websocket_connect`) is deferred, as all that callbacks cause.

use std::fmt;
use std::rc::Rc;

use super::deadline::NEVER;
use super::driver::{Driver, Handlers};
use super::owner::Owner as _;
use super::state::{Flags, Visit, state, visit};
use super::status::{SendStatus, Status};
use super::{TcpConnection, along, id, input, pipe, write};
use crate::callback;
use crate::protocols::http::{Http, Request};
use crate::protocols::{Codec, Encode as _, Encoded, Limits, Pace};
use crate::reactor::{self, Deferred, Key};

/// Why a connection of HTTP did not switch to another protocol.
///
/// ```
/// use workerman::{Http, UpgradeError, Websocket, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, request| match connection.upgrade::<Websocket>(request) {
///     Ok(websocket) => websocket.on_message(|websocket, message| websocket.send(message)),
///     Err(UpgradeError::Refused(status)) => println!("it got {status}"),
///     Err(error) => println!("{error}"),
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The client does not ask for this protocol, or not as it should. It has been answered with this status, 426 or 400,
    /// and the connection closes.
    Refused(u16),
    /// The request does not wait for an answer here: it has one, or came in on another connection, or its body is still
    /// to come.
    NotWaiting,
    /// The connection is closed or closing.
    Closed,
    /// It speaks another protocol already.
    WrongProtocol,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "no request for this protocol, answered with {status}"),
            Self::NotWaiting => f.write_str("the request waits for no answer here"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::WrongProtocol => f.write_str("the connection speaks another protocol already"),
        }
    }
}

impl std::error::Error for UpgradeError {}

/// # Upgrading
impl TcpConnection<Http> {
    /// Goes on in another protocol, as the client has asked with this request: one port serves both. Answers the handle
    /// for that protocol; handles of HTTP answer [`SendStatus::WrongProtocol`] from here on.
    ///
    /// A WebSocket is let in by the 101 that leaves when the current callback has returned, unless
    /// [`on_websocket_connect`](TcpConnection::on_websocket_connect), which comes before it, says otherwise. What is sent
    /// until then waits for it; `close` refuses with 403. Any other protocol begins at once, behind a 101 that calls it by
    /// the first name that the client offers, or by its scheme if that is offered. What the client has sent behind the
    /// request is the new protocol's.
    ///
    /// The callbacks are the connection's own; [`upgrade_to`](Self::upgrade_to) makes it one of a worker's. Its data, its
    /// timers and its limits stay, and so does the count of the accepting worker, whose deadlines go on to hold and whose
    /// `on_close` is called in the end, behind that of the new protocol.
    ///
    /// # Errors
    ///
    /// An [`UpgradeError`]. A request that does not ask for this protocol has been answered. A callback that returns the
    /// error has it logged.
    ///
    /// ```
    /// # use workerman::{Http, Websocket, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     if request.path() != "/ws" {
    ///         connection.send("a page");
    ///     } else if let Ok(websocket) = connection.upgrade::<Websocket>(request) {
    ///         websocket.on_message(|websocket, message| websocket.send(message));
    ///     }
    /// });
    /// ```
    pub fn upgrade<Q: Codec>(self, request: Request) -> Result<TcpConnection<Q>, UpgradeError> {
        self.upgrade_for(request, None)
    }

    /// The same for those who know the worker by what its connections share. Cold, so that it stays out of the callbacks
    /// of apps, which answer requests.
    #[cold]
    pub(crate) fn upgrade_for<Q: Codec>(
        self,
        request: Request,
        to: Option<Rc<Handlers<Q>>>,
    ) -> Result<TcpConnection<Q>, UpgradeError> {
        // User code may make it: before anything is taken out.
        let mut codec = Q::default();
        let limits = to.as_ref().map_or(Limits::of_size(0), |to| to.limits());
        let origin = request.origin();
        let ticket = origin.ticket;
        let is_own = origin == input::origin(self.key, ticket) && (self.ticket == 0 || self.ticket == ticket);
        let mut result = Err(UpgradeError::NotWaiting);
        let status = write::transmit(self.key, self.ticket, write::Limit::Ignore, |http: &mut Http, output| {
            if is_own && http.may_switch(ticket) {
                result = codec.upgrade(http, request, &limits, output).map_err(|response| {
                    let refused = UpgradeError::Refused(response.status());
                    http.encode(response, output);
                    refused
                });
            }
            Encoded::Done
        });
        let error = match (status, result) {
            (_, Ok(())) => {
                return switch(self.key, codec, to.map(|to| to as Rc<dyn Driver>)).ok_or(UpgradeError::Closed);
            }
            (SendStatus::WrongProtocol, _) => UpgradeError::WrongProtocol,
            (SendStatus::Closed, Err(UpgradeError::NotWaiting)) => UpgradeError::Closed,
            (_, Err(error)) => error,
        };
        callback::discard(codec);
        Err(error)
    }
}

/// # Switching protocols
impl<P: Codec> TcpConnection<P> {
    /// Goes on in another protocol without a word to the peer, which has to know: PHP's
    /// `$connection->protocol = Q::class`. Answers the handle for that protocol; the others answer
    /// [`SendStatus::WrongProtocol`] from here on. On a connection that is closed, or speaks `P` no longer, nothing happens.
    ///
    /// Bytes that have come and are not decoded yet are the new protocol's. A request of HTTP that is not answered counts as
    /// answered. A [`pipe`](Self::pipe) from this connection ends: it was for messages of `P`. All else is as with
    /// [`upgrade`](TcpConnection::upgrade).
    ///
    /// ```
    /// # use workerman::{Tcp, Text, Worker};
    /// # let worker = Worker::<Text>::new("");
    /// worker.on_message(|connection, line| {
    ///     if line == "raw" {
    ///         connection.send("ok");
    ///         let raw = connection.set_protocol::<Tcp>();
    ///         raw.on_message(|raw, bytes| raw.send(bytes));
    ///     }
    /// });
    /// ```
    #[doc(alias = "protocol")]
    pub fn set_protocol<Q: Codec>(self) -> TcpConnection<Q> {
        // User code may make it: before anything is taken out.
        let codec = Q::default();
        let before = visit(self.key, |visit| {
            let speaks = visit.status == Status::Established && visit.driver.speaks::<P>();
            if speaks { visit.take_codec::<P>() } else { None }
        });
        match before.flatten() {
            Some(before) => {
                switch(self.key, codec, None);
                // Both may be the end of a user's value.
                callback::discard(before);
                along::leave(self.key);
            }
            None => {
                log::debug!("connection {}: the protocol stays as it is", id::of(self.key));
                callback::discard(codec);
            }
        }
        TcpConnection::new(self.key)
    }
}

/// Gives a connection that stands another codec, whose callbacks are those of the worker `to` or its own.
fn switch<Q: Codec>(key: Key, codec: Q, to: Option<Rc<dyn Driver>>) -> Option<TcpConnection<Q>> {
    let mut codec = Some(codec);
    let before = state().with(|state| {
        let visit = state.visit(key).filter(|visit| visit.status == Status::Established)?;
        let (now, told) = (Rc::clone(&visit.driver), !visit.flags.has(Flags::JOINING));
        let (driver, joins) = state.switched.driver::<Q>(&now, told, to);
        Some(state.visit(key)?.switch(codec.take()?, driver, joins))
    });
    // A codec without a connection may be the end of a user's value.
    callback::discard(codec);
    callback::discard(before?);
    pipe::leave(key);
    reactor::get().defer(Deferred { run: begin, key, code: 0 });
    Some(TcpConnection::new(key))
}

/// The callback that has switched is back.
fn begin(key: Key, _code: u32) {
    let found = visit(key, |visit| (Rc::clone(&visit.driver), visit.flags.take(Flags::JOINING)));
    if let Some((driver, joins)) = found {
        driver.begin(key, joins);
    }
}

impl Visit<'_> {
    /// What follows from another codec and another driver. Answers the driver before, whose end may be that of callbacks.
    fn switch<Q: Codec>(&mut self, codec: Q, driver: Rc<dyn Driver>, joins: bool) -> Rc<dyn Driver> {
        self.put_codec(codec);
        let before = std::mem::replace(&mut self.driver, driver);
        let (is_decoding, has_bytes) = (self.flags.has(Flags::CORKED), self.inbound.is_some());
        self.flags.clear(Flags::RAW);
        self.flags.assign(Flags::JOINING, joins);
        self.flags.assign(Flags::SWITCHED, is_decoding);
        // What the other codec has made of them does not count.
        if let Some(inbound) = &mut self.inbound {
            inbound.length = 0;
        }
        self.flags.assign(Flags::PENDING, has_bytes);
        // A protocol without deadlines never gets one.
        self.pace = if self.codec_pace == Pace::Free { Pace::Free } else { Pace::Answer };
        self.deadline = NEVER;
        self.set_deadline(false);
        self.list_if_ready();
        before
    }
}
