//! Requests to HTTP servers, in callbacks: what `workerman/http-client` is for PHP.
//!
//! | file | what |
//! | --- | --- |
//! | `mod`, `options`, `body`, `multipart`, `error` | what the app says and is told |
//! | `url` | addresses, and references from one to another |
//! | `write` | the head of a request |
//! | `exchange` | a request from its beginning to its callback |
//! | `redirect` | what becomes of a request that is sent elsewhere |
//! | `route` | proxies, and how TLS is spoken |
//! | `pool`, `link` | servers, the connections to them, and who waits for one |
//!
//! Invariants: a request's callback is called once, or never if the app has aborted it or the loop has ended; it is not
//! called from inside of the call that has begun the request, nor inside of another callback; a connection serves one request
//! at a time and is used again only if the last answer has left no doubt.

mod body;
mod error;
mod exchange;
mod link;
mod multipart;
mod options;
mod pool;
mod redirect;
mod route;
mod url;
mod write;

pub use body::RequestBody;
pub use error::HttpError;
pub use exchange::PendingRequest;
pub use multipart::Multipart;
pub use options::RequestOptions;

use std::marker::PhantomData;

use crate::callback::{CallbackResult, Site};
use crate::protocols::http::ClientResponse;
use crate::protocols::http::client::HEAD_MOST;
use crate::timer::Interval;

const SECOND: u64 = 1_000_000_000;

/// A client of HTTP/1.1 servers: PHP's `Workerman\Http\Client`.
///
/// It is nothing but its settings, so it is copied freely and costs nothing to make. The connections are the thread's: they
/// are kept for the next request to the same server, whoever makes it. A client belongs to its thread.
///
/// Nothing here holds up the loop, and callbacks are called from it, never inside of another. They may do what all callbacks
/// may: answer a browser, send the next request.
///
/// ```
/// use workerman::{Http, HttpClient, Response, Worker};
///
/// let worker = Worker::<Http>::new("http://0.0.0.0:8080");
/// let http = HttpClient::new();
/// worker.on_message(move |connection, _request| {
///     http.get("http://127.0.0.1:9000/weather", move |answer| match answer {
///         Ok(response) => connection.send(response.text().into_owned()),
///         Err(error) => connection.send(Response::new(502, &[], error.to_string())),
///     });
/// });
/// ```
#[doc(alias = "Client")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a setting is of the client that is given back"]
pub struct HttpClient {
    max_conn_per_addr: u32,
    max_waiting: u32,
    keepalive_timeout: u64,
    connect_timeout: u64,
    timeout: u64,
    max_redirects: u8,
    max_body_size: usize,
    max_head_size: usize,
    /// The number of its way, which is the thread's.
    route: u16,
    of_this_thread: PhantomData<*const ()>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

/// # Requests
impl HttpClient {
    /// A client with the usual settings.
    ///
    /// ```
    /// let http = workerman::HttpClient::new();
    /// ```
    #[doc(alias = "__construct")]
    pub const fn new() -> Self {
        Self {
            max_conn_per_addr: 128,
            max_waiting: 10_000,
            keepalive_timeout: 15 * SECOND,
            connect_timeout: 30 * SECOND,
            timeout: 30 * SECOND,
            max_redirects: 5,
            max_body_size: 10 << 20,
            max_head_size: 16 << 10,
            route: 0,
            of_this_thread: PhantomData,
        }
    }

    /// Asks for what is at an address, and calls back with the answer.
    ///
    /// ```
    /// # let http = workerman::HttpClient::new();
    /// http.get("http://127.0.0.1:8080/", |answer| match answer {
    ///     Ok(response) => println!("{}", response.text()),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// ```
    #[track_caller]
    pub fn get<F, R>(self, url: &str, callback: F) -> PendingRequest
    where
        F: FnOnce(Result<ClientResponse, HttpError>) -> R + 'static,
        R: CallbackResult,
    {
        exchange::begin(self, url, RequestOptions::new(), Site::here("get"), callback)
    }

