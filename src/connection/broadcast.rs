//! One message to all connections of a worker.
//!
//! It is encoded once for each edition that is needed, and queued by reference. The walk runs no user code and holds
//! nothing: a connection whose peer turns out to be gone is closed on the way, and told of afterwards as always.
//!
//! Invariant: nobody waits for a slow peer. A connection whose send buffer is full misses the message, as `send` drops
//! it; that is counted, for the caller and with the connection, and told by no `on_error`: ten thousand slow peers would
//! be ten thousand calls for each message.

use super::state::{Visit, visit};
use super::status::{SendStatus, Status};
use super::{TcpConnection, custom, write};
use crate::callback::CallbackResult;
use crate::error::BoxError;
use crate::protocols::broadcast::Editions;
use crate::protocols::{Codec, Encode};
use crate::reactor::{self, Key};

/// What became of a message for many: how many connections it was sent to, and how many have missed it. Connections that
/// take no such message now are not counted.
///
/// ```
/// # use workerman::{Text, Worker};
/// # let worker = Worker::<Text>::new("");
/// let told = worker.broadcast("dinner is ready");
/// println!("{} hear it now, {} later, {} not at all", told.sent, told.queued, told.dropped);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast {
    /// Accepted, with nothing that waits for the peer: [`SendStatus::Sent`].
    pub sent: usize,
    /// Accepted, behind bytes that wait for the peer to read: [`SendStatus::Queued`].
    pub queued: usize,
    /// Missed, because the send buffer is full: [`SendStatus::Dropped`].
    pub dropped: usize,
}

impl Broadcast {
    fn count(&mut self, status: SendStatus) {
        match status {
            SendStatus::Sent => self.sent += 1,
            SendStatus::Queued => self.queued += 1,
            SendStatus::Dropped => self.dropped += 1,
            SendStatus::Closed | SendStatus::WrongProtocol => {}
        }
    }
}

impl CallbackResult for Broadcast {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<P: Codec> TcpConnection<P> {
    /// How many broadcasts in a row this connection has missed because its send buffer was full.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// if connection.missed_broadcasts() > 0 {
    ///     println!("connection {} does not keep up", connection.id());
    /// }
    /// # }
    /// ```
    pub fn missed_broadcasts(self) -> u32 {
        self.read(|connection| connection.extra.as_ref().map_or(0, |extra| extra.missed)).unwrap_or(0)
    }
}

/// Sends a message to the connections of a worker, but for one. Who misses so many in a row is closed, 0 for nobody.
pub(crate) fn broadcast<P, M>(worker: Key, but: Option<Key>, max_missed: u32, message: M) -> Broadcast
where
    P: Encode<M>,
    M: Clone,
{
    if !P::ALIKE {
        return walk::<P>(worker, but, |key| send::<P, M>(key, max_missed, &message));
    }
    let mut editions = match custom::editions::<P, M>(message) {
        Ok(editions) => editions,
        Err(reason) => {
            log::error!("a message cannot be broadcast: {reason}");
            return Broadcast::default();
        }
    };
    walk::<P>(worker, but, |key| {
        let (status, touched) = visit(key, |visit| visit.hear::<P>(&mut editions, max_missed)).flatten()?;
        if touched {
            // Outside of the borrow: a full list is flushed at once.
            reactor::get().touch(key);
        }
        Some(status)
    })
}

fn walk<P: Codec>(worker: Key, but: Option<Key>, mut tell: impl FnMut(Key) -> Option<SendStatus>) -> Broadcast {
    let mut told = Broadcast::default();
    let mut slot = 0;
    while let Some(connection) = TcpConnection::<P>::next_of(worker, slot) {
        slot = connection.key.slot + 1;
        if but != Some(connection.key)
            && let Some(status) = tell(connection.key)
        {
            told.count(status);
        }
    }
    told
}

/// A message that each connection encodes for itself. Copying and encoding it is user code.
fn send<P, M>(key: Key, max_missed: u32, message: &M) -> Option<SendStatus>
where
    P: Encode<M>,
    M: Clone,
{
    let room = visit(key, |visit| visit.hears::<P>().then(|| visit.room(max_missed))).flatten()?;
    if let Err(status) = room {
        return Some(status);
    }
    let message = message.clone();
    Some(write::transmit(key, 0, write::Limit::Ignore, |codec: &mut P, output| custom::encode(codec, message, output)))
}

impl Visit<'_> {
    /// Queues the edition that is for this connection. The second answer asks for [`reactor::Reactor::touch`]; none at all
    /// says that it takes no such message.
    #[inline]
    fn hear<P: Codec>(&mut self, editions: &mut Editions, max_missed: u32) -> Option<(SendStatus, bool)> {
        if !self.hears::<P>() {
            return None;
        }
        let mut codec = self.take_codec::<P>()?;
        let edition = codec.edition(editions);
        self.put_codec(codec);
        let (bytes, range) = edition?;
        if let Err(status) = self.room(max_missed) {
            return Some((status, false));
        }
        let outbound = self.connection.outbound.take();
        let mut outbound = outbound.unwrap_or_else(|| self.spare.take());
        let before = outbound.len();
        outbound.push_shared(bytes, range);
        let length = outbound.len();
        self.outbound = Some(outbound);
        Some(self.leave(before, length))
    }

