//! An attempt to connect: from the address to a connection, or to why there is none.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::dial::{self, Dialled};
use super::line;
use super::registry::{self, Entry, Stage, enter, with};
use super::resolve;
#[cfg(feature = "_tls")]
use super::secure::secure;
use super::target::Place;
#[cfg(not(feature = "_tls"))]
use super::target::Target;
use crate::callback;
use crate::connection::{self, Driver};
use crate::reactor::{self, Deferred, Handler, Key, Kind};
use crate::transport::{Readiness, Transport, memory};

const SECOND: f64 = 1e9;

/// Begins, unless a connection stands or is on its way. What comes of it is told later, not from inside of this.
pub(super) fn begin(key: Key) {
    let reactor = reactor::get();
    reactor.set_handler(Kind::Client, Handler { ready, flush: |_| {} });
    connection::install();
    let now = reactor.clock.read();
    let begun = with(key, |entry| {
        if entry.is_under_way() || matches!(entry.stage, Stage::Established(_)) {
            return None;
        }
        entry.stage = Stage::Due;
        entry.attempt = entry.attempt.wrapping_add(1);
        entry.meanwhile().began = now;
        entry.call_off();
        Some((entry.attempt, entry.timeout(), entry.take_timer()))
    });
    let Some((attempt, timeout, timer)) = begun.flatten() else { return };
    if let Some(timer) = timer {
        reactor.remove_timer(timer);
    }
    if timeout > 0 {
        let late = Box::new(move |_| if_current(key, attempt, |key| fail(key, "it takes too long")));
        let timer = reactor.add_deadline(timeout, late).ok();
        with(key, |entry| entry.meanwhile().timer = timer);
    }
    line::join(key);
}

/// What a client does next that is in the middle of an attempt.
fn step(key: Key) {
    let stage = with(key, |entry| match &entry.stage {
        Stage::Due => Some(go as fn(Key)),
        Stage::Resolved(_) => Some(go_on as fn(Key)),
        Stage::Dialling(..) | Stage::Talking(..) => Some(hear as fn(Key)),
        _ => None,
    });
    if let Some(step) = stage.flatten() {
        step(key);
    }
}

/// The first step.
fn go(key: Key) {
    enter(key, Stage::Resolving);
    let Some((place, attempt)) = with(key, |entry| (entry.first_place(), entry.attempt)) else { return };
    match place {
        Err(reason) => fail(key, &reason),
        Ok(_) if reactor::get().clock.is_manual() => {
            let (end, peer) = memory::pair(reactor::get().memory_events());
            dial::offer(peer);
            dialled(key, Dialled::Memory(end));
        }
        Ok(Place::Unix(path)) => dial(key, Dialled::unix(&path), VecDeque::new()),
        // This is called by a task, which has to end before callbacks run.
        Ok(Place::Host { host, port }) => resolve::resolve(&host, port, move |found| {
            if_current(key, attempt, |key| {
                enter(key, Stage::Resolved(Box::new(found)));
                line::join(key);
            });
        }),
    }
}

/// The name has been looked up.
fn go_on(key: Key) {
    match with(key, |entry| std::mem::replace(&mut entry.stage, Stage::Resolving)) {
        Some(Stage::Resolved(found)) => match *found {
            Ok(addresses) => next(key, addresses.into(), None),
            Err(reason) => unreachable(key, &reason),
        },
        Some(stage) => enter(key, stage),
        None => {}
    }
}

/// Tries the next address.
fn next(key: Key, mut addresses: VecDeque<SocketAddr>, before: Option<io::Error>) {
    match addresses.pop_front() {
        Some(address) => dial(key, Dialled::tcp(address), addresses),
        None => {
            let reason = before.map_or_else(|| "the name has no address".to_owned(), |error| error.to_string());
            unreachable(key, &reason);
        }
    }
}

/// Whoever is first on the way does not answer.
fn unreachable(key: Key, reason: &str) {
    match with(key, |entry| entry.proxy().is_some()) {
        Some(true) => fail(key, &format!("the proxy cannot be reached: {reason}")),
        _ => fail(key, reason),
    }
}

