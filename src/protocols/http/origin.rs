//! Which page a request comes from.

use super::request::Request;

/// # Where it comes from
impl Request {
    /// Whether the request comes from a page of one of these origins, or from no page at all.
    ///
    /// A browser names the page's origin when a script opens a WebSocket, on requests to other sites, and with POST; and it
    /// sends your cookies along whatever that origin is. So look at it before you trust a cookie. Programs other than
    /// browsers name none, or any: this keeps pages out, not programs.
    ///
    /// ```
    /// # use workerman::{Response, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_connect(|connection, request| {
    ///     if !request.is_from(&["https://example.com", "http://localhost:8080"]) {
    ///         connection.send(Response::new(403, &[], "not from there"));
    ///     }
    /// });
    /// ```
    #[doc(alias = "origin")]
    pub fn is_from(&self, origins: &[&str]) -> bool {
        let Some(origin) = self.header("origin") else { return true };
        origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// Whether the request comes from a page of the host that it asks for, or from no page at all: see
    /// [`is_from`](Self::is_from). Behind a proxy this needs the `Host` that the browser has sent.
    ///
    /// ```
    /// # use workerman::{Response, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_websocket_connect(|connection, request| {
    ///     if !request.is_same_origin() {
    ///         connection.send(Response::new(403, &[], "not from there"));
    ///     }
    /// });
    /// ```
    pub fn is_same_origin(&self) -> bool {
        let Some(origin) = self.header("origin") else { return true };
        let host = origin.split_once("://").map(|(_, host)| host);
        host.zip(self.host()).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    }
}
