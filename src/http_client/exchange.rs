//! A request from its beginning to its callback.
//!
//! ```text
//!  begin ─▶ placed by `pool`: on a connection, or waiting for one ─▶ events ─▶ on_head, on_chunk … ─▶ callback
//!                     ▲                                                │
//!                     └──────── redirect, or one more attempt ◀────────┘
//! ```
//!
//! What arrives is kept and handled once the framework's own callback has returned, so that an app's callback is called by
//! itself. While the request is paused, what has arrived stays where it is.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use super::body::RequestBody;
use super::error::HttpError;
use super::options::{OnChunk, OnHead, RequestOptions};
use super::pool::{self, with, with_exchange};
use super::url::Url;
use super::{HttpClient, link, redirect};
use crate::callback::{self, CallbackResult, Site};
use crate::error::BoxError;
use crate::protocols::http::ClientResponse;
use crate::protocols::http::client::{End, Event};
use crate::protocols::pool as buffers;
use crate::reactor::{self, Deferred, Key};

/// So much of a body that nobody wants is read for the sake of its connection.
const SWALLOWED: usize = 64 * 1024;

type Outcome = Result<ClientResponse, HttpError>;
type Done = Box<dyn FnOnce(Outcome) -> Result<(), BoxError>>;

/// A request that is under way: a handle that is copied freely. One that has had its callback does nothing.
///
/// ```
/// use workerman::{HttpClient, Timer};
///
/// # let http = HttpClient::new();
/// let request = http.get("http://127.0.0.1:8080/slow", |answer| println!("{answer:?}"));
/// Timer::delay(1, move || request.abort());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PendingRequest {
    key: Key,
    of_this_thread: PhantomData<*const ()>,
}

/// What is kept of a request.
pub(super) struct Exchange {
    pub(super) client: HttpClient,
    pub(super) method: Cow<'static, str>,
    pub(super) url: Url,
    pub(super) lines: Vec<u8>,
    pub(super) body: RequestBody,
    pub(super) in_pieces: bool,
    pub(super) max_body_size: usize,
    pub(super) max_redirects: u8,
    pub(super) redirects: u8,
    /// It has been sent once more already.
    pub(super) retried: bool,
    /// The connection that it is on, or will be.
    pub(super) link: Option<Key>,
    /// The server that it waits for.
    pub(super) waits_for: Option<Key>,
    pub(super) paused: bool,
    /// The timer counts until the head is there.
    until_head: bool,
    timer: Option<Key>,
    /// What has arrived and is not handled yet.
    event: Option<Event>,
    /// The answer whose body comes in pieces.
    response: Option<ClientResponse>,
    /// The body is of no interest, as the request goes on elsewhere: so much of it has come.
    redirected: Option<usize>,
    failure: Option<HttpError>,
    on_head: Option<(Site, OnHead)>,
    on_chunk: Option<(Site, OnChunk)>,
    done: (Site, Done),
}

impl PendingRequest {
    fn new(key: Key) -> Self {
        Self { key, of_this_thread: PhantomData }
    }

    /// Gives the request up: none of its callbacks is called any more, and its connection closes.
    ///
    /// ```
    /// # let http = workerman::HttpClient::new();
    /// let request = http.get("http://127.0.0.1:8080/", |_| unreachable!());
    /// request.abort();
    /// ```
    pub fn abort(self) {
        let Some(mut exchange) = with(|state| state.exchanges.remove(self.key)) else { return };
        exchange.ties().cut(self.key);
        exchange.discard();
    }

