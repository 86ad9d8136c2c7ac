//! What a codec has come to when its connection ends: for protocols in which that end says something.

use super::state::{Flags, visit};
use crate::protocols::Codec;
use crate::reactor::Key;

/// Lends the codec of a connection that is in its `on_close`, and says whether the peer had ended in order, by a FIN behind
/// all that it had to say. The closure must not run user code.
pub(crate) fn with_last_codec<P: Codec, R>(key: Key, f: impl FnOnce(&mut P, bool) -> R) -> Option<R> {
    let taken = visit(key, |visit| {
        if !visit.driver.speaks::<P>() {
            return None;
        }
        let orderly = visit.flags.has(Flags::FIN_READ);
        Some((visit.take_codec()?, orderly))
    });
    let (mut codec, orderly) = taken.flatten()?;
    let result = f(&mut codec, orderly);
    visit(key, |visit| visit.put_codec(codec));
    Some(result)
}
