//! A message for many connections, in the editions that they need: each is made once, when it is first needed, and its
//! bytes are shared.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::http::Prepared;
use super::output::{After, Outbound, Output};
use super::websocket::Frames;
use super::{Encode, Encoded};

/// A message for many.
#[derive(Debug)]
pub struct Editions(Kind);

/// Where the bytes of one edition lie.
pub(crate) type Edition<'a> = (&'a Arc<[u8]>, Range<usize>);

#[derive(Debug)]
enum Kind {
    /// The same for all.
    Bytes(Arc<[u8]>),
    /// An event, for streams with chunks and without.
    Event(Prepared),
    /// As text or bytes, compressed or not.
    Frames(Frames),
    /// There are none, for this reason.
    Nothing(Cow<'static, str>),
}

impl Editions {
    /// The one edition there is of a message that looks alike on all connections: what a new codec makes of it.
    pub(super) fn alike<P: Encode<M>, M>(message: M) -> Self {
        let mut queue = Outbound::default();
        let mut output = Output::new(&mut queue, &[b' '; 29], 0);
        let encoded = P::default().encode(message, &mut output);
        let after = output.after;
        Self(match (encoded, queue.to_shared()) {
            (Encoded::Done, Some(bytes)) if after == After::Stay => Kind::Bytes(bytes),
            (Encoded::Stray(reason), _) => Kind::Nothing(reason.into()),
            (Encoded::Failed(reason), _) => Kind::Nothing(reason.into()),
            _ => Kind::Nothing("it is more than bytes".into()),
        })
    }

    pub(super) fn event(prepared: Prepared) -> Self {
        Self(Kind::Event(prepared))
    }

    pub(super) fn frames(frames: Frames) -> Self {
        Self(Kind::Frames(frames))
    }

    /// Why the message is nothing for many.
    pub(crate) fn objection(&self) -> Option<&str> {
        if let Kind::Nothing(reason) = &self.0 { Some(reason) } else { None }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> Option<Edition<'_>> {
        if let Kind::Bytes(bytes) = &self.0 { Some((bytes, 0..bytes.len())) } else { None }
    }

    #[inline]
    pub(super) fn as_event(&self) -> Option<&Prepared> {
        if let Kind::Event(prepared) = &self.0 { Some(prepared) } else { None }
    }

    #[inline]
    pub(super) fn as_frames(&mut self) -> Option<&mut Frames> {
        if let Kind::Frames(frames) = &mut self.0 { Some(frames) } else { None }
    }
}