    /// Holds back what arrives, and with that the server, until [`resume`](Self::resume). For answers that are taken in pieces
    /// by somebody who is slower.
    ///
    /// ```
    /// use workerman::{Http, HttpClient, Chunk, RequestOptions, TcpConnection};
    ///
    /// fn forward(http: HttpClient, connection: TcpConnection<Http>) {
    ///     let options = RequestOptions::new().on_chunk(move |request, piece| {
    ///         connection.send(Chunk::new(piece));
    ///         if connection.send_buffer_queue_size() > 1 << 20 {
    ///             request.pause();
    ///             connection.on_buffer_drain(move |_| request.resume());
    ///         }
    ///     });
    ///     let request =
    ///         http.request("http://127.0.0.1:8080/video", options, move |_| connection.send(Chunk::new("")));
    ///     connection.on_close(move |_| request.abort());
    /// }
    /// ```
    pub fn pause(self) {
        if let Some(Some(link)) = with_exchange(self.key, |exchange| {
            exchange.paused = true;
            exchange.link
        }) {
            link::pause(link, true);
        }
    }

    /// Goes on after [`pause`](Self::pause).
    ///
    /// ```
    /// # fn example(request: workerman::PendingRequest) {
    /// request.resume();
    /// # }
    /// ```
    pub fn resume(self) {
        let resumed = with_exchange(self.key, |exchange| {
            exchange.paused = false;
            (exchange.link, exchange.event.is_some())
        });
        let Some((link, waits)) = resumed else { return };
        if let Some(link) = link {
            link::pause(link, false);
        }
        if waits {
            reactor::get().defer(Deferred { run: handle, key: self.key, code: 0 });
        }
    }

    /// Whether its callback is still to come.
    ///
    /// ```
    /// # let http = workerman::HttpClient::new();
    /// let request = http.get("http://127.0.0.1:8080/", |_| {});
    /// assert!(request.is_pending());
    /// ```
    pub fn is_pending(self) -> bool {
        with_exchange(self.key, |_| ()).is_some()
    }
}

/// So that a callback may end with a request.
impl CallbackResult for PendingRequest {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl fmt::Debug for PendingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingRequest({})", self.key.number())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}

impl Exchange {
    /// Whether sending it twice is as good as sending it once (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }

    /// Whether something has arrived that is not handled yet.
    pub(super) fn has_event(&self) -> bool {
        self.event.is_some()
    }

    /// Where it is known.
    fn ties(&mut self) -> Ties {
        Ties { timer: self.timer.take(), waits_for: self.waits_for.take(), link: self.link.take() }
    }

