//! The master becomes the program on the disk: same process, same workers, same sockets, nobody notices.
//!
//! What it knows and has waits in a socket pair while the system exchanges the program. The new one runs its `main` up to
//! `run_all`, finds the socket there, and goes on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use mio::Poll;

use super::crew::{Crew, Listening};
use super::desk::Desk;
use super::link::{Lifeline, Link};
use super::{Manner, Master, failed, limits};
use crate::error::{Error, Result};
use crate::process::channel::{self, Channel};
use crate::process::control::{self, Control};
use crate::process::files::Files;
use crate::process::image::Images;
use crate::process::messages::{self, Answer, Role};
use crate::process::pid_file::PidFile;
use crate::process::plan::{ListenPlace, Plan};
use crate::process::settings::Settings;
use crate::process::supervisor::{Snapshot, Supervisor};
use crate::process::wire::wire_struct;
use crate::worker::{Bound, Which, signals};

/// So long the system may take with what is put into the socket.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a master leaves to the one that it becomes. The descriptors come beside it in this order: standard input, the pid
/// file, the control socket, those who wait for the reload, each process's control socket and lifeline, sockets.
#[derive(Debug)]
pub(in crate::process) struct Kept {
    manner: Manner,
    /// Seconds of the wall clock.
    started: u64,
    supervisor: Snapshot,
    has_pid_file: bool,
    has_control: bool,
    waiting: usize,
    links: Vec<KeptLink>,
    sockets: Vec<KeptSockets>,
}

#[derive(Debug)]
struct KeptLink {
    pid: u32,
    has_lifeline: bool,
    last: Option<String>,
    unfinished: (Vec<u8>, Vec<u8>),
}

#[derive(Debug)]
struct KeptSockets {
    place: ListenPlace,
    count: usize,
    /// The system's manager has not made them.
    is_ours: bool,
}

wire_struct!(Manner { daemon, graceful, quiet });
wire_struct!(Kept { manner, started, supervisor, has_pid_file, has_control, waiting, links, sockets });
wire_struct!(KeptSockets { place, count, is_ours });
wire_struct!(KeptLink { pid, has_lifeline, last, unfinished });

impl messages::Kept for Kept {
    fn descriptors(&self) -> usize {
        let of_links: usize = self.links.iter().map(|link| 1 + usize::from(link.has_lifeline)).sum();
        let of_sockets = self.sockets.iter().fold(0, |sum: usize, it| sum.saturating_add(it.count));
        [1, usize::from(self.has_pid_file), usize::from(self.has_control), self.waiting, of_links]
            .into_iter()
            .fold(of_sockets, usize::saturating_add)
    }
}

impl Master {
    /// Becomes the program on the disk. Comes back only if that fails, or if there is something else to do first.
    pub(super) fn renew(mut self) -> Self {
        if let Err(error) = signals::hold_back() {
            log::error!("a signal may be missed: {error}");
        }
        // What has come by now is known to nobody else; what comes from here on waits for the program that takes over.
        self.hear_signals();
        if self.supervisor.may_reload().is_ok() {
            self.become_new();
        } else {
            self.desk.answer_reload(&Ok(true));
        }
        if let Err(error) = signals::let_through() {
            log::error!("no signal will come any more: {error}");
        }
        self
    }

    fn become_new(&mut self) {
        let waiting = self.desk.take_who_reload();
        let Err(error) = self.execute(&waiting) else { return };
        signals::survive_broken_pipes();
        let text = format!("the workers are new, but the master cannot become the new program: {error}");
        log::error!("{text}");
        for mut channel in waiting {
            // Whoever asked may be gone.
            let _ = channel.send(&Answer { is_good: false, text: text.clone() });
        }
    }

