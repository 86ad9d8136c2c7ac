//! An app that is one process, without a master: it answers commands itself, between its events.

use std::time::{Duration, SystemTime};

use super::control::Control;
use super::files::Files;
use super::master::Manner;
use super::messages::{Answer, Question};
use super::notify::Notifier;
use super::place::lines;
use super::screens::{self, WorkerStatus};
use super::{account, announce, callbacks, listen_fds, plan, watch};
use crate::error::{Error, Result};
use crate::reactor::{self, Handler, Key, Kind, monotonic};
use crate::shared::Shared;
use crate::worker::{Which, reload, run, stop};

thread_local! {
    static DESK: Shared<Option<Desk>> = const { Shared::new(None) };
}

/// Where commands are answered, and the manager is told.
struct Desk {
    control: Option<Control>,
    notifier: Option<Notifier>,
    started: SystemTime,
}

/// Runs the app until it stops.
pub(super) fn run(manner: Manner, mut files: Files) -> Result<()> {
    if manner.graceful {
        stop::be_patient();
    }
    take_inherited();
    open_desk(files.control.take());
    let _desk = Cleared;
    let ended = run::run(
        || {
            account::change()?;
            if let Err(error) = register() {
                log::warn!("no command will be answered: {error}");
            }
            announce::banner(manner);
            Ok(())
        },
        || {
            tell_manager(Notifier::ready);
            keep_alive();
            Ok(())
        },
        || {
            announce::tell(manner, &lines().stopping());
            tell_manager(Notifier::stopping);
        },
    );
    callbacks::master_stop();
    if ended.is_ok() {
        announce::tell(manner, &lines().stopped());
    }
    ended
}

/// Takes what the system's manager has opened.
fn take_inherited() {
    let mut inherited = listen_fds::inherited_sockets();
    for which in Which::all() {
        let sockets = listen_fds::claim(&mut inherited, which);
        if !sockets.is_empty() {
            which.adopt(sockets, usize::MAX);
        }
    }
    listen_fds::close_unclaimed(inherited);
}

fn open_desk(control: Option<Control>) {
    let notifier = Notifier::of_app();
    let started = reactor::wall_clock();
    DESK.with(|desk| desk.with(|desk| *desk = Some(Desk { control, notifier, started })));
    reload::set_by_signal(|| drop(reload()));
}

fn register() -> std::io::Result<()> {
    let reactor = reactor::get();
    reactor.set_handler(Kind::Control, Handler { ready: |key, _| heard(key), flush: |_| {} });
    let registered = with_desk(|desk| {
        reactor.with_registry(|registry| match (registry, &mut desk.control) {
            (_, None) => Ok(()),
            (Some(registry), Some(control)) => control.register(registry, token(None)),
            (None, _) => Err(std::io::ErrorKind::NotConnected.into()),
        })
    });
    registered.unwrap_or(Ok(()))
}

/// Of the socket itself, or of one who asks.
fn token(peer: Option<usize>) -> mio::Token {
    let slot = peer.map_or(0, |peer| peer + 1);
    reactor::token(Kind::Control, Key { slot: u32::try_from(slot).unwrap_or(0), generation: 0 })
}

fn heard(key: Key) {
    let questions = with_control(|control| match (key.slot as usize).checked_sub(1) {
        Some(peer) => control.questions(peer).into_iter().map(|question| (peer, question)).collect(),
        None => {
            reactor::get().with_registry(|registry| {
                if let Some(registry) = registry {
                    control.accept(registry, |peer| token(Some(peer)));
                }
            });
            Vec::new()
        }
    });
    for (peer, question) in questions.unwrap_or_default() {
        let answer = answer(peer, question);
        with_control(|control| control.answer(peer, &answer));
    }
}

fn answer(peer: usize, question: Question) -> Answer {
    let text = match question {
        Question::Connections => screens::connections(&watch::connection_status()),
        Question::Status | Question::StatusJson => status(peer, question),
        Question::Reload => {
            let wrong = reload();
            let text = "a process without a master cannot be replaced: its workers were told, and it goes on (with \
                        `start -d`, or a count above 1, there is a master)";
            let lines = wrong.iter().map(|error| format!("; the old certificates stay: {error}"));
            return Answer { is_good: false, text: text.to_owned() + &lines.collect::<String>() };
        }
    };
    Answer { is_good: true, text }
}

fn status(peer: usize, question: Question) -> String {
    let workers = plan::of_app().workers.into_iter();
    let workers = workers
        .map(|worker| WorkerStatus { name: worker.name, event_loop: watch::EVENT_LOOP.to_owned(), exits: Vec::new() })
        .collect();
    let processes = watch::process_status();
    let status = with_desk(|desk| {
        let mut status = watch::status(false, desk.started, workers, processes);
        if let Some(control) = &mut desk.control {
            control.count_since(peer, monotonic(), &mut status);
        }
        status
    });
    status.map(|status| screens::status_as(&status, question == Question::StatusJson)).unwrap_or_default()
}

/// Nothing is replaced; a manager that has asked for it waits for the end all the same. Answers which files stay as they were.
fn reload() -> Vec<Error> {
    tell_manager(|notifier| notifier.reloading(Duration::from_nanos(monotonic())));
    callbacks::master_reload();
    let wrong = reload::stay();
    tell_manager(Notifier::ready);
    wrong
}

/// Tells the manager again and again that the loop goes on, if it wants to know.
fn keep_alive() {
    let now = reactor::get().clock.now();
    let next = with_desk(|desk| desk.notifier.as_mut()?.keep_alive(now)).flatten();
    if let Some(next) = next
        && reactor::get().add_deadline(next.saturating_sub(now), Box::new(|_| keep_alive())).is_err()
    {
        log::error!("the manager will not hear that the loop goes on");
    }
}

fn tell_manager(tell: impl FnOnce(&Notifier) -> std::io::Result<()>) {
    // A manager that cannot be told has its reasons.
    let _ = with_desk(|desk| desk.notifier.as_ref().map(tell));
}

fn with_control<R>(f: impl FnOnce(&mut Control) -> R) -> Option<R> {
    with_desk(|desk| desk.control.as_mut().map(f)).flatten()
}

fn with_desk<R>(f: impl FnOnce(&mut Desk) -> R) -> Option<R> {
    DESK.with(|desk| desk.with(|desk| desk.as_mut().map(f)))
}

/// Removes the control socket in the end, however that comes about.
struct Cleared;

impl Drop for Cleared {
    fn drop(&mut self) {
        DESK.with(|desk| drop(desk.with(Option::take)));
    }
}
