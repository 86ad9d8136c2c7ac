//! Event streams that the app reads: what `EventSource` is in a browser, for a service.
//!
//! | file | what |
//! | --- | --- |
//! | `mod`, `callbacks` | what the app says and is told |
//! | `registry` | the sources of a thread |
//! | `attempt` | from one stream to the next |
//! | `backoff` | how long it is until then |
//! | `stream` | one request and its answer |
//!
//! The bytes of a stream are [`event_stream`](crate::protocols::http::event_stream)'s affair, connections and redirects are
//! [`HttpClient`](crate::HttpClient)'s.

mod attempt;
mod backoff;
mod callbacks;
mod registry;
mod stream;

use std::fmt;
use std::marker::PhantomData;

use crate::http_client::RequestBody;
use crate::reactor::{self, Key};
use crate::timer::Interval;
#[cfg(feature = "_tls")]
use crate::transport::tls::TlsClientOptions;

pub(crate) use registry::clear;
use registry::{Entry, with};

/// Where an [`EventSource`] stands.
///
/// ```
/// use workerman::{EventSource, ReadyState};
///
/// let source = EventSource::new("http://127.0.0.1:1/events");
/// assert_eq!(source.ready_state(), ReadyState::Connecting);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// A stream is on its way, or will be after a while.
    Connecting,
    /// A stream is open.
    Open,
    /// There will be no more events.
    Closed,
}

/// A stream of Server-Sent Events from a server, by a handle that is copied freely: a browser's `EventSource`.
///
/// It connects by itself once the callback in which it was made has returned, and comes back by itself when the stream is
/// lost: after the time that the server has asked for, 3 s if it has not, and behind the last event that has come. Attempts
/// that come to nothing wait twice as long each, up to a minute, spread by chance.
///
/// Only an answer that waiting does not heal is the end: a status that is neither 200 nor 408, 425, 429 or 5xx, a type that is
/// not `text/event-stream`, or 204, by which a server says that it has no more to tell. Then `on_error` is told, with
/// [`ReadyState::Closed`], and the source is forgotten.
///
/// ```
/// use workerman::{EventSource, Worker};
///
/// let worker = Worker::<workerman::Http>::new("");
/// worker.on_worker_start(|_| {
///     let source = EventSource::new("http://127.0.0.1:8080/events");
///     source.on_message(|_, event| println!("{}: {}", event.id(), event.data()));
///     source.on_error(|_, text| eprintln!("{text}"));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventSource {
    key: Key,
    of_this_thread: PhantomData<*const ()>,
}

