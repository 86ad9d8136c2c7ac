//! A request: one buffer that holds head and body, and where things are in it.
//!
//! Invariants: a request owns its bytes, so it may be kept in a closure or given to a thread; what must be decoded is
//! decoded at first use and kept.

use std::borrow::Cow;
use std::fmt;

use super::form::Submitted;
use super::parts::{Field, Parts, Rare, trim};
use crate::protocols::pool;
use crate::protocols::reuse::Lent;

/// An HTTP request, as `on_message` receives it.
///
/// ```
/// # use workerman::{Http, Response, Worker};
/// # let worker = Worker::<Http>::new("");
/// worker.on_message(|connection, request| {
///     let text = format!("hello {}", request.get("name").unwrap_or("world"));
///     connection.send(Response::new(200, &[("Content-Type", "text/plain")], text))
/// });
/// ```
pub struct Request {
    pub(super) parts: Lent<Parts>,
}

impl Request {
    /// The method as sent: `GET`, `POST`, …
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// if request.method() == "POST" { /* … */ }
    /// # }
    /// ```
    pub fn method(&self) -> &str {
        self.text((0, self.parts.method_length))
    }

    /// The path of the request target: everything before the first `?` or `#`, of an absolute target without scheme and
    /// host, neither decoded nor cleaned of dot segments.
    ///
    /// PHP differs for odd targets: it reads `//host/path` as a URL and answers `/path`.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// match request.path() {
    ///     "/" => { /* … */ }
    ///     path if path.starts_with("/static/") => { /* … */ }
    ///     _ => { /* … */ }
    /// }
    /// # }
    /// ```
    pub fn path(&self) -> &str {
        let path = self.uri().get(..usize::from(self.parts.path_length)).unwrap_or_default();
        if path.starts_with('/') { path } else { path_of(path) }
    }

    /// The request target as sent, with its query.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// log::info!("{} {}", request.method(), request.uri());
    /// # }
    /// ```
    pub fn uri(&self) -> &str {
        &self.parts.target
    }

    /// What follows the first `?` of the target, not decoded; empty when there is none.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let location = format!("/new?{}", request.query_string());
    /// # }
    /// ```
    #[doc(alias = "queryString")]
    pub fn query_string(&self) -> &str {
        let query = self.query_and_fragment();
        let end = memchr::memchr(b'#', query.as_bytes());
        query.get(..end.unwrap_or(query.len())).unwrap_or_default()
    }

