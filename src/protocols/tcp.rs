//! No protocol: whatever bytes arrive together are one message.

use std::convert::Infallible;

use super::output::Output;
use super::{Codec, Encode, Encoded, Limits, Step, sealed};

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

    const SCHEME: &'static str = "tcp";

    fn receive(&mut self, input: &[u8], _limits: &Limits, _output: &mut Output<'_>) -> Step<Vec<u8>> {
        if input.is_empty() {
            return Step::More { consumed: 0 };
        }
        Step::Message { consumed: input.len(), message: input.to_vec() }
    }

    fn park(self) -> Result<u64, Self> {
        Ok(0)
    }

    fn unpark(_parked: u64) -> Self {
        Self
    }
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

encode_bytes!(&str, &String, &[u8], &Vec<u8>);

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

impl Encode<String> for Tcp {
    fn encode(&mut self, message: String, output: &mut Output<'_>) -> Encoded {
        output.owned(message.into_bytes());
        Encoded::Done
    }
}
