//! What only workers of HTTP can be told.

use super::Worker;
use crate::protocols::http::Http;

/// # HTTP
impl Worker<Http> {
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
        self.with_handlers(|handlers| handlers.set_common_methods_only(only));
    }
}
