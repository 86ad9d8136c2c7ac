//! What an app answers with.

use std::fmt;

use super::headers::Headers;
use super::status;
use crate::protocols::pool;

/// An HTTP answer: status, headers, body.
///
/// Header names are compared without regard to case, and a header can never be split: a name that is not a token, or a
/// value with a control character other than HTAB, is left out with a warning. What is not set is added when the answer
/// is sent, as PHP does: `Connection`, `Content-Type: text/html;charset=utf-8`, `Content-Length`; and `Date`.
///
/// A `Content-Type` that starts with `text/event-stream` opens a stream of [`ServerSentEvents`](crate::ServerSentEvents).
///
/// ```
/// use workerman::Response;
///
/// let response = Response::new(201, &[("Content-Type", "application/json")], r#"{"id": 7}"#)
///     .with_header("Location", "/things/7");
/// assert_eq!(response.header("location"), Some("/things/7"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub(super) status: u16,
    pub(super) http10: bool,
    pub(super) reason: Option<Box<str>>,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
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
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Self {
        let mut lines = Headers::default();
        for (name, value) in headers {
            lines.add(name, value);
        }
        Self { status, http10: false, reason: None, headers: lines, body: body.into().0 }
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
        self.headers.set(name, value);
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
            self.headers.set(name, value);
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
        self.headers.add(name, value);
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
        self.headers.remove(name);
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
        self.status = status;
        self.reason = None;
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
        self.status = status;
        self.reason = Some(reason.chars().filter(|c| !c.is_control()).collect());
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
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into().0;
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
        self.http10 = version == "1.0";
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
        self.headers.get(name)
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
        self.headers.lines()
    }

    /// The status code.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().status(), 200);
    /// ```
    #[doc(alias = "getStatusCode")]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, empty for a status code without one.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::default().with_status(413).reason_phrase(), "Payload Too Large");
    /// ```
    #[doc(alias = "getReasonPhrase")]
    pub fn reason_phrase(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| status::phrase(self.status))
    }

    /// The body.
    ///
    /// ```
    /// # use workerman::Response;
    /// assert_eq!(Response::new(200, &[], "text").raw_body(), b"text");
    /// ```
    #[doc(alias = "rawBody")]
    pub fn raw_body(&self) -> &[u8] {
        &self.body
    }
}

/// 200 with neither headers nor a body, as `new Response()` in PHP.
impl Default for Response {
    fn default() -> Self {
        Self::new(200, &[], "")
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.headers.recycle();
        pool::give(std::mem::take(&mut self.body));
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers().collect::<Vec<_>>())
            .field("body_length", &self.body.len())
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
pub struct Body(Vec<u8>);

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let mut buffer = pool::take();
        buffer.extend_from_slice(bytes);
        Self(buffer)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

macro_rules! body_from_bytes {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Body {
            fn from(bytes: $kind) -> Self {
                let bytes: &[u8] = bytes.as_ref();
                Self::from(bytes)
            }
        }
    )*};
}

body_from_bytes!(&str, &String, &Vec<u8>);

impl<const N: usize> From<&[u8; N]> for Body {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}
