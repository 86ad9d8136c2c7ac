//! The processes themselves: starting them, giving them their order and sockets, telling them to go. It decides nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use mio::{Interest, Registry, Token};
use rustix::process::{Pid, Signal, WaitOptions, kill_process};

use super::Kept;
use super::link::{Lifeline, Link};
use crate::process::channel::{self, Channel};
use crate::process::image::Images;
use crate::process::messages::{Order, Role, Share, ToWorker};
use crate::process::place;
use crate::process::plan::{ListenPlace, Plan};
use crate::process::supervisor::{Assigned, Hands, Image, Why};
use crate::worker::Bound;

/// Who runs, and what they listen on.
#[derive(Debug)]
pub(super) struct Crew {
    registry: Registry,
    pub(super) images: Images,
    pub(super) links: BTreeMap<u32, Link>,
    pub(super) sockets: Vec<Listening>,
}

/// The sockets of a worker with an address.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) place: ListenPlace,
    pub(super) bound: Bound,
}

/// The control socket of a process.
pub(super) fn channel_token(pid: u32) -> Token {
    Token(pid as usize * 2)
}

/// The system's name for a process.
pub(super) fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The lifeline of a process.
pub(super) fn lifeline_token(pid: u32) -> Token {
    Token(pid as usize * 2 + 1)
}

impl Crew {
    pub(super) fn new(registry: Registry, images: Images, sockets: Vec<Listening>) -> Self {
        Self { registry, images, links: BTreeMap::new(), sockets }
    }

    /// A process that waits for its order would take anything else for that, so it is told nothing before.
    pub(super) fn send(&mut self, pid: u32, message: ToWorker) {
        if let Some(link) = self.links.get_mut(&pid).filter(|link| link.has_order())
            && let Err(error) = link.channel.send(&message)
        {
            log::debug!("pid {pid} cannot be told {message:?}: {error}");
        }
    }

    /// Takes a process in that was started before this master was what it is.
    pub(super) fn adopt(&mut self, pid: u32, mut link: Link) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(link.channel.source(), channel_token(pid), interest)?;
        if let Some(lifeline) = &mut link.lifeline {
            self.registry.register(lifeline.stream(), lifeline_token(pid), Interest::READABLE)?;
        }
        self.links.insert(pid, link);
        Ok(())
    }

    fn spawn_linked(&mut self, image: Image, title: &str) -> io::Result<u32> {
        let (pid, control) = self.images.spawn(image, title)?;
        // One that has ended by now is waited for as any other, so that how it ended is known.
        let _ = channel::give(&control, &Role::<Kept>::Worker, &[]);
        let linked = Channel::new(control).and_then(|channel| self.adopt(pid, Link::new(channel)));
        if linked.is_err() {
            // Nobody else knows of it.
            self.kill(pid);
            let _ = rustix::process::waitpid(as_pid(pid), WaitOptions::empty());
        }
        linked.map(|()| pid)
    }

    fn order(&mut self, pid: u32, plan: &Plan, assigned: &Assigned<'_>) -> io::Result<()> {
        let (id, slots) = (assigned.id, assigned.group.count);
        let mut sockets: Vec<BorrowedFd<'_>> = Vec::new();
        let mut workers = Vec::new();
        for index in &assigned.group.workers {
            let place = plan.place_of(*index);
            let listening = self.sockets.iter().find(|listening| Some(&listening.place) == place.as_ref());
            let share = listening.map(|listening| listening.bound.share_of(id, slots)).unwrap_or_default();
            let budget = listening.map_or(usize::MAX, |listening| listening.bound.budget(slots));
            workers.push(Share { index: *index, id, sockets: share.len(), budget });
            sockets.extend(share);
        }
        let Some(link) = self.links.get_mut(&pid).filter(|link| !link.has_order()) else { return Ok(()) };
        let (ours, theirs) = UnixStream::pair()?;
        let mut descriptors = vec![theirs.as_fd()];
        descriptors.extend(sockets);
        channel::give(&link.channel, &Order { number: assigned.number, workers }, &descriptors)?;
        let mut lifeline = Lifeline::new(ours)?;
        self.registry.register(lifeline.stream(), lifeline_token(pid), Interest::READABLE)?;
        link.lifeline = Some(lifeline);
        Ok(())
    }
}

impl Hands for Crew {
    fn spawn(&mut self, image: Image, name: &str) -> io::Result<u32> {
        self.spawn_linked(image, &format!("{}: worker process  {name}", place::program_name()))
    }

    fn assign(&mut self, pid: u32, plan: &Plan, assigned: &Assigned<'_>) {
        if let Err(error) = self.order(pid, plan, assigned) {
            log::error!("pid {pid} cannot be given its sockets: {error}");
            self.kill(pid);
        }
    }

    fn tell_of_reload(&mut self, pid: u32) {
        self.send(pid, ToWorker::Reloaded);
    }

    fn retire(&mut self, pid: u32, why: Why) {
        match self.links.get(&pid).is_some_and(Link::has_order) {
            true => self.send(pid, ToWorker::Retire(why)),
            // It has served nobody yet.
            false => self.kill(pid),
        }
    }

    fn kill(&mut self, pid: u32) {
        // Whoever is gone already has not been waited for yet, so the number is still its own.
        if let Some(pid) = as_pid(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    fn prepare(&mut self, plan: &Plan) -> Result<(), String> {
        for group in plan.groups() {
            for place in group.workers.iter().filter_map(|index| plan.place_of(*index)) {
                if let Some(listening) = self.sockets.iter_mut().find(|listening| listening.place == place) {
                    listening.bound.resize(group.count).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }
}
