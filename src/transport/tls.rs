//! TLS over another transport. This and the files below are the only ones that name rustls.
//!
//! Invariants: the rules of a socket hold here too (see the module above); a session at rest owns no buffer: ciphertext is
//! read into, and written from, buffers that all sessions of a thread share, and only what is incomplete, or finds no room,
//! waits in the session; what was encrypted has to leave before anything else, so of the bytes that are offered, those that
//! wait in encrypted form count as not written, and are known again when they are offered again.

mod buffers;
mod client;
mod info;
mod options;
mod server;
mod words;

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, OnceLock};

use mio::{Registry, Token};
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};

use super::Transport;
use buffers::{Buffers, READ};
pub(crate) use client::Connector;
pub use info::TlsInfo;
pub use options::{TlsClientOptions, TlsOptions, TlsVersion};
pub(crate) use server::Acceptor;

/// So often is ciphertext read for one read of plaintext.
const ROUNDS: usize = 8;

/// One end of a TLS connection.
pub(crate) struct Session {
    under: Transport,
    side: Side,
    /// The beginning of a record, or of a handshake message.
    incoming: Vec<u8>,
    /// What is decrypted and was not asked for yet.
    plain: Vec<u8>,
    /// What is encrypted and has not left yet.
    outgoing: Vec<u8>,
    /// So many of the bytes that are offered next are in there.
    held: usize,
    is_registered: bool,
    /// The last read has ended before everything was read, so that others have their turn.
    is_busy: bool,
    /// The peer has said something.
    heard: bool,
    /// The peer sends no more, as it has said; or nothing that it sends is looked at any more.
    peer_closed: bool,
    /// Why not, until that is told: what came before comes first.
    failure: Option<Box<str>>,
    /// We have said so, or that the peer broke TLS: nothing may follow.
    closed: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("under", &self.under).finish_non_exhaustive()
    }
}

/// Runs the same for either side, whose types differ.
macro_rules! either {
    ($side:expr, $connection:ident => $body:expr) => {
        match $side {
            Side::Server($connection) => $body,
            Side::Client($connection) => $body,
        }
    };
}

/// # Handshake and end
impl Session {
    fn new(under: Transport, side: Side) -> Self {
        Self {
            under,
            side,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            held: 0,
            is_registered: false,
            is_busy: false,
            heard: false,
            peer_closed: false,
            failure: None,
            closed: false,
        }
    }

    /// Goes on with the handshake; answers whether it is complete. What came behind it waits to be read.
    pub(super) fn handshake(&mut self) -> io::Result<bool> {
        Buffers::lend(|buffers| {
            if !self.heard {
                // A client speaks first.
                self.decrypt(0, buffers, &mut []);
            }
            loop {
                self.tell_failure()?;
                self.flush()?;
                if !self.common().is_handshaking() {
                    // What the peer waits for has to leave, since nobody else may have anything to write.
                    return Ok(self.outgoing.is_empty());
                }
                let count = match self.receive(buffers) {
                    Ok(0) => return Err(io::Error::other("the peer closes in the middle of the TLS handshake")),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    received => received?,
                };
                self.expect_tls(buffers.received(count))?;
                self.decrypt(count, buffers, &mut []);
            }
        })
    }

    /// What the handshake has agreed on.
    pub(super) fn info(&self) -> TlsInfo {
        TlsInfo::of(self.common())
    }

    /// Tells the peer that what it has is all there was; answers whether that, too, has left.
    pub(super) fn farewell(&mut self) -> bool {
        if !std::mem::replace(&mut self.closed, true) {
            let Self { side, incoming, outgoing, .. } = self;
            // What cannot be encrypted or sent any more has no reader.
            let _ = either!(side, connection => loop {
                match proceed(connection.process_tls_records(incoming), outgoing, |_| {}) {
                    (discard, Ok(State::Again)) => forget(incoming, discard),
                    (_, Ok(State::Open(mut traffic))) => break append(outgoing, |room| traffic.queue_close_notify(room)),
                    (_, Ok(_)) => break Ok(()),
                    (_, Err(error)) => break Err(error),
                }
            });
        }
        self.flush().is_err() || self.outgoing.is_empty()
    }

    pub(super) fn shutdown_write(&mut self) {
        self.farewell();
        self.under.shutdown_write();
    }

    pub(super) fn register(&mut self, registry: Option<&Registry>, token: Token) -> io::Result<()> {
        match std::mem::replace(&mut self.is_registered, true) {
            false => self.under.register(registry, token),
            true => self.under.reregister(registry, token),
        }
    }

    pub(super) fn under(&self) -> &Transport {
        &self.under
    }

    pub(super) fn under_mut(&mut self) -> &mut Transport {
        &mut self.under
    }

    /// The first that is heard of a peer tells whether it speaks TLS at all.
    fn expect_tls(&mut self, received: &[u8]) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.heard, true);
        let Some(reason) = words::without_tls(received).filter(|_| is_first) else { return Ok(()) };
        if matches!(self.side, Side::Server(_)) && words::is_http(received) {
            // It understands this much.
            let _ = self.under.write(words::NO_PLAIN_HTTP);
        }
        Err(io::Error::other(reason))
    }
}

