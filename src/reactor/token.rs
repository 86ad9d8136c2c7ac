//! Where an event goes: what is registered names its kind and its key in the one number that the system keeps for it.

use mio::Token;

use super::{Key, SLOT_BITS};

/// What is registered: where an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Waker,
    Signal,
    Listener,
    Datagram,
    /// Other processes of the app.
    Control,
    /// Sockets that are being connected.
    Client,
    /// Clients of datagrams.
    DatagramClient,
    /// Connections whose first bytes are about how to go on.
    Handshake,
    Connection,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = 9;

/// Where events of this key go: the generation above, then kind, then slot.
#[allow(clippy::cast_possible_truncation)] // 64-bit targets only
pub(crate) fn token(kind: Kind, key: Key) -> Token {
    Token((u64::from(key.generation) << 32 | (kind as u64) << 24 | u64::from(key.slot)) as usize)
}

#[allow(clippy::cast_possible_truncation)] // undoes `token`
pub(crate) fn from_token(token: Token) -> (Kind, Key) {
    let kind = match (token.0 >> 24) & 0xff {
        0 => Kind::Waker,
        1 => Kind::Signal,
        2 => Kind::Listener,
        3 => Kind::Datagram,
        4 => Kind::Control,
        5 => Kind::Client,
        6 => Kind::DatagramClient,
        7 => Kind::Handshake,
        _ => Kind::Connection,
    };
    (kind, Key { slot: (token.0 & 0xff_ffff) as u32, generation: (token.0 >> 32) as u32 })
}

const _: () = assert!(SLOT_BITS <= 24 && usize::BITS == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_key() {
        for kind in [
            Kind::Waker,
            Kind::Signal,
            Kind::Listener,
            Kind::Datagram,
            Kind::Control,
            Kind::Client,
            Kind::DatagramClient,
            Kind::Handshake,
            Kind::Connection,
        ] {
            let key = Key { slot: (1 << SLOT_BITS) - 1, generation: 0x7f_fffe };
            assert_eq!(from_token(token(kind, key)), (kind, key));
        }
    }
}
