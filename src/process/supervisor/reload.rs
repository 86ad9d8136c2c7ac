//! A new program takes over: all of its processes come up, then those of the old one go.
//!
//! The first process of the new program tells which workers it has; only if they listen where the old ones do are the
//! others started. Until all of them are ready the old ones serve as if nothing were, and whatever goes wrong ends the
//! new ones.

use super::{Assigned, GRACE, Group, Hands, Image, Place, Plan, Reloaded, State, Supervisor, Why, places};
use crate::process::plan::GroupIdentity;
use crate::worker::stop::How;

/// So long the new program has, in nanoseconds.
const PATIENCE: u64 = 10_000_000_000;

/// The processes of a new program, until all of them are ready.
#[derive(Debug)]
pub(super) struct Reload {
    deadline: u64,
    /// Who tells of the new program.
    scout: u32,
    /// What the scout has told.
    told: Option<(Plan, Vec<Group>)>,
    /// Those that have a process, once the scout has told.
    places: Vec<Place>,
}

impl Reload {
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }
}

impl Supervisor {
    /// Begins to replace the processes by those of the program on the disk. What becomes of it is told by
    /// [`take_reloaded`](Self::take_reloaded).
    pub(crate) fn reload(&mut self, now: u64, hands: &mut impl Hands) {
        if self.may_reload().is_err() {
            return;
        }
        let Some(first) = self.groups.iter().find(|group| group.reloadable) else {
            self.tell_who_stay(hands);
            self.reloaded = Some(Ok(false));
            return;
        };
        // Until it says what it is.
        let name = self.plan.name_of(first);
        match hands.spawn(Image::Disk, &name) {
            Ok(scout) => {
                self.add(scout, name, Vec::new(), now);
                let deadline = now.saturating_add(PATIENCE);
                self.reload = Some(Reload { deadline, scout, told: None, places: Vec::new() });
            }
            Err(error) => self.reloaded = Some(Err(format!("the new program cannot be started: {error}"))),
        }
    }