/// # In
impl Session {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.take_plain(buffer);
        let mut rounds = 0;
        self.is_busy = false;
        Buffers::lend(|buffers| {
            while filled < buffer.len() && !self.peer_closed {
                // Records may be empty, and there may be no end of them.
                rounds += 1;
                if rounds > ROUNDS {
                    self.is_busy = true;
                    return if filled > 0 { Ok(filled) } else { Err(io::ErrorKind::WouldBlock.into()) };
                }
                let count = match self.receive(buffers) {
                    // Without the peer's word for it, something may have been cut off.
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    received => received,
                };
                let count = match count {
                    Err(_) if filled > 0 => break,
                    count => count?,
                };
                filled += self.decrypt(count, buffers, buffer.get_mut(filled..).unwrap_or_default());
                // What the records have asked for. If the connection is broken, the next read or write tells.
                let _ = self.flush();
                if count < READ && filled > 0 {
                    break;
                }
            }
            if filled == 0 {
                self.tell_failure()?;
            }
            Ok(filled)
        })
    }

    /// Fills the first buffer, then the second. Each must be full before the next has any.
    pub(super) fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut filled = 0;
        for slice in slices {
            let count = match self.read(slice) {
                Err(error) if filled == 0 => return Err(error),
                count => count.unwrap_or_default(),
            };
            filled += count;
            // Only a read that is short has taken all there was.
            if count < slice.len() {
                break;
            }
        }
        Ok(filled)
    }

    /// Whether a read finds something that no event will tell of.
    pub(super) fn holds_more(&self) -> bool {
        !self.plain.is_empty() || self.peer_closed || self.is_busy
    }

    /// Reads ciphertext, behind that which waits.
    fn receive(&mut self, buffers: &mut Buffers) -> io::Result<usize> {
        let room = buffers.behind(&self.incoming).ok_or(io::ErrorKind::InvalidData)?;
        self.under.read(room)
    }

    /// Decrypts what waited and so many bytes that were read behind it; answers how many bytes that has put into `room`.
    /// What finds no room there waits.
    fn decrypt(&mut self, count: usize, buffers: &mut Buffers, room: &mut [u8]) -> usize {
        let input = buffers.filled(self.incoming.len() + count);
        let Self { side, plain, outgoing, peer_closed, .. } = self;
        let (mut filled, mut done) = (0, 0);
        let result = loop {
            let rest = input.get_mut(done..).unwrap_or_default();
            let deliver = |payload: &[u8]| {
                let direct = room.get_mut(filled..).filter(|_| plain.is_empty()).unwrap_or_default();
                let (now, later) = payload.split_at(direct.len().min(payload.len()));
                direct.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
                filled += now.len();
                plain.extend_from_slice(later);
            };
            let (discard, state) = either!(side, connection => {
                let (discard, state) = proceed(connection.process_tls_records(rest), outgoing, deliver);
                (discard, state.map(|state| state.progress()))
            });
            done += discard;
            match state {
                Ok(Progress::Again) => {}
                Ok(Progress::PeerClosed) => *peer_closed = true,
                Ok(Progress::Rest) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // A session at rest owns nothing: what is complete is forgotten with its room.
        let rest = input.get(done..).unwrap_or_default();
        self.incoming = rest.to_vec();
        if let Err(error) = result {
            self.fail(&error);
        }
        filled
    }

    /// Plaintext that waits.
    fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.plain.len());
        if count > 0 {
            buffer.iter_mut().zip(self.plain.drain(..count)).for_each(|(to, from)| *to = from);
            if self.plain.is_empty() {
                self.plain = Vec::new();
            }
        }
        count
    }

    /// The peer broke TLS: it is told as far as that is possible, and nothing is heard of it any more.
    #[cold]
    fn fail(&mut self, error: &Error) {
        (self.closed, self.peer_closed) = (true, true);
        let Self { side, incoming, outgoing, .. } = self;
        // Only while there is something to say: what it has sent must not be looked at again.
        either!(side, connection => while connection.wants_write() {
            let (discard, _) = proceed(connection.process_tls_records(incoming), outgoing, |_| {});
            forget(incoming, discard);
        });
        let _ = self.flush();
        self.failure = Some(words::of(error).into());
    }

    fn tell_failure(&mut self) -> io::Result<()> {
        let failure = self.failure.take();
        failure.map_or(Ok(()), |failure| Err(io::Error::new(io::ErrorKind::InvalidData, failure.into_string())))
    }
}

