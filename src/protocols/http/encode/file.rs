//! A file onto the wire: it is opened, looked at, and becomes the answer that the request asks for.

use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::Mode;

use super::super::Http;
use super::super::below::READ;
use super::super::conditional::{Outcome, Validators, format_date, parse_date};
use super::super::file::{
    ContentType, FileBody, Known as KnownFile, Opened, Wanted, attachment, content_type, failure,
};
use super::super::headers::{Known, append};
use super::super::range::Selection;
use super::super::response::Response;
use super::{Keep, connection_line, content_length, end_of_head, own_lines, status_line};
use crate::protocols::file::{PIECE, append as append_file};
use crate::protocols::output::Output;

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
        let FileBody { path, wanted, opened } = *file;
        let (opened, metadata) = match open(&path, opened, head_only) {
            Ok(opened) => opened,
            Err(error) => return self.encode_failure(&path, &error, response, output),
        };
        let now = std::str::from_utf8(output.date).ok().and_then(parse_date);
        let known = KnownFile::new(&metadata, now);
        let range = match outcome(&wanted, &response, &known) {
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
        let date = *output.date;
        let is_short = range.end - range.start <= PIECE as u64;
        let mut tail = output.tail();
        let start = tail.len();
        self.encode_file_head(&path, &response, &known, &range, &date, &mut tail);
        // A short file is read at once and leaves with its head: no descriptor stays open, and nothing can happen to it.
        if let Some(opened) = opened.as_ref().filter(|_| is_short)
            && let Err(error) = append_file(opened, range.clone(), known.size, &mut tail)
        {
            tail.truncate(start);
            drop(tail);
            return self.encode_failure(&path, &error, response, output);
        }
        drop(tail);
        self.complete(output, response.wants_close());
        if let Some(opened) = opened.filter(|_| !is_short) {
            output.file(opened, range);
        }
    }

    /// The head, in PHP's order.
    fn encode_file_head(
        &self,
        path: &Path,
        response: &Response,
        known: &KnownFile,
        range: &Range<u64>,
        date: &[u8; 29],
        tail: &mut Vec<u8>,
    ) {
        let close = self.will_close(response.wants_close());
        let lacks = |name| response.header(name).is_none();
        status_line(tail, response, self.exchange.http10());
        own_lines(tail, response, close, Keep::default());
        content_length(tail, usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        if lacks("accept-ranges") {
            tail.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        }
        if response.parts.status == 206 {
            let value = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), known.size);
            append(tail, "Content-Range", &value);
        }
        if !response.parts.headers.has(Known::Connection) {
            connection_line(tail, close);
        }
        if !response.parts.headers.has(Known::ContentType) {
            let kind = content_type(path);
            tail.extend_from_slice(b"Content-Type: ");
            for text in kind.unwrap_or(ContentType::UNKNOWN).texts() {
                tail.extend_from_slice(text.as_bytes());
            }
            tail.extend_from_slice(b"\r\n");
            if kind.is_none() && lacks("content-disposition") {
                append(tail, "Content-Disposition", &attachment(path));
            }
        }
        if let Some(date) = known.modified.and_then(format_date).filter(|_| lacks("last-modified")) {
            append(tail, "Last-Modified", &date);
        }
        if lacks("etag") {
            append(tail, "ETag", &known.etag);
        }
        end_of_head(tail, response, date);
    }

    /// The answer in place of a file that cannot be sent, in PHP's words.
    fn encode_failure(&mut self, path: &Path, error: &io::Error, response: Response, output: &mut Output<'_>) {
        let (status, body) = failure(path, error);
        let response = response.with_status(status).with_body(body);
        self.encode_whole(&response, output);
        if !self.exchange.head_only() {
            output.bytes(response.raw_body());
        }
    }
}

/// What is to be sent, when there is nothing against it.
fn outcome(wanted: &Wanted, response: &Response, known: &KnownFile) -> Outcome {
    let size = known.size;
    match wanted {
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

/// A file to be read, if its content is wanted, and what there is to know of it.
fn open(path: &Path, opened: Option<Opened>, head_only: bool) -> io::Result<(Option<File>, Metadata)> {
    let file = match opened {
        Some(Opened(shared)) => Arc::try_unwrap(shared).or_else(|shared| shared.try_clone())?,
        None if head_only => return Ok((None, require_file(fs::metadata(path)?)?)),
        None => rustix::fs::open(path, READ, Mode::empty())?.into(),
    };
    let metadata = require_file(file.metadata()?)?;
    Ok((Some(file).filter(|_| !head_only), metadata))
}

fn require_file(metadata: Metadata) -> io::Result<Metadata> {
    if metadata.is_file() { Ok(metadata) } else { Err(io::ErrorKind::NotFound.into()) }
}
