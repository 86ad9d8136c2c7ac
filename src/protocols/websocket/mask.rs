//! Masks (RFC 6455 §5.3): payloads are copied once, out of the read buffer or behind their heads, and mixed with the mask
//! where they then lie.

/// So many bytes are mixed at a time: a few vector instructions.
const BLOCK: usize = 32;

/// Appends a piece of a payload, unmasked, and turns the mask so that it fits what follows the piece.
#[inline]
pub(super) fn append(bytes: &mut Vec<u8>, piece: &[u8], mask: &mut [u8; 4]) {
    let start = bytes.len();
    bytes.extend_from_slice(piece);
    // What servers send has none.
    if *mask != [0; 4] {
        apply(bytes.get_mut(start..).unwrap_or_default(), *mask);
        mask.rotate_left(piece.len() % 4);
    }
}

/// Masks in place, or unmasks what is masked.
#[inline]
pub(super) fn apply(bytes: &mut [u8], mask: [u8; 4]) {
    let mut pattern = [0; BLOCK];
    for word in pattern.as_chunks_mut().0 {
        *word = mask;
    }
    let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
    for block in blocks {
        mix(block, &pattern);
    }
    mix(rest, &pattern);
}

#[inline]
fn mix(bytes: &mut [u8], pattern: &[u8; BLOCK]) {
    for (byte, mask) in bytes.iter_mut().zip(pattern) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_are_unmasked_as_the_standard_says() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..200).collect();
        let masked: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        for size in 1..=plain.len() {
            let (mut bytes, mut turned) = (Vec::new(), mask);
            for piece in masked.chunks(size) {
                append(&mut bytes, piece, &mut turned);
            }
            assert_eq!(bytes, plain, "in pieces of {size}");
        }
    }
}
