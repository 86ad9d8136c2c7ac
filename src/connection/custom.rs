//! Protocols of users' own, as codecs: what the framework promises of them is kept here.
//!
//! Invariants:
//! * a user's method runs through `callback.rs`, so nothing is borrowed meanwhile and a panic stays here;
//! * no length passes `max_package_size`, whether it was told or not;
//! * what a failing `encode` has written does not leave.

use std::any::type_name;
use std::convert::Infallible;

use crate::callback::{self, Site};
use crate::error::Result;
use crate::protocols::broadcast::Editions;
use crate::protocols::output::{After, Output};
use crate::protocols::{Codec, Encode, Encoded, Limits, Protocol, Step};

impl<P: Protocol> Codec for P {
    type Message = P::Message;
    type Signal = Infallible;
    type Setup = ();

    const SCHEME: &'static str = P::SCHEME;
    const CUSTOM: bool = true;

    fn receive(&mut self, input: &[u8], limits: &Limits, _output: &mut Output<'_>) -> Step<P::Message> {
        let limit = limits.max_package_size;
        guard::<P, _>(|| match self.input(input)? {
            None | Some(0) if input.len() <= limit => Ok(Step::More { consumed: 0 }),
            Some(length) if (1..=limit).contains(&length) => match input.get(..length) {
                Some(package) => Ok(Step::Message { consumed: length, message: self.decode(package)? }),
                None => Ok(Step::Part { length }),
            },
            _ => Err("the package is longer than max_package_size".into()),
        })
        .unwrap_or_else(Step::Failed)
    }

    fn complete(&mut self, package: &[u8]) -> Step<P::Message> {
        guard::<P, _>(|| Ok(Step::Message { consumed: package.len(), message: self.decode(package)? }))
            .unwrap_or_else(Step::Failed)
    }

    /// It stays in its box, so that the user's `Default` and `Drop` run once for each connection.
    fn park(self) -> Result<u64, Self> {
        Err(self)
    }

    fn unpark(_parked: u64) -> Self {
        Self::default()
    }
}

/// The codec of a new connection.
pub(crate) fn make<P: Codec>() -> Result<P, Box<str>> {
    if P::CUSTOM { guard::<P, _>(|| Ok(P::default())) } else { Ok(P::default()) }
}

/// Lets a codec write a message.
#[inline(always)]
pub(crate) fn encode<P: Encode<M>, M>(codec: &mut P, message: M, output: &mut Output<'_>) -> Encoded {
    if P::CUSTOM { encode_guarded(codec, message, output) } else { codec.encode(message, output) }
}

fn encode_guarded<P: Encode<M>, M>(codec: &mut P, message: M, output: &mut Output<'_>) -> Encoded {
    let mark = output.queue.mark();
    let encoded = guard::<P, _>(|| Ok(codec.encode(message, output)))
        .unwrap_or_else(|reason| Encoded::Failed(reason.into_string()));
    if encoded != Encoded::Done {
        output.queue.rewind(mark);
        output.after = After::Stay;
    }
    encoded
}

/// Makes a message ready for many connections, or says why it cannot.
pub(super) fn editions<P: Encode<M>, M>(message: M) -> Result<Editions, Box<str>> {
    let editions = if P::CUSTOM { guard::<P, _>(|| Ok(P::editions(message)))? } else { P::editions(message) };
    match editions.objection() {
        None => Ok(editions),
        Some(reason) => Err(reason.into()),
    }
}

/// Runs what is made of a user's methods; answers why one has failed. What an error says is user code as well.
fn guard<P, T>(methods: impl FnOnce() -> Result<T>) -> Result<T, Box<str>> {
    let mut result = None;
    let called = callback::call(Site::unset(type_name::<P>()), || {
        result = Some(methods().map_err(|error| error.to_string()));
        Ok(())
    });
    match (called, result) {
        (Ok(()), Some(result)) => result.map_err(Into::into),
        (Err(reason), _) => Err(reason.into()),
        (Ok(()), None) => Err("".into()),
    }
}
