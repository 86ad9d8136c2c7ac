//! Classes of bytes, as tables: one look per byte.

/// A set of bytes.
pub(super) struct Class([bool; 256]);

/// `tchar` of RFC 9110 §5.6.2.
pub(super) static TOKEN: Class = Class::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// `unreserved` and `sub-delims` of RFC 3986: what a host's name is made of, escapes apart.
pub(super) static HOST_NAME: Class = Class::alphanumeric_and(b"-._~!$&'()*+,;=");

/// What a header's value must not hold: control characters but HTAB.
pub(super) static CONTROL: Class =
    Class::these(b"\0\x01\x02\x03\x04\x05\x06\x07\x08\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f");

/// Where the path of a target ends: at its query, its fragment, or with the target.
pub(super) static PATH_END: Class = Class::these(b"?# \r\n");

impl Class {
    #[allow(clippy::indexing_slicing)] // evaluated by the compiler
    const fn these(bytes: &[u8]) -> Self {
        let mut class = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            class[bytes[at] as usize] = true;
            at += 1;
        }
        Self(class)
    }

    #[allow(clippy::indexing_slicing)] // evaluated by the compiler
    const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut class = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            class[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            class[others[at] as usize] = true;
            at += 1;
        }
        Self(class)
    }

    #[inline]
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_what_the_standards_list() {
        for byte in 0..=255_u8 {
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(TOKEN.has(byte), token, "{byte}");
            assert_eq!(CONTROL.has(byte), byte.is_ascii_control() && byte != b'\t', "{byte}");
            let host_name = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
            assert_eq!(HOST_NAME.has(byte), host_name, "{byte}");
        }
    }
}