    /// Whether a reload can begin now, or why not. One of which nobody has asked what became of it goes on.
    pub(crate) fn may_reload(&self) -> Result<(), &'static str> {
        let goes_on = self.reload.is_some() || self.reloaded.is_some();
        match (self.stopping, goes_on, self.came_up) {
            (Some(_), _, _) => Err("the app stops"),
            (_, true, _) => Err("a reload is going on"),
            (_, _, false) => Err("the app is starting"),
            _ => Ok(()),
        }
    }

    /// What has become of the last reload, once.
    pub(crate) fn take_reloaded(&mut self) -> Option<Reloaded> {
        self.reloaded.take()
    }

    /// Whether a new program is on its way.
    #[cfg(test)]
    pub(crate) fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    pub(super) fn is_on_trial(&self, pid: u32) -> bool {
        let is_new = |reload: &Reload| reload.scout == pid || reload.places.iter().any(|place| place.pid == Some(pid));
        self.reload.as_ref().is_some_and(is_new)
    }

    pub(super) fn hello_of_new(&mut self, pid: u32, plan: &Plan, now: u64, hands: &mut impl Hands) {
        let told = self.reload.as_ref().and_then(|reload| reload.told.as_ref());
        match told {
            None => {
                if let Err(reason) = self.begin_with(plan, now, hands) {
                    return self.refuse(reason, hands);
                }
            }
            Some((told, _)) if told != plan => {
                return self.refuse("processes of the new program describe different workers".to_owned(), hands);
            }
            Some(_) => {}
        }
        let Some(Reload { told: Some((plan, groups)), places, .. }) = &self.reload else { return };
        let place = places.iter().find(|place| place.pid == Some(pid));
        let group = place.and_then(|place| groups.get(place.group));
        if let Some(((place, group), process)) = place.zip(group).zip(self.processes.get(&pid)) {
            hands.assign(pid, plan, &Assigned { group, id: place.id, number: process.number });
        }
    }

    /// The scout has told: starts the others.
    fn begin_with(&mut self, plan: &Plan, now: u64, hands: &mut impl Hands) -> Result<(), String> {
        if plan.listeners() != self.plan.listeners() {
            return Err(format!(
                "the new program listens elsewhere ({}), which takes a restart",
                plan.listeners().iter().map(|(_, address)| *address).collect::<Vec<_>>().join(", ")
            ));
        }
        hands.prepare(plan)?;
        let Some(reload) = &self.reload else { return Ok(()) };
        let scout = reload.scout;
        let groups = plan.groups();
        let is_new = |place: &Place| groups.get(place.group).is_some_and(|group| group.reloadable);
        let mut new: Vec<Place> = places(&groups).into_iter().filter(is_new).collect();
        for (index, place) in new.iter_mut().enumerate() {
            let Some(group) = groups.get(place.group) else { continue };
            let (name, workers) = (plan.name_of(group), group.workers.clone());
            if index == 0 {
                if let Some(process) = self.processes.get_mut(&scout) {
                    (process.name, process.workers) = (name, workers);
                }
                place.pid = Some(scout);
            } else {
                let pid = hands.spawn(Image::Disk, &name);
                let pid = pid.map_err(|error| format!("the new program cannot be started: {error}"));
                place.pid = pid.as_ref().ok().copied();
                match pid {
                    Ok(pid) => self.add(pid, name, workers, now),
                    Err(reason) => {
                        self.note(new, None);
                        return Err(reason);
                    }
                }
            }
        }
        if new.is_empty() {
            return Err("the new program has no worker that may be reloaded".to_owned());
        }
        self.note(new, Some((plan.clone(), groups)));
        Ok(())
    }

    fn note(&mut self, places: Vec<Place>, told: Option<(Plan, Vec<Group>)>) {
        if let Some(reload) = &mut self.reload {
            (reload.places, reload.told) = (places, told);
        }
    }

    /// One of the new program is ready: if all are, they take over.
    pub(super) fn ready_of_new(&mut self, now: u64, hands: &mut impl Hands) {
        let is_ready = |place: &Place| self.state_at(place) == Some(State::Ready);
        let all_ready = self.reload.as_ref().is_some_and(|it| it.told.is_some() && it.places.iter().all(is_ready));
        let taken = if all_ready { self.reload.take() } else { None };
        let Some(Reload { told: Some((plan, groups)), places: new, .. }) = taken else { return };
        self.tell_who_stay(hands);
        let mut stay = self.who_stay();
        let filled = |mut place: Place| {
            let same = new.iter().find(|new| (new.group, new.id) == (place.group, place.id));
            place.pid = same.and_then(|new| new.pid);
            let identity = groups.get(place.group).map(|group| plan.identity_of(group));
            if same.is_none()
                && let Some(index) =
                    stay.iter().position(|(old, id, _)| (Some(old), id) == (identity.as_ref(), &place.id))
            {
                place.pid = stay.remove(index).2;
            }
            if place.pid.is_none() {
                place.restart_at = Some(now);
            }
            place
        };
        let filled: Vec<Place> = places(&groups).into_iter().map(filled).collect();
        let is_new = |pid: u32| new.iter().any(|place| place.pid == Some(pid));
        for (_, process) in self.processes.iter_mut().filter(|(pid, _)| !is_new(**pid)) {
            process.workers = process.workers.iter().filter_map(|worker| self.plan.index_in(&plan, *worker)).collect();
        }
        let exits = std::mem::take(&mut self.exits).into_iter();
        self.exits = exits.filter_map(|(worker, exits)| Some((self.plan.index_in(&plan, worker)?, exits))).collect();
        (self.plan, self.groups, self.places) = (plan, groups, filled);
        self.retire_others(now, hands);
        self.reloaded = Some(Ok(true));
        self.tick(now, hands);
    }

    /// Whoever has no place any more has to go, and has as much time as in a graceful stop.
    fn retire_others(&mut self, now: u64, hands: &mut impl Hands) {
        let kill_at = now.saturating_add(self.time(How::Gracefully)).saturating_add(GRACE);
        for (pid, process) in &mut self.processes {
            let has_place = self.places.iter().any(|place| place.pid == Some(*pid));
            if !has_place && process.state != State::Retiring {
                process.state = State::Retiring;
                process.kill_at = Some(kill_at);
                hands.retire(*pid, Why::Replaced);
            }
        }
    }

    /// The new program is not taken: its processes end.
    pub(super) fn refuse(&mut self, reason: String, hands: &mut impl Hands) {
        let Some(reload) = self.reload.take() else { return };
        for pid in reload.places.iter().filter_map(|place| place.pid).chain([reload.scout]) {
            if let Some(process) = self.processes.get_mut(&pid) {
                process.state = State::Retiring;
                hands.kill(pid);
            }
        }
        self.reloaded = Some(Err(reason));
    }

    /// Those that are not reloaded are told of it.
    fn tell_who_stay(&self, hands: &mut impl Hands) {
        for place in &self.places {
            if let Some(pid) = place.pid
                && self.groups.get(place.group).is_some_and(|group| !group.reloadable)
            {
                hands.tell_of_reload(pid);
            }
        }
    }

    /// The processes that no reload replaces, by what tells them from others.
    fn who_stay(&self) -> Vec<(GroupIdentity, usize, Option<u32>)> {
        let of = |place: &Place| {
            let group = self.groups.get(place.group).filter(|group| !group.reloadable)?;
            Some((self.plan.identity_of(group), place.id, place.pid))
        };
        self.places.iter().filter_map(of).collect()
    }
}
