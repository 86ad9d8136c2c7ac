//! What separates the parts of a body: the `boundary` of its Content-Type (RFC 2046 §5.1.1).

use super::Error;
use super::parameters::{Parameters, split};

/// The length that RFC 2046 allows.
const MAX: usize = 70;

/// 1 to 70 characters of those that RFC 2046 lists, the last one no space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(Box<[u8]>);

impl Boundary {
    /// The boundary that a Content-Type names; `None` when the type is no `multipart`.
    ///
    /// Any `multipart` type will do, as in PHP. Without quotes too a boundary may have the characters that HTTP wants
    /// quoted, since clients send them.
    ///
    /// # Errors
    ///
    /// When there is no boundary, more than one, or one that RFC 2046 does not allow.
    pub fn from_content_type(value: &[u8]) -> Result<Option<Self>, Error> {
        let (media_type, rest) = split(value);
        if !media_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")) {
            return Ok(None);
        }
        let (mut parameters, mut found) = (Parameters(rest), None);
        while let Some((name, value)) = parameters.next()? {
            if name.eq_ignore_ascii_case(b"boundary") && found.replace(value).is_some() {
                return Err(Error::Malformed("two boundaries"));
            }
        }
        Self::new(&found.ok_or(Error::Malformed("no boundary"))?).map(Some)
    }

    fn new(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX {
            return Err(Error::TooLarge("a boundary of more than 70 characters"));
        }
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        match bytes {
            [.., b' '] | [] => Err(Error::Malformed("an empty boundary, or one that ends with a space")),
            _ if bytes.iter().all(is_allowed) => Ok(Self(bytes.into())),
            _ => Err(Error::Malformed("a boundary with a character that is not allowed in one")),
        }
    }

    /// Its characters, without the dashes that stand before it in a body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary(value: &str) -> Result<Option<String>, Error> {
        let found = Boundary::from_content_type(value.as_bytes())?;
        Ok(found.map(|found| String::from_utf8(found.as_bytes().to_vec()).unwrap()))
    }

    #[test]
    fn a_boundary_is_found_quoted_or_not() {
        let longest = "b".repeat(70);
        for (value, expected) in [
            ("multipart/form-data; boundary=BOUND", "BOUND"),
            ("multipart/form-data; boundary=\"BOUND\"", "BOUND"),
            ("Multipart/Form-Data;BOUNDARY=x", "x"),
            ("multipart/mixed; boundary=x", "x"),
            ("multipart/form-data; boundary=x; charset=utf-8", "x"),
            ("multipart/form-data; charset=\"a;boundary=y\"; boundary=x", "x"),
            ("multipart/form-data; boundary=\"a b'()+_,-./:=?9\"", "a b'()+_,-./:=?9"),
            ("multipart/form-data; boundary====1==", "===1=="),
            ("multipart/form-data; boundary=----WebKitFormBoundary7MA4", "----WebKitFormBoundary7MA4"),
            (&format!("multipart/form-data; boundary={longest}"), &longest),
        ] {
            assert_eq!(boundary(value), Ok(Some(expected.to_owned())), "{value}");
        }
    }

    #[test]
    fn what_is_no_multipart_has_no_boundary() {
        for value in ["", "text/plain; boundary=x", "multipart", "multipartx/form-data; boundary=x", "multipart; a=b"] {
            assert_eq!(boundary(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn a_boundary_that_the_rfc_does_not_allow_is_refused() {
        let malformed = |value: &str| matches!(boundary(value), Err(Error::Malformed(_)));
        for parameters in [
            "",
            ";",
            "; boundary",
            "; boundary=",
            "; boundary=\"\"",
            "; boundary=\"x ",
            "; boundary=\"x \"",
            "; boundary=x y",
            "; boundary=x; boundary=x",
            "; boundary=x; Boundary=y",
            "; boundary=\"a\\\"b\"",
            "; boundary=a\u{e9}b",
            "; boundary=a*b",
            "; boundary=\"a\tb\"",
            "; boundary=\"a\rb\"",
            "; boundary=\"a\nb\"",
            "; boundary=\"a\0b\"",
        ] {
            assert!(malformed(&format!("multipart/form-data{parameters}")), "{parameters:?}");
        }
        let value = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert_eq!(boundary(&value), Err(Error::TooLarge("a boundary of more than 70 characters")));
    }
}
