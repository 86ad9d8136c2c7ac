//! The examples of RFC 7692, and what compression must never do.

use flate2::{Decompress, FlushDecompress};
use proptest::prelude::*;

use super::*;
use crate::protocols::websocket::close::Fault;

const LIMIT: usize = 1 << 20;

/// Decompresses a message that came in pieces of some size.
fn inflate(message: &[u8], size: usize, history: Option<&History>, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut inflater = Inflater::new(history)?;
    let mut bytes = Vec::new();
    for piece in message.chunks(size) {
        inflater.inflate(piece, &mut bytes, limit)?;
    }
    inflater.finish(&mut bytes, limit)?;
    Ok(bytes)
}

fn agreed(offer: &str) -> Agreed {
    agree(offer, Deflate::default().threshold(0)).expect("an offer that is accepted").0
}

#[test]
fn the_examples_of_the_standard_are_read() {
    let mut history = History::default();
    history.has_received(b"Hello");
    let examples: [(&[u8], Option<&History>); 6] = [
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00", None),
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00", Some(&history)),
        (b"\xf2\x00\x11\x00\x00", Some(&history)),
        (b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", None),
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", None),
        (b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", None),
    ];
    for (message, history) in examples {
        for size in 1..=message.len() {
            assert_eq!(inflate(message, size, history, LIMIT), Ok(b"Hello".to_vec()), "{message:x?} in {size}");
        }
    }
    assert_eq!(inflate(b"\x00", 1, None, LIMIT), Ok(Vec::new()), "an empty message");
    assert_eq!(inflate(b"\xf2\x00\x11\x00\x00", 9, None, LIMIT), Err(Fault::NOT_DEFLATE), "there is no history");
}

#[test]
fn what_is_no_deflate_is_refused() {
    for message in [&b"\xff\xff\xff\xff"[..], b"\x07", b"\x00\x05\x00\x00\x00hello", b"not compressed at all"] {
        assert_eq!(inflate(message, 1, None, LIMIT), Err(Fault::NOT_DEFLATE), "{message:x?}");
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let mut bomb = Vec::new();
    assert!(compress(&vec![0; 3 << 20], agreed("permessage-deflate"), &mut History::default(), &mut bomb));
    assert!(bomb.len() < 4_000);
    for size in [1, 100, bomb.len()] {
        let mut inflater = Inflater::new(None).unwrap();
        let mut bytes = Vec::new();
        let faults = bomb.chunks(size).map(|piece| inflater.inflate(piece, &mut bytes, 100_000));
        assert_eq!(faults.filter_map(Result::err).next(), Some(Fault::TOO_BIG), "in pieces of {size}");
        assert!(bytes.capacity() <= 100_001, "{} bytes of room", bytes.capacity());
    }
}

#[test]
fn a_message_of_exactly_the_limit_fits() {
    let message = vec![b'x'; 5000];
    let mut compressed = Vec::new();
    assert!(compress(&message, agreed("permessage-deflate"), &mut History::default(), &mut compressed));
    assert_eq!(inflate(&compressed, 3, None, 5000).as_deref(), Ok(&message[..]));
    assert_eq!(inflate(&compressed, 3, None, 4999), Err(Fault::TOO_BIG));
}

#[test]
fn a_peer_that_keeps_the_smallest_window_can_read_what_is_sent() {
    // Text that repeats itself at many distances, so that a reference too far would be found.
    let text: String = (0..4000_u32).map(|at| format!("{} ", at * at % 977)).collect();
    for bits in 9..=15 {
        let agreed = agreed(&format!("permessage-deflate; server_max_window_bits={bits}"));
        let mut history = History::default();
        // One stream through all messages, as an implementation with contexts has it.
        let mut peer = Decompress::new_with_window_bits(false, bits);
        for message in text.as_bytes().chunks(701) {
            let mut compressed = Vec::new();
            assert!(compress(message, agreed, &mut history, &mut compressed));
            compressed.extend(TAIL);
            let mut read = Vec::with_capacity(2000);
            peer.decompress_vec(&compressed, &mut read, FlushDecompress::Sync).unwrap();
            assert_eq!(read, message, "{bits} bits");
        }
    }
}

#[test]
fn a_context_that_is_taken_over_pays() {
    let message = br#"{"type":"move","player":17,"from":{"x":10,"y":20},"to":{"x":11,"y":21}}"#;
    let lengths = |offer: &str| {
        let mut history = History::default();
        [0, 1, 2].map(|_| {
            let mut compressed = Vec::new();
            assert!(compress(message, agreed(offer), &mut history, &mut compressed));
            compressed.len()
        })
    };
    let [first, second, third] = lengths("permessage-deflate");
    assert!(second < first / 4 && third < first / 4, "{first} {second} {third}");
    let [first, second, third] = lengths("permessage-deflate; server_no_context_takeover");
    assert!(first == second && second == third);
}

#[test]
fn what_would_become_longer_is_not_remembered() {
    let mut history = History::default();
    let noise: Vec<u8> = (0..500_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    assert!(!compress(&noise, agreed("permessage-deflate"), &mut history, &mut Vec::new()));
    assert!(!compress(b"", agreed("permessage-deflate"), &mut history, &mut Vec::new()));
    assert!(history.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is compressed here with a history, and may be cut anywhere, is read there with the history of the same.
    #[test]
    fn messages_come_out_as_they_went_in(
        messages in prop::collection::vec(prop::collection::vec(0_u8..4, 1..3000), 1..20),
        bits in 9_u8..=15,
        takeover: bool,
        size in 1_usize..500,
    ) {
        let no = if takeover { "" } else { "; server_no_context_takeover" };
        let agreed = agreed(&format!("permessage-deflate; server_max_window_bits={bits}{no}"));
        let (mut ours, mut theirs) = (History::default(), History::default());
        for message in messages {
            let mut compressed = Vec::new();
            if compress(&message, agreed, &mut ours, &mut compressed) {
                let read = inflate(&compressed, size, Some(&theirs), LIMIT);
                prop_assert_eq!(read.as_ref(), Ok(&message));
                if takeover {
                    theirs.has_received(&message);
                }
            }
        }
    }
}
