//! What an app answers with.

use std::borrow::Cow;
use std::fmt;

use super::file::FileBody;
use super::headers::Headers;
use super::set_cookie::Cookie;
use super::status;
use crate::protocols::pool;
use crate::protocols::reuse::{Home, Lent, Reuse, Shelf};
use crate::shared::{Leaked, Shared};

/// An HTTP answer: status, headers, body.
///
/// Header names are compared without regard to case, and a header can never be split: a name that is not a token, or a
/// value with a control character other than HTAB, is left out with a warning. What is not set is added when the answer
/// is sent, as PHP does: `Connection`, `Content-Type: text/html;charset=utf-8`, `Content-Length`; and `Date`.
///
/// `Transfer-Encoding: chunked` makes the body the first part of the answer; the others follow as [`Chunk`](crate::Chunk)s.
/// A `Content-Type` that starts with `text/event-stream` opens a stream of [`ServerSentEvents`](crate::ServerSentEvents).
///
/// ```
/// use workerman::Response;
///
/// let response = Response::new(201, &[("Content-Type", "application/json")], r#"{"id": 7}"#)
///     .with_header("Location", "/things/7");
/// assert_eq!(response.header("location"), Some("/things/7"));
/// ```
pub struct Response {
    pub(super) parts: Lent<Parts>,
}

/// What an answer is made of.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) status: u16,
    pub(super) http10: bool,
    pub(super) reason: Option<Box<str>>,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    /// A file that takes the place of the body.
    pub(super) file: Option<Box<FileBody>>,
}

/// Parts that wait for their next use keep at most this much room, for header lines and for a body each.
const ROOM: usize = 16 * 1024;

thread_local! {
    static HOME: Leaked<Shared<Shelf<Parts>>> = const { Leaked::new() };
}

impl Reuse for Parts {
    const HOME: &'static Home<Self> = &HOME;

    #[inline]
    fn clear(&mut self) {
        if self.body.capacity() > ROOM {
            pool::give(std::mem::take(&mut self.body));
        }
        self.body.clear();
        self.headers.clear(ROOM);
        self.reason = None;
        self.file = None;
        self.http10 = false;
        self.status = 0;
    }
}

impl Response {
    /// An answer with this status, these headers and this body. A name may come twice for headers that may
    /// (`Set-Cookie`).
    ///
    /// ```
    /// # use workerman::Response;
    /// let page = Response::new(200, &[], "<h1>hello</h1>");
    /// let json = Response::new(200, &[("Content-Type", "application/json")], vec![b'{', b'}']);
    /// let none = Response::new(204, &[], "");
    /// ```
    pub fn new<'a>(status: u16, headers: &[(&str, &str)], body: impl Into<Body<'a>>) -> Self {
        let mut parts: Lent<Parts> = Lent::take();
        parts.status = status;
        for (name, value) in headers {
            parts.headers.add(name, value);
        }
        parts.set_body(body.into());
        Self { parts }
    }

    /// An answer that sends the client elsewhere: 302 with `Location`. Other codes by [`Response::with_status`]: 303 has
    /// the client ask with GET, 307 and 308 with the same method, 301 and 308 hold for ever.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::redirect("/login");
    /// assert_eq!((response.status(), response.header("Location")), (302, Some("/login")));
    /// let moved = Response::redirect("https://example.com/").with_status(301);
    /// ```
    pub fn redirect(location: &str) -> Self {
        Self::new(302, &[("Location", location)], "")
    }

    /// A 200 answer with a value as JSON, `Content-Type: application/json`. It fails when the value does, as a map whose
    /// keys are no text; nothing of it is sent then. With the feature `json`.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| -> workerman::Result<()> {
    ///     let answer = serde_json::json!({ "path": request.path(), "id": connection.id() });
    ///     connection.send(Response::json(&answer)?);
    ///     Ok(())
    /// });
    /// ```
    #[cfg(feature = "json")]
    #[doc(alias = "json_encode")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> crate::error::Result<Self> {
        let mut response = Self::new(200, &[("Content-Type", "application/json")], "");
        serde_json::to_writer(&mut response.parts.body, value)?;
        Ok(response)
    }

    /// Sets a header; what stood under this name before is gone.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[], "").with_header("X-A", "1").with_header("x-a", "2");
    /// assert_eq!(response.header("X-A"), Some("2"));
    /// ```
    #[doc(alias = "withHeader")]
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.parts.headers.set(name, value);
        self
    }

    /// Sets several headers, each as [`Response::with_header`] does. (PHP adds a second line instead of replacing.)
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[], "").with_headers(&[("X-A", "1"), ("X-B", "2")]);
    /// assert_eq!(response.header("X-B"), Some("2"));
    /// ```
    #[doc(alias = "withHeaders")]
    #[must_use]
    pub fn with_headers(mut self, headers: &[(&str, &str)]) -> Self {
        for (name, value) in headers {
            self.parts.headers.set(name, value);
        }
        self
    }

    /// Adds a line beside those of the same name, as `Set-Cookie` needs it.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[], "")
    ///     .with_added_header("Set-Cookie", "a=1")
    ///     .with_added_header("Set-Cookie", "b=2");
    /// ```
    #[must_use]
    pub fn with_added_header(mut self, name: &str, value: &str) -> Self {
        self.parts.headers.add(name, value);
        self
    }

    /// Sets a cookie, on a line of its own. One that is against the grammar of RFC 6265 (a name that is no token, a path
    /// or a domain with `;` or a control character) is left out with a warning, as other header lines are.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::new(200, &[], "welcome")
    ///     .with_cookie(Cookie::new("sid", "0123").path("/").http_only(true))
    ///     .with_cookie(Cookie::new("theme", "dark"));
    /// assert_eq!(response.headers().count(), 2);
    /// ```
    #[must_use]
    pub fn with_cookie(mut self, cookie: Cookie) -> Self {
        match cookie.line() {
            Ok(line) => self.parts.headers.add("Set-Cookie", &line),
            // Without its value, which may be a secret.
            Err(why) => log::warn!("cookie {:?} left out: {why}", cookie.name()),
        }
        self
    }

    /// Removes a header.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[("X-A", "1")], "").without_header("x-a");
    /// assert_eq!(response.header("X-A"), None);
    /// ```
    #[doc(alias = "withoutHeader")]
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.parts.headers.remove(name);
        self
    }

    /// Sets the status code; its reason phrase is the usual one.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().with_status(404).status(), 404);
    /// ```
    #[doc(alias = "withStatus")]
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.parts.status = status;
        self.parts.reason = None;
        self
    }

    /// Sets the status code and a reason phrase of your own; line breaks and other control characters are left out.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().with_status_reason(299, "Fine").reason_phrase(), "Fine");
    /// ```
    #[doc(alias = "withStatus")]
    #[must_use]
    pub fn with_status_reason(mut self, status: u16, reason: &str) -> Self {
        self.parts.status = status;
        self.parts.reason = Some(reason.chars().filter(|c| !c.is_control()).collect());
        self
    }

    /// Replaces the body.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().with_body("text").raw_body(), b"text");
    /// ```
    #[doc(alias = "withBody")]
    #[must_use]
    pub fn with_body<'a>(mut self, body: impl Into<Body<'a>>) -> Self {
        self.parts.set_body(body.into());
        self.parts.file = None;
        self
    }

    /// Answers as HTTP/1.0 when given `"1.0"`, else as HTTP/1.1.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::default().with_protocol_version("1.0");
    /// ```
    #[doc(alias = "withProtocolVersion")]
    #[must_use]
    pub fn with_protocol_version(mut self, version: &str) -> Self {
        self.parts.http10 = version == "1.0";
        self
    }

    /// The first value of a header, by its name in any case.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[("Content-Type", "text/plain")], "");
    /// assert_eq!(response.header("content-type"), Some("text/plain"));
    /// ```
    #[doc(alias = "getHeader")]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)
    }

    /// The headers that were set, in order.
    ///
    /// ```
    /// # use workerman::Response;
    /// let response = Response::new(200, &[("A", "1"), ("B", "2")], "");
    /// assert_eq!(response.headers().collect::<Vec<_>>(), [("A", "1"), ("B", "2")]);
    /// ```
    #[doc(alias = "getHeaders")]
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.headers.lines()
    }

    /// The status code.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().status(), 200);
    /// ```
    #[doc(alias = "getStatusCode")]
    pub fn status(&self) -> u16 {
        self.parts.status
    }

    /// The reason phrase, empty for a status code without one.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().with_status(413).reason_phrase(), "Payload Too Large");
    /// ```
    #[doc(alias = "getReasonPhrase")]
    pub fn reason_phrase(&self) -> &str {
        self.parts.reason.as_deref().unwrap_or_else(|| status::phrase(self.parts.status))
    }

    /// The body; empty when it is a file.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::new(200, &[], "text").raw_body(), b"text");
    /// ```
    #[doc(alias = "rawBody")]
    pub fn raw_body(&self) -> &[u8] {
        &self.parts.body
    }
}