fn dial(key: Key, dialled: io::Result<Dialled>, rest: VecDeque<SocketAddr>) {
    let opened = reactor::get().open().map_err(io::Error::other);
    let registered = opened.and(dialled).and_then(|mut dialled| {
        dialled.register(key)?;
        Ok(dialled)
    });
    match registered {
        Ok(dialled) => enter(key, Stage::Dialling(Box::new((dialled, rest)))),
        Err(error) => next(key, rest, Some(error)),
    }
}

/// A socket that is being connected, or a proxy, has news; or those who wait have their turn.
fn ready(key: Key, _: Readiness) {
    if key == Key::NONE { line::advance(step) } else { line::join(key) }
}

/// Looks at the socket.
fn hear(key: Key) {
    let done = with(key, |entry| match &mut entry.stage {
        Stage::Dialling(dialling) => Some(dialling.0.stands()),
        Stage::Talking(talking) => Some(talking.1.go_on(&mut talking.0)),
        _ => None,
    });
    let result = match done.flatten() {
        None | Some(Ok(false)) => return,
        Some(result) => result.map(drop),
    };
    let taken = with(key, |entry| std::mem::replace(&mut entry.stage, Stage::Resolving));
    match (taken, result) {
        (Some(Stage::Dialling(dialling)), Ok(())) => dialled(key, dialling.0),
        (Some(Stage::Dialling(dialling)), Err(error)) => {
            let (dialled, rest) = *dialling;
            drop(dialled);
            next(key, rest, Some(error));
        }
        (Some(Stage::Talking(talking)), Ok(())) => reached(key, talking.0),
        (_, Err(error)) => fail(key, &error.to_string()),
        _ => {}
    }
}

/// Whoever is first on the way answers: a proxy is asked for the rest of it.
fn dialled(key: Key, mut dialled: Dialled) {
    match with(key, |entry| entry.talk()) {
        Some(Ok(None)) => reached(key, dialled),
        Some(Ok(Some(talk))) => {
            // One in memory has not been registered yet.
            let registered = if matches!(dialled, Dialled::Memory(_)) { dialled.register(key) } else { Ok(()) };
            enter(key, Stage::Talking(Box::new((dialled, talk))));
            match registered {
                Ok(()) => hear(key),
                Err(error) => fail(key, &error.to_string()),
            }
        }
        Some(Err(reason)) => fail(key, &reason),
        None => {}
    }
}

/// Bytes go to the server and back.
fn reached(key: Key, dialled: Dialled) {
    match with(key, |entry| entry.target()) {
        Some(Ok(target)) if target.secure => secure(key, dialled, &target),
        Some(Ok(_)) => {
            let (transport, remote) = dialled.into_transport();
            stand(key, transport, remote);
        }
        Some(Err(reason)) => fail(key, &reason),
        None => {}
    }
}

/// The server is to speak TLS.
#[cfg(not(feature = "_tls"))]
fn secure(key: Key, _: Dialled, _: &Target) {
    fail(key, "this build has no TLS, which is a feature: `tls`");
}

/// The connection stands: its `on_connect` runs here, then its codec may speak first.
pub(super) fn stand(key: Key, transport: Transport, remote: Option<SocketAddr>) {
    end_timer(key);
    enter(key, Stage::Opening);
    let now = reactor::get().clock.read();
    let found = with(key, |entry| (Rc::clone(&entry.handlers), entry.target(), entry.time_left(now)));
    let Some((driver, Ok(target), time)) = found else { return };
    let driver: Rc<dyn Driver> = driver;
    match connection::open(transport, remote, &driver) {
        Ok(connection) => driver.open(connection, &target.host_header(), &target.uri, time),
        Err(error) => {
            if with(key, |entry| matches!(entry.stage, Stage::Opening)) == Some(true) {
                fail(key, &error.to_string());
            }
        }
    }
}

