//! What becomes of a request that is sent elsewhere (RFC 9110 §15.4).
//!
//! Invariants: what proves who the app is stays with the server that it was meant for; what was asked for over TLS is never
//! asked for without.

use super::body::RequestBody;
use super::error::HttpError;
use super::exchange::Exchange;
use super::url::Url;
use super::write;
use crate::protocols::http::ClientResponse;

/// What goes to no other server than the app has named.
const SECRET: &[&[u8]] = &[b"Authorization", b"Proxy-Authorization", b"Cookie", b"Host"];
/// What describes a body that is not sent again.
const OF_BODY: &[&[u8]] = &[b"Content-Type", b"Content-Encoding", b"Content-Language", b"Content-Location"];

/// Where an answer sends the request, if it does and is followed; an error if it cannot be.
pub(super) fn target(exchange: &Exchange, response: &ClientResponse) -> Option<Result<Url, HttpError>> {
    if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) || exchange.max_redirects == 0 {
        return None;
    }
    let location = response.header("Location")?;
    Some(judge(exchange, location))
}

fn judge(exchange: &Exchange, location: &str) -> Result<Url, HttpError> {
    let refused = |reason: String| HttpError::Redirect(reason.into());
    if exchange.redirects >= exchange.max_redirects {
        return Err(refused(format!("it is one more than the {} that may be", exchange.max_redirects)));
    }
    let url = exchange.url.join(location).map_err(|error| refused(error.to_string()))?;
    if exchange.url.is_tls() && !url.is_tls() {
        return Err(refused("it leads from https to http".into()));
    }
    Ok(url)
}

/// Makes the request the one that the answer of this status asks for.
pub(super) fn apply(exchange: &mut Exchange, status: u16, url: Url) {
    exchange.redirects += 1;
    let was_post = exchange.method == "POST";
    let becomes_get = match status {
        303 => exchange.method != "HEAD",
        301 | 302 => was_post,
        _ => false,
    };
    if becomes_get {
        exchange.method = "GET".into();
        exchange.body = RequestBody::default();
        remove(&mut exchange.lines, OF_BODY);
    }
    if url.origin() != exchange.url.origin() {
        remove(&mut exchange.lines, SECRET);
    }
    exchange.url = url;
}

fn remove(lines: &mut Vec<u8>, names: &[&[u8]]) {
    let is_one = |line: &[u8]| names.iter().any(|name| write::name(line).eq_ignore_ascii_case(name));
    *lines = write::lines(lines).filter(|line| !is_one(line)).flatten().copied().collect();
}
