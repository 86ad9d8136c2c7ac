//! A form with files, as browsers send it (RFC 7578).
//!
//! Invariant: a name says no more than a name. Quotes and line ends in it are written as browsers write them; a type that
//! would be more than one line is not sent.

use std::fmt;

use super::body::RequestBody;
use crate::protocols::http::client::is_value;
use crate::reactor;

/// A form with files: `multipart/form-data`, the body that a browser sends when somebody uploads something.
///
/// The request's `Content-Type` is set with it, and is not for the app to set: it names the boundary, which is made up here
/// and cannot be guessed, so that no content can hold it.
///
/// ```
/// use workerman::{HttpClient, Multipart};
///
/// # let http = HttpClient::new();
/// let form = Multipart::new()
///     .field("title", "At the sea")
///     .file("photo", "beach.jpg", "image/jpeg", b"\xff\xd8");
/// http.post("http://127.0.0.1:8080/photos", form, |answer| println!("{answer:?}"));
/// ```
#[derive(Clone)]
#[doc(alias = "MultipartStream")]
#[must_use]
pub struct Multipart {
    boundary: String,
    /// The parts, each complete with the line end behind it.
    parts: Vec<u8>,
    wrong: Option<&'static str>,
}

impl Multipart {
    /// A form without anything in it.
    ///
    /// ```
    /// let form = workerman::Multipart::new();
    /// ```
    pub fn new() -> Self {
        let mut random = [0; 16];
        let filled = reactor::get().random.fill(&mut random);
        Self {
            boundary: format!("workerman{:032x}", u128::from_ne_bytes(random)),
            parts: Vec::new(),
            wrong: filled.err().map(|_| "the system has no random bytes for a boundary"),
        }
    }

    /// Adds a field: text or bytes.
    ///
    /// ```
    /// let form = workerman::Multipart::new().field("name", "Workerman").field("language", "Rust");
    /// ```
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.begin(name);
        self.end(value.as_ref());
        self
    }

    /// Adds a file: the field that it belongs to, the name that the server is told, its media type, its content.
    /// A type that would be more than one line is refused: the request's callback gets
    /// [`HttpError::Request`](crate::HttpError::Request), and nothing is sent.
    ///
    /// ```
    /// let form = workerman::Multipart::new().file("notes", "today.txt", "text/plain", "buy bread");
    /// ```
    pub fn file(mut self, name: &str, file_name: &str, content_type: &str, content: impl AsRef<[u8]>) -> Self {
        if !is_value(content_type) {
            self.wrong = Some("the type of a file is not one line");
        }
        self.begin(name);
        self.push("; filename=\"");
        self.push_name(file_name);
        self.push("\"\r\nContent-Type: ");
        self.push(content_type);
        self.end(content.as_ref());
        self
    }

    fn begin(&mut self, name: &str) {
        for part in ["--", &self.boundary, "\r\nContent-Disposition: form-data; name=\""] {
            self.parts.extend_from_slice(part.as_bytes());
        }
        self.push_name(name);
        self.push("\"");
    }

    fn end(&mut self, content: &[u8]) {
        self.push("\r\n\r\n");
        self.parts.extend_from_slice(content);
        self.push("\r\n");
    }

    fn push(&mut self, text: &str) {
        self.parts.extend_from_slice(text.as_bytes());
    }

    /// As the HTML standard has it: nothing else is escaped, not even the percent sign.
    fn push_name(&mut self, name: &str) {
        for byte in name.bytes() {
            match byte {
                b'"' => self.push("%22"),
                b'\r' => self.push("%0D"),
                b'\n' => self.push("%0A"),
                _ => self.parts.push(byte),
            }
        }
    }
}

impl Default for Multipart {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Multipart({} bytes)", self.parts.len())
    }
}

impl From<Multipart> for RequestBody {
    fn from(mut form: Multipart) -> Self {
        for part in ["--", &form.boundary, "--\r\n"] {
            form.parts.extend_from_slice(part.as_bytes());
        }
        let content_type = format!("multipart/form-data; boundary={}", form.boundary);
        Self { wrong: form.wrong, ..Self::of(content_type, form.parts) }
    }
}