    /// `"1.1"` or `"1.0"`.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// assert!(["1.0", "1.1"].contains(&request.protocol_version()));
    /// # }
    /// ```
    #[doc(alias = "protocolVersion")]
    pub fn protocol_version(&self) -> &'static str {
        if self.parts.minor == 0 { "1.0" } else { "1.1" }
    }

    /// The host that is asked for, with its port: the `Host` header, or what an absolute target names (RFC 9112
    /// §3.2.2). `None` when an HTTP/1.0 client names none.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let origin = format!("http://{}", request.host().unwrap_or("localhost"));
    /// # }
    /// ```
    pub fn host(&self) -> Option<&str> {
        let absolute = self.uri().split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
        match absolute {
            Some((_, rest)) => rest.split(['/', '?']).next(),
            None => self.header("host"),
        }
    }

    /// The host that is asked for, without its port; PHP's `host(true)`. The address of IPv6 keeps its brackets.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let is_ours = request.host_without_port() == Some("example.com");
    /// # }
    /// ```
    pub fn host_without_port(&self) -> Option<&str> {
        let host = self.host()?;
        let with_port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        Some(with_port.map_or(host, |(host, _port)| host))
    }

    /// A header by its name, in any case. Several lines of one name are joined by `,` (`Cookie` by `; `); bytes that
    /// are not UTF-8 become U+FFFD.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let json = request.header("Content-Type") == Some("application/json");
    /// # }
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.only_value(name) {
            Ok(value) => std::str::from_utf8(value?).ok().or_else(|| self.joined_value(name)),
            Err(Several) => self.joined_value(name),
        }
    }

    /// All header lines in the order they came, names as sent. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, value) in request.headers() {
    ///     println!("{name}: {value}");
    /// }
    /// # }
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let head = &self.parts.buffer;
        self.fields().map(move |field| {
            let name = std::str::from_utf8(field.name(head)).unwrap_or_default(); // a token, so it is ASCII
            (name, String::from_utf8_lossy(field.value(head)))
        })
    }

    /// The head as sent, without the blank line at its end.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// assert!(request.raw_head().starts_with(request.method().as_bytes()));
    /// # }
    /// ```
    #[doc(alias = "rawHead")]
    pub fn raw_head(&self) -> &[u8] {
        self.bytes((0, self.parts.head_length.saturating_sub(4)))
    }

    /// The body; of a chunked one, what the chunks carried.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let text = String::from_utf8_lossy(request.raw_body());
    /// # }
    /// ```
    #[doc(alias = "rawBody")]
    pub fn raw_body(&self) -> &[u8] {
        self.parts.buffer.get(usize::from(self.parts.head_length)..).unwrap_or_default()
    }

    /// How long the body is by its head, in bytes; `None` for a chunked one, whose head says nothing of that, and when there
    /// is none. In [`on_head`](crate::Worker::on_head) this tells what is to come; more than a `u64` holds is `u64::MAX`.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_head(|connection, request| {
    ///     if request.content_length().is_some_and(|length| length > 1_000_000) {
    ///         connection.send(Response::new(413, &[], "1 MB at most"));
    ///     }
    /// });
    /// ```
    pub fn content_length(&self) -> Option<u64> {
        // Nothing but digits, or the head had been refused.
        Some(self.header("content-length")?.parse().unwrap_or(u64::MAX))
    }

    /// Head, blank line and body. The head is as sent; of a chunked body, this is what the chunks carried, where PHP also
    /// puts a length in place of the coding in the head.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// assert!(request.raw_buffer().ends_with(request.raw_body()));
    /// # }
    /// ```
    #[doc(alias = "rawBuffer")]
    pub fn raw_buffer(&self) -> &[u8] {
        &self.parts.buffer
    }

    /// A trailer field of a chunked body by its name, in any case; the last one of several, as in PHP. It came after the
    /// body, so let it decide nothing that a header is to decide (RFC 9110 §6.5).
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let checksum = request.trailer("Checksum");
    /// # }
    /// ```
    pub fn trailer(&self, name: &str) -> Option<Cow<'_, str>> {
        self.trailers().filter(|(known, _)| known.eq_ignore_ascii_case(name)).last().map(|(_, value)| value)
    }

    /// All trailer fields in the order they came, names as sent. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, value) in request.trailers() {
    ///     println!("{name}: {value}");
    /// }
    /// # }
    /// ```
    pub fn trailers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let fields = self.parts.rare.get().map_or(&[][..], |rare| &rare.trailers);
        let lines = fields.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name, trim(value.strip_suffix(b"\r").unwrap_or(value).get(1..)?)))
        });
        // A name is a token, so it is ASCII.
        lines.map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), String::from_utf8_lossy(value)))
    }

    /// Whether the client lets the connection go on after the answer (RFC 9112 §9.3): unless it says `close`, and in
    /// HTTP/1.0 only if it says `keep-alive`. The framework acts upon it by itself.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let advice = if request.is_keep_alive() { "see you" } else { "good bye" };
    /// # }
    /// ```
    pub fn is_keep_alive(&self) -> bool {
        !self.names("connection", "close") && (self.parts.minor > 0 || self.names("connection", "keep-alive"))
    }

    /// Whether the client asks to go on with WebSocket: a GET of HTTP/1.1 with `Connection: Upgrade` and
    /// `Upgrade: websocket`. Whether its key and its version are good is for the handshake to say (RFC 6455 §4.2).
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     if request.is_websocket_upgrade() {
    ///         return connection.send(Response::new(501, &[], "no WebSocket here"));
    ///     }
    ///     connection.send("hello")
    /// });
    /// ```
    pub fn is_websocket_upgrade(&self) -> bool {
        self.method() == "GET"
            && self.parts.minor > 0
            && self.names("upgrade", "websocket")
            && self.names("connection", "upgrade")
    }

    /// The id of the last event a reconnecting client has seen, if it sent one.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let seen: u64 = request.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0);
    /// # }
    /// ```
    pub fn last_event_id(&self) -> Option<&str> {
        self.header("last-event-id").filter(|id| !id.is_empty())
    }

    /// Where it came in.
    pub(crate) fn origin(&self) -> crate::protocols::Origin {
        self.parts.origin
    }

    #[inline]
    pub(super) fn empty() -> Self {
        Self { parts: Lent::take() }
    }

    /// Takes a copy of the head, blank line included, to which the fields refer.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // a head is at most HEAD_LIMIT + 4 bytes long
    pub(super) fn set_head(&mut self, head: &[u8], method: &[u8], minor: u8) {
        let parts = &mut *self.parts;
        parts.buffer.extend_from_slice(head);
        parts.head_length = head.len() as u16;
        parts.method_length = method.len() as u16;
        parts.minor = minor;
    }

    #[allow(clippy::cast_possible_truncation)] // shorter than the head
    pub(super) fn set_target(&mut self, target: &str) {
        self.parts.target.push_str(target);
        self.parts.path_length = target.find(['?', '#']).unwrap_or(target.len()) as u16;
    }

    /// Takes the target, of so many bytes, from a head that is all ASCII.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // shorter than the head
    pub(super) fn set_ascii_target(&mut self, path_length: usize, length: usize) {
        let parts = &mut *self.parts;
        parts.path_length = path_length as u16;
        let start = usize::from(parts.method_length) + 1;
        let end = start + length;
        // Whole words from an aligned start are validated quickest, so what stands around the target is too.
        let around = parts.buffer.get(..end.next_multiple_of(16)).unwrap_or(&parts.buffer);
        let text = std::str::from_utf8(around).unwrap_or_default();
        parts.target.push_str(text.get(start..end).unwrap_or_default());
    }

    #[inline]
    pub(super) fn fields_mut(&mut self) -> &mut Vec<Field> {
        &mut self.parts.fields
    }

    pub(super) fn append_body(&mut self, piece: &[u8]) {
        self.parts.buffer.extend_from_slice(piece);
    }

    /// The body is kept elsewhere.
    pub(super) fn drop_body(&mut self) {
        let parts = &mut *self.parts;
        parts.buffer.truncate(usize::from(parts.head_length));
        parts.buffer.shrink_to_fit();
    }

    /// Head and body, which were elsewhere.
    pub(super) fn set_buffer(&mut self, buffer: Vec<u8>) {
        pool::give(std::mem::replace(&mut self.parts.buffer, buffer));
    }

    pub(super) fn set_form(&mut self, form: Submitted) {
        self.rare_mut().form = form.into();
    }

    pub(super) fn append_trailers(&mut self, fields: &[u8]) {
        self.rare_mut().trailers.extend_from_slice(fields);
    }

    #[inline]
    pub(super) fn rare(&self) -> &Rare {
        self.parts.rare.get_or_init(Box::default)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare();
        self.parts.rare.get_mut().expect("it has just been made")
    }

    /// What follows the first `?`, with a fragment if there is one, which there should not be.
    #[inline]
    pub(super) fn query_and_fragment(&self) -> &str {
        let rest = self.uri().get(usize::from(self.parts.path_length)..).unwrap_or_default();
        rest.strip_prefix('?').unwrap_or_default()
    }

    /// What the one line of this name says.
    #[inline]
    pub(super) fn only_value(&self, name: &str) -> Result<Option<&[u8]>, Several> {
        let head = &self.parts.buffer;
        let mut found = None;
        for field in self.fields().filter(|field| field.is(head, name.as_bytes())) {
            if found.replace(field).is_some() {
                return Err(Several);
            }
        }
        Ok(found.map(|field| field.value(head)))
    }

    #[cold]
    fn joined_value(&self, name: &str) -> Option<&str> {
        let values = self.rare().values.get_or_init(|| {
            let mut values: Vec<(String, String)> = Vec::new();
            for (name, value) in self.headers() {
                match values.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                    Some((_, joined)) => {
                        joined.push_str(if name.eq_ignore_ascii_case("cookie") { "; " } else { "," });
                        joined.push_str(&value);
                    }
                    None => values.push((name.to_owned(), value.into_owned())),
                }
            }
            values.into_boxed_slice()
        });
        values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the list in a header has this word, in any case.
    pub(super) fn names(&self, header: &str, word: &str) -> bool {
        self.header(header).is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parts.fields.iter()
    }

    fn bytes(&self, (start, end): (u16, u16)) -> &[u8] {
        self.parts.buffer.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Text that the parser has checked to be ASCII.
    fn text(&self, span: (u16, u16)) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }
}

/// There is more than one line of a name.
pub(super) struct Several;

/// The path of a target without a slash in front: of an absolute one, scheme://authority/path, as sent to proxies.
#[cold]
fn path_of(target: &str) -> &str {
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("uri", &self.uri())
            .field("headers", &self.headers().collect::<Vec<_>>())
            .field("body_length", &self.raw_body().len())
            .finish()
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        let parts = |request: &Self| (request.parts.minor, request.parts.head_length, request.parts.path_length);
        parts(self) == parts(other)
            && self.uri() == other.uri()
            && self.parts.buffer == other.parts.buffer
            && self.headers().eq(other.headers())
    }
}
