//! The master: it binds what the workers listen on, keeps it, and sees to it that they run. It serves nobody itself, and
//! runs none of an app's callbacks but those that are about processes.
//!
//! What is to be done is decided by the [`Supervisor`]; `crew` does it, `desk` answers commands, `renewal` takes the whole
//! over into a new program. The loop here carries to them what the system tells, and waits.

mod crew;
mod desk;
mod events;
mod link;
mod renewal;

use std::fmt;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use signal_hook::consts::SIGCHLD;

use super::command::Command;
use super::files::Files;
use super::image::Images;
use super::listen_fds;
use super::notify::Notifier;
use super::place::lines;
use super::plan::Plan;
use super::supervisor::{Limits, Supervisor};
use super::{announce, callbacks};
use crate::error::{Error, Result};
use crate::reactor::{self, monotonic};
use crate::worker::signals::{self, Guard, Signals};
use crate::worker::stop::{How, Meaning};
use crate::worker::{Bound, Which};
use crew::{Crew, Listening, as_pid};
use desk::Desk;

pub(super) use renewal::Kept;

const SIGNALS: Token = Token(usize::MAX);
/// Events taken from the system at a time.
const EVENTS: usize = 256;

/// How the app was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) daemon: bool,
    /// SIGINT stops gracefully.
    pub(super) graceful: bool,
    pub(super) quiet: bool,
}

impl Manner {
    /// The command that starts an app in this manner.
    pub(super) fn command(self) -> Command {
        Command::Start { daemon: self.daemon, graceful: self.graceful, quiet: self.quiet }
    }
}

pub(super) struct Master {
    poll: Poll,
    signals: Option<(Signals, Guard)>,
    meaning: Meaning,
    supervisor: Supervisor,
    crew: Crew,
    desk: Desk,
    notifier: Option<Notifier>,
    files: Files,
    manner: Manner,
    /// Told once, when all have come up.
    on_up: Option<Box<dyn FnOnce()>>,
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("supervisor", &self.supervisor).finish_non_exhaustive()
    }
}

impl Master {
    /// Binds everything. Nobody runs yet.
    pub(super) fn new(plan: Plan, manner: Manner, mut files: Files, images: Images) -> Result<Self, Error> {
        let sockets = bind(&plan)?;
        let poll = Poll::new().map_err(failed("make an epoll instance"))?;
        let registry = poll.registry().try_clone().map_err(failed("make an epoll instance"))?;
        let desk = Desk::new(files.control.take(), reactor::wall_clock(), manner.daemon);
        let supervisor = Supervisor::new(plan, limits());
        Self::with(poll, Crew::new(registry, images, sockets), supervisor, desk, files, manner)
    }

    fn with(
        poll: Poll,
        crew: Crew,
        supervisor: Supervisor,
        mut desk: Desk,
        files: Files,
        manner: Manner,
    ) -> Result<Self, Error> {
        let mut signals = signals::take(Some(SIGCHLD))?;
        if let Some((signals, _)) = &mut signals {
            let registered = poll.registry().register(signals, SIGNALS, Interest::READABLE);
            registered.map_err(failed("take signals"))?;
        }
        desk.register(poll.registry()).map_err(failed("take commands"))?;
        let notifier = Notifier::of_app();
        let meaning = Meaning::new(manner.graceful);
        Ok(Self { poll, signals, meaning, supervisor, crew, desk, notifier, files, manner, on_up: None })
    }

    /// Runs the app until it stops; `on_up` is told once, when all processes take connections.
    pub(super) fn run(mut self, on_up: impl FnOnce() + 'static) -> Result<()> {
        self.on_up = Some(Box::new(on_up));
        self.supervisor.start(monotonic(), &mut self.crew);
        self.turn_until_done()
    }

