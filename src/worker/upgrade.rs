//! Connections of HTTP that become another worker's.

use super::Worker;
use crate::connection::{TcpConnection, UpgradeError};
use crate::protocols::Codec;
use crate::protocols::http::{Http, Request};

/// # Upgrading
impl TcpConnection<Http> {
    /// As [`upgrade`](Self::upgrade), and the connection becomes one of this worker's, which may be one without a
    /// listener: it is among its `connections()` and no longer among those of the accepting worker, and all its callbacks
    /// are called for it, `on_connect` first. Its deadlines hold too.
    ///
    /// # Errors
    ///
    /// An [`UpgradeError`]. A request that does not ask for this protocol has been answered.
    ///
    /// ```
    /// # use workerman::{Http, Websocket, Worker};
    /// let chat = Worker::<Websocket>::new("");
    /// chat.on_message(move |_connection, message| {
    ///     for other in chat.connections() {
    ///         other.send(&message);
    ///     }
    /// });
    ///
    /// let site = Worker::<Http>::new("http://127.0.0.1:0");
    /// site.on_message(move |connection, request| {
    ///     if request.path() != "/chat" {
    ///         connection.send("a page");
    ///     } else if let Err(error) = connection.upgrade_to(chat, request) {
    ///         println!("{error}");
    ///     }
    /// });
    /// ```
    pub fn upgrade_to<Q: Codec>(self, worker: Worker<Q>, request: Request) -> Result<TcpConnection<Q>, UpgradeError> {
        let handlers = worker.handlers().ok_or(UpgradeError::Closed)?;
        self.upgrade_for(request, Some(handlers))
    }
}
