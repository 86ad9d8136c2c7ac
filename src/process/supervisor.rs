//! Who has to run, and what is done when somebody comes up, dies, does not come up or is to go: the decisions of the
//! master, which touch no process themselves ([`Hands`] does) and know the time only as they are told it, in nanoseconds.
//!
//! Invariants: every place of the plan has at most one process, and one that has not come up yet; nobody is retired for a
//! new program before all of that program are up; who was told to go and has not is killed in time; a stop is never
//! lengthened, and nobody is started after it.

mod reload;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use super::backoff::Backoff;
use super::plan::{Group, Plan};
use super::screens::Exit;
use super::wire::{wire_enum, wire_struct};
use crate::worker::stop::How;
use reload::Reload;

/// What outlives its time by this is killed, in nanoseconds.
const GRACE: u64 = 1_000_000_000;
/// Processes have these numbers, for as long as they live each its own.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=255;

/// What the supervisor can have done.
pub(crate) trait Hands {
    /// Starts a process of this name; answers its pid.
    ///
    /// # Errors
    ///
    /// When the system starts none.
    fn spawn(&mut self, image: Image, name: &str) -> io::Result<u32>;

    /// Gives a process that has said hello what it is to do.
    fn assign(&mut self, pid: u32, plan: &Plan, assignment: &Assigned<'_>);

    /// Has the workers of a process told that the others are replaced.
    fn tell_of_reload(&mut self, pid: u32);

    /// Has a process end.
    fn retire(&mut self, pid: u32, why: Why);

    /// Ends a process.
    fn kill(&mut self, pid: u32);

    /// Makes the sockets that processes of this plan need beyond those there are.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    fn prepare(&mut self, plan: &Plan) -> Result<(), String>;
}

/// Which program a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// That of the master.
    Own,
    /// That which lies on the disk now.
    Disk,
}

/// What a process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned<'a> {
    pub(crate) group: &'a Group,
    /// PHP's `$worker->id`.
    pub(crate) id: usize,
    /// Unique among those that live.
    pub(crate) number: u8,
}

/// Why a process has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The app stops.
    Stop(How),
    /// Another process has its place.
    Replaced,
}

/// Times that the app has set, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) graceful: u64,
    pub(crate) plain: u64,
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) name: String,
    /// The workers that it ran, by their places in the plan.
    pub(crate) workers: Vec<usize>,
    /// Nanoseconds.
    pub(crate) uptime: u64,
    /// It was told to.
    pub(crate) expected: bool,
}

/// What has become of a reload: whether processes were replaced, or why none was.
pub(crate) type Reloaded = Result<bool, String>;

/// The processes of an app.
#[derive(Debug)]
pub(crate) struct Supervisor {
    limits: Limits,
    plan: Plan,
    groups: Vec<Group>,
    places: Vec<Place>,
    processes: BTreeMap<u32, Process>,
    last_number: u8,
    reload: Option<Reload>,
    /// What has become of the last one, until somebody asks.
    reloaded: Option<Reloaded>,
    stopping: Option<How>,
    /// Every place has had somebody in it who was ready.
    came_up: bool,
    /// Why the app could not be started.
    failure: Option<String>,
    /// How processes of each worker have ended.
    exits: BTreeMap<usize, Vec<Exit>>,
}

/// What is to be known of an app that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) plan: Plan,
    places: Vec<Place>,
    processes: Vec<(u32, Process)>,
    last_number: u8,
    exits: Vec<(usize, Vec<Exit>)>,
}

wire_struct!(Snapshot { plan, places, processes, last_number, exits });
wire_struct!(Place { group, id, pid, backoff, restart_at });
wire_struct!(Process { number, name, workers, state, started, kill_at });
wire_struct!(Exit { status, count });
wire_enum!(State { 0 => Starting, 1 => Ready, 2 => Retiring });

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) group: usize,
    pub(super) id: usize,
    pub(super) pid: Option<u32>,
    pub(super) backoff: Backoff,
    /// When the next process is due.
    pub(super) restart_at: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(super) number: u8,
    pub(super) name: String,
    pub(super) workers: Vec<usize>,
    pub(super) state: State,
    pub(super) started: u64,
    /// When it is killed.
    pub(super) kill_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Starting,
    Ready,
    Retiring,
}

impl Supervisor {
    /// Nobody runs yet.
    pub(crate) fn new(plan: Plan, limits: Limits) -> Self {
        let groups = plan.groups();
        Self {
            limits,
            places: places(&groups),
            groups,
            plan,
            processes: BTreeMap::new(),
            last_number: 0,
            reload: None,
            reloaded: None,
            stopping: None,
            came_up: false,
            failure: None,
            exits: BTreeMap::new(),
        }
    }

