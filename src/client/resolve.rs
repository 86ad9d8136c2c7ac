//! From a name to addresses, without holding up the loop: numbers at once, names on another thread.
//!
//! Who asks for a name that is being looked up waits for that, and what was found counts for a moment; so a pool that connects
//! a hundred times asks once. Nothing that failed is kept.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::reactor;
use crate::shared::{Leaked, Shared};
use crate::task;

/// So long what was found counts, in nanoseconds.
const FRESH: u64 = 5_000_000_000;
/// So many names are remembered; then all are forgotten.
const NAMES: usize = 1024;

/// What is told to who asks.
pub(super) type Found = Result<Vec<SocketAddr>, String>;
/// Whom it is told to.
type Waiter = Box<dyn FnOnce(Found)>;

/// What is known of a name. The ports mean nothing.
enum Name {
    /// When it was looked up, and what was found.
    Known(u64, Vec<SocketAddr>),
    /// It is being looked up, and these wait.
    Asked(Vec<Waiter>),
}

thread_local! {
    static NAMES_OF_HERE: Leaked<Shared<HashMap<Box<str>, Name>>> = const { Leaked::new() };
}

/// Finds the addresses of a host, and calls with them: at once if they are known, else later, on the loop.
pub(super) fn resolve(host: &str, port: u16, found: impl FnOnce(Found) + 'static) {
    let found = move |result: Found| {
        found(result.map(|mut addresses| {
            addresses.iter_mut().for_each(|address| address.set_port(port));
            addresses
        }));
    };
    if let Some(addresses) = known(host) {
        return found(Ok(addresses));
    }
    let is_first = names(|names| match names.get_mut(host) {
        Some(Name::Asked(waiters)) => {
            waiters.push(Box::new(found));
            false
        }
        _ => {
            make_room(names);
            names.insert(host.into(), Name::Asked(vec![Box::new(found)]));
            true
        }
    });
    if is_first {
        ask(host);
    }
}

fn ask(host: &str) {
    let name: Box<str> = host.into();
    let asked = name.clone();
    let look_up = move || match (&*asked, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(error.to_string()),
    };
    let begun =
        task::look_up(look_up, move |answer| tell(&name, answer.unwrap_or_else(|panicked| Err(panicked.to_string()))));
    if let Err(error) = begun {
        tell(host, Err(error.to_string()));
    }
}

/// Tells all who wait for it what has come of looking a name up.
fn tell(host: &str, answer: Found) {
    let now = reactor::get().clock.now();
    let before = names(|names| match &answer {
        Ok(addresses) => names.insert(host.into(), Name::Known(now, addresses.clone())),
        Err(_) => names.remove(host),
    });
    if let Some(Name::Asked(waiters)) = before {
        waiters.into_iter().for_each(|waiter| waiter(answer.clone()));
    }
}

fn known(host: &str) -> Option<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(vec![SocketAddr::new(ip, 0)]);
    }
    let now = reactor::get().clock.now();
    names(|names| match names.get(host) {
        Some(Name::Known(then, addresses)) if now.saturating_sub(*then) < FRESH => Some(addresses.clone()),
        _ => None,
    })
}

fn make_room(names: &mut HashMap<Box<str>, Name>) {
    if names.len() >= NAMES {
        names.retain(|_, name| matches!(name, Name::Asked(_)));
    }
}

fn names<R>(f: impl FnOnce(&mut HashMap<Box<str>, Name>) -> R) -> R {
    NAMES_OF_HERE.with(Leaked::get).with(f)
}

/// At the end of a loop: nobody waits any more.
pub(super) fn clear() {
    drop(names(std::mem::take));
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_, addresses) => addresses.fmt(f),
            Self::Asked(waiters) => write!(f, "asked by {}", waiters.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::testing::Simulation;

    /// Asks for a host and gives what has been told of it so far.
    fn ask_for(host: &str, port: u16, told: &Rc<Shared<Vec<Found>>>) {
        let told = Rc::clone(told);
        resolve(host, port, move |found| told.with(|told| told.push(found)));
    }

    fn take(told: &Rc<Shared<Vec<Found>>>) -> Vec<Found> {
        told.with(std::mem::take)
    }

    #[test]
    fn a_number_is_known_and_a_name_is_asked_for_once() {
        let (simulation, told) = (Simulation::new(), Rc::default());
        ask_for("127.0.0.1", 1, &told);
        ask_for("::1", 2, &told);
        assert_eq!(take(&told), [Ok(vec!["127.0.0.1:1".parse().unwrap()]), Ok(vec!["[::1]:2".parse().unwrap()])]);
        ask_for("localhost", 1, &told);
        ask_for("localhost", 2, &told);
        assert_eq!((take(&told).len(), reactor::get().remote().len()), (0, 1), "one task for both");
        simulation.run();
        simulation.advance(Duration::from_secs(4));
        ask_for("localhost", 3, &told);
        let ports: Vec<u16> = take(&told).into_iter().map(|found| found.unwrap()[0].port()).collect();
        assert_eq!(ports, [1, 2, 3]);
        simulation.advance(Duration::from_secs(2));
        ask_for("localhost", 4, &told);
        assert!(take(&told).is_empty(), "it is asked for anew");
    }

    #[test]
    fn a_name_that_is_none_is_told_and_not_kept() {
        let (simulation, told) = (Simulation::new(), Rc::default());
        // What is longer than names are, nobody outside is asked for.
        let name = "x".repeat(300);
        ask_for(&name, 1, &told);
        ask_for(&name, 2, &told);
        simulation.run();
        let found = take(&told);
        assert!(found.len() == 2 && found.iter().all(Result::is_err), "{found:?}");
        ask_for(&name, 3, &told);
        assert_eq!(reactor::get().remote().len(), 1);
    }
}
