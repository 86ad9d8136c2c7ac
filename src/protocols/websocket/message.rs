//! A message, as it comes and as it may be sent.

use std::fmt;
use std::ops::Deref;

/// A message of a [`Websocket`](super::Websocket), text or bytes, as the peer has sent it.
///
/// It prints as text and is sent back as what it was; as bytes it is at hand without a `match`.
///
/// ```
/// use workerman::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message, "hello");
/// assert_eq!(format!("{message}, {} bytes", message.len()), "hello, 5 bytes");
/// match message {
///     Message::Text(text) => assert_eq!(text.to_uppercase(), "HELLO"),
///     Message::Binary(bytes) => println!("{bytes:?}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// Text, which is UTF-8.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// The bytes, be they text or not.
    ///
    /// ```
    /// # use workerman::Message;
    /// assert_eq!(Message::from("hello").as_bytes(), b"hello");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, also of bytes that are UTF-8; `None` of others.
    ///
    /// ```
    /// # use workerman::Message;
    /// assert_eq!(Message::from("hello").as_str(), Some("hello"));
    /// assert_eq!(Message::from(vec![0xff]).as_str(), None);
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        }
    }

    /// Whether the peer sent it as text.
    ///
    /// ```
    /// # use workerman::Message;
    /// assert!(Message::from("hello").is_text() && !Message::from(vec![1]).is_text());
    /// ```
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The bytes, given away.
    ///
    /// ```
    /// # use workerman::Message;
    /// assert_eq!(Message::from("hello").into_bytes(), b"hello");
    /// ```
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Bytes that are not UTF-8 show as U+FFFD.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.pad(text),
            Self::Binary(bytes) => f.pad(&String::from_utf8_lossy(bytes)),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Binary(bytes) => write!(f, "Binary({:?})", bytes.escape_ascii().to_string()),
        }
    }
}

macro_rules! from {
    ($($variant:ident: $($kind:ty),*;)*) => {$($(
        impl From<$kind> for Message {
            fn from(content: $kind) -> Self {
                Self::$variant(content.into())
            }
        }
    )*)*};
}

from! {
    Text: &str, &String, String;
    Binary: &[u8], Vec<u8>;
}

/// A message equals its bytes.
macro_rules! equals {
    ($($kind:ty),*) => {$(
        impl PartialEq<$kind> for Message {
            fn eq(&self, other: &$kind) -> bool {
                let bytes: &[u8] = other.as_ref();
                self.as_bytes() == bytes
            }
        }
    )*};
}

equals!(str, &str, String, [u8], &[u8], Vec<u8>);