    /// Sends a body to an address: text, bytes, a [form](RequestBody::form), or a [form with files](Multipart).
    ///
    /// ```
    /// # let http = workerman::HttpClient::new();
    /// http.post("http://127.0.0.1:8080/", "some text", |answer| println!("{answer:?}"));
    /// ```
    #[track_caller]
    pub fn post<F, R>(self, url: &str, body: impl Into<RequestBody>, callback: F) -> PendingRequest
    where
        F: FnOnce(Result<ClientResponse, HttpError>) -> R + 'static,
        R: CallbackResult,
    {
        let options = RequestOptions::new().method("POST").body(body);
        exchange::begin(self, url, options, Site::here("post"), callback)
    }

    /// Sends any request, and takes its answer whole or in pieces.
    ///
    /// ```
    /// use workerman::RequestOptions;
    ///
    /// # let http = workerman::HttpClient::new();
    /// let options = RequestOptions::new().method("POST").body("question").on_chunk(|_, piece| {
    ///     println!("{}", String::from_utf8_lossy(piece));
    /// });
    /// http.request("http://127.0.0.1:8080/", options, |answer| println!("{answer:?}"));
    /// ```
    #[track_caller]
    pub fn request<F, R>(self, url: &str, options: RequestOptions, callback: F) -> PendingRequest
    where
        F: FnOnce(Result<ClientResponse, HttpError>) -> R + 'static,
        R: CallbackResult,
    {
        exchange::begin(self, url, options, Site::here("request"), callback)
    }
}

/// # Settings
impl HttpClient {
    /// Sets how many connections this thread may have to one server, 128 unless set; further requests wait.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().max_conn_per_addr(4);
    /// ```
    pub const fn max_conn_per_addr(mut self, count: u32) -> Self {
        self.max_conn_per_addr = if count == 0 { 1 } else { count };
        self
    }

    /// Sets how many requests may wait for a connection to one server, 10,000 unless set. Any more get
    /// [`HttpError::Busy`].
    ///
    /// ```
    /// let http = workerman::HttpClient::new().max_waiting(100);
    /// ```
    pub const fn max_waiting(mut self, count: u32) -> Self {
        self.max_waiting = count;
        self
    }

    /// Sets how long a connection that has nothing to do is kept, in seconds or as a `Duration`: 15 s unless set, to within a
    /// second; 0 for not at all.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().keepalive_timeout(60);
    /// ```
    pub fn keepalive_timeout(mut self, time: impl Interval) -> Self {
        self.keepalive_timeout = time.nanoseconds();
        self
    }

    /// Sets how long a connection may take to come about, in seconds or as a `Duration`: 30 s unless set, 0 for as long as the
    /// system takes.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().connect_timeout(3);
    /// ```
    pub fn connect_timeout(mut self, time: impl Interval) -> Self {
        self.connect_timeout = time.nanoseconds();
        self
    }

    /// Sets how long a request may take, in seconds or as a `Duration`: 30 s unless set, 0 for as long as it takes. That is
    /// all of it: waiting, connecting, redirects, the body. Of an answer that is taken
    /// [in pieces](RequestOptions::on_chunk), the body has a limit only from [its own options](RequestOptions::timeout).
    ///
    /// ```
    /// let http = workerman::HttpClient::new().timeout(10);
    /// ```
    pub fn timeout(mut self, time: impl Interval) -> Self {
        self.timeout = time.nanoseconds();
        self
    }

    /// Sets how many redirects are followed, 5 unless set, 0 for none.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().max_redirects(0);
    /// ```
    pub const fn max_redirects(mut self, count: u8) -> Self {
        self.max_redirects = count;
        self
    }

    /// Sets how many bytes the body of an answer may have, decompressed: 10 MiB unless set.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().max_body_size(100 << 20);
    /// ```
    pub const fn max_body_size(mut self, bytes: usize) -> Self {
        self.max_body_size = bytes;
        self
    }

    /// Sets how many bytes the head of an answer may have: 16 KiB unless set, and 32 KiB at most.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().max_head_size(4096);
    /// ```
    pub const fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = if bytes > HEAD_MOST { HEAD_MOST } else { bytes };
        self
    }
}

/// At the end of a loop: nothing of this thread's requests stays.
pub(crate) fn clear() {
    exchange::clear();
}
