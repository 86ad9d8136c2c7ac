//! Answers that a client has asked for.

use workerman::testing::fuzz::{Answered, Asked, answer};

use super::{Reference, reference_chunks};

const LIMIT: usize = 64 * 1024;

/// What a server says: the same answer however it is cut, whole or in pieces; and by a reading of RFC 9112 §6 that is slow
/// and whole at once, the same body.
pub fn http_response(input: &[u8]) {
    // The first byte says what was asked for.
    let Some((first, bytes)) = input.split_first() else { return };
    let asked = Asked { head_only: first & 1 != 0, in_pieces: false, max_body: LIMIT };
    let closes = first & 2 != 0;
    let whole = receive(bytes, asked, closes);
    let in_pieces = receive(bytes, Asked { in_pieces: true, ..asked }, closes);
    assert_eq!(in_pieces.failed.is_some(), whole.failed.is_some(), "{}", bytes.escape_ascii());
    if let (Some(response), None) = (&whole.response, &whole.failed) {
        assert_eq!((&in_pieces.pieces[..], in_pieces.complete), (response.body(), whole.complete));
        let plain = response.header("Content-Encoding").is_none();
        let reference = reference(bytes, asked.head_only, closes).expect("what is taken has an end");
        assert!(!plain || reference == response.body(), "{}", bytes.escape_ascii());
        assert!(response.body().len() <= LIMIT && (200..600).contains(&response.status()));
        assert!(response.headers().all(|(name, _)| !name.is_empty() && response.header(name).is_some()));
        let _ = (response.reason(), response.trailers().count(), response.text(), format!("{response:?}"));
    }
}

fn receive(bytes: &[u8], asked: Asked, closes: bool) -> Answered {
    let whole = answer([bytes], asked, closes);
    let odd = bytes.iter().fold(7, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add((*byte).into())) % 61 + 2;
    for size in [1, odd] {
        let mut cut = answer(bytes.chunks(size), asked, closes);
        assert_eq!(cut.failed.is_some(), whole.failed.is_some(), "in pieces of {size}: {}", bytes.escape_ascii());
        if whole.failed.is_none() {
            cut.longest = whole.longest;
            assert_eq!(cut, whole, "in pieces of {size}: {}", bytes.escape_ascii());
        }
    }
    whole
}

/// The body of an answer that was taken, if it is complete.
fn reference(mut bytes: &[u8], head_only: bool, closes: bool) -> Option<Vec<u8>> {
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let body = &bytes[end..];
        let status = head.get(9..12)?;
        if status.starts_with('1') {
            bytes = body;
            continue;
        }
        let of = |name: &str| {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            let values: Vec<_> = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).collect();
            assert!(values.len() <= 1, "taken: {head:?}");
            values.first().map(|(_, value)| value.trim().to_owned())
        };
        let (length, coding) = (of("Content-Length"), of("Transfer-Encoding"));
        assert!(length.is_none() || coding.is_none(), "taken: {head:?}");
        if head_only || status == "204" || status == "304" {
            return Some(Vec::new());
        }
        return match (length, coding) {
            (Some(length), _) => Some(body.get(..length.parse().ok()?)?.to_vec()),
            (None, Some(_)) => match reference_chunks(body) {
                Reference::Done(body, _) => Some(body),
                _ => None,
            },
            (None, None) => closes.then(|| body.to_vec()),
        };
    }
}
