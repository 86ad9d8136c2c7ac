//! The parameters behind a header's value: `; name=value; name="value"` (RFC 9110 §5.6.6).
//!
//! In a quoted value a backslash escapes a quote or a backslash and stands for itself before anything else, as in PHP:
//! browsers send the backslashes of a file's path as they are. A value without quotes ends at a semicolon or at white
//! space and holds no quote.

use memchr::memchr3;

use super::Error;
use crate::protocols::http::class::TOKEN;
use crate::protocols::http::parts::trim;

const MALFORMED: Error = Error::Malformed("malformed parameters");

/// What stands before the first semicolon, and the rest from there.
pub(super) fn split(value: &[u8]) -> (&[u8], &[u8]) {
    let (first, rest) = value.split_at(memchr::memchr(b';', value).unwrap_or(value.len()));
    (trim(first), rest)
}

/// Its name as sent, and its value.
type Parameter<'a> = (&'a [u8], Vec<u8>);

/// Reads parameters one after the other.
pub(super) struct Parameters<'a>(pub(super) &'a [u8]);

impl<'a> Parameters<'a> {
    /// The next one; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Parameter<'a>>, Error> {
        loop {
            let rest = trim(self.0);
            let Some(rest) = rest.strip_prefix(b";") else {
                return if rest.is_empty() { Ok(None) } else { Err(MALFORMED) };
            };
            let rest = trim(rest);
            // The grammar allows a semicolon with nothing behind it.
            if matches!(rest, [] | [b';', ..]) {
                self.0 = rest;
                continue;
            }
            let (name, rest) = rest.split_at(rest.iter().take_while(|byte| TOKEN.has(**byte)).count());
            let (Some(rest), false) = (rest.strip_prefix(b"="), name.is_empty()) else { return Err(MALFORMED) };
            let (value, rest) = match rest.strip_prefix(b"\"") {
                Some(rest) => quoted(rest)?,
                None => unquoted(rest)?,
            };
            self.0 = rest;
            return Ok(Some((name, value)));
        }
    }
}

/// The value up to the closing quote, and what stands behind that.
fn quoted(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Error> {
    let mut value = Vec::new();
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest).ok_or(MALFORMED)?;
        let (text, special) = rest.split_at(at);
        value.extend_from_slice(text);
        rest = match special {
            [b'"', behind @ ..] => return Ok((value, behind)),
            [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                value.push(*escaped);
                behind
            }
            [backslash, behind @ ..] => {
                value.push(*backslash);
                behind
            }
            [] => return Err(MALFORMED),
        };
    }
}

fn unquoted(rest: &[u8]) -> Result<(Vec<u8>, &[u8]), Error> {
    let (value, rest) = rest.split_at(memchr3(b';', b' ', b'\t', rest).unwrap_or(rest.len()));
    if value.is_empty() || value.contains(&b'"') { Err(MALFORMED) } else { Ok((value.to_vec(), rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, String)>, Error> {
        let (mut parameters, mut list) = (Parameters(text.as_bytes()), Vec::new());
        while let Some((name, value)) = parameters.next()? {
            list.push((String::from_utf8(name.to_vec()).unwrap(), String::from_utf8(value).unwrap()));
        }
        Ok(list)
    }

    #[test]
    fn parameters_are_read_quoted_or_not() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            (" \t", &[]),
            (";", &[]),
            ("; ; ;", &[]),
            (";a=b", &[("a", "b")]),
            (" ; a=b ;\tc=\"d e\" ; ", &[("a", "b"), ("c", "d e")]),
            (";a=\"\"", &[("a", "")]),
            (";a=\"x;y=z\"", &[("a", "x;y=z")]),
            (r#";a="q\"q""#, &[("a", r#"q"q"#)]),
            (r#";a="q\\";b=c"#, &[("a", r"q\"), ("b", "c")]),
            (r#";a="C:\dir\file""#, &[("a", r"C:\dir\file")]),
            (r#";a="\\server\x""#, &[("a", r"\server\x")]),
            (";a=b=c/d:e", &[("a", "b=c/d:e")]),
            (";a*=utf-8''x", &[("a*", "utf-8''x")]),
            (";a=%22", &[("a", "%22")]),
        ];
        for (text, expected) in table {
            let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            assert_eq!(all(text), Ok(expected.collect()), "{text:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_malformed() {
        for text in [
            "a=b",
            ";a",
            ";a=",
            ";=b",
            ";a =b",
            ";a= b",
            ";a=b c",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\\",
            ";a=\"b\"c",
            ";a=\"b\"\"c\"",
            ";a=b\"c\"",
            ";a=\"b\" c=d",
            ";a(b)=c",
            ";a=b,c=\"d\"",
        ] {
            assert_eq!(all(text), Err(MALFORMED), "{text:?}");
        }
    }
}
