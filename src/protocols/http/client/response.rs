//! An answer as the app sees it: what a server has said.
//!
//! Invariants: a head is text, since bytes that are not UTF-8 are taken for Latin-1; offsets fit 16 bits because a head is
//! below [`HEAD_MOST`](super::head::HEAD_MOST), and twice that as text.

use std::borrow::Cow;
use std::fmt;

use crate::protocols::http::parts::Field;
use crate::protocols::reuse::{Home, Lent, Reuse, Shelf};
use crate::protocols::{pool, warm};
use crate::shared::{Leaked, Shared};

/// Parts keep at most this much room for a head.
const ROOM: usize = 16 * 1024;
/// Parts keep room for at most so many header lines.
const FIELDS: usize = 64;

thread_local! {
    static HOME: Leaked<Shared<Shelf<Parts>>> = const { Leaked::new() };
}

/// What a server has answered to a request of [`HttpClient`](crate::HttpClient).
///
/// ```
/// # use workerman::HttpClient;
/// # let http = HttpClient::new();
/// http.get("http://127.0.0.1:8080/", |answer| {
///     let response = answer?;
///     println!("{} {}", response.status(), response.header("Content-Type").unwrap_or("nothing"));
///     println!("{}", response.text());
///     workerman::Result::<()>::Ok(())
/// });
/// ```
#[doc(alias = "Response")]
pub struct ClientResponse {
    parts: Lent<Parts>,
}

#[derive(Default)]
pub(super) struct Parts {
    pub(super) status: u16,
    pub(super) minor: u8,
    /// From the status line to the blank line, both included.
    pub(super) head: Vec<u8>,
    /// Where the text behind the status ends.
    pub(super) reason: std::ops::Range<u16>,
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
    /// The lines behind a chunked body, as they came.
    pub(super) trailers: Vec<u8>,
    pub(super) url: String,
}

impl Reuse for Parts {
    const HOME: &'static Home<Self> = &HOME;

    fn clear(&mut self) {
        if self.head.capacity() > ROOM {
            self.head = Vec::new();
        }
        if self.fields.capacity() > FIELDS {
            self.fields = Vec::new();
        }
        self.head.clear();
        self.fields.clear();
        let body = std::mem::take(&mut self.body);
        if body.capacity() > pool::LARGEST {
            warm::give(body);
        } else {
            pool::give(body);
        }
        self.trailers = Vec::new();
        pool::give(std::mem::take(&mut self.url).into_bytes());
    }
}

impl ClientResponse {
    pub(super) fn empty() -> Self {
        Self { parts: Lent::take() }
    }

    pub(super) fn parts(&mut self) -> &mut Parts {
        &mut self.parts
    }

    /// Where the answer came from, once that is known.
    pub(crate) fn set_url(&mut self, url: String) {
        self.parts.url = url;
    }

    pub(crate) fn set_trailers(&mut self, trailers: Vec<u8>) {
        self.parts.trailers = trailers;
    }

    /// The status, such as 200.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// let found = response.status() != 404;
    /// # }
    /// ```
    #[doc(alias = "getStatusCode")]
    pub fn status(&self) -> u16 {
        self.parts.status
    }

    /// Whether the status is one of success, 200 to 299.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// let text = if response.is_success() { response.text() } else { "nothing".into() };
    /// # }
    /// ```
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.parts.status)
    }

    /// The text behind the status, mostly `OK` or `Not Found`; it may be empty.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// println!("{} {}", response.status(), response.reason());
    /// # }
    /// ```
    #[doc(alias = "getReasonPhrase")]
    pub fn reason(&self) -> &str {
        let range = usize::from(self.parts.reason.start)..usize::from(self.parts.reason.end);
        text(self.parts.head.get(range).unwrap_or_default())
    }

    /// The version of HTTP that the server has answered in, `1.1` or `1.0`.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// assert_eq!(response.protocol_version(), "1.1");
    /// # }
    /// ```
    #[doc(alias = "getProtocolVersion")]
    pub fn protocol_version(&self) -> &'static str {
        if self.parts.minor == 0 { "1.0" } else { "1.1" }
    }

    /// A header by its name, in any case; the first line of that name.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// let is_json = response.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
    /// # }
    /// ```
    #[doc(alias = "getHeaderLine")]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = &self.parts.head;
        let field = self.parts.fields.iter().find(|field| field.is(head, name.as_bytes()))?;
        Some(text(field.value(head)))
    }

    /// All header lines in the order they came, names as sent. `Set-Cookie` comes once for each cookie.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// let cookies = response.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"));
    /// # }
    /// ```
    #[doc(alias = "getHeaders")]
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = &self.parts.head;
        self.parts.fields.iter().map(move |field| (text(field.name(head)), text(field.value(head))))
    }

    /// The fields behind a chunked body, if there were any.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// let checksum = response.trailers().find(|(name, _)| *name == "Digest");
    /// # }
    /// ```
    pub fn trailers(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let lines = self.parts.trailers.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
            Some((String::from_utf8_lossy(name), String::from_utf8_lossy(value.trim_ascii())))
        })
    }

    /// The body: without its framing, and decompressed. Empty if it was taken in pieces.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// println!("{} bytes", response.body().len());
    /// # }
    /// ```
    #[doc(alias = "getBody")]
    pub fn body(&self) -> &[u8] {
        &self.parts.body
    }

    /// The body, to keep.
    ///
    /// ```
    /// # fn example(response: workerman::ClientResponse) {
    /// let image: Vec<u8> = response.into_body();
    /// # }
    /// ```
    pub fn into_body(mut self) -> Vec<u8> {
        std::mem::take(&mut self.parts.body)
    }

    /// The body as text. Bytes that are not UTF-8 become U+FFFD; other character sets are the app's.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// println!("{}", response.text());
    /// # }
    /// ```
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.parts.body)
    }

    /// The body, read as JSON: into a type of one's own, or into `serde_json::Value`. Needs the feature `json`.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Weather {
    ///     degrees: f32,
    /// }
    ///
    /// # fn example(response: &workerman::ClientResponse) -> workerman::Result<()> {
    /// let weather: Weather = response.json()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the body is not JSON, or is none that fits the type.
    #[cfg(feature = "json")]
    #[doc(alias = "json_decode")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, super::super::JsonError> {
        super::super::json::read(&self.parts.body)
    }

    /// Where the answer has come from: another address than that of the request if there were redirects.
    ///
    /// ```
    /// # fn example(response: &workerman::ClientResponse) {
    /// println!("found at {}", response.url());
    /// # }
    /// ```
    pub fn url(&self) -> &str {
        &self.parts.url
    }
}

/// What is kept as text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl fmt::Debug for ClientResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers().collect();
        f.debug_struct("ClientResponse")
            .field("status", &self.parts.status)
            .field("headers", &headers)
            .field("body", &self.parts.body.len())
            .finish_non_exhaustive()
    }
}

/// As far as a server can tell them apart.
impl PartialEq for ClientResponse {
    fn eq(&self, other: &Self) -> bool {
        let of = |response: &Self| {
            let parts = &response.parts;
            (parts.status, parts.minor, parts.head.clone(), parts.body.clone(), parts.trailers.clone())
        };
        of(self) == of(other)
    }
}

/// Frees what the thread keeps for later answers.
pub(super) fn clear() {
    crate::protocols::reuse::clear::<Parts>();
}