/// Nothing comes of this attempt: `on_error`, then `on_close`.
pub(super) fn fail(key: Key, reason: &str) {
    end_timer(key);
    let now = reactor::get().clock.read();
    enter(key, Stage::Closed);
    let told = with(key, |entry| {
        let seconds = entry.spent(now) as f64 / SECOND;
        (format!("connect {} fail after {seconds:.3} seconds: {reason}", entry.address), Rc::clone(&entry.handlers))
    });
    let Some((text, handlers)) = told else { return };
    handlers.failed(key, &text);
    // The last to have the callbacks is whoever forgets the client: dropping them is user code.
    drop(handlers);
    reactor::get().defer(Deferred { run: |key, _| close(key), key, code: 0 });
}

/// The app wants no connection any more, and what it has sent goes nowhere: of one that is on its way, `on_close` tells; else
/// nobody has heard of it.
pub(super) fn give_up(key: Key) {
    end_timer(key);
    let was_under_way = with(key, |entry| match entry.stage {
        Stage::Closed => None,
        _ => Some(entry.is_under_way()),
    });
    enter(key, Stage::Closed);
    match was_under_way.flatten() {
        Some(true) => {
            callback::discard_all(with(key, Entry::take_queue).unwrap_or_default());
            reactor::get().defer(Deferred { run: |key, _| close(key), key, code: 0 });
        }
        Some(false) => registry::forget(key),
        None => {}
    }
}

/// `on_close` of one who has no connection.
pub(super) fn close(key: Key) {
    let Some(handlers) = with(key, |entry| Rc::clone(&entry.handlers)) else { return };
    handlers.closed(key);
    // The last to have the callbacks is whoever forgets the client: dropping them is user code.
    drop(handlers);
    settle(key);
}

/// A connection is forgotten, after an `on_close` of whomever: if it was the client's, it is seen whether that goes on.
pub(super) fn gone(key: Key, connection: Key) {
    let was_ours = with(key, |entry| {
        let was_ours = matches!(entry.stage, Stage::Established(own) if own == connection);
        if was_ours {
            entry.stage = Stage::Closed;
        }
        was_ours
    });
    if was_ours == Some(true) {
        reactor::get().defer(Deferred { run: |key, _| settle(key), key, code: 0 });
    }
}

/// After `on_close`: connects anew if that was asked for, else forgets the client.
pub(super) fn settle(key: Key) {
    let again = with(key, |entry| matches!(entry.stage, Stage::Closed).then(|| entry.again()));
    match again.flatten() {
        // Nobody comes back to a loop that ends.
        Some(Some(delay)) if !reactor::get().is_stopping() => wait(key, delay),
        Some(_) => registry::forget(key),
        None => {}
    }
}

/// Connects so many nanoseconds from now. What is still to come of an attempt that was on its way is not of this one.
pub(super) fn wait(key: Key, delay: u64) {
    end_timer(key);
    enter(key, Stage::Waiting);
    let attempt = with(key, |entry| {
        entry.call_off();
        entry.attempt = entry.attempt.wrapping_add(1);
        entry.attempt
    });
    let Some(attempt) = attempt else { return };
    if delay == 0 {
        return begin(key);
    }
    let due = Box::new(move |_| if_current(key, attempt, come_back));
    match reactor::get().add_deadline(delay, due) {
        Ok(timer) => drop(with(key, |entry| entry.meanwhile().timer = Some(timer))),
        Err(_) => begin(key),
    }
}

/// Nobody comes back to a loop that ends.
fn come_back(key: Key) {
    if reactor::get().is_stopping() { registry::forget(key) } else { begin(key) }
}

pub(super) fn if_current(key: Key, attempt: u32, then: impl FnOnce(Key)) {
    let is_current =
        with(key, |entry| entry.attempt == attempt && (entry.is_under_way() || matches!(entry.stage, Stage::Waiting)));
    if is_current == Some(true) {
        then(key);
    }
}

fn end_timer(key: Key) {
    if let Some(timer) = with(key, Entry::take_timer).flatten() {
        reactor::get().remove_timer(timer);
    }
}