    fn execute(&mut self, waiting: &[Channel]) -> io::Result<()> {
        let kept = self.kept(waiting);
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![rustix::stdio::stdin()];
        descriptors.extend(self.files.pid_file.as_ref().map(AsFd::as_fd));
        descriptors.extend(self.desk.control.as_ref().map(AsFd::as_fd));
        descriptors.extend(waiting.iter().map(AsFd::as_fd));
        for link in self.crew.links.values() {
            descriptors.push(link.channel.as_fd());
            descriptors.extend(link.lifeline.as_ref().map(AsFd::as_fd));
        }
        descriptors.extend(self.crew.sockets.iter().flat_map(|listening| listening.bound.sockets()).map(AsFd::as_fd));
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(PATIENCE))?;
        channel::give(&ours, &Role::Master(kept), &descriptors)?;
        Err(self.crew.images.execute(&theirs))
    }

    fn kept(&self, waiting: &[Channel]) -> Kept {
        let link = |(pid, link): (&u32, &Link)| KeptLink {
            pid: *pid,
            has_lifeline: link.lifeline.is_some(),
            last: link.last.clone(),
            unfinished: link.channel.unfinished(),
        };
        let sockets = |it: &Listening| KeptSockets {
            place: it.place.clone(),
            count: it.bound.sockets().len(),
            is_ours: it.bound.is_ours(),
        };
        let since_epoch = self.desk.started.duration_since(SystemTime::UNIX_EPOCH);
        Kept {
            manner: self.manner,
            started: since_epoch.unwrap_or_default().as_secs(),
            supervisor: self.supervisor.keep(),
            has_pid_file: self.files.pid_file.is_some(),
            has_control: self.desk.control.is_some(),
            waiting: waiting.len(),
            links: self.crew.links.iter().map(link).collect(),
            sockets: self.crew.sockets.iter().map(sockets).collect(),
        }
    }

    /// Goes on as the master that this process was.
    pub(in crate::process) fn resume(kept: Kept, descriptors: Vec<OwnedFd>, plan: &Plan, images: Images) -> Result<()> {
        if kept.supervisor.plan != *plan {
            log::error!(
                "the master's `main` makes other workers than that of its workers, though it is the same program"
            );
        }
        let lost = || Error::Loop { action: "be taken over", source: io::ErrorKind::UnexpectedEof.into() };
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(lost);
        rustix::stdio::dup2_stdin(next()?)?;
        let (path, _) = Settings::current().pid_file_place();
        let pid_file = if kept.has_pid_file { Some(PidFile::from_fd(&path, next()?)) } else { None };
        let control = if kept.has_control { Some(next()?) } else { None };
        let control = control.map(|it| Control::from_fd(&control::path_beside(&path), it)).transpose()?;
        let waiting = (0..kept.waiting).map(|_| next()).collect::<Result<Vec<_>, _>>()?;

        let poll = Poll::new().map_err(failed("make an epoll instance"))?;
        let registry = poll.registry().try_clone().map_err(failed("make an epoll instance"))?;
        let mut crew = Crew::new(registry, images, Vec::new());
        for link in kept.links {
            let channel = Channel::resume(next()?.into(), link.unfinished)?;
            let lifeline = if link.has_lifeline { Some(Lifeline::new(next()?.into())?) } else { None };
            crew.adopt(link.pid, Link { lifeline, last: link.last, ..Link::new(channel) })?;
        }
        let workers = Which::all();
        for KeptSockets { place, count, is_ours } in kept.sockets {
            let sockets = (0..count).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
            let which = workers.iter().enumerate().find(|(index, _)| plan.place_of(*index).as_ref() == Some(&place));
            let Some((_, which)) = which else {
                log::error!("nobody listens on {} any more", place.1);
                continue;
            };
            let bound = if is_ours { Bound::resumed(*which, sockets)? } else { Bound::inherited(*which, sockets)? };
            crew.sockets.push(Listening { place, bound });
        }
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(kept.started);
        let desk = Desk::new(control, started, kept.manner.daemon);
        let supervisor = Supervisor::resume(kept.supervisor, limits());
        let files = Files { pid_file, control: None };
        let mut master = Self::with(poll, crew, supervisor, desk, files, kept.manner)?;
        signals::let_through()?;
        for socket in waiting {
            let socket = UnixStream::from(socket);
            // Whoever asked may be gone.
            let _ = channel::give(&socket, &Answer { is_good: true, text: String::new() }, &[]);
        }
        // Whoever has ended meanwhile.
        master.reap();
        master.turn_until_done()
    }
}