    /// What a former self had decided; see [`keep`](Self::keep).
    pub(crate) fn resume(kept: Snapshot, limits: Limits) -> Self {
        let mut supervisor = Self::new(kept.plan, limits);
        supervisor.places = kept.places;
        supervisor.processes = kept.processes.into_iter().collect();
        supervisor.last_number = kept.last_number;
        supervisor.exits = kept.exits.into_iter().collect();
        supervisor.came_up = true;
        supervisor
    }

    /// For the program that takes over, when no reload goes on.
    pub(crate) fn keep(&self) -> Snapshot {
        Snapshot {
            plan: self.plan.clone(),
            places: self.places.clone(),
            processes: self.processes.iter().map(|(pid, process)| (*pid, process.clone())).collect(),
            last_number: self.last_number,
            exits: self.exits.iter().map(|(worker, exits)| (*worker, exits.clone())).collect(),
        }
    }

    /// Starts a process for every place.
    pub(crate) fn start(&mut self, now: u64, hands: &mut impl Hands) {
        for place in &mut self.places {
            place.restart_at.get_or_insert(now);
        }
        self.tick(now, hands);
    }

    /// A process describes the workers that its `main` has made.
    pub(crate) fn hello(&mut self, pid: u32, plan: &Plan, now: u64, hands: &mut impl Hands) {
        if self.is_on_trial(pid) {
            return self.hello_of_new(pid, plan, now, hands);
        }
        if *plan != self.plan {
            log::error!(
                "pid {pid}: its `main` makes other workers than that of the master, though it is the same program"
            );
            hands.kill(pid);
            return;
        }
        let place = self.places.iter().find(|place| place.pid == Some(pid));
        let process = self.processes.get(&pid).filter(|process| process.state == State::Starting);
        let Some((place, process)) = place.zip(process) else { return };
        if let Some(group) = self.groups.get(place.group) {
            hands.assign(pid, &self.plan, &Assigned { group, id: place.id, number: process.number });
        }
    }

    /// A process takes connections.
    pub(crate) fn ready(&mut self, pid: u32, now: u64, hands: &mut impl Hands) {
        if let Some(process) = self.processes.get_mut(&pid)
            && process.state == State::Starting
        {
            process.state = State::Ready;
        }
        if self.is_on_trial(pid) {
            return self.ready_of_new(now, hands);
        }
        self.came_up |= self.places.iter().all(|place| self.state_at(place) == Some(State::Ready));
    }

    /// A process has ended; `None` if it was none of ours. `status` is the system's word, 0 for a good end.
    pub(crate) fn exited(&mut self, pid: u32, status: i32, now: u64, hands: &mut impl Hands) -> Option<Gone> {
        let process = self.processes.remove(&pid)?;
        for worker in &process.workers {
            count(self.exits.entry(*worker).or_default(), status);
        }
        let uptime = now.saturating_sub(process.started);
        let expected = process.state == State::Retiring;
        let gone = Gone { name: process.name, workers: process.workers, uptime, expected };
        if self.is_on_trial(pid) {
            self.refuse(
                format!("a worker of the new program ended before it was ready, {}", status_text(status)),
                hands,
            );
        }
        if let Some(place) = self.places.iter_mut().find(|place| place.pid == Some(pid)) {
            place.pid = None;
            let came_up = process.state != State::Starting;
            // An orderly end of its own, such as after so many requests, is no death.
            let wait = if came_up && status == 0 { 0 } else { place.backoff.died_after(uptime) };
            if self.stopping.is_none() {
                place.restart_at = Some(now.saturating_add(wait));
            }
            if !came_up && !self.came_up && self.stopping.is_none() {
                let text = format!("a worker \"{}\" did not come up, {}", gone.name, status_text(status));
                self.failure.get_or_insert(text);
                self.stop(How::AtOnce, now, hands);
            }
        }
        self.tick(now, hands);
        Some(gone)
    }

    /// A process says why it will not come up.
    pub(crate) fn failed(&mut self, pid: u32, reason: String, hands: &mut impl Hands) {
        if self.is_on_trial(pid) {
            self.refuse(reason, hands);
        } else if !self.came_up {
            self.failure.get_or_insert(reason);
        } else {
            log::error!("pid {pid} does not come up: {reason}");
        }
    }

