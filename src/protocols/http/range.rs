//! `Range: bytes=…` against a representation of a known size: RFC 9110 §14.1 and §14.2.
//!
//! One range is answered. Of several the whole is sent, which §14.2 allows: a multipart answer is what attackers ask for
//! and players do not. What is malformed, or of another unit, counts as not sent.

/// What of a representation is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// At least one byte, all of them within the representation.
    Part {
        /// Where it begins.
        start: u64,
        /// How many bytes it has.
        length: u64,
    },
    /// 416: there is no such part.
    Unsatisfiable,
}

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// What a `Range` header selects of `size` bytes.
pub(super) fn select(header: &str, size: u64) -> Selection {
    let Some(spec) = parse(header) else { return Selection::Whole };
    let (start, length) = match spec {
        Spec::From(first) if first < size => (first, size - first),
        Spec::Between(first, last) if first < size => (first, (last - first).saturating_add(1).min(size - first)),
        // Satisfiable by §14.1.2, but `Content-Range` has no words for a part of nothing.
        Spec::Last(1..) if size == 0 => return Selection::Whole,
        Spec::Last(count @ 1..) => (size.saturating_sub(count), count.min(size)),
        _ => return Selection::Unsatisfiable,
    };
    Selection::Part { start, length }
}

/// The one range of the header; `None` for several and for none that is valid.
fn parse(header: &str) -> Option<Spec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // A list may have empty elements: §5.6.1.2.
    let mut specs = set.split(',').map(|spec| spec.trim_matches(SPACE)).filter(|spec| !spec.is_empty());
    let only = specs.next()?;
    if specs.next().is_some() {
        return None;
    }
    let (first, last) = only.split_once('-')?;
    match (first, last) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

const SPACE: [char; 2] = [' ', '\t'];

/// A number of digits only. One that is too large for any file is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn part(start: u64, length: u64) -> Selection {
        Selection::Part { start, length }
    }

    #[test]
    fn a_range_selects_what_the_standard_says() {
        use Selection::{Unsatisfiable, Whole};
        let huge = "99999999999999999999999999";
        let table: &[(&str, &str, u64, Selection)] = &[
            ("14.1.2, the first 500 bytes", "bytes=0-499", 10_000, part(0, 500)),
            ("14.1.2, the second 500 bytes", "bytes=500-999", 10_000, part(500, 500)),
            ("14.1.2, the final 500 bytes", "bytes=-500", 10_000, part(9_500, 500)),
            ("14.1.2, the same by its beginning", "bytes=9500-", 10_000, part(9_500, 500)),
            ("14.1.2, the first byte", "bytes=0-0", 10, part(0, 1)),
            ("14.1.2, the last byte", "bytes=-1", 10, part(9, 1)),
            ("14.1.2, all of it", "bytes=0-", 10, part(0, 10)),
            ("14.1.2, an end past the end", "bytes=5-10", 10, part(5, 5)),
            ("14.1.2, a suffix longer than the whole", "bytes=-11", 10, part(0, 10)),
            ("14.1.2, numbers that overflow: end", &format!("bytes=5-{huge}"), 10, part(5, 5)),
            ("14.1.2, numbers that overflow: suffix", &format!("bytes=-{huge}"), 10, part(0, 10)),
            ("14.1.2, numbers that overflow: beginning", &format!("bytes={huge}-"), 10, Unsatisfiable),
            ("14.1.2, numbers that overflow: both", &format!("bytes={huge}-{huge}"), 10, Unsatisfiable),
            ("14.1.2, a beginning at the end", "bytes=10-", 10, Unsatisfiable),
            ("14.1.2, a beginning past the end", "bytes=11-12", 10, Unsatisfiable),
            ("14.1.2, a suffix of nothing", "bytes=-0", 10, Unsatisfiable),
            ("14.1.2, nothing of nothing", "bytes=0-", 0, Unsatisfiable),
            ("14.1.2, the end of nothing", "bytes=-5", 0, Whole),
            ("14.1.2, leading zeros are digits", "bytes=0000-0001", 10, part(0, 2)),
            ("14.1.1, an end before the beginning is invalid", "bytes=5-4", 10, Whole),
            ("14.1, units are compared without case", "BYTES=0-1", 10, part(0, 2)),
            ("14.2, another unit is ignored", "lines=0-1", 10, Whole),
            ("14.2, several ranges: the whole", "bytes=0-1,3-4", 10, Whole),
            ("14.2, several ranges, none satisfiable: the whole", "bytes=20-21,33-34", 10, Whole),
            ("5.6.1.2, empty elements of a list", "bytes= , 0-1 ,,", 10, part(0, 2)),
            ("14.2, malformed: no ranges", "bytes=", 10, Whole),
            ("14.2, malformed: no unit", "0-1", 10, Whole),
            ("14.2, malformed: no dash", "bytes=1", 10, Whole),
            ("14.2, malformed: a dash alone", "bytes=-", 10, Whole),
            ("14.2, malformed: two dashes", "bytes=--1", 10, Whole),
            ("14.2, malformed: a sign", "bytes=+1-2", 10, Whole),
            ("14.2, malformed: hexadecimal", "bytes=0x1-2", 10, Whole),
            ("14.2, malformed: space inside", "bytes=1 - 2", 10, Whole),
            ("14.2, malformed: other digits", "bytes=\u{663}-", 10, Whole),
            ("14.2, malformed: twice", "bytes=0-1,bytes=3-4", 10, Whole),
            ("14.2, malformed: space behind the unit", "bytes =0-1", 10, Whole),
            ("14.2, malformed: empty", "", 10, Whole),
        ];
        for (section, header, size, expected) in table {
            assert_eq!(select(header, *size), *expected, "RFC 9110 §{section}: {header:?} of {size}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_lies_within(header in "(bytes=)?[0-9, \\t-]{0,24}|\\PC*", size: u64) {
            if let Selection::Part { start, length } = select(&header, size) {
                prop_assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
            }
        }

        #[test]
        fn a_range_is_read_as_it_was_written(first: u64, last: u64, size: u64) {
            let expected = match (first <= last, first < size) {
                (false, _) => Selection::Whole,
                (true, false) => Selection::Unsatisfiable,
                (true, true) => part(first, last.min(size - 1) - first + 1),
            };
            prop_assert_eq!(select(&format!("bytes={first}-{last}"), size), expected);
        }
    }
}