/// # Out
impl Session {
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.flush()?;
        let mut written = self.release().min(offered);
        // Less than offered means that there is no room left, as with a socket.
        while self.outgoing.is_empty() && written < offered {
            Buffers::lend(|buffers| self.encrypt(slices, written, buffers))?;
            written += self.release();
        }
        if written == 0 && offered > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    /// Encrypts some of what is offered and lets it leave as far as there is room; the rest waits.
    fn encrypt(&mut self, slices: &[IoSlice<'_>], skip: usize, buffers: &mut Buffers) -> io::Result<()> {
        let (plain, sealed) = buffers.gather(slices, skip);
        let Self { side, incoming, outgoing, .. } = self;
        let count = either!(side, connection => loop {
            match proceed(connection.process_tls_records(incoming), outgoing, |_| {}) {
                (discard, Ok(State::Again)) => forget(incoming, discard),
                (_, Ok(State::Open(mut traffic))) => break traffic.encrypt(plain, sealed).map_err(io::Error::other)?,
                _ => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        });
        self.held = plain.len();
        let mut sealed = sealed.get(..count).unwrap_or_default();
        if self.outgoing.is_empty() {
            let left = match self.under.write(sealed) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                left => left?,
            };
            sealed = sealed.get(left..).unwrap_or_default();
        }
        if !sealed.is_empty() {
            self.outgoing.extend_from_slice(sealed);
        }
        Ok(())
    }

    /// Lets leave what waits, as far as there is room.
    fn flush(&mut self) -> io::Result<()> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let left = match self.under.write(&self.outgoing) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            left => left?,
        };
        match self.outgoing.len() {
            length if left >= length => self.outgoing = Vec::new(),
            _ => drop(self.outgoing.drain(..left)),
        }
        Ok(())
    }

    /// How many of the bytes that were held back have left since. Ciphertext is longer than what is in it, so no more of them
    /// can be in what still waits than that is long.
    fn release(&mut self) -> usize {
        let held = self.held.min(self.outgoing.len());
        std::mem::replace(&mut self.held, held) - held
    }

    fn common(&self) -> &CommonState {
        either!(&self.side, connection => connection)
    }
}

/// What there is to do after some records.
enum State<'c, D> {
    Again,
    PeerClosed,
    /// Nothing more without further bytes.
    Rest,
    /// The same, and something can be sent.
    Open(WriteTraffic<'c, D>),
}

/// The same without the connection.
enum Progress {
    Again,
    PeerClosed,
    Rest,
}

impl<D> State<'_, D> {
    fn progress(self) -> Progress {
        match self {
            Self::Again => Progress::Again,
            Self::PeerClosed => Progress::PeerClosed,
            Self::Rest | Self::Open(_) => Progress::Rest,
        }
    }
}

/// Does what a look at records asks for; answers how many of the bytes are done with, and what is next.
fn proceed<'c, D>(
    status: UnbufferedStatus<'c, '_, D>,
    outgoing: &mut Vec<u8>,
    mut deliver: impl FnMut(&[u8]),
) -> (usize, Result<State<'c, D>, Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(Ok(record)) = traffic.next_record() {
                discard += record.discard;
                deliver(record.payload);
            }
            Ok(State::Again)
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            append(outgoing, |room| data.encode(room)).map(|()| State::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // From here on it is ours to send.
            data.done();
            Ok(State::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(State::PeerClosed),
        Ok(ConnectionState::WriteTraffic(traffic)) => Ok(State::Open(traffic)),
        Ok(_) => Ok(State::Rest),
        Err(error) => Err(error),
    };
    (discard, state)
}

/// Takes what is done with from the front of what waits. That has to be shown whenever something is asked of the session: it
/// remembers where in there it was.
fn forget(incoming: &mut Vec<u8>, discard: usize) {
    drop(incoming.drain(..discard.min(incoming.len())));
}

/// Appends what is written into room that is found to be large enough.
fn append<E: Into<Lack>>(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), Error> {
    let start = outgoing.len();
    for _ in 0..2 {
        match write(outgoing.get_mut(start..).unwrap_or_default()).map_err(Into::into) {
            Ok(count) => {
                outgoing.truncate(start + count);
                return Ok(());
            }
            Err(Lack(Some(lack))) => outgoing.resize(start + lack.required_size, 0),
            Err(Lack(None)) => break,
        }
    }
    outgoing.truncate(start);
    Err(Error::General("what TLS wants to say cannot be encoded".into()))
}

/// How much room there would have to be, if that is what is missing.
struct Lack(Option<InsufficientSizeError>);

impl From<EncodeError> for Lack {
    fn from(error: EncodeError) -> Self {
        Self(if let EncodeError::InsufficientSize(lack) = error { Some(lack) } else { None })
    }
}

impl From<EncryptError> for Lack {
    fn from(error: EncryptError) -> Self {
        Self(if let EncryptError::InsufficientSize(lack) = error { Some(lack) } else { None })
    }
}

/// At the end of a loop: nothing of this thread's sessions stays.
pub(crate) fn clear() {
    buffers::clear();
    client::clear();
}

/// What does the arithmetic: chosen here, whatever others in the same program have chosen.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    #[cfg(feature = "tls")]
    use rustls::crypto::aws_lc_rs as chosen;
    #[cfg(not(feature = "tls"))]
    use rustls::crypto::ring as chosen;
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(chosen::default_provider())))
}