    #[inline]
    fn hears<P: Codec>(&self) -> bool {
        self.status == Status::Established && self.driver.speaks::<P>()
    }

    /// Whether there is room for one more; what becomes of it if there is none.
    #[inline]
    fn room(&mut self, max_missed: u32) -> Result<(), SendStatus> {
        if self.queued() > 0 && self.is_full() {
            self.find_room().inspect_err(|status| {
                if *status == SendStatus::Dropped {
                    self.miss(max_missed);
                }
            })?;
        }
        if let Some(extra) = &mut self.extra {
            extra.missed = 0;
        }
        Ok(())
    }

    #[cold]
    fn miss(&mut self, max_missed: u32) {
        let missed = &mut self.extra().missed;
        *missed = missed.saturating_add(1);
        if *missed == max_missed {
            self.shut();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use crate::Worker;
    use crate::protocols::output::Output;
    use crate::protocols::{Codec, Encode, Encoded, Limits, Step, sealed};
    use crate::testing::Simulation;

    /// Numbers what it sends, on each connection for itself.
    #[derive(Default)]
    struct Numbered(u8);

    impl sealed::Sealed for Numbered {}

    impl Codec for Numbered {
        type Message = ();
        type Signal = Infallible;
        type Setup = ();

        const SCHEME: &'static str = "numbered";

        fn receive(&mut self, input: &[u8], _limits: &Limits, _output: &mut Output<'_>) -> Step<()> {
            Step::More { consumed: input.len() }
        }

        fn park(self) -> Result<u64, Self> {
            Ok(self.0.into())
        }

        fn unpark(parked: u64) -> Self {
            Self(parked.to_le_bytes()[0])
        }
    }

    impl Encode<String> for Numbered {
        fn encode(&mut self, message: String, output: &mut Output<'_>) -> Encoded {
            self.0 += 1;
            output.bytes(&[b'0' + self.0]);
            output.owned(message.into_bytes());
            Encoded::Done
        }
    }

    #[test]
    fn a_protocol_with_state_encodes_for_each_connection() {
        let sim = Simulation::new();
        let worker = Worker::<Numbered>::new("");
        let (first, second) = (sim.connect(worker), sim.connect(worker));
        worker.broadcast_except(worker.connections().last().unwrap(), "a".to_owned());
        assert_eq!(worker.broadcast("b".to_owned()).sent, 2);
        sim.run();
        assert_eq!((first.read_text(), second.read_text()), ("1a2b".to_owned(), "1b".to_owned()));

        second.set_window(0);
        for connection in worker.connections() {
            connection.set_max_send_buffer_size(1);
        }
        let told = [(); 2].map(|()| worker.broadcast("c".to_owned()));
        assert_eq!(told.map(|told| (told.sent, told.queued, told.dropped)), [(1, 1, 0), (1, 0, 1)]);
        assert_eq!(worker.connections().map(|connection| connection.missed_broadcasts()).collect::<Vec<_>>(), [0, 1]);
    }
}