    /// Stops all. Another call may shorten that.
    pub(crate) fn stop(&mut self, how: How, now: u64, hands: &mut impl Hands) {
        if self.stopping.is_some_and(|before| before >= how) {
            return;
        }
        self.stopping = Some(how);
        self.refuse("the app stops".to_owned(), hands);
        for place in &mut self.places {
            place.restart_at = None;
        }
        let kill_at = now.saturating_add(self.time(how)).saturating_add(GRACE);
        for (pid, process) in &mut self.processes {
            process.state = State::Retiring;
            process.kill_at = Some(process.kill_at.map_or(kill_at, |before| before.min(kill_at)));
            hands.retire(*pid, Why::Stop(how));
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: u64, hands: &mut impl Hands) {
        for (pid, process) in &mut self.processes {
            if process.kill_at.is_some_and(|at| at <= now) {
                process.kill_at = None;
                log::warn!("worker[{}:{pid}] is killed, because its time is over", process.name);
                hands.kill(*pid);
            }
        }
        if self.reload.as_ref().is_some_and(|reload| reload.deadline() <= now) {
            self.refuse("the new program did not come up in time".to_owned(), hands);
        }
        for index in 0..self.places.len() {
            if self.places.get(index).and_then(|place| place.restart_at).is_some_and(|at| at <= now) {
                self.fill(index, now, hands);
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let kills = self.processes.values().filter_map(|process| process.kill_at);
        let starts = self.places.iter().filter_map(|place| place.restart_at);
        kills.chain(starts).chain(self.reload.as_ref().map(Reload::deadline)).min()
    }

    /// Whether the app is stopping and nobody is left.
    pub(crate) fn is_done(&self) -> bool {
        self.stopping.is_some() && self.processes.is_empty()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether everybody has been ready once.
    pub(crate) fn has_come_up(&self) -> bool {
        self.came_up
    }

    /// Why the app could not be started.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// All that live, with their names, in the order of their pids.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (u32, &str, &[usize])> {
        self.processes.iter().map(|(pid, process)| (*pid, &*process.name, &*process.workers))
    }

    /// How processes of a worker have ended.
    pub(crate) fn exits(&self, worker: usize) -> &[Exit] {
        self.exits.get(&worker).map_or(&[], Vec::as_slice)
    }

    /// Puts a new process in a place. If there is none to be had, that counts as a death.
    fn fill(&mut self, index: usize, now: u64, hands: &mut impl Hands) {
        let Some(place) = self.places.get_mut(index) else { return };
        place.restart_at = None;
        let Some(group) = self.groups.get(place.group) else { return };
        let (name, workers) = (self.plan.name_of(group), group.workers.clone());
        match hands.spawn(Image::Own, &name) {
            Ok(pid) => {
                place.pid = Some(pid);
                self.add(pid, name, workers, now);
            }
            Err(error) => {
                place.restart_at = Some(now.saturating_add(place.backoff.died_after(0).max(GRACE / 10)));
                log::error!("no process can be started for worker \"{name}\": {error}");
                if !self.came_up {
                    self.failure.get_or_insert(format!("no process can be started: {error}"));
                    self.stop(How::AtOnce, now, hands);
                }
            }
        }
    }

    fn add(&mut self, pid: u32, name: String, workers: Vec<usize>, started: u64) {
        let number = self.free_number();
        let process = Process { number, name, workers, state: State::Starting, started, kill_at: None };
        self.processes.insert(pid, process);
    }

    /// The next that nobody has, round and round: a number that was somebody's rests for a while. 0 if all are taken.
    fn free_number(&mut self) -> u8 {
        let taken = |number: &u8| self.processes.values().any(|process| process.number == *number);
        let (last, first) = (self.last_number, *NUMBERS.start());
        let mut round = (last..=*NUMBERS.end()).skip(1).chain(first..=last);
        let number = round.find(|number| *number >= first && !taken(number)).unwrap_or(0);
        self.last_number = number;
        number
    }

    fn state_at(&self, place: &Place) -> Option<State> {
        self.processes.get(&place.pid?).map(|process| process.state)
    }

    fn time(&self, how: How) -> u64 {
        match how {
            How::Gracefully => self.limits.graceful,
            How::Plainly => self.limits.plain,
            How::AtOnce => 0,
        }
    }
}

/// A place for every process of these groups.
fn places(groups: &[Group]) -> Vec<Place> {
    let of = |(group, found): (usize, &Group)| {
        let empty = move |id| Place { group, id, pid: None, backoff: Backoff::default(), restart_at: None };
        (0..found.count).map(empty)
    };
    groups.iter().enumerate().flat_map(of).collect()
}

fn count(exits: &mut Vec<Exit>, status: i32) {
    match exits.iter_mut().find(|exit| exit.status == status) {
        Some(exit) => exit.count += 1,
        None => exits.push(Exit { status, count: 1 }),
    }
}

/// The system's word for an end, for people: PHP's number, and what it means.
pub(crate) fn status_text(status: i32) -> String {
    format!("status {status} ({})", status_meaning(status))
}

/// What the system's word for an end means.
pub(crate) fn status_meaning(status: i32) -> String {
    match status & 0x7f {
        0 => format!("code {}", status >> 8 & 0xff),
        signal => signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned),
    }
}
