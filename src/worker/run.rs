//! From the first worker's start to the last connection's end.

use super::registry::{Entry, registry};
use super::{Which, listener, signals, stop};
use crate::address::Address;
use crate::callback;
use crate::client;
use crate::connection;
use crate::error::{Error, Result};
use crate::event_source;
use crate::http_client;
use crate::protocols;
use crate::reactor::{self, Key, Table};
use crate::{task, udp};

/// Whether this thread's loop runs.
pub(crate) fn is_running() -> bool {
    reactor::get().is_running()
}

/// Starts the workers of this thread that are to run here, and handles events until something stops the loop. `listening`
/// is called when all addresses are bound and nobody was told yet; `started`, when the first is about to be accepted;
/// `stopping`, before the first is turned away.
pub(crate) fn run(
    listening: impl FnOnce() -> Result<()>,
    started: impl FnOnce() -> Result<()>,
    stopping: impl FnOnce(),
) -> Result<()> {
    let reactor = reactor::get();
    let running = reactor.enter().ok_or(Error::Running)?;
    let cleanup = Cleanup;
    reactor.open()?;
    let signals = signals::install()?;
    stop::forget_code();
    listen_all()?;
    listening()?;
    start_all()?;
    started()?;
    // What was asked for before there was a loop may end it.
    reactor.settle();
    while !reactor.is_stopping() {
        reactor.turn(true)?;
    }
    stopping();
    stop::begin()?;
    while stop::goes_on() {
        reactor.turn(true)?;
    }
    drop((signals, cleanup, running));
    Ok(())
}

/// Binds every worker's address.
pub(crate) fn listen_all() -> Result<(), Error> {
    listener::install();
    connection::install();
    Which::present().into_iter().try_for_each(Which::listen)
}

/// Runs every `on_worker_start`. Nothing is accepted before that.
pub(crate) fn start_all() -> Result<(), Error> {
    for which in Which::present() {
        if let Some(Err(reason)) = which.on_start().map(|on_start| on_start.run()) {
            let (name, _) = which.name_and_transport();
            return Err(Error::Start { worker: name.into(), reason: reason.into() });
        }
        reactor::get().settle();
    }
    Ok(())
}

/// Listens on the worker's address, unless it does already or has none.
pub(super) fn listen(key: Key) -> Result<(), Error> {
    let wanted = with_entry(key, |entry| match entry.listener {
        Some(_) => Ok(Address::None),
        None => Address::parse(&entry.address, entry.scheme),
    });
    match wanted.transpose()? {
        None | Some(Address::None) => Ok(()),
        Some(address) if stop::has_begun() => {
            let source = std::io::Error::other("the loop is stopping");
            Err(Error::Listen { address: address.to_string().into(), source })
        }
        Some(address) => {
            #[cfg(feature = "_tls")]
            super::tls::begin(key)?;
            listener::listen(key, &address)
        }
    }
}

pub(super) fn with_entry<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    registry().with(|table| Some(f(table.get_mut(key)?)))
}

/// Empties the thread's state when the loop ends, however it ends.
#[derive(Debug)]
pub(crate) struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        connection::clear();
        event_source::clear();
        http_client::clear();
        client::clear();
        task::clear();
        callback::discard_all(registry().with(Table::clear));
        udp::clear();
        reactor::get().close();
        stop::clear();
        // Those that destructors have made meanwhile.
        callback::discard_all(registry().with(Table::clear));
        udp::clear();
        // After all who may hold one.
        #[cfg(feature = "session")]
        crate::session::clear();
        protocols::clear();
    }
}
