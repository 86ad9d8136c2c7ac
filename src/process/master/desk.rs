//! Where commands are answered: what they ask is asked of the processes, and what those tell is put on one screen.
//!
//! A process that does not tell in time is busy, and the screen says so.

use std::collections::BTreeSet;
use std::time::SystemTime;

use mio::{Registry, Token};

use crate::process::channel::Channel;
use crate::process::control::Control;
use crate::process::messages::{Answer, FromWorker, Question};
use crate::process::plan::PlannedWorker;
use crate::process::screens::{self, ConnectionStatus, ProcessStatus, WorkerStatus};
use crate::process::supervisor::{Reloaded, Supervisor};
use crate::process::watch::{self, EVENT_LOOP};

/// So long a process has to tell, in nanoseconds: PHP's `status` waits as long.
const PATIENCE: u64 = 1_000_000_000;
const FIRST_PEER: usize = usize::MAX / 2;
/// Where the socket's own events go.
pub(super) const CONTROL: Token = Token(FIRST_PEER - 1);

#[derive(Debug)]
pub(super) struct Desk {
    /// `None` where there is nowhere to put it.
    pub(super) control: Option<Control>,
    pending: Vec<Pending>,
    /// When the app began.
    pub(super) started: SystemTime,
    pub(super) is_daemon: bool,
}

/// A screen in the making.
#[derive(Debug)]
struct Pending {
    peer: usize,
    question: Question,
    /// Who has not told yet.
    waiting: BTreeSet<u32>,
    due: u64,
    processes: Vec<ProcessStatus>,
    connections: Vec<ConnectionStatus>,
}

impl Desk {
    pub(super) fn new(control: Option<Control>, started: SystemTime, is_daemon: bool) -> Self {
        Self { control, pending: Vec::new(), started, is_daemon }
    }

    /// Has commands be heard.
    pub(super) fn register(&mut self, registry: &Registry) -> std::io::Result<()> {
        self.control.as_mut().map_or(Ok(()), |control| control.register(registry, CONTROL))
    }

    /// What an event on this token asks, and who.
    pub(super) fn heard(&mut self, token: Token, registry: &Registry) -> Vec<(usize, Question)> {
        let Some(control) = &mut self.control else { return Vec::new() };
        match token.0.checked_sub(FIRST_PEER) {
            None => {
                control.accept(registry, |peer| Token(FIRST_PEER + peer));
                Vec::new()
            }
            Some(peer) => {
                let questions = control.questions(peer);
                if !control.has(peer) {
                    // The next one may get its number, and none of its answers.
                    self.pending.retain(|pending| pending.peer != peer);
                }
                questions.into_iter().map(|question| (peer, question)).collect()
            }
        }
    }

    /// Waits for these processes to tell.
    pub(super) fn begin(&mut self, peer: usize, question: Question, asked: BTreeSet<u32>, now: u64) {
        let (processes, connections) = (Vec::new(), Vec::new());
        let due = if question == Question::Reload { u64::MAX } else { now.saturating_add(PATIENCE) };
        self.pending.push(Pending { peer, question, waiting: asked, due, processes, connections });
    }

    /// A process of an app with so many workers has told. Who is not waited for, or has told already, is not heard.
    pub(super) fn told(&mut self, pid: u32, told: &FromWorker, workers: usize) {
        for pending in &mut self.pending {
            match told {
                FromWorker::Status(rows) if pending.question.is_status() && pending.waiting.remove(&pid) => {
                    let rows = rows.iter().take(workers);
                    pending.processes.extend(rows.map(|row| ProcessStatus { pid, ..row.clone() }));
                }
                FromWorker::Connections(rows)
                    if pending.question == Question::Connections && pending.waiting.remove(&pid) =>
                {
                    pending.connections.extend(rows.iter().map(|row| ConnectionStatus { pid, ..row.clone() }));
                }
                _ => {}
            }
        }
    }

