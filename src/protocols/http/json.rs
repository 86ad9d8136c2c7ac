//! JSON in the body of a request, with the feature `json`.
//!
//! In scope: from bytes to a type of the app's. Out of scope: answers, whose text is the app's.
//!
//! Invariants: the type decides what is kept; arrays and maps in each other are refused beyond 128 (a bound of
//! `serde_json`), so no body exhausts the stack.

use std::error::Error;
use std::fmt;

use serde::Deserialize;

use super::request::Request;

impl Request {
    /// The body, read as JSON: into a type of one's own, or into `serde_json::Value`. Needs the feature `json`.
    ///
    /// `Content-Type` is not looked at: whoever asks wants JSON, and many clients name none or another. Who minds (a form
    /// of another site can send JSON as `text/plain`) checks the header first. Each call reads the body anew.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     item: String,
    ///     count: u32,
    /// }
    ///
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| match request.json::<Order>() {
    ///     Ok(order) => connection.send(format!("{} ordered", order.count)),
    ///     Err(error) => {
    ///         let plain = [("Content-Type", "text/plain")];
    ///         connection.send(workerman::Response::new(400, &plain, error.to_string()))
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// When the body is not JSON, or is none that fits the type. An empty body is not JSON; neither is one with a byte
    /// order mark, or with anything but white space behind the value.
    #[doc(alias = "post")]
    #[doc(alias = "json_decode")]
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        read(self.raw_body())
    }
}

/// A body, whosever it is.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(body).map_err(JsonError)
}

/// Why [`Request::json`] and [`ClientResponse::json`](crate::ClientResponse::json) have no value: what was wrong, and in which line and column. Its text may go to the client,
/// as plain text or escaped: it quotes the body, and tells of the names in the type.
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

impl JsonError {
    /// Whether the body is not JSON at all (400), and not merely of another shape than the type (422, for those who tell
    /// the two apart).
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let status = match request.json::<Vec<String>>() {
    ///     Ok(names) => 200,
    ///     Err(error) if error.is_malformed() => 400,
    ///     Err(_) => 422,
    /// };
    /// # }
    /// ```
    pub fn is_malformed(&self) -> bool {
        !self.0.is_data()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_malformed() { "is not JSON" } else { "is not the JSON that is expected" };
        write!(f, "the body {what}: {}", self.0)
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
