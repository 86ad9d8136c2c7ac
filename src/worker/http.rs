//! What only workers of HTTP can be told.

use super::Worker;
use crate::callback::{CallbackResult, Site};
use crate::connection::TcpConnection;
#[cfg(feature = "compression")]
use crate::protocols::http::Compression;
use crate::protocols::http::{Http, Request};

/// # HTTP
impl Worker<Http> {
    /// Called with each request that has a body, when its head is complete and before the body is read; `on_message`
    /// follows when it is.
    ///
    /// Here a request can be turned away before its body is sent: what is answered before the body is complete is the
    /// connection's last answer, and nothing more is read. A client that waits for `100 Continue` is told to go on when
    /// this returns without an answer. And here [`on_body`](TcpConnection::on_body) takes a body in pieces, which may then
    /// be larger than [`max_package_size`](TcpConnection::set_max_package_size).
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_head(|connection, request| {
    ///     if request.header("authorization").is_none() {
    ///         connection.send(Response::new(401, &[], "who are you?"));
    ///     }
    /// });
    /// ```
    #[track_caller]
    pub fn on_head<F, R>(self, mut callback: F)
    where
        F: FnMut(TcpConnection<Http>, &Request) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_head");
        self.with_handlers(|handlers| {
            handlers.limit(|limits| limits.tell_heads = true);
            handlers
                .callbacks
                .make_rare()
                .on_head
                .set(site, Box::new(move |connection, request| callback(connection, request).into_result()));
        });
    }

    /// Sets whether only requests with one of the seven common methods reach the app, which PHP Workerman knows no others
    /// than: `GET`, `POST`, `PUT`, `DELETE`, `PATCH`, `HEAD` and `OPTIONS`, in upper case. From the next request on, all
    /// others are answered with 501 and the connection is closed, whatever the path.
    ///
    /// Unless set, a method is any word the client likes (RFC 9110 §9.1), and the app decides what it means. `CONNECT`
    /// always gets 501. (PHP answers 400. That says that the request is malformed, and 405 that this path has no such
    /// method; a method that the whole server does not know is 501, RFC 9110 §15.6.2.)
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_common_methods_only(true);
    /// ```
    #[doc(alias = "method")]
    #[doc(alias = "405")]
    #[doc(alias = "501")]
    pub fn set_common_methods_only(self, only: bool) {
        self.with_handlers(|handlers| handlers.limit(|limits| limits.common_methods_only = only));
    }

    /// Sets how answers are compressed, `None` for not at all, which is what holds until this is called. From the next
    /// request on, whole answers are sent in gzip to clients that accept it (RFC 9110 §12.5.3). With the feature
    /// `compression`.
    ///
    /// Compressed is text in its many forms (`text/*`, JSON, XML, JavaScript, SVG, …) from a threshold on, if that makes it
    /// smaller. Event streams, answers in chunks and files leave as they are, and so do answers with status 204, 205, 206
    /// or 304, with a `Content-Encoding`, a digest or a range of the app's, and with `Cache-Control: no-transform`.
    ///
    /// An answer that could have been compressed has `Vary: Accept-Encoding`, one that is has a weak `ETag`. Compressing
    /// takes the loop's time, and about 300 KiB for each thread. A page that holds a secret beside what a request has put into
    /// it can give that secret away by its length (BREACH): such answers want `no-transform`.
    ///
    /// ```
    /// # use workerman::{Compression, Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_compression(Compression::new());
    /// worker.on_message(|connection, _request| connection.send("text, over and over again; ".repeat(100)));
    /// ```
    #[cfg(feature = "compression")]
    #[doc(alias = "gzip")]
    #[doc(alias = "ob_gzhandler")]
    pub fn set_compression(self, compression: impl Into<Option<Compression>>) {
        let number = compression.into().map_or(0, Compression::number);
        self.with_handlers(|handlers| handlers.limit(|limits| limits.compression = number));
    }
}
