//! From one stream to the next: what comes is told after the callback in which it came, in the order in which it came.

use std::rc::Rc;

use super::ReadyState;
use super::callbacks::Callbacks;
use super::registry::{self, Entry, News, with};
use super::stream::{self, End, Head};
use crate::callback;
use crate::protocols::http::MessageEvent;
use crate::protocols::http::event_stream::TooLarge;
use crate::reactor::{self, Deferred, Key};

/// What a server says with the head of its answer.
#[derive(Debug, PartialEq)]
enum Verdict {
    Open,
    /// Later it may be another.
    Later(String),
    /// Asking again changes nothing.
    Never(String),
}

/// What there is to do next.
enum Next {
    Head(Head),
    Event(MessageEvent),
    TooLarge,
    End(End),
    Nothing,
}

/// The first attempt comes after the callback in which the source was made, so that all is set by then.
pub(super) fn begin_later(key: Key) {
    reactor::get().defer(Deferred { run: |key, _| begin(key), key, code: 0 });
}

fn begin(key: Key) {
    let now = reactor::get().clock.read();
    let asked = with(key, |entry| {
        entry.stream.restart();
        entry.news = News::default();
        entry.attempt = entry.attempt.wrapping_add(1);
        entry.state = ReadyState::Connecting;
        entry.timer = None;
        entry.heard = now;
        (entry.attempt, entry.asked.clone(), entry.stream.last_id().to_owned())
    });
    let Some((attempt, asked, last_id)) = asked else { return };
    let request = stream::open(key, attempt, &asked, &last_id);
    let is_paused = with(key, |entry| {
        entry.request = Some(request);
        entry.is_paused
    });
    if is_paused == Some(true) {
        request.pause();
    }
    watch(key);
}

/// News of an attempt. Those of an earlier one are none.
pub(super) fn take_news(key: Key, attempt: u32, take: impl FnOnce(&mut News)) {
    let now = reactor::get().clock.now();
    let is_current = with(key, |entry| {
        let is_current = entry.attempt == attempt;
        if is_current {
            entry.heard = now;
            take(&mut entry.news);
        }
        is_current
    });
    if is_current == Some(true) {
        deliver_later(key);
    }
}

pub(super) fn deliver_later(key: Key) {
    reactor::get().defer(Deferred { run: |key, _| deliver(key), key, code: 0 });
}

/// Tells the app what has come, until it pauses the source or closes it.
fn deliver(key: Key) {
    while let Some(next) = with(key, next) {
        let told = match next {
            Next::Head(head) => match judge(&head) {
                Verdict::Open => {
                    with(key, |entry| {
                        entry.state = ReadyState::Open;
                        entry.backoff.succeed();
                    });
                    watch(key);
                    call(key, Callbacks::open)
                }
                Verdict::Later(reason) => return lose(key, &reason, head.retry_after),
                Verdict::Never(reason) => return end(key, &reason),
            },
            Next::Event(event) => call(key, |callbacks| callbacks.message(event)),
            Next::TooLarge => return end(key, "an event is larger than may be"),
            Next::End(last) if last.is_for_good => return end(key, &last.reason),
            Next::End(last) => return lose(key, &last.reason, 0),
            Next::Nothing => return,
        };
        if let Some(Err(reason)) = told {
            return lose(key, &format!("a callback has failed: {reason}"), 0);
        }
    }
}

fn next(entry: &mut Entry) -> Next {
    if entry.is_paused {
        return Next::Nothing;
    }
    if let Some(head) = entry.news.head.take() {
        return Next::Head(head);
    }
    if entry.state == ReadyState::Open {
        let mut rest = entry.news.bytes.get(entry.news.told..).unwrap_or_default();
        let event = entry.stream.receive(&mut rest);
        entry.news.told = entry.news.bytes.len() - rest.len();
        if let Some(retry) = entry.stream.take_retry() {
            entry.backoff.set_retry(retry);
        }
        match event {
            Ok(Some(event)) => return Next::Event(event),
            Ok(None) => entry.news.clear_bytes(),
            Err(TooLarge) => return Next::TooLarge,
        }
    }
    entry.news.end.take().map_or(Next::Nothing, Next::End)
}

