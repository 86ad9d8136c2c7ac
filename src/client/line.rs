//! Clients whose next step is due: a few of them in each turn, so that ten thousand which connect at once hold up nobody else.

use std::collections::VecDeque;

use crate::reactor::{self, Key, Kind};
use crate::shared::{Leaked, Shared};

/// So many steps of a turn, each of them a few system calls.
const STEPS: usize = 32;

#[derive(Debug, Default)]
struct Line {
    keys: VecDeque<Key>,
    /// A visit is due.
    is_listed: bool,
}

thread_local! {
    static LINE: Leaked<Shared<Line>> = const { Leaked::new() };
}

/// Has this client visited, before the loop sleeps.
pub(super) fn join(key: Key) {
    line(|line| line.keys.push_back(key));
    list();
}

/// A visit: those who have waited longest take a step.
pub(super) fn advance(step: fn(Key)) {
    line(|line| line.is_listed = false);
    for _ in 0..STEPS {
        let Some(key) = line(|line| line.keys.pop_front()) else { break };
        step(key);
        reactor::get().settle();
    }
    list();
}

/// Whoever waits is visited in the next turn.
fn list() {
    let is_new = line(|line| !line.keys.is_empty() && !std::mem::replace(&mut line.is_listed, true));
    if is_new {
        // Of nobody: of all who wait.
        reactor::get().list(Kind::Client, Key::NONE);
    }
}

/// At the end of a loop: nobody waits.
pub(super) fn clear() {
    line(|line| *line = Line::default());
}

fn line<R>(f: impl FnOnce(&mut Line) -> R) -> R {
    LINE.with(Leaked::get).with(f)
}
