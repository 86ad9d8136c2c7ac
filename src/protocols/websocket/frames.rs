//! Frames in: which may follow which, and what each of them does.

use super::close::{Farewell, Fault};
use super::deflate::Agreed;
use super::frame::{self, Header, Opcode};
use super::incoming::{self, Incoming};
use super::mask;
use super::talk::{Phase, Role, Talk};
use super::{Message, WebsocketSignal};
use crate::protocols::output::{After, Output};
use crate::protocols::{Limits, Step, pool};

type Outcome = Result<Step<Message, WebsocketSignal>, Fault>;

impl<R: Role> Talk<R> {
    /// Takes frames up to the end of the next message, or to something else that the app is told.
    pub(super) fn receive_frames(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Outcome {
        let limit = limits.max_package_size;
        let waits = limits.congested && matches!(self.phase, Phase::Open);
        let mut done = 0;
        loop {
            if let Some(incoming) = self.incoming() {
                if !incoming.has_frame() && waits {
                    output.hold = true;
                    return Ok(Step::More { consumed: done });
                }
                if !incoming.has_frame() {
                    done += incoming.take(input.get(done..).unwrap_or_default(), limit)?;
                }
                if incoming.is_whole() {
                    let message = self.finish_message(limit)?;
                    if let Phase::Open = self.phase {
                        return Ok(Step::Message { consumed: done, message });
                    }
                } else if !incoming.has_frame() {
                    return Ok(Step::More { consumed: done });
                }
            }
            let rest = input.get(done..).unwrap_or_default();
            let Some(header) = Header::parse::<R>(rest, self.agreed.is_some())? else {
                return Ok(Step::More { consumed: done });
            };
            let payload = rest.get(header.size..).unwrap_or_default();
            let whole = usize::try_from(header.length).ok().and_then(|length| payload.get(..length));
            if header.opcode.is_control() {
                // Short enough to wait for all of it.
                let Some(payload) = whole else { return Ok(Step::More { consumed: done }) };
                done += header.size + payload.len();
                match self.control(header, payload, output)? {
                    Some(signal) => return Ok(Step::Signal { consumed: done, signal }),
                    None if self.phase == Phase::Over => return Ok(Step::More { consumed: input.len() }),
                    None => continue,
                }
            }
            if waits {
                output.hold = true;
                return Ok(Step::More { consumed: done });
            }
            if let Some(payload) = whole
                && self.is_plain_message(header, payload.len(), limit)
            {
                let (mut bytes, mut turned) = (pool::take(), header.mask);
                mask::append(&mut bytes, payload, &mut turned);
                let message = incoming::message(header.opcode == Opcode::Text, bytes)?;
                return Ok(Step::Message { consumed: done + header.size + payload.len(), message });
            }
            done += header.size;
            self.begin_frame(header, limit)?;
        }
    }

    /// Whether a frame is a message that needs no more than to be unmasked, as nearly all are.
    #[inline]
    fn is_plain_message(&self, header: Header, length: usize, limit: usize) -> bool {
        let is_message = header.fin && !header.compressed && header.opcode != Opcode::Continuation;
        let alone = self.rest.as_ref().is_none_or(|rest| rest.incoming.is_none());
        is_message && alone && length <= limit && matches!(self.phase, Phase::Open)
    }

    fn incoming(&mut self) -> Option<&mut Incoming> {
        self.rest.as_mut()?.incoming.as_mut()
    }

    /// A frame of a message begins: the first, or the next.
    fn begin_frame(&mut self, header: Header, limit: usize) -> Result<(), Fault> {
        match (header.opcode, self.incoming()) {
            (Opcode::Continuation, Some(incoming)) => incoming.begin(header, limit),
            (Opcode::Continuation, None) => Err(Fault::protocol("a continuation of nothing")),
            (_, Some(_)) => Err(Fault::protocol("a message within a message")),
            (_, None) => {
                let history = self.rest.as_ref().map(|rest| &rest.history);
                let incoming = Incoming::new(header, history, limit)?;
                self.rest().incoming = Some(incoming);
                Ok(())
            }
        }
    }

    fn finish_message(&mut self, limit: usize) -> Result<Message, Fault> {
        let agreed = self.agreed;
        let Some(rest) = &mut self.rest else { return Err(Fault::protocol("no message")) };
        let Some(incoming) = rest.incoming.take() else { return Err(Fault::protocol("no message")) };
        let goes_on = incoming.is_compressed() && agreed.is_some_and(Agreed::takes_over);
        let message = incoming.finish(limit)?;
        if goes_on {
            rest.history.has_received(&message);
        }
        self.tidy();
        Ok(message)
    }

    /// A control frame: answered at once, between the frames of a message or not.
    fn control(
        &mut self,
        header: Header,
        payload: &[u8],
        output: &mut Output<'_>,
    ) -> Result<Option<WebsocketSignal>, Fault> {
        let mut bytes = payload.to_vec();
        mask::apply(&mut bytes, header.mask);
        match (header.opcode, &self.phase) {
            (Opcode::Close, _) => self.farewell(&bytes, output),
            // Our Close was the last that we say.
            (_, Phase::Parting) => Ok(None),
            (Opcode::Ping, _) => {
                frame::push::<R>(&mut output.tail(), Opcode::Pong, false, &bytes);
                Ok(Some(WebsocketSignal::Ping(bytes)))
            }
            _ => Ok(Some(WebsocketSignal::Pong(bytes))),
        }
    }

    /// The peer closes: it is answered, unless this is its answer. The connection ends either way, the server's end first.
    fn farewell(&mut self, payload: &[u8], output: &mut Output<'_>) -> Result<Option<WebsocketSignal>, Fault> {
        let farewell = Farewell::parse(payload)?;
        let is_answer = matches!(self.phase, Phase::Parting);
        if !is_answer {
            farewell.push_answer::<R>(&mut output.tail());
        }
        self.end();
        output.after = match (R::MASKS, is_answer) {
            (false, _) => After::End,
            (true, false) => After::Part,
            (true, true) => After::Stay,
        };
        Ok((!is_answer).then(|| WebsocketSignal::Close(farewell.code(), farewell.reason.to_owned())))
    }
}
