//! Between untyped sockets and typed callbacks: one driver for each client.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::AsyncUdpConnection;
use super::life::with;
use crate::callback::{self, CallbackResult, Site, Slot, WorkerCallback};
use crate::connection::{Reporting, tally};
use crate::error::BoxError;
use crate::protocols::datagram::Datagram;
use crate::udp;

/// What a socket needs of its protocol and of its client's callbacks, whatever their types.
pub(super) trait Driver: Any {
    /// Decodes a datagram and delivers the messages in it; answers why the rest of it is refused, if it is.
    fn deliver(&self, peer: SocketAddr, datagram: &[u8]) -> Option<Box<str>>;

    /// The callbacks that know no protocol.
    fn plain(&self) -> &Plain;
}

impl fmt::Debug for dyn Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

type ErrorFn = dyn FnMut(u32, &str) -> Result<(), BoxError>;

#[derive(Default)]
pub(super) struct Plain {
    pub(super) on_connect: WorkerCallback,
    pub(super) on_close: WorkerCallback,
    on_error: Slot<ErrorFn>,
}

pub(super) struct Handlers<P: Datagram> {
    plain: Plain,
    on_message: Slot<dyn FnMut(P::Message) -> Result<(), BoxError>>,
}

impl<P: Datagram> Default for Handlers<P> {
    fn default() -> Self {
        Self { plain: Plain::default(), on_message: Slot::default() }
    }
}

impl<P: Datagram> Driver for Handlers<P> {
    fn deliver(&self, peer: SocketAddr, datagram: &[u8]) -> Option<Box<str>> {
        udp::deliver::<P>(datagram, peer, |message| {
            tally::count_message();
            let Some(mut taken) = self.on_message.take() else {
                // It may be of a user's type.
                callback::discard(message);
                return Ok(());
            };
            callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(message)))
        })
    }

    fn plain(&self) -> &Plain {
        &self.plain
    }
}

/// Runs `on_error`. Its failure is logged, and there is nothing to close.
pub(super) fn report_to(driver: &dyn Driver, code: u32, text: &str) {
    let Some(mut taken) = driver.plain().on_error.take() else { return };
    let _reporting = Reporting::begin();
    let _ = callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(code, text)));
}

/// # Callbacks
///
/// Each may be set again at any time. They are given the client, and may return what those of a
/// [`UdpWorker`](crate::UdpWorker) may.
impl<P: Datagram> AsyncUdpConnection<P> {
    /// Called once there is a socket, and what was sent before has been sent. Whether anybody is there, nobody knows.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_connect(|client| client.send("hello"));
    /// ```
    #[doc(alias = "onConnect")]
    #[track_caller]
    pub fn on_connect<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_connect");
        self.handlers(|handlers| {
            handlers.plain.on_connect.set(site, Box::new(move || callback(self).into_result()));
        });
    }

    /// Called with each message that the server sends. A datagram of [`Tcp`](crate::Tcp) is one message; other protocols may
    /// find several in one. An error costs the rest of the datagram.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_message(|client, bytes| {
    ///     println!("{} bytes", bytes.len());
    ///     client.close();
    /// });
    /// ```
    #[doc(alias = "onMessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, P::Message) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_message");
        self.handlers(|handlers| {
            handlers.on_message.set(site, Box::new(move |message| callback(self, message).into_result()));
        });
    }

    /// Called once, when the client has been closed, or could not be opened. Then it is forgotten.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_close(|_| println!("closed"));
    /// ```
    #[doc(alias = "onClose")]
    #[track_caller]
    pub fn on_close<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_close");
        self.handlers(|handlers| {
            handlers.plain.on_close.set(site, Box::new(move || callback(self).into_result()));
        });
    }

    /// Called with [`CONNECT_FAIL`](crate::CONNECT_FAIL) when the address is wrong or its name is not found, with
    /// [`SEND_FAIL`](crate::SEND_FAIL) when a message cannot be sent, or the server's machine says that nobody is there for it,
    /// and with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL) when a datagram is against the protocol or cannot be encoded. (PHP has
    /// none.)
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_error(|_, code, text| eprintln!("{code} {text}"));
    /// ```
    #[doc(alias = "onError")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, u32, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_error");
        self.handlers(|handlers| {
            let call = move |code, text: &str| callback(self, code, text).into_result();
            handlers.plain.on_error.set(site, Box::new(call));
        });
    }

    /// Of one that is forgotten nothing is set.
    fn handlers(self, set: impl FnOnce(&Handlers<P>)) {
        let driver: Option<Rc<dyn Any>> = with(self.key, |entry| Rc::clone(&entry.driver) as _);
        if let Some(handlers) = driver.and_then(|driver| driver.downcast::<Handlers<P>>().ok()) {
            set(&handlers);
        }
    }
}