/// 200 with neither headers nor a body, as `new Response()` in PHP.
impl Default for Response {
    fn default() -> Self {
        Self::new(200, &[], "")
    }
}

impl Clone for Response {
    fn clone(&self) -> Self {
        let mut parts: Lent<Parts> = Lent::take();
        parts.copy_from(&self.parts);
        Self { parts }
    }
}

impl PartialEq for Response {
    fn eq(&self, other: &Self) -> bool {
        *self.parts == *other.parts
    }
}

impl Eq for Response {}

impl Parts {
    /// Copies into the room there is.
    fn copy_from(&mut self, other: &Self) {
        self.status = other.status;
        self.http10 = other.http10;
        self.reason.clone_from(&other.reason);
        self.headers.copy_from(&other.headers);
        self.body.clone_from(&other.body);
        self.file.clone_from(&other.file);
    }

    #[inline]
    fn set_body(&mut self, body: Body<'_>) {
        match body.0 {
            Cow::Borrowed(bytes) => {
                self.body.clear();
                self.body.extend_from_slice(bytes);
            }
            Cow::Owned(bytes) => pool::give(std::mem::replace(&mut self.body, bytes)),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.parts.status)
            .field("headers", &self.headers().collect::<Vec<_>>())
            .field("body_length", &self.parts.body.len())
            .finish()
    }
}

/// The body of a [`Response`]: text or bytes. Buffers that are given away (`String`, `Vec<u8>`) are not copied.
///
/// ```
/// # use workerman::Response;
/// Response::new(200, &[], "text");
/// Response::new(200, &[], String::from("text"));
/// Response::new(200, &[], b"bytes");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Body<'a>(pub(super) Cow<'a, [u8]>);

impl From<Vec<u8>> for Body<'_> {
    #[inline]
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl From<String> for Body<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

macro_rules! body_from_bytes {
    ($($kind:ty),*) => {$(
        impl<'a> From<&'a $kind> for Body<'a> {
            #[inline]
            fn from(bytes: &'a $kind) -> Self {
                Self(Cow::Borrowed(bytes.as_ref()))
            }
        }
    )*};
}

body_from_bytes!(str, String, [u8], Vec<u8>);

impl<'a, const N: usize> From<&'a [u8; N]> for Body<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Cow::Borrowed(bytes))
    }
}
