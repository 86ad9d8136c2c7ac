//! Messages out: which opcode, compressed or not, and what is sent before the handshake is done.

use super::close;
use super::frame::{CONTROL_LIMIT, Opcode, push_head};
use super::frames::push_control;
use super::{Frames, Message, NOT_ASKED, Phase, Websocket, WebsocketType, deflate};
use crate::protocols::broadcast::Editions;
use crate::protocols::http::Response;
use crate::protocols::output::Output;
use crate::protocols::{Encode, Encoded, pool};

/// What is sent before the handshake is done is kept up to this many bytes.
const EARLY_LIMIT: usize = 1024 * 1024;
const TOO_EARLY: Encoded = Encoded::Stray("more than 1 MiB was sent before the handshake");
const NOT_OPEN: Encoded = Encoded::Stray("the handshake is not done");
const CLOSED: Encoded = Encoded::Stray("the WebSocket is closed");
const NOT_TEXT: Encoded = Encoded::Stray("bytes that are not UTF-8 cannot be sent as text");
const LONG_CONTROL: Encoded = Encoded::Stray("a Ping or Pong has at most 125 bytes");

macro_rules! encode {
    ($($opcode:ident: $($message:ty),*;)*) => {$($(
        impl Encode<$message> for Websocket {
            #[inline]
            fn encode(&mut self, message: $message, output: &mut Output<'_>) -> Encoded {
                self.encode_lent(Opcode::$opcode, message.as_ref(), output)
            }

            fn editions(message: $message) -> Editions {
                let bytes: &[u8] = message.as_ref();
                Editions::frames(Frames::new(Opcode::$opcode, bytes.to_vec()))
            }
        }
    )*)*};
}

encode! {
    Text: &str, &String;
    Binary: &[u8], &Vec<u8>;
}

impl<const N: usize> Encode<&[u8; N]> for Websocket {
    fn encode(&mut self, message: &[u8; N], output: &mut Output<'_>) -> Encoded {
        self.encode_lent(Opcode::Binary, message, output)
    }

    fn editions(message: &[u8; N]) -> Editions {
        Editions::frames(Frames::new(Opcode::Binary, message.to_vec()))
    }
}

impl Encode<String> for Websocket {
    fn encode(&mut self, message: String, output: &mut Output<'_>) -> Encoded {
        self.encode_owned(Opcode::Text, message.into_bytes(), output)
    }

    fn editions(message: String) -> Editions {
        Editions::frames(Frames::new(Opcode::Text, message.into_bytes()))
    }
}

impl Encode<Vec<u8>> for Websocket {
    fn encode(&mut self, message: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        self.encode_owned(Opcode::Binary, message, output)
    }

    fn editions(message: Vec<u8>) -> Editions {
        Editions::frames(Frames::new(Opcode::Binary, message))
    }
}

/// A message goes out as what it is, whatever the connection's type.
impl Encode<Message> for Websocket {
    #[inline]
    fn encode(&mut self, message: Message, output: &mut Output<'_>) -> Encoded {
        match message {
            Message::Text(text) => self.push_owned(Opcode::Text, text.into_bytes(), output),
            Message::Binary(bytes) => self.push_owned(Opcode::Binary, bytes, output),
        }
    }

    fn editions(message: Message) -> Editions {
        Editions::frames(Frames::of_message(message))
    }
}

impl Encode<&Message> for Websocket {
    fn encode(&mut self, message: &Message, output: &mut Output<'_>) -> Encoded {
        let opcode = if message.is_text() { Opcode::Text } else { Opcode::Binary };
        self.push_lent(opcode, message, output)
    }

    fn editions(message: &Message) -> Editions {
        Editions::frames(Frames::of_message(message.clone()))
    }
}

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

impl Websocket {
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
        let mut tail = output.tail();
        push_head(&mut tail, opcode, false, message.len());
        tail.extend_from_slice(message);
        Encoded::Done
    }

    #[inline]
    fn push_owned(&mut self, opcode: Opcode, message: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        if let Some(encoded) = self.push_otherwise(opcode, &message, output) {
            pool::give(message);
            return encoded;
        }
        push_head(&mut output.tail(), opcode, false, message.len());
        output.owned(message);
        Encoded::Done
    }

    /// Does what is to be done with a message that does not simply leave.
    #[inline]
    fn push_otherwise(&mut self, opcode: Opcode, message: &[u8], output: &mut Output<'_>) -> Option<Encoded> {
        match self.phase {
            Phase::Open if self.agreed.is_none_or(|agreed| !agreed.compresses(message.len())) => None,
            Phase::Open => self.push_compressed(opcode, message, output),
            Phase::Handshake(_) => Some(self.keep(opcode, message)),
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
            push_head(&mut output.tail(), opcode, true, compressed.len());
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
        push_head(early, opcode, false, message.len());
        early.extend_from_slice(message);
        Encoded::Kept
    }

    /// Sends a Ping.
    pub(crate) fn ping(&self, payload: &[u8], output: &mut Output<'_>) -> Encoded {
        match self.phase {
            Phase::Open if payload.len() > CONTROL_LIMIT => LONG_CONTROL,
            Phase::Open => {
                push_control(Opcode::Ping, payload, output);
                Encoded::Done
            }
            Phase::Handshake(_) => NOT_OPEN,
            Phase::Parting | Phase::Over => CLOSED,
        }
    }

    /// Closes with a code and a reason.
    pub(crate) fn close(&mut self, code: u16, reason: &str, output: &mut Output<'_>) {
        let code = if close::may_travel(code) {
            code
        } else {
            log::error!("{code} is not a close code that may be sent: 1011 is sent instead");
            close::INTERNAL_ERROR
        };
        self.part(code, reason, output);
    }
}
