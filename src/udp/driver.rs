//! Between untyped sockets and typed callbacks: one driver for each worker.

use std::any::Any;
use std::net::SocketAddr;

use super::UdpConnection;
use crate::callback::{self, Site, Slot};
use crate::connection::{PROTOCOL_FAIL, Reporting, TcpConnection, tally};
use crate::error::BoxError;
use crate::protocols::datagram::{Broken, Datagram, Messages};
use crate::reactor::{self, Key};

/// What a socket needs of its protocol and of its worker's callbacks, whatever their types.
pub(super) trait Driver: Any {
    /// Decodes a datagram and delivers the messages in it.
    fn deliver(&self, worker: Key, peer: SocketAddr, datagram: &[u8]);

    /// Runs `on_error`.
    fn report(&self, worker: Key, peer: SocketAddr, code: u32, text: &str);
}

type MessageFn<P, M> = dyn FnMut(UdpConnection<P>, M) -> Result<(), BoxError>;
type ErrorFn<P> = dyn FnMut(UdpConnection<P>, u32, &str) -> Result<(), BoxError>;

/// The driver of a worker: its callbacks.
pub(super) struct Handlers<P: Datagram> {
    pub(super) on_message: Slot<MessageFn<P, P::Message>>,
    pub(super) on_error: Slot<ErrorFn<P>>,
}

impl<P: Datagram> Default for Handlers<P> {
    fn default() -> Self {
        Self { on_message: Slot::default(), on_error: Slot::default() }
    }
}

impl<P: Datagram> Handlers<P> {
    fn on_message(&self, connection: UdpConnection<P>, message: P::Message) -> Result<(), String> {
        tally::count_message();
        let Some(mut taken) = self.on_message.take() else {
            // It may be of a user's type.
            callback::discard(message);
            return Ok(());
        };
        callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(connection, message)))
    }
}

/// Decodes a datagram and has the messages in it delivered; answers why the rest of it is refused, if it is.
pub(crate) fn deliver<P: Datagram>(
    datagram: &[u8],
    peer: SocketAddr,
    on_message: impl FnMut(P::Message) -> Result<(), String>,
) -> Option<Box<str>> {
    let mut messages = Messages::<P>::new(datagram, TcpConnection::default_max_package_size());
    let delivered = deliver_messages(&mut messages, peer, on_message);
    callback::discard(messages);
    match delivered {
        Ok(()) => None,
        Err(Broken::Incomplete(bytes)) => {
            log::debug!("a datagram of {peer}: {bytes} bytes at its end are no whole message");
            None
        }
        Err(Broken::Refused(reason)) => {
            log::debug!("a datagram of {peer}: refused, {reason}");
            Some(reason)
        }
    }
}

/// The messages up to the first that breaks the series, and why it does. A callback that fails costs the rest.
fn deliver_messages<P: Datagram>(
    messages: &mut Messages<'_, P>,
    peer: SocketAddr,
    mut on_message: impl FnMut(P::Message) -> Result<(), String>,
) -> Result<(), Broken> {
    loop {
        let mut next = None;
        // A protocol may be a user's.
        let decoded = callback::call(Site::unset("the protocol of a datagram"), || {
            next = messages.next();
            Ok(())
        });
        decoded.map_err(|reason| Broken::Refused(reason.into()))?;
        let Some(message) = next.transpose()? else { return Ok(()) };
        let result = on_message(message);
        reactor::get().settle();
        if result.is_err() {
            log::error!("the rest of a datagram of {peer} is dropped");
            return Ok(());
        }
    }
}

impl<P: Datagram> Driver for Handlers<P> {
    fn deliver(&self, worker: Key, peer: SocketAddr, datagram: &[u8]) {
        let connection = UdpConnection::new(worker, peer);
        if let Some(reason) = deliver::<P>(datagram, peer, |message| self.on_message(connection, message)) {
            self.report(worker, peer, PROTOCOL_FAIL, &reason);
        }
    }

    fn report(&self, worker: Key, peer: SocketAddr, code: u32, text: &str) {
        let Some(mut taken) = self.on_error.take() else { return };
        let _reporting = Reporting::begin();
        let connection = UdpConnection::new(worker, peer);
        // Its failure is logged, and there is nothing to close.
        let _ =
            callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(connection, code, text)));
    }
}
