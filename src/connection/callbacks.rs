//! The callbacks of a worker, or of a connection of its own, by their types.

use std::any::Any;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use super::TcpConnection;
use super::state::{Flags, visit};
use crate::callback::{Site, Slot};
use crate::error::BoxError;
use crate::protocols::{Codec, SIGNALS};
use crate::reactor::Key;

pub(super) type EventFn<P> = dyn FnMut(TcpConnection<P>) -> Result<(), BoxError>;
pub(super) type MessageFn<P> = dyn FnMut(TcpConnection<P>, <P as Codec>::Message) -> Result<(), BoxError>;
pub(super) type HeadFn<P> = dyn FnMut(TcpConnection<P>, &<P as Codec>::Message) -> Result<(), BoxError>;
pub(super) type BodyFn<P> = dyn FnMut(TcpConnection<P>, &[u8]) -> Result<(), BoxError>;
pub(crate) type SignalFn<P> = dyn FnMut(TcpConnection<P>, &<P as Codec>::Signal) -> Result<(), BoxError>;
pub(super) type ErrorFn<P> = dyn FnMut(TcpConnection<P>, u32, &str) -> Result<(), BoxError>;

/// The callbacks of a worker, or a connection's own.
pub(crate) struct Callbacks<P: Codec> {
    pub(crate) on_connect: Slot<EventFn<P>>,
    pub(crate) on_message: Slot<MessageFn<P>>,
    pub(crate) on_close: Slot<EventFn<P>>,
    pub(crate) on_error: Slot<ErrorFn<P>>,
    rare: OnceCell<Box<Rare<P>>>,
}

/// Those that few set.
pub(crate) struct Rare<P: Codec> {
    pub(crate) on_head: Slot<HeadFn<P>>,
    pub(crate) on_body: Slot<BodyFn<P>>,
    pub(crate) on_buffer_full: Slot<EventFn<P>>,
    pub(crate) on_buffer_drain: Slot<EventFn<P>>,
    /// Those of the protocol's own.
    on_signal: [Slot<SignalFn<P>>; SIGNALS],
}

impl<P: Codec> Default for Callbacks<P> {
    fn default() -> Self {
        Self {
            on_connect: Slot::default(),
            on_message: Slot::default(),
            on_close: Slot::default(),
            on_error: Slot::default(),
            rare: OnceCell::new(),
        }
    }
}

impl<P: Codec> Default for Rare<P> {
    fn default() -> Self {
        Self {
            on_head: Slot::default(),
            on_body: Slot::default(),
            on_buffer_full: Slot::default(),
            on_buffer_drain: Slot::default(),
            on_signal: Default::default(),
        }
    }
}

impl<P: Codec> Callbacks<P> {
    /// Those that few set, if any of them has been.
    #[inline]
    pub(super) fn rare(&self) -> Option<&Rare<P>> {
        self.rare.get().map(|rare| &**rare)
    }

    /// Those that few set, to set one.
    pub(crate) fn make_rare(&self) -> &Rare<P> {
        self.rare.get_or_init(Box::default)
    }

    /// Sets the one that a kind of signal is for.
    pub(crate) fn set_signal(&self, nth: usize, site: Site, callback: Box<SignalFn<P>>) {
        if let Some(slot) = self.make_rare().on_signal(nth) {
            slot.set(site, callback);
        }
    }
}

impl<P: Codec> Rare<P> {
    /// The one that a kind of signal is for.
    pub(super) fn on_signal(&self, nth: usize) -> Option<&Slot<SignalFn<P>>> {
        self.on_signal.get(nth)
    }
}

/// The connection's own callbacks, made at first use.
pub(super) fn make_own_callbacks<P: Codec>(key: Key) -> Option<Rc<Callbacks<P>>> {
    if let Some(callbacks) = own_callbacks(key) {
        return Some(callbacks);
    }
    let callbacks = Rc::new(Callbacks::<P>::default());
    visit(key, |visit| {
        visit.flags.set(Flags::OWN_CALLBACKS);
        let all = &mut visit.extra().callbacks;
        all.reserve_exact(1);
        all.push(Rc::clone(&callbacks) as Rc<dyn Any>);
        callbacks
    })
}

/// Those of this protocol.
#[inline]
pub(super) fn own_callbacks<P: Codec>(key: Key) -> Option<Rc<Callbacks<P>>> {
    let callbacks = visit(key, |visit| match visit.flags.has(Flags::OWN_CALLBACKS) {
        true => visit.extra.as_ref()?.callbacks.iter().find(|callbacks| callbacks.is::<Callbacks<P>>()).cloned(),
        false => None,
    });
    callbacks.flatten()?.downcast().ok()
}

impl<P: Codec> fmt::Debug for Callbacks<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("on_message", &self.on_message).finish_non_exhaustive()
    }
}
