//! A file onto the wire: it is opened, looked at, and becomes the answer that the request asks for.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::super::Http;
use super::super::conditional::{Outcome, Validators, format_date, parse_date};
use super::super::file::{FileBody, Known as KnownFile, NOT_FOUND, Wanted, attachment, content_type};
use super::super::headers::{Known, append};
use super::super::range::Selection;
use super::super::response::Response;
use super::{Keep, connection_line, content_length, end_of_head, own_lines, status_line};
use crate::protocols::file::{PIECE, read};
use crate::protocols::output::Output;
use crate::protocols::pool;

/// What is sent of a file.
enum Content {
    /// For HEAD.
    None,
    /// A short one is read at once: no descriptor stays open for it, and nothing can happen to it any more.
    Short(Vec<u8>),
    Long(File),
}

impl Http {
    /// The answer with a file as its body, or the one that says why not.
    #[cold]
    pub(super) fn encode_file(&mut self, mut response: Response, output: &mut Output<'_>) {
        // 205 has no content either: RFC 9110 §15.3.6.
        let wants_file = response.has_body() && response.parts.status != 205;
        let Some(file) = response.parts.file.take().filter(|_| wants_file) else {
            return self.encode_whole(&response, output);
        };
        let head_only = self.exchange.head_only();
        let opened = if head_only { look(&file.path).map(|metadata| (None, metadata)) } else { open(&file.path) };
        let (opened, metadata) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.encode_failure(&file.path, &error, response, output),
        };
        let now = std::str::from_utf8(output.date).ok().and_then(parse_date);
        let known = KnownFile::new(&metadata, now);
        let range = match outcome(&file, &response, &known) {
            Outcome::Send(Selection::Whole) => 0..known.size,
            Outcome::Send(Selection::Part { start, length }) => {
                response = response.with_status(206).without_header("Content-Range");
                start..start + length
            }
            Outcome::Send(Selection::Unsatisfiable) => {
                let size = format!("bytes */{}", known.size);
                return self.encode_whole(&response.with_status(416).with_header("Content-Range", &size), output);
            }
            Outcome::NotModified => {
                if response.header("etag").is_none() {
                    response = response.with_header("ETag", &known.etag);
                }
                return self.encode_whole(&response.with_status(304), output);
            }
            Outcome::Failed => return self.encode_whole(&response.with_status(412), output),
        };
        let length = range.end - range.start;
        let content = match opened {
            None => Content::None,
            Some(opened) if length > PIECE as u64 => Content::Long(opened),
            Some(opened) => {
                let mut bytes = pool::take();
                match read(&opened, range.clone(), &mut bytes) {
                    Ok(()) => Content::Short(bytes),
                    Err(error) => return self.encode_failure(&file.path, &error, response, output),
                }
            }
        };
        self.encode_file_head(&file.path, &response, &known, range.clone(), output);
        match content {
            Content::None => {}
            Content::Short(bytes) => output.owned(bytes),
            Content::Long(opened) => output.file(opened, range),
        }
    }

    /// The head, in PHP's order.
    fn encode_file_head(
        &mut self,
        path: &Path,
        response: &Response,
        known: &KnownFile,
        range: Range<u64>,
        output: &mut Output<'_>,
    ) {
        let date = *output.date;
        let close = self.complete(output, response.wants_close());
        let lacks = |name| response.header(name).is_none();
        let mut tail = output.tail();
        status_line(&mut tail, response, self.exchange.http10());
        own_lines(&mut tail, response, close, Keep::default());
        content_length(&mut tail, usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        if lacks("accept-ranges") {
            tail.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        }
        if response.parts.status == 206 {
            let value = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), known.size);
            append(&mut tail, "Content-Range", &value);
        }
        if !response.parts.headers.has(Known::Connection) {
            connection_line(&mut tail, close);
        }
        if !response.parts.headers.has(Known::ContentType) {
            let (content_type, is_known) = content_type(path);
            append(&mut tail, "Content-Type", &content_type);
            if !is_known && lacks("content-disposition") {
                append(&mut tail, "Content-Disposition", &attachment(path));
            }
        }
        if let Some(date) = known.modified.and_then(format_date).filter(|_| lacks("last-modified")) {
            append(&mut tail, "Last-Modified", &date);
        }
        if lacks("etag") {
            append(&mut tail, "ETag", &known.etag);
        }
        end_of_head(&mut tail, response, &date);
    }

    /// The answer in place of a file that cannot be sent, in PHP's words.
    fn encode_failure(&mut self, path: &Path, error: &io::Error, response: Response, output: &mut Output<'_>) {
        let (status, body) = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => (404, NOT_FOUND),
            io::ErrorKind::PermissionDenied => (403, "403 Forbidden"),
            _ => {
                log::error!("{} cannot be sent: {error}", path.display());
                (500, "")
            }
        };
        let response = response.with_status(status).with_body(body);
        self.encode_whole(&response, output);
        if !self.exchange.head_only() {
            output.bytes(response.raw_body());
        }
    }
}

/// What is to be sent, when there is nothing against it.
fn outcome(file: &FileBody, response: &Response, known: &KnownFile) -> Outcome {
    let size = known.size;
    match &file.wanted {
        Wanted::Part { offset: 0, length: 0 } => Outcome::Send(Selection::Whole),
        Wanted::Part { offset, length } if *offset < size => {
            let rest = size - offset;
            let length = if *length == 0 { rest } else { rest.min(*length) };
            Outcome::Send(Selection::Part { start: *offset, length })
        }
        Wanted::Part { .. } => Outcome::Send(Selection::Unsatisfiable),
        // RFC 9110 §13.2.1: conditions are for what would succeed without them.
        Wanted::Asked(conditions) if response.parts.status == 200 => {
            // The validators that go out are those that come back.
            let etag = response.header("etag").unwrap_or(&known.etag);
            let modified = match response.header("last-modified") {
                Some(own) => parse_date(own),
                None => known.modified,
            };
            conditions.evaluate(Validators { etag, modified }, size)
        }
        Wanted::Asked(_) => Outcome::Send(Selection::Whole),
    }
}

/// Opens a file. Opening a pipe or a device would wait or do something, were it not for the flag; they are no files.
fn open(path: &Path) -> io::Result<(Option<File>, Metadata)> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    require_file(&metadata)?;
    Ok((Some(file), metadata))
}

/// What there is to know of a file without opening it.
fn look(path: &Path) -> io::Result<Metadata> {
    let metadata = fs::metadata(path)?;
    require_file(&metadata)?;
    Ok(metadata)
}

fn require_file(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}