fn judge(head: &Head) -> Verdict {
    let answer = format!("the server answers {} {}", head.status, head.reason).trim_end().to_owned();
    match head.status {
        200 if is_event_stream(&head.content_type) => Verdict::Open,
        200 if head.content_type.is_empty() => {
            Verdict::Never("the answer has no type, and is no event stream".to_owned())
        }
        200 => Verdict::Never(format!("the answer is no event stream but {}", head.content_type)),
        204 => Verdict::Never("the server has no more to tell (204)".to_owned()),
        408 | 425 | 429 | 500..=599 => Verdict::Later(answer),
        _ => Verdict::Never(answer),
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// The stream has ended, or did not come about: the source comes back after a while.
fn lose(key: Key, reason: &str, at_least: u64) {
    stop(key);
    let reactor = reactor::get();
    if with(key, |entry| entry.asked.comes_back()) != Some(true) || reactor.is_stopping() {
        return end(key, reason);
    }
    let mut chance = [0; 8];
    // Without chance, all wait the longest time.
    let _ = reactor.random.fill(&mut chance);
    let wait = with(key, |entry| {
        entry.state = ReadyState::Connecting;
        entry.backoff.fail(at_least, u64::from_le_bytes(chance))
    });
    let Some(wait) = wait else { return };
    match reactor.add_deadline(wait, Box::new(move |_| begin(key))) {
        Ok(timer) => drop(with(key, |entry| entry.timer = Some(timer))),
        Err(error) => return end(key, &format!("{reason}; {error}")),
    }
    tell(key, reason);
}

/// There will be no other stream.
fn end(key: Key, reason: &str) {
    stop(key);
    with(key, |entry| entry.state = ReadyState::Closed);
    tell(key, reason);
    forget(key);
}

fn tell(key: Key, reason: &str) {
    let Some(url) = with(key, |entry| Rc::clone(&entry.asked.url)) else { return };
    call(key, |callbacks| callbacks.error(&format!("{url}: {reason}")));
}

/// The last to have the callbacks may be this: dropping them is user code.
fn call<R>(key: Key, which: impl FnOnce(&Callbacks) -> R) -> Option<R> {
    let callbacks = with(key, |entry| Rc::clone(&entry.callbacks))?;
    let result = which(&callbacks);
    callback::discard(callbacks);
    Some(result)
}

/// Ends what there is of an attempt; what is still to come of it is ignored.
fn stop(key: Key) {
    let stopped = with(key, |entry| {
        entry.attempt = entry.attempt.wrapping_add(1);
        entry.news = News::default();
        (entry.request.take(), entry.timer.take(), entry.watch.take())
    });
    let Some((request, timer, watch)) = stopped else { return };
    for timer in timer.into_iter().chain(watch) {
        reactor::get().remove_timer(timer);
    }
    if let Some(request) = request {
        request.abort();
    }
}

/// The app, or nothing more to come: nobody hears of this source again.
pub(super) fn forget(key: Key) {
    stop(key);
    callback::discard(registry::remove(key));
}

/// Looks whether the server is silent for too long, now and when it may be.
pub(super) fn watch(key: Key) {
    let now = reactor::get().clock.now();
    let looked = with(key, |entry| {
        let limit = match entry.state {
            ReadyState::Connecting => entry.patience,
            ReadyState::Open => entry.silence,
            ReadyState::Closed => 0,
        };
        let is_wanted = limit > 0 && entry.request.is_some() && !entry.is_paused;
        let rest = entry.heard.saturating_add(limit).saturating_sub(now);
        (entry.watch.take(), entry.state, is_wanted.then_some(rest))
    });
    let Some((old, state, rest)) = looked else { return };
    if let Some(old) = old {
        reactor::get().remove_timer(old);
    }
    match rest {
        None => {}
        Some(0) if state == ReadyState::Open => lose(key, "the server was silent for too long", 0),
        Some(0) => lose(key, "it takes too long", 0),
        Some(rest) => {
            let timer = reactor::get().add_deadline(rest, Box::new(move |_| watch(key)));
            with(key, |entry| entry.watch = timer.ok());
        }
    }
}
