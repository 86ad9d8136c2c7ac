//! Session ids: 130 bits of the operating system's randomness, and what others may look like.

use super::error::SessionError;
use crate::reactor;

/// PHP's alphabet for five bits a character.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
/// As PHP's are with the settings it comes with.
const LENGTH: usize = 26;

/// An id that nobody can guess.
pub(super) fn create() -> Result<String, SessionError> {
    let mut bytes = [0; LENGTH];
    reactor::get().random.fill(&mut bytes).map_err(|error| SessionError::Storage(error.into()))?;
    let digit = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from);
    Ok(bytes.into_iter().map(digit).collect())
}

/// Whether this can be an id: PHP's characters, so no path, and at most 128 of them where PHP has 256, since a file's name
/// is to take it.
pub(super) fn is_valid(id: &str) -> bool {
    (16..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_has_26_characters_of_five_random_bits() {
        let ids: Vec<String> = (0..200).map(|_| create().unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == LENGTH && is_valid(id)), "{ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let used: HashSet<char> = ids.iter().flat_map(|id| id.chars()).collect();
        assert_eq!(used.len(), ALPHABET.len());
    }

    #[test]
    fn what_could_be_a_path_is_no_id() {
        for id in
            ["", "short", "../../../../etc/passwd", "abcdefghijklmnop_", "abcdefghijklmnop/", "abcdefghijklmnop\0"]
        {
            assert!(!is_valid(id), "{id:?}");
        }
        assert!(!is_valid(&"a".repeat(15)) && is_valid(&"a".repeat(16)));
        assert!(is_valid(&"A,-9".repeat(32)) && !is_valid(&"a".repeat(129)));
    }
}
