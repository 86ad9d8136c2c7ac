//! From a message to its datagram.
//!
//! Invariant: a message is one datagram or none; it is never cut.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use rustix::io::Errno;

use super::outgoing::Given;
use super::registry::{registry, with_entry, with_socket};
use crate::connection::{PROTOCOL_FAIL, Reporting, SEND_FAIL, SendStatus, custom};
use crate::protocols::datagram::Datagram;
use crate::protocols::output::{Outbound, Output};
use crate::protocols::{Encode, Encoded};
use crate::reactor::{self, Deferred, Key};

/// No datagram is longer, whatever carries it.
const LONGEST: usize = 65_535;
/// So many failures of a worker wait for its `on_error` at most.
const REPORTS: usize = 1000;

const TOO_LONG: &str = "the message is too long for a datagram";

/// Encodes a message and sends it as a datagram.
pub(super) fn message<P: Datagram + Encode<M>, M>(key: Key, peer: SocketAddr, message: M) -> SendStatus {
    if with_socket(key, |_| ()).is_none() {
        return SendStatus::Closed;
    }
    encode::<P, M, _>(message, |encoded| match encoded {
        Ok(None) => SendStatus::Sent,
        Ok(Some(bytes)) => datagram(key, peer, bytes),
        Err((code, text)) => {
            fail(key, peer, code, text);
            SendStatus::Dropped
        }
    })
}

/// Why a message is no datagram: what `on_error` is told.
pub(crate) type Refusal = (u32, Cow<'static, str>);

/// Lends the datagram that a message is, `None` if it is none: gathered if it lies in several pieces.
pub(crate) fn encode<P, M, R>(message: M, then: impl FnOnce(Result<Option<&[u8]>, Refusal>) -> R) -> R
where
    P: Datagram + Encode<M>,
{
    let mut queue = registry().spare.take();
    let date = reactor::get().clock.date();
    let encoded = match custom::make::<P>() {
        Ok(mut codec) => custom::encode(&mut codec, message, &mut Output::new(&mut queue, &date, 0)),
        Err(reason) => Encoded::Failed(reason.into_string()),
    };
    let result = match encoded {
        Encoded::Done if queue.is_empty() && P::nothing().is_none() => then(Ok(None)),
        Encoded::Done if queue.len() > LONGEST => then(Err((SEND_FAIL, TOO_LONG.into()))),
        Encoded::Done => match queue.as_single() {
            Some(bytes) => then(Ok(Some(bytes))),
            None => match gather(&mut queue) {
                Ok(bytes) => then(Ok(Some(&bytes))),
                Err(error) => then(Err((SEND_FAIL, text_of(&error)))),
            },
        },
        Encoded::Kept => then(Err((SEND_FAIL, "a datagram cannot wait for its protocol".into()))),
        Encoded::Stray(reason) => then(Err((SEND_FAIL, reason.into()))),
        Encoded::Failed(reason) => then(Err((PROTOCOL_FAIL, reason.into()))),
    };
    queue.reset();
    registry().spare.set(queue);
    result
}

/// Sends a datagram.
pub(super) fn datagram(key: Key, peer: SocketAddr, bytes: &[u8]) -> SendStatus {
    match with_socket(key, |socket| socket.send(key, peer, bytes)) {
        None => SendStatus::Closed,
        Some(Ok(Given::Sent)) => SendStatus::Sent,
        Some(Ok(Given::Queued)) => SendStatus::Queued,
        Some(Ok(Given::Full)) => dropped(key, peer, "send buffer full and drop package".into()),
        Some(Err(error)) => dropped(key, peer, text_of(&error)),
    }
}

/// The bytes of all pieces; of a file they are read here.
fn gather(queue: &mut Outbound) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(queue.len());
    while !queue.is_empty() {
        queue.load()?;
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = queue.slices(&mut slices);
        let before = bytes.len();
        for slice in slices.iter().take(filled) {
            bytes.extend_from_slice(slice);
        }
        match bytes.len() - before {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            gathered => queue.advance(gathered),
        }
    }
    Ok(bytes)
}

fn dropped(key: Key, peer: SocketAddr, text: Cow<'static, str>) -> SendStatus {
    fail(key, peer, SEND_FAIL, text);
    SendStatus::Dropped
}

/// Has `on_error` told, once the present callback has returned. What an `on_error` itself loses is told by `send` alone:
/// else whoever answers a failure by sending once more would be called for ever.
pub(super) fn fail(key: Key, peer: SocketAddr, code: u32, text: Cow<'static, str>) {
    if Reporting::is_on() {
        return;
    }
    let deferred = with_entry(key, |entry| {
        let room = entry.reports.len() < REPORTS;
        if room {
            entry.reports.push_back((peer, text));
        }
        room
    });
    if deferred == Some(true) {
        reactor::get().defer(Deferred { run: report, key, code });
    }
}

fn report(key: Key, code: u32) {
    let next = with_entry(key, |entry| Some((entry.reports.pop_front()?, entry.driver.clone())));
    if let Some(((peer, text), driver)) = next.flatten() {
        driver.report(key, peer, code, &text);
    }
}

/// What `on_error` is told of an error of the system.
pub(crate) fn text_of(error: &io::Error) -> Cow<'static, str> {
    match error.raw_os_error() {
        Some(code) if code == Errno::MSGSIZE.raw_os_error() => TOO_LONG.into(),
        _ => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_lies_in_pieces_is_gathered_in_order() {
        let shared: Arc<[u8]> = vec![b's'; 2000].into();
        let mut queue = Outbound::default();
        queue.push(b"head");
        queue.push_shared(&shared, 0..2000);
        queue.push_owned(vec![b'o'; 20_000]);
        queue.push(b"tail");
        assert_eq!(queue.as_single(), None);
        let expected = [&b"head"[..], &[b's'; 2000], &[b'o'; 20_000], b"tail"].concat();
        assert_eq!(gather(&mut queue).unwrap(), expected);
        assert!(queue.is_empty());
    }
}
