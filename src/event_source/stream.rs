//! One request for a stream, by an [`HttpClient`](crate::HttpClient): what comes of it is news for the source.

use super::attempt::take_news;
use super::registry::Asked;
use crate::http_client::{HttpError, PendingRequest, RequestOptions};
use crate::protocols::http::ClientResponse;
use crate::reactor::{self, Key};

/// The head of an answer, as far as it matters.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) content_type: String,
    /// Nanoseconds that the server asks to wait before the next request.
    pub(super) retry_after: u64,
}

/// Why nothing more comes.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    pub(super) reason: String,
    /// What was asked for cannot be asked for.
    pub(super) is_for_good: bool,
}

/// Asks for the stream, behind the event with this id if it is not empty.
pub(super) fn open(key: Key, attempt: u32, asked: &Asked, last_id: &str) -> PendingRequest {
    // The source itself looks at how long it takes.
    let mut options = RequestOptions::new().method(asked.method().to_owned()).timeout(0);
    let usual = [("Accept", "text/event-stream"), ("Cache-Control", "no-store")];
    for (name, value) in usual.into_iter().filter(|(name, _)| asked.header(name).is_none()) {
        options = options.header(name, value);
    }
    for (name, value) in &asked.headers {
        options = options.header(name, value);
    }
    // It may hold what no header can.
    if !last_id.is_empty() && !last_id.bytes().any(|byte| byte.is_ascii_control()) {
        options = options.header("Last-Event-ID", last_id);
    }
    if let Some(body) = &asked.body {
        options = options.body(body.clone());
    }
    let options = options.on_head(move |_, response| {
        let head = Head::of(response);
        take_news(key, attempt, |news| news.head = Some(head));
    });
    let options = options.on_chunk(move |_, piece| take_news(key, attempt, |news| news.bytes.extend_from_slice(piece)));
    asked.http.request(&asked.url, options, move |answer| {
        let end = End::of(answer);
        take_news(key, attempt, |news| news.end = Some(end));
    })
}

impl Head {
    fn of(response: &ClientResponse) -> Self {
        let header = |name| response.header(name).unwrap_or_default();
        Self {
            status: response.status(),
            reason: response.reason().to_owned(),
            content_type: header("Content-Type").to_owned(),
            retry_after: retry_after(header("Retry-After")),
        }
    }
}

impl End {
    fn of(answer: Result<ClientResponse, HttpError>) -> Self {
        match answer {
            Ok(_) => Self { reason: "the stream has ended".to_owned(), is_for_good: false },
            Err(error) => {
                let is_for_good = matches!(error, HttpError::Address(_) | HttpError::Request(_));
                Self { reason: error.to_string(), is_for_good }
            }
        }
    }
}

/// Seconds, or a date: RFC 9110 §10.2.3. 0 if it is neither.
fn retry_after(value: &str) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().unwrap_or(u64::MAX).saturating_mul(SECOND);
    }
    let wait =
        httpdate::parse_http_date(value).ok().and_then(|date| date.duration_since(reactor::get().clock.wall()).ok());
    wait.map_or(0, reactor::nanoseconds)
}
