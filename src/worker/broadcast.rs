//! To all connections of a worker.

use super::Worker;
use crate::connection::{self, Broadcast, TcpConnection};
use crate::protocols::{Codec, Encode};

/// # To all
impl<P: Codec> Worker<P> {
    /// Sends a message to all connections of the worker. It is encoded once, whatever their number, and its bytes are
    /// shared: what waits for slow peers takes memory once, though it counts in full for each.
    ///
    /// * On [`Http`](crate::Http) a [`ServerSentEvents`](crate::ServerSentEvents) goes to every open event stream; all else
    ///   that `Http` sends is an answer to somebody, is sent to nobody and logged.
    /// * On [`Websocket`](crate::Websocket) text, bytes or a [`Message`](crate::Message) goes to every connection whose
    ///   handshake is done. It is compressed once for each window that clients have agreed to, without regard to earlier
    ///   messages.
    /// * A protocol of your own encodes it once, with a codec that is new, if its codec is a type without fields; else each
    ///   connection encodes a clone of it.
    ///
    /// Nobody waits for a slow peer: a connection whose send buffer is full misses the message. The [`Broadcast`] counts
    /// them, [`missed_broadcasts`](TcpConnection::missed_broadcasts) tells of each, `on_error` is not called.
    /// [`on_buffer_full`](Self::on_buffer_full) tells of who is about to miss the next, and
    /// [`set_max_missed_broadcasts`](Self::set_max_missed_broadcasts) closes who has missed too many.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.on_message(move |_connection, message| worker.broadcast(message));
    /// ```
    #[doc(alias = "connections")]
    #[doc(alias = "publish")]
    pub fn broadcast<M: Clone>(self, message: M) -> Broadcast
    where
        P: Encode<M>,
    {
        connection::broadcast::<P, M>(self.key(), None, self.max_missed(), message)
    }

    /// The same, but for one connection: the one that the message comes from, usually.
    ///
    /// ```
    /// # use workerman::{Text, Worker};
    /// # let worker = Worker::<Text>::new("");
    /// worker.on_message(move |connection, line| worker.broadcast_except(connection, line));
    /// ```
    pub fn broadcast_except<M: Clone>(self, connection: TcpConnection<P>, message: M) -> Broadcast
    where
        P: Encode<M>,
    {
        connection::broadcast::<P, M>(self.key(), Some(connection.key()), self.max_missed(), message)
    }

    /// Sets how many broadcasts in a row a connection may miss: with the last of them it is closed at once, as by
    /// [`destroy`](TcpConnection::destroy). `None`, which holds unless set, for any number.
    ///
    /// ```
    /// # use workerman::{Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.set_max_missed_broadcasts(100);
    /// ```
    pub fn set_max_missed_broadcasts(self, limit: impl Into<Option<u32>>) {
        let limit = limit.into().map_or(0, |limit| limit.max(1));
        self.with_handlers(|handlers| handlers.max_missed.set(limit));
    }

    fn max_missed(self) -> u32 {
        let mut limit = 0;
        self.with_handlers(|handlers| limit = handlers.max_missed.get());
        limit
    }
}
