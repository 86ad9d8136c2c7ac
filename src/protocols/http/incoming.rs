//! A request whose body is arriving: where the body ends, and where its bytes go.
//!
//! ```text
//!   Small ── more than 64 KiB ──┬──▶ Large: one buffer, the request's in the end
//!     │                         └──▶ Form: a multipart form, as its fields and files
//!     └── the app wants it ────────▶ Pieces: to the app, and not kept
//! ```
//!
//! Invariants: limits bite on declared sizes, before the bytes arrive; each byte is looked at once, and most of a large body
//! not even that: it is read to where it stays.

use super::chunked::{self, Piece};
use super::form::{Form, Submitted};
use super::head::{Head, Refusal};
use super::large::Large;
use super::multipart::Boundary;
use super::uploads::{self, Uploads};
use crate::protocols::Limits;

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) head: Head,
    rest: Rest,
    place: Place,
    /// The app has been told of the head.
    pub(super) told: bool,
    /// What is declared is more than a request may have, unless the app takes it in pieces.
    pub(super) too_large: bool,
}

/// How the end of the body is found.
#[derive(Debug)]
pub(super) enum Rest {
    /// Bytes of the body that are still to come.
    Length(usize),
    Chunked(chunked::Decoder),
    /// The last byte, which has been handed out and comes again.
    Seen,
}

#[derive(Debug)]
enum Place {
    Small,
    Large(Large),
    Form(Box<Form>),
    Pieces,
}

impl Incoming {
    #[inline]
    pub(super) fn new(head: Head, rest: Rest, too_large: bool) -> Self {
        Self { head, rest, place: Place::Small, told: false, too_large }
    }

    /// From now on the app takes the body.
    pub(super) fn hand_out(&mut self) {
        self.place = Place::Pieces;
    }

    pub(super) fn is_handed_out(&self) -> bool {
        matches!(self.place, Place::Pieces)
    }

    /// If nothing is missing, the last byte is to come again; answers whether that is so.
    pub(super) fn hold_back(&mut self) -> bool {
        let complete = matches!(self.rest, Rest::Length(0));
        if complete {
            self.rest = Rest::Seen;
        }
        complete
    }

    /// Takes what there is of the body; answers how many bytes that is, and whether it is all.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], limits: &Limits) -> Result<(usize, bool), Refusal> {
        let mut rest = bytes;
        while let Some(piece) = self.next(&mut rest, limits)? {
            match piece {
                Piece::Data(data) => self.keep(data),
                Piece::Trailers(fields) => self.head.request.append_trailers(fields),
                Piece::End => {
                    self.finish();
                    return Ok((bytes.len() - rest.len(), true));
                }
            }
        }
        Ok((bytes.len(), false))
    }

    /// The next piece of a body that is handed out.
    pub(super) fn next_data<'i>(
        &mut self,
        input: &mut &'i [u8],
        limits: &Limits,
    ) -> Result<Option<Piece<'i>>, Refusal> {
        loop {
            match self.next(input, limits)? {
                Some(Piece::Trailers(fields)) => self.head.request.append_trailers(fields),
                piece => return Ok(piece),
            }
        }
    }

    #[inline]
    fn next<'i>(&mut self, input: &mut &'i [u8], limits: &Limits) -> Result<Option<Piece<'i>>, Refusal> {
        match &mut self.rest {
            Rest::Length(0) => Ok(Some(Piece::End)),
            Rest::Length(_) | Rest::Seen if input.is_empty() => Ok(None),
            Rest::Seen => {
                *input = input.get(1..).unwrap_or_default();
                Ok(Some(Piece::End))
            }
            Rest::Length(rest) => {
                let (data, behind) = input.split_at(input.len().min(*rest));
                *input = behind;
                *rest -= data.len();
                Ok(Some(Piece::Data(data)))
            }
            Rest::Chunked(decoder) => {
                // The limit is for head and body together.
                let limit = match self.place {
                    Place::Pieces => usize::MAX,
                    _ => limits.max_package_size.saturating_sub(self.head.request.raw_head().len() + 4),
                };
                decoder.next(input, limit).map_err(|error| match error {
                    chunked::Error::TooLarge => Refusal::TOO_LARGE,
                    chunked::Error::Malformed => Refusal::malformed("malformed chunked body"),
                })
            }
        }
    }

    /// Where the next bytes may be read to, past [`Self::take`].
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        let Place::Large(large) = &mut self.place else { return None };
        match &self.rest {
            Rest::Length(rest) => large.room(*rest),
            Rest::Chunked(decoder) => large.room(decoder.rest_of_data()),
            Rest::Seen => None,
        }
    }

    /// So many bytes were read there.
    pub(super) fn fill(&mut self, count: usize) {
        if let Place::Large(large) = &mut self.place {
            large.fill(count);
        }
        match &mut self.rest {
            Rest::Length(rest) => *rest = rest.saturating_sub(count),
            Rest::Chunked(decoder) => decoder.skip_data(count),
            Rest::Seen => {}
        }
    }

    #[inline]
    fn keep(&mut self, data: &[u8]) {
        if let Place::Small = self.place
            && self.head.request.raw_body().len() + data.len() > uploads::in_memory()
        {
            self.outgrow(data.len());
        }
        match &mut self.place {
            // An error stays, so the end tells it.
            Place::Form(form) => drop(form.append(data)),
            Place::Large(large) => large.append(data),
            _ => self.head.request.append_body(data),
        }
    }

    /// With the next so many bytes the body is no small one: if it is a form, its files go to disk.
    #[cold]
    fn outgrow(&mut self, next: usize) {
        let request = &mut self.head.request;
        let content_type = request.header("content-type").unwrap_or_default();
        self.place = match Boundary::from_content_type(content_type.as_bytes()) {
            Ok(Some(boundary)) => {
                let mut form = Box::new(Form::new(&boundary, Uploads::default()));
                let _ = form.append(request.raw_body());
                Place::Form(form)
            }
            _ => {
                let begun = request.raw_buffer();
                let total = match self.rest {
                    Rest::Length(rest) => Some(begun.len() + next + rest),
                    _ => None,
                };
                Place::Large(Large::new(begun, total))
            }
        };
        request.drop_body();
    }

    #[inline]
    fn finish(&mut self) {
        match std::mem::replace(&mut self.place, Place::Small) {
            Place::Form(form) => self.head.request.set_form(Submitted::new(*form)),
            Place::Large(large) => self.head.request.set_buffer(large.into_bytes()),
            Place::Small | Place::Pieces => {}
        }
    }
}
