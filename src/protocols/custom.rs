//! The door for protocols of users' own.
//!
//! Everything here is a promise to users; how their methods are called, and what their failures cost, is in
//! `connection/custom.rs`.

use crate::error::Result;

/// A protocol of your own, as PHP's `ProtocolInterface`: [`input`](Self::input) finds where the first message ends,
/// [`decode`](Self::decode) makes a message of its bytes, and [`Encode`](crate::Encode) makes bytes of what is sent.
///
/// One value of it, made by `Default`, lives with each connection, so `self` is the place for what has to be remembered
/// between messages. One that has no fields costs a connection nothing.
///
/// ```
/// use workerman::{Encode, Encoded, Output, Protocol, Result, Worker};
///
/// /// A message is a line of numbers: "1 2 3\n".
/// #[derive(Default)]
/// struct Numbers;
///
/// impl Protocol for Numbers {
///     type Message = Vec<u32>;
///
///     const SCHEME: &'static str = "numbers";
///
///     fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
///         Ok(buffer.iter().position(|byte| *byte == b'\n').map(|end| end + 1))
///     }
///
///     fn decode(&mut self, package: &[u8]) -> Result<Vec<u32>> {
///         let line = str::from_utf8(package)?;
///         Ok(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
///     }
/// }
///
/// impl Encode<u32> for Numbers {
///     fn encode(&mut self, sum: u32, output: &mut Output<'_>) -> Encoded {
///         output.bytes(format!("{sum}\n").as_bytes());
///         Encoded::Done
///     }
/// }
///
/// let worker = Worker::<Numbers>::new("numbers://127.0.0.1:0");
/// worker.on_message(|connection, numbers| connection.send(numbers.iter().sum::<u32>()));
/// ```
///
/// # What the framework does
///
/// * It collects what `input` needs more of, up to `max_package_size`, and refuses a longer package as soon as its length is
///   told, or as soon as more bytes than that have come and there is no end to be seen.
/// * An `Err` or a panic in one of the methods, or a package that is too long, ends that connection and no other: it is
///   logged with the peer's address, `on_error` is called with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL) and the reason,
///   then `on_close`. An `Err` in `input` or `decode` is the peer's fault, a panic is a bug:
///   [`PanicPolicy`](crate::PanicPolicy) counts for the latter alone.
/// * What a method sends to the connection that it works for is dropped.
#[doc(alias = "ProtocolInterface")]
#[doc(alias = "protocol")]
pub trait Protocol: Default + 'static {
    /// What `on_message` receives.
    type Message: 'static;

    /// What stands before `://` in the address of a worker. `tcp` is understood as well, whatever this says, and so is
    /// an address without a scheme.
    const SCHEME: &'static str = "tcp";

    /// How long the first package in the buffer is, in bytes from its first one. `None`, or PHP's 0, if that cannot be told
    /// from these bytes yet; they come again with more behind them. The buffer is never empty.
    ///
    /// A length may be told before all its bytes have come: then this is not called again until the package is complete
    /// and decoded. Whoever has to search for an end should keep in `self` how far that has gone, so that a peer
    /// which sends byte by byte does not have each searched again and again.
    ///
    /// # Errors
    ///
    /// Bytes that no package begins with. The connection ends.
    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>>;

    /// Makes a message of a package, which is as long as `input` has said.
    ///
    /// # Errors
    ///
    /// Bytes that are no message. The connection ends.
    fn decode(&mut self, package: &[u8]) -> Result<Self::Message>;
}
