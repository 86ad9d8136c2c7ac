//! What only connections of HTTP have.

use super::TcpConnection;
use crate::callback::CallbackResult;
use crate::protocols::http::Http;

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
    pub fn on_body<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &[u8]) -> R + 'static,
        R: CallbackResult,
    {
        self.callbacks(|callbacks| {
            callbacks.on_body.set(Box::new(move |connection, piece| callback(connection, piece).into_result()));
        });
    }
}
