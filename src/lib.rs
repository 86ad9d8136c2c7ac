//! Workerman for Rust: a callback-style event-loop framework, on one thread, with Server-Sent Events first.
//!
//! ```no_run
//! use workerman::{Http, Response, ServerSentEvents, Status, Timer, Worker};
//!
//! fn main() -> workerman::Result<()> {
//!     let worker = Worker::<Http>::new("http://0.0.0.0:8080");
//!
//!     worker.on_message(|connection, request| {
//!         if request.header("accept") == Some("text/event-stream") {
//!             connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"));
//!             Timer::add(2, move |timer_id| {
//!                 if connection.status() != Status::Established {
//!                     Timer::del(timer_id);
//!                     return;
//!                 }
//!                 connection.send(ServerSentEvents::new().event("message").data("hello").id(1));
//!             });
//!             return;
//!         }
//!         connection.send("ok");
//!     });
//!
//!     Worker::run_all()
//! }
//! ```
//!
//! * A [`Worker`] listens; its callbacks are plain closures that need not be `Send`.
//! * A [`TcpConnection`] is a small number that is copied into closures, timers and maps. It keeps nothing alive, and
//!   once its connection is gone, sending answers [`SendStatus::Closed`].
//! * A [`UdpWorker`] listens for datagrams; a [`UdpConnection`] is the address of a peer.
//! * An [`AsyncTcpConnection`] is a connection that the app makes, of any protocol, [`Ws`] among them; a [`HttpClient`] asks HTTP
//!   servers, an [`EventSource`] reads their event streams.
//! * A [`Timer`] runs on the loop; [`TcpConnection::add_timer`] ends with its connection.
//! * A [`Task`] is work that would block, on another thread; other threads reach the loop through a [`LoopHandle`] or a
//!   [`RemoteConnection`].
//!
//! Callbacks never nest: what one causes (another connection closing, a full buffer) is delivered right after it
//! returns. A panic in a callback costs that connection only ([`PanicPolicy`]).
//!
//! Names are PHP Workerman's in `snake_case`; searching these pages for the PHP name (`onMessage`, `getRemoteIp`) finds
//! them.
//!
//! # Features
//!
//! * `compression` (off by default): `Worker::set_compression` has answers compressed with gzip; takes in `flate2` on
//!   `zlib-rs`.
//! * `deflate` (off by default): WebSocket messages are compressed with clients that can; takes in `flate2` with `zlib-rs`.
//! * `json` (off by default): `Request::json` reads a body into a type of the app's; takes in `serde` and `serde_json`.
//! * `session` (off by default): `Request::session`, with handlers for memory and files; takes in `json`.
//! * `tls` (off by default): `Worker::set_transport_ssl`, and clients of `ssl://`, `wss://` and `https://`; takes in `rustls` with
//!   `aws-lc-rs`, which is built by a C compiler, and `rustls-native-certs`.
//! * `tls-ring` (off by default): the same with `ring`, which builds faster.

#![forbid(unsafe_code)]
#![doc(test(attr(deny(warnings), allow(dead_code, unused_variables))))]

mod address;
mod callback;
mod client;
mod connection;
mod data;
#[cfg(doctest)]
mod docs;
mod error;
mod event_source;
mod handle;
mod handover;
mod http_client;
mod part;
mod process;
mod protocols;
mod reactor;
#[cfg(feature = "session")]
mod session;
mod shared;
mod task;
#[doc(hidden)]
pub mod testing;
mod timer;
mod transport;
mod udp;
mod worker;

pub use callback::{CallbackResult, PanicPolicy};
pub use client::{AsyncTcpConnection, AsyncUdpConnection};
pub use connection::{
    Broadcast, CONNECT_FAIL, Deadlines, Destination, PROTOCOL_FAIL, RemoteConnection, SEND_FAIL, SendStatus, Status,
    TcpConnection, UpgradeError,
};
pub use error::{BoxError, Error, Result};
pub use event_source::{EventSource, ReadyState};
pub use http_client::{HttpClient, HttpError, Multipart, PendingRequest, RequestBody, RequestOptions};
pub use process::{Command, Usage};
pub use protocols::datagram::Datagram;
pub use protocols::frame::Frame;
#[cfg(feature = "compression")]
pub use protocols::http::Compression;
#[cfg(feature = "json")]
pub use protocols::http::JsonError;
pub use protocols::http::{
    Body, Chunk, ClientResponse, Cookie, Files, FilesIter, FormError, Http, MessageEvent, Param, Params, ParamsIter,
    Request, Response, SameSite, ServerSentEvents, UploadError, Uploaded, UploadedFile,
};
pub use protocols::output::Output;
pub use protocols::tcp::Tcp;
pub use protocols::text::Text;
#[cfg(feature = "deflate")]
pub use protocols::websocket::Deflate;
#[doc(hidden)]
pub use protocols::websocket::EitherSide;
pub use protocols::websocket::{Message, Websocket, WebsocketType, Ws};
pub use protocols::{Codec, Encode, Encoded, Protocol};
pub use reactor::LoopError;
#[cfg(feature = "session")]
pub use session::{FileSessionHandler, MemorySessionHandler, Session, SessionConfig, SessionError, SessionHandler};
pub use task::{LoopHandle, Panicked, Task, TaskError};
pub use timer::{DelayCallback, Interval, Timer, TimerCallback, TimerId};
#[cfg(feature = "_tls")]
pub use transport::tls::{TlsClientOptions, TlsInfo, TlsOptions, TlsVersion};
pub use udp::{UdpConnection, UdpWorker};
pub use worker::{Connections, Worker};
