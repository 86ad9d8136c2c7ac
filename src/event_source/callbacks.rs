//! What an app is told of a source.

use std::rc::Rc;

use super::EventSource;
use super::registry::with;
use crate::callback::{self, CallbackResult, Site, Slot};
use crate::error::BoxError;
use crate::protocols::http::MessageEvent;
use crate::shared::Shared;

type OnEvent = Slot<dyn FnMut(MessageEvent) -> Result<(), BoxError>>;

type OnError = Slot<dyn FnMut(&str) -> Result<(), BoxError>>;

#[derive(Debug, Default)]
pub(super) struct Callbacks {
    on_open: Slot<dyn FnMut() -> Result<(), BoxError>>,
    on_message: OnEvent,
    on_error: OnError,
    /// Those of one type each.
    on_event: Shared<Vec<(Box<str>, Rc<OnEvent>)>>,
}

/// # Callbacks
///
/// Each may be set again at any time, and may return what those of a [`Worker`](crate::Worker#callbacks) may. One that fails
/// costs its stream: the source comes back as after any loss.
impl EventSource {
    /// Called each time a stream is open.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_open(|source| println!("{} is there", source.url()));
    /// ```
    #[doc(alias = "onopen")]
    #[track_caller]
    pub fn on_open<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_open");
        self.set_callback(|callbacks| callbacks.on_open.set(site, Box::new(move || callback(self).into_result())));
    }

    /// Called with each event, except those of a type that has an [`on_event`](Self::on_event).
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_message(|source, event| {
    ///     if event.data() == "[DONE]" {
    ///         source.close();
    ///     }
    /// });
    /// ```
    #[doc(alias = "onmessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, MessageEvent) -> R + 'static,
        R: CallbackResult,
    {
        let call = move |event| callback(self, event).into_result();
        let site = Site::here("on_message");
        self.set_callback(|callbacks| callbacks.on_message.set(site, Box::new(call)));
    }

    /// Called with each event of this type: a browser's `addEventListener`, of which each type has one.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_event("price", |_, event| println!("it costs {}", event.data()));
    /// ```
    #[doc(alias = "addEventListener")]
    #[track_caller]
    pub fn on_event<F, R>(self, event: &str, mut callback: F)
    where
        F: FnMut(Self, MessageEvent) -> R + 'static,
        R: CallbackResult,
    {
        let call = move |event| callback(self, event).into_result();
        let site = Site::here("on_event");
        self.set_callback(|callbacks| {
            let slot = callbacks.of_type(event).unwrap_or_else(|| {
                let slot = Rc::<OnEvent>::default();
                callbacks.on_event.with(|all| all.push((event.into(), Rc::clone(&slot))));
                slot
            });
            slot.set(site, Box::new(call));
        });
    }

    /// Called with a text when a stream is lost or does not come about. Whether the source comes back is in its
    /// [`ready_state`](Self::ready_state): [`Connecting`](super::ReadyState::Connecting) if so, else
    /// [`Closed`](super::ReadyState::Closed); then it is forgotten after this.
    ///
    /// ```
    /// # use workerman::{EventSource, ReadyState};
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_error(|source, text| {
    ///     let is_over = source.ready_state() == ReadyState::Closed;
    ///     eprintln!("{text}{}", if is_over { ", that was all" } else { "" });
    /// });
    /// ```
    #[doc(alias = "onerror")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, &str) -> R + 'static,
        R: CallbackResult,
    {
        let call = move |text: &str| callback(self, text).into_result();
        let site = Site::here("on_error");
        self.set_callback(|callbacks| callbacks.on_error.set(site, Box::new(call)));
    }

    /// Outside of the table's borrow: the callback before is dropped, which is user code.
    fn set_callback(self, set: impl FnOnce(&Callbacks)) {
        if let Some(callbacks) = with(self.key, |entry| Rc::clone(&entry.callbacks)) {
            set(&callbacks);
        }
    }
}

/// Each answers why it failed, if it did.
impl Callbacks {
    pub(super) fn open(&self) -> Result<(), String> {
        let Some(mut taken) = self.on_open.take() else { return Ok(()) };
        callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback()))
    }

    pub(super) fn message(&self, event: MessageEvent) -> Result<(), String> {
        let own = self.of_type(event.event());
        let slot = own.as_deref().unwrap_or(&self.on_message);
        let Some(mut taken) = slot.take() else { return Ok(()) };
        callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(event)))
    }

    /// What this one fails with is in the log.
    pub(super) fn error(&self, text: &str) {
        let Some(mut taken) = self.on_error.take() else { return };
        let _ = callback::call(taken.site(), || taken.get().map_or(Ok(()), |callback| callback(text)));
    }

    fn of_type(&self, event: &str) -> Option<Rc<OnEvent>> {
        self.on_event.with(|all| all.iter().find(|(name, _)| **name == *event).map(|(_, slot)| Rc::clone(slot)))
    }
}
