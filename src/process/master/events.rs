//! What the master hears: signals, workers, commands.

use std::collections::BTreeSet;

use mio::Token;
use signal_hook::consts::SIGCHLD;

use super::crew::{channel_token, lifeline_token};
use super::link::printable;
use super::{Master, SIGNALS, desk};
use crate::process::announce;
use crate::process::messages::{FromWorker, LANGUAGE, Question, ToWorker};
use crate::process::place::lines;
use crate::process::screens::exited;
use crate::process::supervisor::{Gone, Hands, status_meaning};
use crate::reactor::monotonic;
use crate::worker::signals::{self, RELOADING};

impl Master {
    /// Something has come for this token.
    pub(super) fn handle(&mut self, token: Token) {
        if token == SIGNALS {
            return self.hear_signals();
        }
        if token.0 >= desk::CONTROL.0 {
            for (peer, question) in self.desk.heard(token, self.poll.registry()) {
                self.asked(peer, question);
            }
            return;
        }
        let Ok(pid) = u32::try_from(token.0 / 2) else { return };
        if token == channel_token(pid) {
            self.hear(pid);
        } else if token == lifeline_token(pid) {
            self.hear_lifeline(pid);
        }
    }

    /// Does what the signals say that have come.
    pub(super) fn hear_signals(&mut self) {
        let arrived: Vec<i32> =
            self.signals.as_mut().map(|(signals, _)| signals.pending().collect()).unwrap_or_default();
        for signal in arrived {
            match signal {
                SIGCHLD => self.reap(),
                // Why not is in the log.
                _ if RELOADING.contains(&signal) => drop(self.reload()),
                _ => {
                    announce::tell(self.manner, &lines().received(signals::name(signal)));
                    let how = self.meaning.of(signal, monotonic());
                    self.stop(how);
                }
            }
        }
    }

    fn asked(&mut self, peer: usize, question: Question) {
        let now = monotonic();
        let everybody: BTreeSet<u32> = self.supervisor.processes().map(|(pid, ..)| pid).collect();
        let message = match question {
            Question::Status | Question::StatusJson => ToWorker::TellStatus,
            Question::Connections => ToWorker::TellConnections,
            Question::Reload => {
                return match self.reload() {
                    Ok(()) => self.desk.begin(peer, question, BTreeSet::new(), now),
                    Err(reason) => self.desk.refuse(peer, reason),
                };
            }
        };
        for pid in &everybody {
            self.crew.send(*pid, message);
        }
        self.desk.begin(peer, question, everybody, now);
    }

    /// What a worker says.
    pub(super) fn hear(&mut self, pid: u32) {
        let Some(link) = self.crew.links.get_mut(&pid) else { return };
        let flushed = link.channel.flush();
        let received = link.channel.receive::<FromWorker>();
        for message in received.messages {
            self.told(pid, message);
        }
        // Whoever is gone is heard of by SIGCHLD. Whoever talks nonsense, or nothing any more, cannot be led.
        if let Some(error) = received.end.or(flushed.err())
            && let Some(link) = self.crew.links.get_mut(&pid)
            && !std::mem::replace(&mut link.is_silent, true)
            && error.kind() == std::io::ErrorKind::InvalidData
        {
            log::error!("pid {pid} is killed: {error}");
            self.crew.kill(pid);
        }
    }

    fn told(&mut self, pid: u32, message: FromWorker) {
        let now = monotonic();
        match message {
            FromWorker::Hello(hello) if hello.language != LANGUAGE => {
                let reason = format!(
                    "the new program is of another version of the framework (its processes speak {}, these {LANGUAGE}), \
                     which takes a restart",
                    hello.language
                );
                self.supervisor.failed(pid, reason, &mut self.crew);
                self.crew.kill(pid);
            }
            FromWorker::Hello(hello) => self.supervisor.hello(pid, &hello.plan, now, &mut self.crew),
            FromWorker::Ready => self.supervisor.ready(pid, now, &mut self.crew),
            FromWorker::Failed(reason) => self.supervisor.failed(pid, printable(&reason), &mut self.crew),
            FromWorker::LastFailure(text) => {
                if let Some(link) = self.crew.links.get_mut(&pid) {
                    link.keep(&text);
                }
            }
            FromWorker::Status(_) | FromWorker::Connections(_) => {
                let workers = self.supervisor.plan().workers.len();
                self.desk.told(pid, &message, workers);
            }
        }
    }

    /// What a worker's watchdog reports.
    pub(super) fn hear_lifeline(&mut self, pid: u32) {
        let Some(link) = self.crew.links.get_mut(&pid) else { return };
        let lines = link.lifeline.as_mut().map(super::link::Lifeline::lines).unwrap_or_default();
        link.last = lines.last().cloned().or(link.last.take());
        let name = self.supervisor.processes().find(|(found, ..)| *found == pid).map_or("", |(_, name, _)| name);
        for line in lines {
            log::warn!("worker[{name}:{pid}] {line}");
        }
    }
}

/// PHP's line for an end that is none of a stop or reload, and what one wants to know besides.
pub(super) fn log_end(pid: u32, status: i32, gone: &Gone, last: Option<String>) {
    if status == 0 {
        log::debug!("{}", exited(&gone.name, pid, status));
        return;
    }
    let uptime = gone.uptime as f64 / 1e9;
    let last = last.map(|last| format!("; last of its callbacks: {last}")).unwrap_or_default();
    let (text, meaning) = (exited(&gone.name, pid, status), status_meaning(status));
    let line = format!("{text} ({meaning}) after {uptime:.3} s{last}");
    if gone.expected { log::info!("{line}") } else { log::error!("{line}") }
}
