//! No protocol: whatever bytes arrive together are one message.

use std::convert::Infallible;

use super::output::{OWNED_FROM, Output};
use super::websocket::Message;
use super::{Codec, Encode, Encoded, Limits, Step, pool, sealed};

/// Raw TCP: `on_message` receives bytes as they arrive, which has nothing to do with how they were sent.
///
/// ```
/// use workerman::{Tcp, Worker};
///
/// let worker = Worker::<Tcp>::new("tcp://127.0.0.1:0");
/// worker.on_message(|connection, bytes| connection.send(bytes));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl sealed::Sealed for Tcp {}

impl Codec for Tcp {
    type Message = Vec<u8>;
    type Signal = Infallible;
    type Setup = ();

    const SCHEME: &'static str = "tcp";

    fn receive(&mut self, input: &[u8], _limits: &Limits, _output: &mut Output<'_>) -> Step<Vec<u8>> {
        if input.is_empty() {
            return Step::More { consumed: 0 };
        }
        Step::Message { consumed: input.len(), message: copy(input) }
    }

    fn park(self) -> Result<u64, Self> {
        Ok(0)
    }

    fn unpark(_parked: u64) -> Self {
        Self
    }
}

/// A message of these bytes. A long one has a buffer that was used before, if there is one: that of the last one that was
/// sent on, mostly. A short one might lie in a long buffer for as long as the app keeps it.
fn copy(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() < OWNED_FROM {
        return bytes.to_vec();
    }
    let mut message = pool::take();
    message.extend_from_slice(bytes);
    message
}

/// Text and bytes go out as they are.
macro_rules! encode_bytes {
    ($($message:ty),*) => {$(
        impl Encode<$message> for Tcp {
            fn encode(&mut self, message: $message, output: &mut Output<'_>) -> Encoded {
                output.bytes(message.as_ref());
                Encoded::Done
            }
        }
    )*};
}

encode_bytes!(&str, &String, &[u8], &Vec<u8>, &Message);

impl<const N: usize> Encode<&[u8; N]> for Tcp {
    fn encode(&mut self, message: &[u8; N], output: &mut Output<'_>) -> Encoded {
        output.bytes(message);
        Encoded::Done
    }
}

impl Encode<Vec<u8>> for Tcp {
    fn encode(&mut self, message: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        output.owned(message);
        Encoded::Done
    }
}

impl Encode<Message> for Tcp {
    fn encode(&mut self, message: Message, output: &mut Output<'_>) -> Encoded {
        output.owned(message.into_bytes());
        Encoded::Done
    }
}

impl Encode<String> for Tcp {
    fn encode(&mut self, message: String, output: &mut Output<'_>) -> Encoded {
        output.owned(message.into_bytes());
        Encoded::Done
    }
}
