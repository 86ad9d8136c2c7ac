//! From a name to addresses, without holding up the loop: numbers at once, names on another thread.
//!
//! What was found counts for a moment, so that a pool that connects a hundred times asks once. Nothing that failed is kept.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use crate::reactor;
use crate::shared::Shared;
use crate::task::Task;

/// So long what was found counts, in nanoseconds.
const FRESH: u64 = 5_000_000_000;
/// So many names are remembered; then all are forgotten.
const NAMES: usize = 1024;

/// When a name was looked up, and what was found.
type Names = HashMap<Box<str>, (u64, Vec<IpAddr>)>;

thread_local! {
    static FOUND: Shared<Option<Names>> = const { Shared::new(None) };
}

/// Finds the addresses of a host, and calls with them: at once if they are known, else later, on the loop.
pub(super) fn resolve(host: &str, port: u16, found: impl FnOnce(Result<Vec<SocketAddr>, String>) + 'static) {
    let with_port = move |addresses: Vec<IpAddr>| addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    if let Some(addresses) = known(host) {
        return found(Ok(with_port(addresses)));
    }
    let name: Box<str> = host.into();
    let asked = name.clone();
    let ask = move || match (&*asked, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect::<Vec<_>>()),
        Err(error) => Err(error.to_string()),
    };
    // Whichever of the two closures runs has it.
    let found = Rc::new(Cell::new(Some(found)));
    let told = Rc::clone(&found);
    let asked = Task::run(ask, move |answer| {
        let answer = answer.unwrap_or_else(|panicked| Err(panicked.to_string()));
        if let Ok(addresses) = &answer {
            remember(name, addresses.clone());
        }
        if let Some(found) = told.take() {
            found(answer.map(with_port));
        }
    });
    if let Err(error) = asked
        && let Some(found) = found.take()
    {
        found(Err(error.to_string()));
    }
}

fn known(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Some(vec![ip]);
    }
    let now = reactor::get().clock.now();
    let look = |found: &mut Option<Names>| {
        let (then, addresses) = found.as_ref()?.get(host)?;
        (now.saturating_sub(*then) < FRESH).then(|| addresses.clone())
    };
    FOUND.with(|found| found.with(look))
}

fn remember(host: Box<str>, addresses: Vec<IpAddr>) {
    let now = reactor::get().clock.now();
    FOUND.with(|found| {
        found.with(|found| {
            let found = found.get_or_insert_default();
            if found.len() >= NAMES {
                found.clear();
            }
            found.insert(host, (now, addresses));
        });
    });
}

/// At the end of a loop.
pub(super) fn clear() {
    FOUND.with(|found| found.with(|found| *found = None));
}
