//! What only connections of HTTP have.

use super::{TcpConnection, along};
use crate::callback::{CallbackResult, Site};
use crate::protocols::http::{Headers, Http};

/// # HTTP
impl TcpConnection<Http> {
    /// Takes the body of the request at hand in pieces, as they arrive, instead of collecting it in memory. To be called
    /// in [`on_head`](crate::Worker::on_head). When the body is complete, the callback is dropped and `on_message` is
    /// called with the request, whose `raw_body` is empty. A body that breaks off is dropped with the connection.
    ///
    /// What the pieces hold is what `raw_body` would: a form is not taken apart, chunks are. A body may be larger than
    /// `max_package_size`, so count what you keep. If pieces come faster than they can be handled, `pause_recv` stops
    /// them until `resume_recv`: what has been read by then waits, 64 KiB at most, and the rest stays with the client.
    /// Nothing counts against a client that is paused.
    ///
    /// An error, or an answer before the end, ends the connection.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// use std::io::Write as _;
    ///
    /// worker.on_head(|connection, request| -> workerman::Result<()> {
    ///     if request.path() == "/backup" {
    ///         let mut file = tempfile::tempfile()?;
    ///         connection.on_body(move |_connection, piece| file.write_all(piece));
    ///     }
    ///     Ok(())
    /// });
    /// worker.on_message(|connection, _request| connection.send("stored"));
    /// ```
    #[doc(alias = "on_data")]
    #[track_caller]
    pub fn on_body<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_body");
        self.callbacks(|callbacks| {
            callbacks
                .make_rare()
                .on_body
                .set(site, Box::new(move |connection, piece| callback(connection, piece).into_result()));
        });
    }

    /// Sets header lines for the next answer: PHP's `$connection->headers`. They stand behind those that the answer has of
    /// its own; of a header that may stand only once, as `Content-Type`, the answer's own stays. What was set here before
    /// is gone. As in [`Response`](crate::Response), what would break a header is left out with a warning.
    ///
    /// They go along with one answer, text, `Response` or file, and are gone with it; an answer of raw bytes has no place for
    /// them. A handle from `on_message` sets them for its own request, so not once that has been answered; one from
    /// elsewhere, as in `on_connect`, for whichever is answered next.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     if request.header("origin") == Some("https://example.com") {
    ///         connection.set_headers(&[("Access-Control-Allow-Origin", "https://example.com"), ("Vary", "Origin")]);
    ///     }
    ///     connection.send("text")
    /// });
    /// ```
    pub fn set_headers(self, headers: &[(&str, &str)]) {
        if self.ticket == 0 || along::ask(self.key, |http: &Http| http.awaits(self.ticket)) == Some(true) {
            let mut lines = Headers::default();
            headers.iter().for_each(|(name, value)| lines.add(name, value));
            along::set_headers(self.key, lines);
        }
    }
}
