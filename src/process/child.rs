//! A worker process: it says hello, takes what it is given, and serves until its master says otherwise.
//!
//! It stops when its master is gone: whoever would start the app anew must find its ports free.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::channel::{self, Channel};
use super::messages::{FromWorker, Hello, LANGUAGE, Order, ToWorker};
use super::supervisor::Why;
use super::{account, plan, watch, watchdog};
use crate::callback;
use crate::connection::id;
use crate::error::{Error, Result};
use crate::reactor::{self, Handler, Key, Kind};
use crate::shared::Shared;
use crate::worker::stop::{self, How};
use crate::worker::{Which, reload, run};

/// So long a worker takes to end when its master is gone, in nanoseconds.
const ORPHANED: u64 = 500_000_000;

thread_local! {
    static MASTER: Shared<Option<Channel>> = const { Shared::new(None) };
}

/// Runs as the master orders over this socket, until it says so.
pub(super) fn run(control: UnixStream) -> Result<()> {
    let hello = FromWorker::Hello(Hello { language: LANGUAGE, plan: plan::of_app() });
    channel::give(&control, &hello, &[]).map_err(gone)?;
    let (order, descriptors) = channel::take(&control, Order::descriptors).map_err(gone)?;
    let lifeline = take_part(&order, descriptors).ok_or_else(|| gone(ErrorKind::UnexpectedEof.into()))?;
    let channel = Channel::new(control).map_err(gone)?;
    MASTER.with(|master| master.with(|master| *master = Some(channel)));
    callback::set_last_words(tell_last_failure);
    // All sockets are here, and there is no second thread yet.
    let ended = read_files().and_then(|()| account::change()).and_then(|()| serve(lifeline));
    if let Err(error) = &ended {
        tell(&FromWorker::Failed(error.to_string()));
    }
    tell_last_failure();
    ended
}

fn tell_last_failure() {
    if let Some(failure) = callback::last_failure() {
        tell(&FromWorker::LastFailure(failure));
    }
}

/// Reads what only the one who has started the app may read.
fn read_files() -> Result<()> {
    #[cfg(feature = "_tls")]
    crate::worker::tls::read_first()?;
    Ok(())
}

fn serve(lifeline: UnixStream) -> Result<()> {
    watchdog::spawn(callback::pulse(), watchdog::limit(), lifeline).map_err(gone)?;
    stop::leave_queue(true);
    let started = || {
        register().map_err(gone)?;
        tell(&FromWorker::Ready);
        Ok(())
    };
    run::run(|| Ok(()), started, || {})
}

fn gone(source: std::io::Error) -> Error {
    Error::Loop { action: "hear its master", source }
}

/// Gives the workers their part; answers with the lifeline.
fn take_part(order: &Order, descriptors: Vec<OwnedFd>) -> Option<UnixStream> {
    id::set_process(order.number);
    let mut descriptors = descriptors.into_iter();
    let lifeline = descriptors.next()?;
    for (index, which) in Which::all().into_iter().enumerate() {
        let share = order.workers.iter().find(|share| share.index == index);
        which.part(|part| {
            part.absent = share.is_none();
            part.id = share.map_or(0, |share| share.id);
        });
        if let Some(share) = share.filter(|share| share.sockets > 0) {
            which.adopt(descriptors.by_ref().take(share.sockets).collect(), share.budget);
        }
    }
    Some(lifeline.into())
}

/// Has the loop hear the master.
fn register() -> std::io::Result<()> {
    let reactor = reactor::get();
    reactor.set_handler(Kind::Control, Handler { ready: |_, _| heard(), flush: |_| {} });
    MASTER.with(|master| {
        master.with(|master| {
            let Some(channel) = master else { return Ok(()) };
            reactor.register(channel.source(), Kind::Control, Key { slot: 0, generation: 0 })
        })
    })
}

fn heard() {
    let received = MASTER.with(|master| {
        master.with(|master| {
            let channel = master.as_mut()?;
            let flushed = channel.flush();
            let received = channel.receive::<ToWorker>();
            Some((received.messages, received.end.or(flushed.err())))
        })
    });
    let Some((messages, end)) = received else { return };
    messages.into_iter().for_each(obey);
    if let Some(error) = end {
        log::error!("the master is gone, so this process ends: {error}");
        MASTER.with(|master| master.with(|master| *master = None));
        stop::leave_queue(false);
        stop::request(How::Plainly);
        if reactor::get().add_deadline(ORPHANED, Box::new(|_| stop::request(How::AtOnce))).is_err() {
            stop::request(How::AtOnce);
        }
    }
}

fn obey(message: ToWorker) {
    match message {
        ToWorker::Retire(Why::Stop(how)) => {
            stop::leave_queue(false);
            stop::request(how);
        }
        ToWorker::Retire(Why::Replaced) => {
            reload::tell_workers();
            stop::request(How::Gracefully);
        }
        ToWorker::Reloaded => drop(reload::stay()),
        ToWorker::TellStatus => tell(&FromWorker::Status(watch::process_status())),
        ToWorker::TellConnections => tell(&FromWorker::Connections(watch::connection_status())),
    }
}

/// If the master is gone, that is heard of elsewhere.
fn tell(message: &FromWorker) {
    let sent = MASTER.with(|master| master.with(|master| master.as_mut().map(|channel| channel.send(message))));
    if let Some(Err(error)) = sent {
        log::debug!("the master cannot be told: {error}");
    }
}