impl EventSource {
    /// A source of the events at this `http://` or `https://` address. What is wrong with it is told by `on_error`.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// let source = EventSource::new("http://127.0.0.1:8080/events");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(url: &str) -> Self {
        if reactor::get().is_stray() {
            log::warn!("an event source was made on a thread without an event loop while another thread runs one");
        }
        let key = registry::insert(Entry::new(url));
        attempt::begin_later(key);
        Self { key, of_this_thread: PhantomData }
    }

    /// Wants no more events: none is told from here on, and no callback.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_event("end", |source, _| source.close());
    /// ```
    pub fn close(self) {
        attempt::forget(self.key);
    }

    /// Where it stands; [`ReadyState::Closed`] also of one that is forgotten.
    ///
    /// ```
    /// # use workerman::{EventSource, ReadyState};
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.close();
    /// assert_eq!(source.ready_state(), ReadyState::Closed);
    /// ```
    #[doc(alias = "readyState")]
    pub fn ready_state(self) -> ReadyState {
        with(self.key, |entry| entry.state).unwrap_or(ReadyState::Closed)
    }

    /// The address as it was given to [`new`](Self::new); empty once it is closed.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// assert_eq!(EventSource::new("http://127.0.0.1:1/").url(), "http://127.0.0.1:1/");
    /// ```
    pub fn url(self) -> String {
        with(self.key, |entry| (*entry.asked.url).to_owned()).unwrap_or_default()
    }

    /// The id that the server has given last, to keep it beyond the process: see
    /// [`set_last_event_id`](Self::set_last_event_id).
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// assert_eq!(source.last_event_id(), "");
    /// ```
    #[doc(alias = "lastEventId")]
    pub fn last_event_id(self) -> String {
        with(self.key, |entry| entry.stream.last_id().to_owned()).unwrap_or_default()
    }

    /// Takes no more events until [`resume_recv`](Self::resume_recv). What has come already waits here, up to a few pieces of
    /// 64 KiB; the rest waits at the server.
    ///
    /// ```
    /// # use workerman::{EventSource, Timer};
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_message(|source, event| {
    ///     source.pause_recv(); // until this one is done with
    ///     Timer::delay(0.1, move || source.resume_recv());
    /// });
    /// ```
    #[doc(alias = "pauseRecv")]
    pub fn pause_recv(self) {
        let request = with(self.key, |entry| {
            entry.is_paused = true;
            entry.request
        });
        if let Some(request) = request.flatten() {
            request.pause();
        }
    }

    /// Takes events again.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.resume_recv();
    /// ```
    #[doc(alias = "resumeRecv")]
    pub fn resume_recv(self) {
        let now = reactor::get().clock.now();
        let request = with(self.key, |entry| {
            entry.is_paused = false;
            entry.heard = now;
            entry.request
        });
        let Some(request) = request else { return };
        attempt::deliver_later(self.key);
        attempt::watch(self.key);
        if let Some(request) = request {
            request.resume();
        }
    }
}

/// # Settings
///
/// They hold from the next stream on, which is the first in the callback in which the source was made.
impl EventSource {
    /// Sets a header of the request, such as `Authorization`, in the place of one with this name.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_header("Authorization", "Bearer 123");
    /// ```
    pub fn set_header(self, name: &str, value: &str) {
        with(self.key, |entry| {
            let headers = &mut entry.asked.headers;
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.into(), value.into()));
        });
    }

    /// Sets the method: `GET` unless set, or `POST` if there is a body.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_method("QUERY");
    /// ```
    pub fn set_method(self, method: &str) {
        with(self.key, |entry| entry.asked.method = Some(method.into()));
    }

    /// Sets the body of the request, as services want it that answer a question by a stream.
    ///
    /// Such a source does not come back by itself, because the question would be asked again: see
    /// [`set_reconnect`](Self::set_reconnect).
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_header("Content-Type", "application/json");
    /// source.set_body(r#"{"prompt": "hello", "stream": true}"#);
    /// ```
    pub fn set_body(self, body: impl Into<RequestBody>) {
        let body = body.into();
        with(self.key, |entry| entry.asked.body = Some(body));
    }

    /// Sets whether the source comes back when its stream is lost: unless set, if the method is `GET`.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_reconnect(false);
    /// ```
    pub fn set_reconnect(self, comes_back: bool) {
        with(self.key, |entry| entry.asked.comes_back = Some(comes_back));
    }

    /// Asks for what comes behind the event with this id. Line breaks and NUL in it are removed.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_last_event_id("41");
    /// ```
    pub fn set_last_event_id(self, id: &str) {
        let id = id.replace(['\r', '\n', '\0'], "");
        with(self.key, |entry| entry.stream.set_last_id(&id));
    }

    /// Connects through a proxy, `socks5://user:password@host:port` or `http://...`; empty for none: see
    /// [`AsyncTcpConnection::set_proxy`](crate::AsyncTcpConnection::set_proxy).
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_proxy("socks5://me:secret@127.0.0.1:1080");
    /// ```
    #[doc(alias = "proxySocks5")]
    #[doc(alias = "proxyHttp")]
    pub fn set_proxy(self, address: &str) {
        with(self.key, |entry| entry.asked.http = entry.asked.http.proxy(address));
    }

    /// Says how TLS is spoken with a server of `https://`. Without this, its certificate has to be for the host in the
    /// address, and signed by one of whom the system trusts. Needs the feature `tls`.
    ///
    /// ```
    /// use workerman::{EventSource, TlsClientOptions};
    ///
    /// let source = EventSource::new("https://127.0.0.1:1/events");
    /// source.set_transport_ssl(TlsClientOptions::new().ca_file("our-ca.pem"));
    /// ```
    #[cfg(feature = "_tls")]
    #[doc(alias = "context")]
    pub fn set_transport_ssl(self, options: TlsClientOptions) {
        with(self.key, |entry| entry.asked.http = entry.asked.http.transport_ssl(options));
    }

    /// Sets how long it may take until a stream is open, in seconds or as a `Duration`: 30 s unless set, 0 for as long as it
    /// takes. An attempt that takes longer counts as lost.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_connect_timeout(5);
    /// ```
    pub fn set_connect_timeout(self, time: impl Interval) {
        let time = time.nanoseconds();
        with(self.key, |entry| entry.patience = time);
    }

    /// Sets how long an open stream may be silent before it counts as lost, in seconds or as a `Duration`; unless set, for
    /// ever. Servers that send a comment now and then are never silent for long; of others, a connection that is dead looks
    /// like one without events.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_silence_timeout(60);
    /// ```
    pub fn set_silence_timeout(self, time: impl Interval) {
        let time = time.nanoseconds();
        with(self.key, |entry| entry.silence = time);
        attempt::watch(self.key);
    }

    /// Sets how many bytes an event may have, with the line that is being read: 1 MiB unless set. A larger one is the end of
    /// the source, since it would only come again.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.set_max_event_size(64 << 10);
    /// ```
    pub fn set_max_event_size(self, bytes: usize) {
        with(self.key, |entry| entry.stream.set_limit(bytes));
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSource({})", self.key.number())
    }
}
