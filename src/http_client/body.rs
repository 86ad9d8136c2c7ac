//! The body of a request, and of what type it says it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The body of a request: made of text, bytes, a [`form`](Self::form) or a [`Multipart`](crate::Multipart); `()` is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestBody {
    pub(super) bytes: Option<Arc<[u8]>>,
    pub(super) content_type: Option<Cow<'static, str>>,
    /// Why it cannot be sent.
    pub(super) wrong: Option<&'static str>,
}

impl RequestBody {
    /// The fields of a form, as `application/x-www-form-urlencoded`: what PHP makes of an array.
    ///
    /// ```
    /// use workerman::{HttpClient, RequestBody};
    ///
    /// # let http = HttpClient::new();
    /// let body = RequestBody::form([("name", "Workerman"), ("language", "Rust & PHP")]);
    /// http.post("http://127.0.0.1:8080/", body, |answer| println!("{answer:?}"));
    /// ```
    #[doc(alias = "http_build_query")]
    pub fn form<N: AsRef<str>, V: AsRef<str>>(fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut text = form_urlencoded::Serializer::new(String::new());
        fields.into_iter().for_each(|(name, value)| {
            text.append_pair(name.as_ref(), value.as_ref());
        });
        Self::of("application/x-www-form-urlencoded", text.finish().into_bytes())
    }

    pub(super) fn of(content_type: impl Into<Cow<'static, str>>, bytes: Vec<u8>) -> Self {
        Self { bytes: Some(bytes.into()), content_type: Some(content_type.into()), wrong: None }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestBody({} bytes)", self.bytes.as_ref().map_or(0, |bytes| bytes.len()))
    }
}

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self::default()
    }
}

/// Bytes as they are, without a `Content-Type` unless the app sets one.
macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(impl From<$type> for RequestBody {
            fn from(bytes: $type) -> Self {
                Self { bytes: Some(Vec::from(bytes).into()), ..Self::default() }
            }
        })*
    };
}
from_bytes!(&str, String, &[u8], Vec<u8>);

impl<const N: usize> From<&[u8; N]> for RequestBody {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}
