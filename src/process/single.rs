//! An app that is one process, without a master: it answers commands itself, between its events.

use std::time::SystemTime;

use super::control::Control;
use super::files::Files;
use super::master::Manner;
use super::messages::{Answer, Question};
use super::notify::Notifier;
use super::place::lines;
use super::screens::{self, WorkerStatus};
use super::{account, announce, callbacks, listen_fds, plan, watch};
use crate::error::Result;
use crate::reactor::{self, Handler, Key, Kind, monotonic};
use crate::shared::Shared;
use crate::worker::{Which, reload, run, stop};

thread_local! {
    static DESK: Shared<Option<Desk>> = const { Shared::new(None) };
}

/// Where commands are answered.
struct Desk {
    control: Control,
    started: SystemTime,
}

/// Runs the app until it stops.
pub(super) fn run(manner: Manner, mut files: Files) -> Result<()> {
    if manner.graceful {
        stop::be_patient();
    }
    take_inherited();
    let notifier = Notifier::from_environment().ok().flatten();
    let control = files.control.take();
    let _desk = Cleared;
    let ended = run::run(
        || {
            account::change()?;
            if let Err(error) = register(control) {
                log::warn!("no command will be answered: {error}");
            }
            announce::banner(manner);
            Ok(())
        },
        || {
            // A manager that cannot be told has its reasons.
            let _ = notifier.as_ref().map(Notifier::ready);
            Ok(())
        },
    );
    let _ = notifier.as_ref().map(Notifier::stopping);
    callbacks::master_stop();
    log::info!("{}", lines().stopped());
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

fn register(control: Option<Control>) -> std::io::Result<()> {
    let Some(mut control) = control else { return Ok(()) };
    let reactor = reactor::get();
    reactor.set_handler(Kind::Control, Handler { ready: |key, _| heard(key), flush: |_| {} });
    reactor.with_registry(|registry| match registry {
        Some(registry) => control.register(registry, token(None)),
        None => Err(std::io::ErrorKind::NotConnected.into()),
    })?;
    let started = reactor::wall_clock();
    DESK.with(|desk| desk.with(|desk| *desk = Some(Desk { control, started })));
    Ok(())
}

/// Of the socket itself, or of one who asks.
fn token(peer: Option<usize>) -> mio::Token {
    let slot = peer.map_or(0, |peer| peer + 1);
    reactor::token(Kind::Control, Key { slot: u32::try_from(slot).unwrap_or(0), generation: 0 })
}

fn heard(key: Key) {
    let questions = with_desk(|desk| match (key.slot as usize).checked_sub(1) {
        Some(peer) => desk.control.questions(peer).into_iter().map(|question| (peer, question)).collect(),
        None => {
            reactor::get().with_registry(|registry| {
                if let Some(registry) = registry {
                    desk.control.accept(registry, |peer| token(Some(peer)));
                }
            });
            Vec::new()
        }
    });
    for (peer, question) in questions.unwrap_or_default() {
        let answer = answer(peer, question);
        with_desk(|desk| desk.control.answer(peer, &answer));
    }
}

fn answer(peer: usize, question: Question) -> Answer {
    let text = match question {
        Question::Connections => screens::connections(&watch::connection_status()),
        Question::Status | Question::StatusJson => status(peer, question),
        Question::Reload => {
            callbacks::master_reload();
            reload::tell_workers();
            let text = "a process without a master cannot be replaced: its workers were told, and it goes on (with \
                        `start -d`, or a count above 1, there is a master)";
            return Answer { is_good: false, text: text.to_owned() };
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
        desk.control.count_since(peer, monotonic(), &mut status);
        status
    });
    status.map(|status| screens::status_as(&status, question == Question::StatusJson)).unwrap_or_default()
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
