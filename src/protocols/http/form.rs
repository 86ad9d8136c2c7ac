//! A form in a body: its fields and files. A multipart one is collected while it arrives, if it is large.

use std::borrow::Cow;
use std::mem;

use super::multipart::{Boundary, Decoder, Error, Event};
use super::params::Params;
use super::request::Request;
use super::upload::{Upload, UploadedFile};
use super::uploads::Uploads;

/// What a form has brought.
#[derive(Default)]
pub(super) struct Submitted {
    pub(super) fields: Params,
    pub(super) files: Vec<UploadedFile>,
    /// The files by the names of their fields, each as its place in the list.
    pub(super) names: Params,
    /// Why there is no more.
    pub(super) error: Option<Error>,
}

impl Submitted {
    /// All that is complete, as in PHP.
    pub(super) fn new(mut form: Form) -> Self {
        let error = form.finish().err();
        if let Some(error) = error {
            log::debug!("a form is read up to its error: {error}");
        }
        let texts = form.fields.iter_mut().map(|(name, text)| (name.as_str(), Cow::Owned(mem::take(text))));
        let places = form.files.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at.to_string().into()));
        let (fields, names) = (Params::of(texts), Params::of(places));
        Self { fields, names, error, files: form.files.into_iter().map(|(_, file)| file).collect() }
    }

    fn read(request: &Request) -> Self {
        let content_type = request.header("content-type").unwrap_or_default();
        if may_be_urlencoded(content_type) {
            return Self { fields: Params::parse(request.raw_body()), ..Self::default() };
        }
        let boundary = match Boundary::from_content_type(content_type.as_bytes()) {
            Ok(Some(boundary)) => boundary,
            no_boundary => return Self { error: no_boundary.err(), ..Self::default() },
        };
        let mut form = Form::new(&boundary, Uploads::default());
        // An error stays, so the end tells it.
        let _ = form.append(request.raw_body());
        Self::new(form)
    }
}

/// Whether a body of this type is to be read as `a=1&b=2`.
pub(super) fn may_be_urlencoded(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    !(content_type.contains("json") || content_type.contains("boundary=") || content_type.starts_with("multipart/"))
}

impl Request {
    /// Why a multipart form is not complete: it breaks off, is malformed, or passes a bound. The fields and files that were
    /// complete before are there, as in PHP, which does not tell; so ask before you act upon what is missing. `None` when
    /// all is well, and for other bodies.
    ///
    /// A body that breaks off because the connection does never comes this far.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     if let Some(error) = request.form_error() {
    ///         return connection.send(Response::new(400, &[("Content-Type", "text/plain")], error.to_string()));
    ///     }
    ///     connection.send(format!("{} files", request.files().list().count()))
    /// });
    /// ```
    pub fn form_error(&self) -> Option<Error> {
        // Asking for it is no reason to take another body apart.
        if self.header("content-type").is_none_or(may_be_urlencoded) { None } else { self.submitted().error }
    }

    pub(super) fn submitted(&self) -> &Submitted {
        self.rare().form.get_or_init(|| Submitted::read(self))
    }
}

/// The parts that are complete, each kind in the order it came, names as sent.
///
/// After an error those before it stay, as in PHP.
#[derive(Debug)]
pub struct Form {
    decoder: Decoder,
    uploads: Uploads,
    open: Open,
    /// Names and texts; bytes that are not UTF-8 are U+FFFD.
    pub fields: Vec<(String, String)>,
    /// Names of fields, and the files in them.
    pub files: Vec<(String, UploadedFile)>,
}

/// The part that is arriving.
#[derive(Debug)]
enum Open {
    None,
    Field(String, Vec<u8>),
    File(String, Upload),
}

impl Form {
    /// A form without parts yet.
    pub fn new(boundary: &Boundary, uploads: Uploads) -> Self {
        let decoder = Decoder::new(boundary);
        Self { decoder, uploads, open: Open::None, fields: Vec::new(), files: Vec::new() }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    ///
    /// What is wrong with it. That a file cannot be stored is told by that file.
    pub fn append(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        while let Some(event) = self.decoder.next(&mut piece)? {
            match event {
                Event::Part(mut head) => {
                    let name = mem::take(&mut head.name);
                    let is_file = head.file_name.is_some();
                    self.open =
                        if is_file { Open::File(name, Upload::new(head)) } else { Open::Field(name, Vec::new()) };
                }
                Event::Data(data) => match &mut self.open {
                    Open::Field(_, text) => text.extend_from_slice(data),
                    Open::File(_, upload) => upload.append(data, &self.uploads),
                    Open::None => {}
                },
                Event::PartEnd => match mem::replace(&mut self.open, Open::None) {
                    Open::Field(name, text) => self.fields.push((name, lossy(text))),
                    Open::File(name, upload) => self.files.push((name, upload.finish())),
                    Open::None => {}
                },
                Event::End => {}
            }
        }
        Ok(())
    }

    /// The body ends here; a part that is not complete is dropped, with its file.
    ///
    /// # Errors
    ///
    /// What is wrong with the body, and that it breaks off.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.open = Open::None;
        self.decoder.finish()
    }
}

/// As text, without a copy of what is text.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_no_form_when_it_says_it_is_something_else() {
        for (content_type, is_read) in [
            ("application/x-www-form-urlencoded; charset=utf-8", true),
            ("text/plain", true),
            ("", true),
            ("application/JSON", false),
            ("application/problem+json", false),
            ("Multipart/mixed", false),
            ("x/y; Boundary=z", false),
        ] {
            assert_eq!(may_be_urlencoded(content_type), is_read, "{content_type}");
        }
    }
}