    /// A process is gone and tells nothing any more.
    pub(super) fn gone(&mut self, pid: u32) {
        for pending in &mut self.pending {
            pending.waiting.remove(&pid);
        }
    }

    /// Answers those whose screens are whole, or late.
    pub(super) fn answer_due(&mut self, now: u64, supervisor: &Supervisor) {
        let is_due = |pending: &mut Pending| {
            pending.question != Question::Reload && (pending.waiting.is_empty() || pending.due <= now)
        };
        for pending in self.pending.extract_if(.., is_due).collect::<Vec<_>>() {
            let peer = pending.peer;
            let text = match pending.question {
                Question::Connections => screens::connections(&pending.connections),
                question => self.status(question, pending, now, supervisor),
            };
            self.answer(peer, &Answer { is_good: true, text });
        }
    }

    fn status(&mut self, question: Question, pending: Pending, now: u64, supervisor: &Supervisor) -> String {
        let mut processes = pending.processes;
        for (pid, _, workers) in supervisor.processes().filter(|(pid, ..)| pending.waiting.contains(pid)) {
            let planned = workers.iter().filter_map(|worker| supervisor.plan().workers.get(*worker));
            processes.extend(planned.map(|worker| ProcessStatus {
                pid,
                listening: worker.shown_address(),
                name: worker.name.clone(),
                counts: None,
            }));
        }
        let worker = |(index, worker): (usize, &PlannedWorker)| WorkerStatus {
            name: worker.name.clone(),
            event_loop: EVENT_LOOP.to_owned(),
            exits: supervisor.exits(index).to_vec(),
        };
        let workers = supervisor.plan().workers.iter().enumerate().map(worker).collect();
        let mut status = watch::status(self.is_daemon, self.started, workers, processes);
        if let Some(control) = &mut self.control {
            control.count_since(pending.peer, now, &mut status);
        }
        screens::status_as(&status, question == Question::StatusJson)
    }

    /// Says no.
    pub(super) fn refuse(&mut self, peer: usize, reason: &str) {
        self.answer(peer, &Answer { is_good: false, text: reason.to_owned() });
    }

    /// Tells those who have asked for a reload what has become of it.
    pub(super) fn answer_reload(&mut self, reloaded: &Reloaded) {
        let text = reloaded.as_ref().err().cloned().unwrap_or_default();
        let answer = Answer { is_good: reloaded.is_ok(), text };
        for peer in self.who_reload() {
            self.answer(peer, &answer);
        }
    }

    /// Lets those go who wait for a reload, to be answered by the program that takes over.
    pub(super) fn take_who_reload(&mut self) -> Vec<Channel> {
        let peers = self.who_reload();
        let Some(control) = &mut self.control else { return Vec::new() };
        peers.into_iter().filter_map(|peer| control.take(peer)).collect()
    }

    /// Those who wait for a reload, who wait no more.
    fn who_reload(&mut self) -> Vec<usize> {
        let asked = self.pending.extract_if(.., |pending| pending.question == Question::Reload);
        asked.map(|pending| pending.peer).collect()
    }

    fn answer(&mut self, peer: usize, answer: &Answer) {
        if let Some(control) = &mut self.control {
            control.answer(peer, answer);
        }
    }

    /// When [`answer_due`](Self::answer_due) has something to do.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.pending.iter().map(|pending| pending.due).min().filter(|due| *due < u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tells_more_than_is_asked_stands_there_once() {
        let mut desk = Desk::new(None, SystemTime::UNIX_EPOCH, false);
        let both = BTreeSet::from([1, 2]);
        desk.begin(0, Question::Status, both.clone(), 0);
        desk.begin(1, Question::Status, both, 0);
        let rows = FromWorker::Status(vec![ProcessStatus::default(); 1000]);
        for pid in [1, 1, 3] {
            desk.told(pid, &rows, 1);
        }
        for pending in &desk.pending {
            assert_eq!((pending.processes.len(), &pending.waiting), (1, &BTreeSet::from([2])));
        }
    }
}
