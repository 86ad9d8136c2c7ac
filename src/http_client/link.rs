//! A connection to a server, and the one request that it is for.
//!
//! Invariant: whoever has a link's key may find it gone; it goes once, in [`closed`], and with it its place among those of its
//! server.

use super::error::HttpError;
use super::exchange;
use super::pool::{self, with, with_exchange};
use super::write;
use crate::client::AsyncTcpConnection;
use crate::connection::{self, CONNECT_FAIL, TcpConnection};
use crate::protocols::http::client::{Answers, End, Event, Fault};
use crate::reactor::{self, Key};

type Client = AsyncTcpConnection<Answers>;

const NEVER_SENT: HttpError = HttpError::Closed("the connection closed before the request was sent");

#[derive(Debug)]
pub(super) struct Link {
    pub(super) server: Key,
    client: Client,
    /// Once it stands.
    connection: Option<TcpConnection<Answers>>,
    /// The request that it is for.
    exchange: Option<Key>,
    /// It has served a request, and may have been closed by the server since.
    is_used: bool,
    /// So many bytes had left before the request.
    written: u64,
    /// How long it may be idle, and since when it is.
    keepalive: u64,
    pub(super) idle_since: Option<u64>,
    /// Why there is no connection.
    reason: Option<Box<str>>,
}

impl Link {
    pub(super) fn is_old(&self, now: u64) -> bool {
        self.idle_since.is_some_and(|since| now.saturating_sub(since) >= self.keepalive)
    }
}

/// Makes a connection to a server for a request.
pub(super) fn dial(server: Key, exchange: Key) {
    let address = with(|state| state.servers.get(server).map(|server| server.dial.clone())).unwrap_or_default();
    let client = Client::new(&address);
    let link = with(|state| {
        let asking = state.exchanges.get_mut(exchange)?;
        let link = Link {
            server,
            client,
            connection: None,
            exchange: Some(exchange),
            is_used: false,
            written: 0,
            keepalive: asking.client.keepalive_timeout,
            idle_since: None,
            reason: None,
        };
        let key = state.links.insert(link).ok()?;
        asking.link = Some(key);
        let (timeout, route) = (asking.client.connect_timeout, asking.client.route);
        Some((key, timeout, state.route(route).map(|route| route.way.clone())))
    });
    let Some((key, timeout, way)) = link else { return };
    way.unwrap_or_default().lead(client);
    client.on_connect(move |_| opened(key));
    client.on_message(move |_, event| arrived(key, event));
    client.on_error(move |_, code, text| {
        if code == CONNECT_FAIL {
            with(|state| state.links.get_mut(key).map(|link| link.reason = Some(text.into())));
        }
    });
    client.on_close(move |_| closed(key));
    client.set_connect_timeout(std::time::Duration::from_nanos(timeout));
    client.connect();
}

/// Sends a request on a connection that has none; whether that was possible.
pub(super) fn send(key: Key, request: Key) -> bool {
    let prepared = with(|state| {
        let (link, exchange) = (state.links.get_mut(key)?, state.exchanges.get_mut(request)?);
        link.exchange = Some(request);
        link.idle_since = None;
        link.keepalive = exchange.client.keepalive_timeout;
        let connection = link.connection?;
        if !exchange.is_idempotent() {
            link.written = connection.bytes_written();
        }
        exchange.link = Some(key);
        Some((connection, write::prepare(exchange), exchange.paused))
    });
    let Some((connection, outgoing, paused)) = prepared else { return false };
    if paused {
        connection.pause_recv();
    }
    if connection.send(outgoing).is_accepted() {
        return true;
    }
    with_exchange(request, |exchange| exchange.link = None);
    abandon(key);
    false
}

/// Has the server wait, or go on.
pub(super) fn pause(key: Key, paused: bool) {
    let connection = with(|state| state.links.get(key).and_then(|link| link.connection));
    match connection {
        Some(connection) if paused => connection.pause_recv(),
        Some(connection) => connection.resume_recv(),
        None => {}
    }
}

/// Nobody wants the connection any more.
pub(super) fn abandon(key: Key) {
    let client = with(|state| {
        let link = state.links.get_mut(key)?;
        link.exchange = None;
        Some(link.client)
    });
    if let Some(client) = client {
        client.destroy();
    }
}

/// The request of a connection is complete: the next one has it, or it waits for one, or it closes.
pub(super) fn release(key: Key, reusable: bool) {
    let found = with(|state| {
        let link = state.links.get_mut(key)?;
        link.exchange = None;
        link.is_used = true;
        Some((link.server, link.keepalive > 0, link.connection?))
    });
    let Some((server, may_stay, connection)) = found else { return };
    // A server that has answered before it has heard all may not hear the rest.
    if !reusable || !may_stay || connection.send_buffer_queue_size() > 0 || reactor::get().is_stopping() {
        return abandon(key);
    }
    if let Some(next) = pool::take_waiting(server) {
        if !send(key, next) {
            pool::submit(next, false);
        }
    } else if !pool::keep(key) {
        abandon(key);
    }
}

/// The connection stands.
fn opened(key: Key) {
    let found = with(|state| {
        let link = state.links.get_mut(key)?;
        link.connection = link.client.connection();
        Some((link.connection?, link.exchange))
    });
    let Some((connection, exchange)) = found else { return };
    // The request is all that is ever sent, and a server that answers before it has read all is to be heard.
    connection.set_max_send_buffer_size(usize::MAX);
    match exchange {
        Some(exchange) if !send(key, exchange) => exchange::fail(exchange, NEVER_SENT),
        Some(_) => {}
        None => release(key, true),
    }
}

/// Something has come of the request.
fn arrived(key: Key, event: Event) {
    match with(|state| state.links.get(key).and_then(|link| link.exchange)) {
        Some(exchange) => exchange::arrived(exchange, event),
        // Who speaks without being asked cannot be trusted with the next question.
        None => abandon(key),
    }
}

/// The connection is gone, or none came about.
fn closed(key: Key) {
    let Some(link) = with(|state| state.forget_link(key)) else { return };
    if let Some(request) = link.exchange {
        conclude(request, &link);
    }
    pool::go_on(link.server);
}

/// What the end of its connection means for a request.
fn conclude(request: Key, link: &Link) {
    let Some(connection) = link.connection else {
        let reason = link.reason.clone().unwrap_or_else(|| "it was closed".into());
        return exchange::fail(request, HttpError::Connect(reason));
    };
    let event = connection::with_last_codec(connection.key(), |codec: &mut Answers, orderly| codec.close(orderly));
    let event = event.flatten();
    let unanswered = matches!(event, Some(Event { end: End::Failed(Fault::Unanswered), .. }));
    let known = with_exchange(request, |exchange| {
        exchange.link = None;
        let may_repeat = exchange.is_idempotent() || connection.bytes_written() == link.written;
        let repeats = unanswered && link.is_used && !exchange.retried && may_repeat;
        exchange.retried |= repeats;
        (repeats, exchange.has_event())
    });
    match (event, known) {
        (_, Some((true, _))) => pool::submit(request, true),
        (Some(event), _) => exchange::arrived(request, event),
        // It is complete, and waits to be handled.
        (None, Some((_, true))) => {}
        (None, _) => exchange::fail(request, NEVER_SENT),
    }
}
