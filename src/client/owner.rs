//! What a client's connections ask of it: callbacks, which others may share, and settings, which few have.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use super::attempt;
use super::callbacks::first_callbacks;
use crate::connection::{Admission, Callbacks, Deadlines, Owner};
use crate::protocols::{Codec, Limits};
use crate::reactor::Key;
use crate::shared::Leaked;
use crate::timer::Interval;

thread_local! {
    /// Of all clients: they are counted, and there may be any number.
    static ADMISSION: Leaked<Admission> = const { Leaked::new() };
}

pub(super) struct OfClient<P: Codec> {
    client: Key,
    /// Of all clients that were made alike.
    callbacks: Rc<Callbacks<P>>,
    settings: OnceCell<Box<Settings<P>>>,
}

/// What is set for a codec that has a handshake.
struct Settings<P: Codec> {
    deadlines: Cell<Deadlines>,
    setup: Cell<P::Setup>,
}

impl<P: Codec> Default for Settings<P> {
    fn default() -> Self {
        Self { deadlines: Cell::default(), setup: Cell::default() }
    }
}

impl<P: Codec> OfClient<P> {
    pub(super) fn new(client: Key) -> Self {
        Self { client, callbacks: Rc::new(first_callbacks()), settings: OnceCell::new() }
    }

    /// One with the same callbacks, and settings that are the same so far.
    pub(super) fn another(&self, client: Key) -> Self {
        let another = Self { client, callbacks: Rc::clone(&self.callbacks), settings: OnceCell::new() };
        if let Some(settings) = self.settings.get() {
            let setup = settings.setup.take();
            another.set_up(|same| *same = setup.clone());
            settings.setup.set(setup);
            another.settings().deadlines.set(settings.deadlines.get());
        }
        another
    }

    /// Counts from the next connection on.
    pub(super) fn set_up(&self, change: impl FnOnce(&mut P::Setup)) {
        let settings = self.settings();
        let mut setup = settings.setup.take();
        change(&mut setup);
        settings.setup.set(setup);
    }

    pub(super) fn set_ping_interval(&self, time: impl Interval) {
        let deadlines = &self.settings().deadlines;
        deadlines.set(deadlines.get().ping(time));
    }

    fn settings(&self) -> &Settings<P> {
        self.settings.get_or_init(Box::default)
    }
}

impl<P: Codec> Owner<P> for OfClient<P> {
    fn callbacks(&self) -> &Callbacks<P> {
        &self.callbacks
    }

    fn limits(&self) -> Limits {
        Limits::of_size(0)
    }

    fn deadlines(&self) -> Deadlines {
        self.settings.get().map_or_else(Deadlines::default, |settings| settings.deadlines.get())
    }

    fn admission(&self) -> &Admission {
        ADMISSION.with(Leaked::get)
    }

    fn client(&self) -> Key {
        self.client
    }

    fn with_setup(&self, f: impl FnOnce(&P::Setup)) {
        let Some(settings) = self.settings.get() else { return f(&P::Setup::default()) };
        let setup = settings.setup.take();
        f(&setup);
        settings.setup.set(setup);
    }

    fn allow(&self, time: u64) {
        let deadlines = &self.settings().deadlines;
        deadlines.set(deadlines.get().head(Duration::from_nanos(time)));
    }

    fn gone(&self, connection: Key) {
        attempt::gone(self.client, connection);
    }
}