    /// Drops it, which is user code.
    fn discard(self: Box<Self>) {
        callback::discard((self.on_head, self.on_chunk, self.done));
    }
}

/// Where a request is known: its timer, a queue, its connection.
struct Ties {
    timer: Option<Key>,
    waits_for: Option<Key>,
    link: Option<Key>,
}

impl Ties {
    /// Has it forgotten there.
    fn cut(self, key: Key) {
        if let Some(timer) = self.timer {
            reactor::get().remove_timer(timer);
        }
        if let Some(server) = self.waits_for {
            pool::leave(server, key);
        }
        if let Some(link) = self.link {
            link::abandon(link);
        }
    }
}

/// Begins a request.
pub(super) fn begin<F, R>(
    client: HttpClient,
    url: &str,
    options: RequestOptions,
    site: Site,
    callback: F,
) -> PendingRequest
where
    F: FnOnce(Outcome) -> R + 'static,
    R: CallbackResult,
{
    start(client, url, options, (site, Box::new(move |outcome| callback(outcome).into_result())))
}

fn start(client: HttpClient, url: &str, options: RequestOptions, done: (Site, Done)) -> PendingRequest {
    let in_pieces = options.in_pieces();
    let (url, wrong) = match Url::parse(url) {
        Ok(url) => (url, options.wrong),
        Err(error) => (Url::default(), Some(error)),
    };
    let usual = if options.body.bytes.is_some() { "POST" } else { "GET" };
    let exchange = Box::new(Exchange {
        client,
        method: options.method.unwrap_or(Cow::Borrowed(usual)),
        url,
        lines: options.lines,
        body: options.body,
        in_pieces,
        max_body_size: options.max_body_size.unwrap_or(if in_pieces { usize::MAX } else { client.max_body_size }),
        max_redirects: options.max_redirects.unwrap_or(client.max_redirects),
        redirects: 0,
        retried: false,
        link: None,
        waits_for: None,
        paused: false,
        until_head: in_pieces && options.timeout.is_none(),
        timer: None,
        event: None,
        response: None,
        redirected: None,
        failure: None,
        on_head: options.on_head,
        on_chunk: options.on_chunk,
        done,
    });
    let key = match with(|state| state.exchanges.insert(exchange)) {
        Ok(key) => key,
        Err(exchange) => {
            log::error!("a request was dropped: four million are under way");
            exchange.discard();
            return PendingRequest::new(Key::NONE);
        }
    };
    match wrong {
        Some(error) => fail(key, error),
        None => {
            limit(key, options.timeout.unwrap_or(client.timeout));
            pool::submit(key, false);
        }
    }
    PendingRequest::new(key)
}

/// Gives the request so much time from now.
fn limit(key: Key, time: u64) {
    if time > 0 {
        let late = Box::new(move |_| fail(key, HttpError::Timeout));
        let timer = reactor::get().add_deadline(time, late).ok();
        with_exchange(key, |exchange| exchange.timer = timer);
    }
}

/// Something has come of a request.
pub(super) fn arrived(key: Key, event: Event) {
    let kept = with_exchange(key, |exchange| {
        // If something waits, the app has paused the request, and only an end can come.
        exchange.event = Some(event);
        !exchange.paused || matches!(exchange.event, Some(Event { end: End::Failed(_), .. }))
    });
    if kept == Some(true) {
        reactor::get().defer(Deferred { run: handle, key, code: 0 });
    }
}

/// Tells the app of what has arrived.
fn handle(key: Key, _: u32) {
    let taken = with_exchange(key, |exchange| match &exchange.event {
        Some(event) if exchange.paused && !matches!(event.end, End::Failed(_)) => None,
        _ => exchange.event.take(),
    });
    let Some(mut event) = taken.flatten() else { return };
    if let End::Failed(fault) = event.end {
        return fail(key, fault.into());
    }
    let in_pieces = with_exchange(key, |exchange| exchange.in_pieces) == Some(true);
    if in_pieces {
        if let Some(response) = event.response.take() {
            tell_head(key, response);
        }
        if !event.piece.is_empty() {
            if is_paused(key) {
                return keep(key, event);
            }
            if !tell_piece(key, std::mem::take(&mut event.piece)) {
                event.end = End::Last;
            }
        }
    }
    if event.end != End::Not {
        if is_paused(key) {
            return keep(key, event);
        }
        complete(key, event);
    }
}

fn is_paused(key: Key) -> bool {
    with_exchange(key, |exchange| exchange.paused) == Some(true)
}

/// What is left of the answer, nobody is told.
fn has_failed(key: Key) -> bool {
    with_exchange(key, |exchange| exchange.failure.is_some()) == Some(true)
}

/// Has the rest of an event wait until the app wants it.
fn keep(key: Key, event: Event) {
    with_exchange(key, |exchange| exchange.event = Some(event));
}

/// The head of an answer in pieces is there.
fn tell_head(key: Key, mut response: ClientResponse) {
    let taken = with_exchange(key, |exchange| {
        exchange.redirected = redirect::target(exchange, &response).map(|_| 0);
        if exchange.redirected.is_some() {
            return (None, None);
        }
        let timer = exchange.timer.take_if(|_| exchange.until_head);
        (exchange.on_head.take(), timer)
    });
    let Some((on_head, timer)) = taken else { return };
    if let Some(timer) = timer {
        reactor::get().remove_timer(timer);
    }
    set_url(key, &mut response);
    let Some((site, mut on_head)) = on_head else {
        with_exchange(key, |exchange| exchange.response = Some(response));
        return;
    };
    let told = callback::call(site, || on_head(PendingRequest::new(key), &response));
    let mut left = Some(on_head);
    with_exchange(key, |exchange| {
        exchange.response = Some(response);
        exchange.on_head = left.take().map(|on_head| (site, on_head));
    });
    callback::discard(left);
    if told.is_err() {
        fail(key, HttpError::Callback);
    }
}

/// A piece of the body is there. Answers whether anybody reads on.
fn tell_piece(key: Key, piece: Vec<u8>) -> bool {
    if has_failed(key) {
        return true;
    }
    let taken = with_exchange(key, |exchange| match &mut exchange.redirected {
        Some(swallowed) => {
            *swallowed += piece.len();
            Err(*swallowed > SWALLOWED)
        }
        None => Ok(exchange.on_chunk.take()),
    });
    let reads_on = !matches!(taken, Some(Err(true)));
    if let Some(Ok(Some((site, mut on_chunk)))) = taken {
        let told = callback::call(site, || on_chunk(PendingRequest::new(key), &piece));
        let mut left = Some(on_chunk);
        with_exchange(key, |exchange| exchange.on_chunk = left.take().map(|on_chunk| (site, on_chunk)));
        callback::discard(left);
        if told.is_err() {
            fail(key, HttpError::Callback);
        }
    }
    buffers::give(piece);
    reads_on
}

/// The answer is complete: it is followed, or it is the app's.
fn complete(key: Key, event: Event) {
    if has_failed(key) {
        return;
    }
    let taken = with_exchange(key, |exchange| {
        let response = event.response.or_else(|| exchange.response.take());
        let target = response.as_ref().and_then(|response| redirect::target(exchange, response));
        (exchange.link.take(), response, target)
    });
    let Some((link, Some(mut response), target)) = taken else { return };
    if let Some(link) = link {
        link::release(link, event.end == End::Reusable);
    }
    match target {
        Some(Ok(url)) => {
            with_exchange(key, |exchange| {
                redirect::apply(exchange, response.status(), url);
                exchange.redirected = None;
                exchange.retried = false;
            });
            pool::submit(key, false);
        }
        Some(Err(error)) => fail(key, error),
        None => {
            response.set_trailers(event.trailers);
            set_url(key, &mut response);
            finish(key, Ok(response));
        }
    }
}

fn set_url(key: Key, response: &mut ClientResponse) {
    if response.url().is_empty()
        && let Some(url) = with_exchange(key, |exchange| exchange.url.clone())
    {
        response.set_url(url.into_text());
    }
}

/// Nothing comes of the request: its callback is told once the present one has returned.
pub(super) fn fail(key: Key, error: HttpError) {
    let ties = with_exchange(key, |exchange| {
        exchange.event = None;
        exchange.failure.is_none().then(|| {
            exchange.failure = Some(error);
            exchange.ties()
        })
    });
    if let Some(Some(ties)) = ties {
        ties.cut(key);
        reactor::get().defer(Deferred { run: tell_failure, key, code: 0 });
    }
}

fn tell_failure(key: Key, _: u32) {
    if let Some(Some(error)) = with_exchange(key, |exchange| exchange.failure.take()) {
        finish(key, Err(error));
    }
}

/// Calls the callback, and forgets the request.
fn finish(key: Key, outcome: Outcome) {
    let Some(exchange) = with(|state| state.exchanges.remove(key)) else { return };
    if let Some(timer) = exchange.timer {
        reactor::get().remove_timer(timer);
    }
    let Exchange { on_head, on_chunk, done: (site, done), .. } = *exchange;
    let _ = callback::call(site, || done(outcome));
    if on_head.is_some() || on_chunk.is_some() {
        callback::discard((on_head, on_chunk));
    }
}

/// At the end of a loop.
pub(super) fn clear() {
    for exchange in pool::clear() {
        exchange.discard();
    }
}
