//! What a request is made of, as the app says it.

use std::borrow::Cow;
use std::fmt;

use super::body::RequestBody;
use super::error::HttpError;
use super::exchange::PendingRequest;
use crate::callback::{CallbackResult, Site};
use crate::error::BoxError;
use crate::protocols::http::ClientResponse;
use crate::protocols::http::client::{is_token, is_value};
use crate::timer::Interval;

pub(super) type OnHead = Box<dyn FnMut(PendingRequest, &ClientResponse) -> Result<(), BoxError>>;
pub(super) type OnChunk = Box<dyn FnMut(PendingRequest, &[u8]) -> Result<(), BoxError>>;

/// What a request of [`HttpClient::request`](crate::HttpClient::request) is made of.
///
/// ```
/// use workerman::{HttpClient, RequestOptions};
///
/// # let http = HttpClient::new();
/// let options = RequestOptions::new()
///     .method("PUT")
///     .header("Authorization", "Bearer 123")
///     .body("some text")
///     .timeout(5);
/// http.request("http://127.0.0.1:8080/notes/1", options, |answer| println!("{answer:?}"));
/// ```
#[derive(Default)]
#[must_use]
pub struct RequestOptions {
    pub(super) method: Option<Cow<'static, str>>,
    /// As they go onto the wire.
    pub(super) lines: Vec<u8>,
    pub(super) body: RequestBody,
    pub(super) timeout: Option<u64>,
    pub(super) max_redirects: Option<u8>,
    pub(super) max_body_size: Option<usize>,
    pub(super) on_head: Option<(Site, OnHead)>,
    pub(super) on_chunk: Option<(Site, OnChunk)>,
    pub(super) wrong: Option<HttpError>,
}

impl RequestOptions {
    /// A `GET` without a body.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the method, `GET` unless there is a body, and `POST` then.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().method("DELETE");
    /// ```
    pub fn method(mut self, method: impl Into<Cow<'static, str>>) -> Self {
        let method = method.into();
        if !is_token(&method) || method == "CONNECT" {
            self.wrong = Some(HttpError::Request("the method is none"));
        }
        self.method = Some(method);
        self
    }

    /// Adds a header line. A name or value that would be more than one line, and a length that is counted anyway, are
    /// refused: the callback gets [`HttpError::Request`], and nothing is sent.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().header("Accept", "application/json");
    /// ```
    #[doc(alias = "headers")]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if !is_token(name) || !is_value(value) {
            self.wrong = Some(HttpError::Request("a header is not one line"));
        } else if name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("Transfer-Encoding") {
            self.wrong = Some(HttpError::Request("the length of the body is counted, not set"));
        } else {
            self.lines.reserve(name.len() + value.len() + 4);
            for part in [name, ": ", value, "\r\n"] {
                self.lines.extend_from_slice(part.as_bytes());
            }
        }
        self
    }

    /// Sets the body: text or bytes as they are, [`RequestBody::form`], or [`Multipart`](crate::Multipart).
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().header("Content-Type", "text/plain").body("hello");
    /// ```
    #[doc(alias = "data")]
    pub fn body(mut self, body: impl Into<RequestBody>) -> Self {
        self.body = body.into();
        if let Some(reason) = self.body.wrong {
            self.wrong = Some(HttpError::Request(reason));
        }
        self
    }

    /// Sets the body to the JSON of a value. Needs the feature `json`.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().json(&["a", "b"]);
    /// ```
    #[cfg(feature = "json")]
    #[doc(alias = "json_encode")]
    pub fn json<T: serde::Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.body = RequestBody::of("application/json", text),
            Err(_) => self.wrong = Some(HttpError::Request("the value has no JSON")),
        }
        self
    }

    /// Sets how long the request may take with all redirects, from now until its answer is complete: seconds or a
    /// `Duration`, 0 for as long as it takes. Unless set, the client's; and if the answer comes [in pieces](Self::on_chunk),
    /// only until its head is there.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().timeout(2.5);
    /// ```
    pub fn timeout(mut self, time: impl Interval) -> Self {
        self.timeout = Some(time.nanoseconds());
        self
    }

    /// Sets how many redirects are followed, 0 for none: then the app gets the answer that redirects. Unless set, the
    /// client's.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().max_redirects(0);
    /// ```
    pub fn max_redirects(mut self, count: u8) -> Self {
        self.max_redirects = Some(count);
        self
    }

    /// Sets how many bytes the body of the answer may have, decompressed. Unless set, the client's; or any number if it comes
    /// [in pieces](Self::on_chunk).
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().max_body_size(1 << 20);
    /// ```
    pub fn max_body_size(mut self, bytes: usize) -> Self {
        self.max_body_size = Some(bytes);
        self
    }

    /// Called when the head of the answer is there, which then comes in pieces. Not called for a redirect that is followed.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().on_head(|request, response| {
    ///     if response.header("Content-Type") != Some("text/event-stream") {
    ///         request.abort();
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn on_head<F, R>(mut self, mut callback: F) -> Self
    where
        F: FnMut(PendingRequest, &ClientResponse) -> R + 'static,
        R: CallbackResult,
    {
        let call: OnHead = Box::new(move |request, response| callback(request, response).into_result());
        self.on_head = Some((Site::here("on_head"), call));
        self
    }

    /// Called with each piece of the body as it arrives, out of its chunks and decompressed; the answer in the end has none.
    /// Pieces are mostly up to 64 KiB long. [`PendingRequest::pause`] holds them back, and with them the server.
    ///
    /// ```
    /// let options = workerman::RequestOptions::new().on_chunk(|_, piece| println!("{} bytes", piece.len()));
    /// ```
    #[doc(alias = "progress")]
    #[track_caller]
    pub fn on_chunk<F, R>(mut self, mut callback: F) -> Self
    where
        F: FnMut(PendingRequest, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let call: OnChunk = Box::new(move |request, piece| callback(request, piece).into_result());
        self.on_chunk = Some((Site::here("on_chunk"), call));
        self
    }

    pub(super) fn in_pieces(&self) -> bool {
        self.on_head.is_some() || self.on_chunk.is_some()
    }
}

impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers hold secrets.
        f.debug_struct("RequestOptions").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}