    fn turn_until_done(mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = monotonic();
            self.supervisor.tick(now, &mut self.crew);
            self.desk.answer_due(now, &self.supervisor);
            self = self.after_turn();
            if self.supervisor.is_done() {
                return self.end();
            }
            let sign_of_life = self.notifier.as_mut().and_then(|notifier| notifier.keep_alive(now));
            let due = [self.supervisor.next_due(), self.desk.next_due(), sign_of_life].into_iter().flatten().min();
            let wait = due.map(|due| Duration::from_nanos(due.saturating_sub(monotonic())));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(failed("wait for events")(error).into());
                }
                _ => events.iter().map(mio::event::Event::token).for_each(|token| self.handle(token)),
            }
        }
    }

    /// What follows from what was heard.
    fn after_turn(mut self) -> Self {
        if self.supervisor.has_come_up()
            && let Some(on_up) = self.on_up.take()
        {
            self.tell_manager(Notifier::ready);
            on_up();
        }
        match self.supervisor.take_reloaded() {
            None => self,
            Some(reloaded) => {
                match &reloaded {
                    Ok(_) => announce::tell(self.manner, &lines().reloaded()),
                    Err(reason) => log::error!("the reload is refused: {reason}"),
                }
                if !self.supervisor.is_stopping() {
                    self.tell_manager(Notifier::ready);
                }
                if reloaded == Ok(true) {
                    return self.renew();
                }
                self.desk.answer_reload(&reloaded);
                self
            }
        }
    }

    /// Everybody is gone.
    fn end(self) -> Result<()> {
        announce::tell(self.manner, &lines().stopped());
        callbacks::master_stop();
        match self.supervisor.failure() {
            None => Ok(()),
            Some(reason) => Err(Error::Processes { reason: reason.into() }.into()),
        }
    }

    /// Begins to stop: nobody is let in from here on.
    fn stop(&mut self, how: How) {
        if !self.supervisor.is_stopping() {
            announce::tell(self.manner, &lines().stopping());
            self.tell_manager(Notifier::stopping);
        }
        self.crew.sockets.clear();
        self.supervisor.stop(how, monotonic(), &mut self.crew);
    }

    fn reload(&mut self) -> Result<(), &'static str> {
        announce::tell(self.manner, &lines().reloading());
        self.supervisor.may_reload().inspect_err(|reason| log::error!("the reload is refused: {reason}"))?;
        self.tell_manager(|notifier| notifier.reloading(Duration::from_nanos(monotonic())));
        callbacks::master_reload();
        self.supervisor.reload(monotonic(), &mut self.crew);
        Ok(())
    }

    /// Takes in who has ended. As process 1 the master is handed the orphans of all others, too.
    fn reap(&mut self) {
        let ours: Vec<u32> = self.crew.links.keys().copied().collect();
        for pid in ours {
            let Some(found) = as_pid(pid) else { continue };
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(_)) = rustix::process::waitid(WaitId::Pid(found), look) {
                // What it has said last. Until it is taken in the number is still its own, so it may be killed for that.
                self.hear(pid);
                self.hear_lifeline(pid);
                if let Ok(Some((_, status))) = rustix::process::waitpid(Some(found), WaitOptions::NOHANG) {
                    self.ended(pid, status);
                }
            }
        }
        while std::process::id() == 1
            && let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG)
        {
            self.ended(pid.as_raw_nonzero().get().cast_unsigned(), status);
        }
    }

    fn ended(&mut self, pid: u32, status: WaitStatus) {
        let last = self.crew.links.remove(&pid).and_then(|link| link.last);
        self.desk.gone(pid);
        let status = status.as_raw();
        let gone = self.supervisor.exited(pid, status, monotonic(), &mut self.crew);
        if let Some(gone) = gone {
            events::log_end(pid, status, &gone, last);
            callbacks::worker_exit(&gone.workers, status, pid);
        }
    }

    fn tell_manager(&self, tell: impl FnOnce(&Notifier) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.notifier.as_ref().map(tell) {
            log::debug!("the manager cannot be told how the app stands: {error}");
        }
    }
}

/// Binds what the workers listen on. What the system's manager has opened is taken.
fn bind(plan: &Plan) -> Result<Vec<Listening>, Error> {
    let mut inherited = listen_fds::inherited_sockets();
    let groups = plan.groups();
    let mut listening = Vec::new();
    for (index, which) in Which::all().into_iter().enumerate() {
        let Some(place) = plan.place_of(index) else { continue };
        let slots = groups.iter().find(|group| group.workers.contains(&index)).map_or(1, |group| group.count);
        let claimed = listen_fds::claim(&mut inherited, which);
        let bound =
            if claimed.is_empty() { Bound::new(which, slots)? } else { Some(Bound::inherited(which, claimed)?) };
        listening.extend(bound.map(|bound| Listening { place, bound }));
    }
    listen_fds::close_unclaimed(inherited);
    Ok(listening)
}

/// What the app has set.
fn limits() -> Limits {
    Limits { graceful: How::Gracefully.time(), plain: How::Plainly.time() }
}

fn failed(action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Loop { action, source }
}
