//! A `multipart/form-data` body as its fields and files, collected while it arrives.

use super::multipart::{Boundary, Decoder, Error, Event};
use super::upload::{Upload, UploadedFile, Uploads};

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
                    let name = std::mem::take(&mut head.name);
                    let is_file = head.file_name.is_some();
                    self.open =
                        if is_file { Open::File(name, Upload::new(head)) } else { Open::Field(name, Vec::new()) };
                }
                Event::Data(data) => match &mut self.open {
                    Open::Field(_, text) => text.extend_from_slice(data),
                    Open::File(_, upload) => upload.append(data, &self.uploads),
                    Open::None => {}
                },
                Event::PartEnd => match std::mem::replace(&mut self.open, Open::None) {
                    Open::Field(name, text) => self.fields.push((name, String::from_utf8_lossy(&text).into_owned())),
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
