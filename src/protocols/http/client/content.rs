//! `Content-Encoding`: bodies in gzip or deflate, decoded as they arrive.
//!
//! Invariants: what comes out has a bound of its own, so a bomb is refused when it begins to go off; what is fed is cut into
//! pieces that cannot grow beyond [`SLICE`] times 1032.

use super::Fault;
use super::head::Coding;

/// Compressed bytes that are decoded at a time, before it is looked at what has come of them.
pub(super) const SLICE: usize = 512;

/// What decodes the body of one answer.
#[cfg(feature = "compression")]
#[derive(Debug)]
pub(super) struct Inflater {
    coding: Coding,
    state: Option<flate2::Decompress>,
    /// Between two members of gzip, or behind the last: nothing is missing.
    complete: bool,
    /// Something else stands behind the last member: nothing counts any more, whatever it looks like.
    over: bool,
}

#[cfg(feature = "compression")]
impl Inflater {
    pub(super) fn new(coding: Coding) -> Option<Self> {
        matches!(coding, Coding::Gzip | Coding::Deflate).then_some(Self {
            coding,
            state: None,
            complete: true,
            over: false,
        })
    }

    /// Decodes bytes behind what there is, of which at most `room` bytes may come.
    pub(super) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<(), Fault> {
        use flate2::{FlushDecompress, Status};

        let end = out.len().saturating_add(room);
        while let Some(first) = input.first() {
            let Some(state) = self.begin(*first) else { return Ok(()) };
            loop {
                out.reserve((4 * input.len()).max(256));
                let (taken, made) = (state.total_in(), out.len());
                let status = state.decompress_vec(input, out, FlushDecompress::None);
                let status = status.map_err(|_| Fault::Malformed("the compressed body is malformed"))?;
                let taken = usize::try_from(state.total_in() - taken).unwrap_or_default();
                input = input.get(taken..).unwrap_or_default();
                if out.len() > end {
                    return Err(Fault::TooLarge);
                }
                if status == Status::StreamEnd {
                    (self.state, self.complete) = (None, true);
                    break;
                }
                // What is inside has come out once there is room left.
                if out.len() < out.capacity() || taken == 0 && out.len() == made {
                    break;
                }
            }
            if self.state.is_some() && !input.is_empty() {
                return Err(Fault::Malformed("the compressed body is malformed"));
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.complete { Ok(()) } else { Err(Fault::Cut("the compressed body is not complete")) }
    }

    /// What decodes, from its first byte on; `None` for what stands behind the end, which has no meaning.
    fn begin(&mut self, first: u8) -> Option<&mut flate2::Decompress> {
        const GZIP: u8 = 0x1f;
        const ZLIB: u8 = 8;
        if self.state.is_none() && !self.over {
            let is_first = self.coding != Coding::Other;
            self.state = match self.coding {
                Coding::Gzip => Some(flate2::Decompress::new_gzip(15)),
                // Some servers leave out the frame that the standard asks for.
                Coding::Deflate => Some(flate2::Decompress::new(first & 0x0f == ZLIB)),
                Coding::Other if first == GZIP => Some(flate2::Decompress::new_gzip(15)),
                Coding::Other => None,
            };
            self.complete = self.state.is_none();
            self.over = self.complete;
            if is_first {
                self.coding = Coding::Other;
            }
        }
        self.state.as_mut()
    }
}

/// Nothing is decoded in this build.
#[cfg(not(feature = "compression"))]
#[derive(Debug)]
pub(super) enum Inflater {}

#[cfg(not(feature = "compression"))]
impl Inflater {
    pub(super) fn new(_coding: Coding) -> Option<Self> {
        None
    }

    pub(super) fn push(&mut self, _input: &[u8], _out: &mut Vec<u8>, _room: usize) -> Result<(), Fault> {
        match *self {}
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        match *self {}
    }
}
