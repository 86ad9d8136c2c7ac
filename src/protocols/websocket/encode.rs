//! Messages out: which opcode, compressed or not, and what is sent before the handshake is done.

use super::close;
use super::frame::{self, CONTROL_LIMIT, Opcode, push_head};
use super::talk::{Phase, Role, Talk};
use super::{Frames, Message, NOT_ASKED, Websocket, WebsocketType, Ws, deflate, mask};
use crate::protocols::broadcast::Editions;
use crate::protocols::http::Response;
use crate::protocols::output::Output;
use crate::protocols::{Codec, Encode, Encoded, pool};

/// What is sent before the handshake is done is kept up to this many bytes.
const EARLY_LIMIT: usize = 1024 * 1024;
const TOO_EARLY: Encoded = Encoded::Stray("more than 1 MiB was sent before the handshake");
const NOT_OPEN: Encoded = Encoded::Stray("the handshake is not done");
const CLOSED: Encoded = Encoded::Stray("the WebSocket is closed");
const NOT_TEXT: Encoded = Encoded::Stray("bytes that are not UTF-8 cannot be sent as text");
const LONG_CONTROL: Encoded = Encoded::Stray("a Ping or Pong has at most 125 bytes");

/// A WebSocket of either side, as its connection knows it.
pub trait EitherSide: Codec {
    /// Closes with a code and a reason.
    fn close(&mut self, code: u16, reason: &str, output: &mut Output<'_>);

    /// Sends a Ping.
    fn ping(&mut self, payload: &[u8], output: &mut Output<'_>) -> Encoded;

    /// Sets what text and bytes are sent as.
    fn set_type(&mut self, kind: WebsocketType);
}

/// What both sides send alike.
macro_rules! both {
    ($($codec:ident)*) => {$(
        encode! { $codec: encode_lent Text AsRef::<[u8]>::as_ref => &str, &String; }
        encode! { $codec: encode_lent Binary AsRef::<[u8]>::as_ref => &[u8], &Vec<u8>; }
        encode! { $codec: encode_owned Text String::into_bytes => String; }
        encode! { $codec: encode_owned Binary Vec::from => Vec<u8>; }

        impl<const N: usize> Encode<&[u8; N]> for $codec {
            fn encode(&mut self, message: &[u8; N], output: &mut Output<'_>) -> Encoded {
                self.talk.encode_lent(Opcode::Binary, message, output)
            }

            fn editions(message: &[u8; N]) -> Editions {
                Editions::frames(Frames::new(Opcode::Binary, message.to_vec()))
            }
        }

        /// A message goes out as what it is, whatever the connection's type.
        impl Encode<Message> for $codec {
            #[inline]
            fn encode(&mut self, message: Message, output: &mut Output<'_>) -> Encoded {
                let opcode = Opcode::of_message(&message);
                self.talk.push_owned(opcode, message.into_bytes(), output)
            }

            fn editions(message: Message) -> Editions {
                Editions::frames(Frames::of_message(message))
            }
        }

        impl Encode<&Message> for $codec {
            fn encode(&mut self, message: &Message, output: &mut Output<'_>) -> Encoded {
                self.talk.push_lent(Opcode::of_message(message), message, output)
            }

            fn editions(message: &Message) -> Editions {
                Editions::frames(Frames::of_message(message.clone()))
            }
        }

        impl EitherSide for $codec {
            fn close(&mut self, code: u16, reason: &str, output: &mut Output<'_>) {
                self.talk.close(code, reason, output);
            }

            fn ping(&mut self, payload: &[u8], output: &mut Output<'_>) -> Encoded {
                self.talk.ping(payload, output)
            }

            fn set_type(&mut self, kind: WebsocketType) {
                self.talk.kind = kind;
            }
        }
    )*};
}

macro_rules! encode {
    ($codec:ident: $how:ident $opcode:ident $bytes:path => $($message:ty),*;) => {$(
        impl Encode<$message> for $codec {
            #[inline]
            fn encode(&mut self, message: $message, output: &mut Output<'_>) -> Encoded {
                self.talk.$how(Opcode::$opcode, $bytes(message), output)
            }

            fn editions(message: $message) -> Editions {
                Editions::frames(Frames::new(Opcode::$opcode, Vec::from($bytes(message))))
            }
        }
    )*};
}

both! { Websocket Ws }

/// The answer to the handshake: 101 lets the client in, with these headers; anything else is said instead.
impl Encode<Response> for Websocket {
    fn encode(&mut self, response: Response, output: &mut Output<'_>) -> Encoded {
        match (self.is_asked(), response.status()) {
            (false, _) => NOT_ASKED,
            (true, 101) => self.accept(Some(&response), output),
            (true, _) => self.refuse(response, output),
        }
    }
}

impl Encode<&Response> for Websocket {
    fn encode(&mut self, response: &Response, output: &mut Output<'_>) -> Encoded {
        self.encode(response.clone(), output)
    }
}

impl<R: Role> Talk<R> {
    fn encode_lent(&mut self, opcode: Opcode, message: &[u8], output: &mut Output<'_>) -> Encoded {
        match self.opcode(opcode, message) {
            Some(opcode) => self.push_lent(opcode, message, output),
            None => NOT_TEXT,
        }
    }

    fn encode_owned(&mut self, opcode: Opcode, message: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        match self.opcode(opcode, &message) {
            Some(opcode) => self.push_owned(opcode, message, output),
            None => NOT_TEXT,
        }
    }

    /// What text or bytes are sent as, if they can be.
    #[inline]
    pub(super) fn opcode(&self, opcode: Opcode, message: &[u8]) -> Option<Opcode> {
        match (self.kind, opcode) {
            (WebsocketType::Auto, _) => Some(opcode),
            (WebsocketType::Binary, _) => Some(Opcode::Binary),
            (WebsocketType::Text, Opcode::Text) => Some(Opcode::Text),
            (WebsocketType::Text, _) => std::str::from_utf8(message).is_ok().then_some(Opcode::Text),
        }
    }

    #[inline]
    fn push_lent(&mut self, opcode: Opcode, message: &[u8], output: &mut Output<'_>) -> Encoded {
        if let Some(encoded) = self.push_otherwise(opcode, message, output) {
            return encoded;
        }
        frame::push::<R>(&mut output.tail(), opcode, false, message);
        Encoded::Done
    }

    #[inline]
    fn push_owned(&mut self, opcode: Opcode, mut message: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        if let Some(encoded) = self.push_otherwise(opcode, &message, output) {
            pool::give(message);
            return encoded;
        }
        if let Some(mask) = push_head::<R>(&mut output.tail(), opcode, false, message.len()) {
            mask::apply(&mut message, mask);
        }
        output.owned(message);
        Encoded::Done
    }

    /// Does what is to be done with a message that does not simply leave.
    #[inline]
    fn push_otherwise(&mut self, opcode: Opcode, message: &[u8], output: &mut Output<'_>) -> Option<Encoded> {
        match self.phase {
            Phase::Open if self.agreed.is_none_or(|agreed| !agreed.compresses(message.len())) => None,
            Phase::Open => self.push_compressed(opcode, message, output),
            Phase::Opening => Some(self.keep(opcode, message)),
            Phase::Parting | Phase::Over => Some(CLOSED),
        }
    }

    /// `None` when it would only become longer.
    fn push_compressed(&mut self, opcode: Opcode, message: &[u8], output: &mut Output<'_>) -> Option<Encoded> {
        let agreed = self.agreed?;
        let mut compressed = pool::take();
        let smaller = deflate::compress(message, agreed, &mut self.rest().history, &mut compressed);
        self.tidy();
        if smaller {
            if let Some(mask) = push_head::<R>(&mut output.tail(), opcode, true, compressed.len()) {
                mask::apply(&mut compressed, mask);
            }
            // Room was made for the whole message.
            compressed.shrink_to(compressed.len() * 2);
            output.owned(compressed);
        } else {
            pool::give(compressed);
        }
        smaller.then_some(Encoded::Done)
    }

    /// Keeps a frame until the handshake is done.
    fn keep(&mut self, opcode: Opcode, message: &[u8]) -> Encoded {
        let early = &mut self.rest().early;
        if early.len() >= EARLY_LIMIT {
            return TOO_EARLY;
        }
        frame::push::<R>(early, opcode, false, message);
        Encoded::Kept
    }

    /// Sends a Ping.
    pub(super) fn ping(&self, payload: &[u8], output: &mut Output<'_>) -> Encoded {
        match self.phase {
            Phase::Open if payload.len() > CONTROL_LIMIT => LONG_CONTROL,
            Phase::Open => {
                frame::push::<R>(&mut output.tail(), Opcode::Ping, false, payload);
                Encoded::Done
            }
            Phase::Opening => NOT_OPEN,
            Phase::Parting | Phase::Over => CLOSED,
        }
    }

    /// Closes with a code and a reason.
    pub(super) fn close(&mut self, code: u16, reason: &str, output: &mut Output<'_>) {
        let code = if close::may_travel(code) {
            code
        } else {
            log::error!("{code} is not a close code that may be sent: 1011 is sent instead");
            close::INTERNAL_ERROR
        };
        self.part(code, reason, output);
    }
}
