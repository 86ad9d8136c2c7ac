//! Which processes an app wants: each worker with a count above 1 in so many of its own, and all others together in one.
//!
//! Those that share a process can reach each other, as they do without a master. Whoever runs as another user, or is
//! not reloaded, does not share with those who do.

use super::wire::wire_struct;
use crate::worker::Which;

/// A worker as its `main` has described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlannedWorker {
    pub(crate) name: String,
    /// As given to `new`, `""` for none.
    pub(crate) address: String,
    /// `tcp`, `unix`, `ssl` or `udp`.
    pub(crate) transport: String,
    pub(crate) count: usize,
    pub(crate) reloadable: bool,
    pub(crate) user: String,
    pub(crate) group: String,
    /// It has neither an address nor an `on_worker_start`: it is there for connections of others.
    pub(crate) only_helps: bool,
}

wire_struct!(PlannedWorker { name, address, transport, count, reloadable, user, group, only_helps });

/// The workers of an app, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: Vec<PlannedWorker>,
}

wire_struct!(Plan { workers });

/// What tells a listener from others, whichever program of the app listens.
pub(crate) type ListenPlace = (String, String, usize);

/// The names and addresses of the workers of a group.
pub(crate) type GroupIdentity = Vec<(String, String)>;

/// Workers that run in the same processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Their places in the plan.
    pub(crate) workers: Vec<usize>,
    /// How many processes there are.
    pub(crate) count: usize,
    pub(crate) reloadable: bool,
}

/// What the app of this process has made so far.
pub(crate) fn of_app() -> Plan {
    let describe = |which: Which| {
        let (name, transport) = which.name_and_transport();
        let (address, count) = (which.address(), which.count());
        let of_part = which.part(|part| (!part.stays, part.user.to_string(), part.group.to_string()));
        let (reloadable, user, group) = of_part.unwrap_or_default();
        let only_helps = address.is_empty() && !which.on_start().is_some_and(|on_start| on_start.is_set());
        PlannedWorker { name, address, transport: transport.to_owned(), count, reloadable, user, group, only_helps }
    };
    Plan { workers: Which::all().into_iter().map(describe).collect() }
}

impl Plan {
    /// The processes that are wanted, each kind of them once.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        // Where nobody has anything to do, one process is there for it.
        let all_help = self.workers.iter().all(|worker| worker.only_helps);
        for (index, worker) in self.workers.iter().enumerate() {
            if worker.only_helps && !all_help {
                continue;
            }
            let shares = |group: &&mut Group| {
                let first = group.workers.first().and_then(|first| self.workers.get(*first));
                group.count == 1 && first.is_some_and(|first| first.may_share(worker))
            };
            match groups.iter_mut().find(shares).filter(|_| worker.count == 1) {
                Some(group) => group.workers.push(index),
                None => {
                    let (count, reloadable) = (worker.count.max(1), worker.reloadable);
                    groups.push(Group { workers: vec![index], count, reloadable });
                }
            }
        }
        groups
    }

    /// Whether one process in the foreground does for all of them.
    pub(crate) fn needs_one_process(&self) -> bool {
        let mut accounts = self.workers.iter().map(|worker| (&worker.user, &worker.group));
        let first = accounts.next();
        accounts.all(|account| Some(account) == first) && self.workers.iter().all(|worker| worker.count <= 1)
    }

    /// What is listened on, in an order of its own: what two programs must agree in to take over from each other.
    pub(crate) fn listeners(&self) -> Vec<(&str, &str)> {
        let with_address = self.workers.iter().filter(|worker| !worker.address.is_empty());
        let mut listeners: Vec<_> = with_address.map(|worker| (&*worker.transport, &*worker.address)).collect();
        listeners.sort_unstable();
        listeners
    }

    /// What a worker listens on, and how many before it listen there: of port 0 there may be several.
    pub(crate) fn place_of(&self, index: usize) -> Option<ListenPlace> {
        let worker = self.workers.get(index).filter(|worker| !worker.address.is_empty())?;
        let is_same =
            |other: &&PlannedWorker| (&other.transport, &other.address) == (&worker.transport, &worker.address);
        let before = self.workers.iter().take(index).filter(is_same).count();
        Some((worker.transport.clone(), worker.address.clone(), before))
    }

    /// Where a worker of this plan stands in another one: what has its name, its address, and as many like it before it.
    pub(crate) fn index_in(&self, other: &Self, index: usize) -> Option<usize> {
        let worker = self.workers.get(index)?;
        let is_same = |found: &PlannedWorker| (&found.name, &found.address) == (&worker.name, &worker.address);
        let before = self.workers.iter().take(index).filter(|found| is_same(found)).count();
        other.workers.iter().enumerate().filter(|(_, found)| is_same(found)).nth(before).map(|(index, _)| index)
    }

    /// How processes of this group are called in logs.
    pub(crate) fn name_of(&self, group: &Group) -> String {
        let names: Vec<&str> = self.of(group).map(|worker| &*worker.name).collect();
        names.join("+")
    }

    /// What tells a group from others over a reload, which may have changed its place.
    pub(crate) fn identity_of(&self, group: &Group) -> GroupIdentity {
        self.of(group).map(|worker| (worker.name.clone(), worker.address.clone())).collect()
    }

    fn of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a PlannedWorker> {
        group.workers.iter().filter_map(|worker| self.workers.get(*worker))
    }
}

impl PlannedWorker {
    /// PHP's `none` where there is no address.
    pub(crate) fn shown_address(&self) -> String {
        if self.address.is_empty() { "none".to_owned() } else { self.address.clone() }
    }

    fn may_share(&self, other: &Self) -> bool {
        let key = |worker: &Self| (worker.reloadable, worker.user.clone(), worker.group.clone());
        key(self) == key(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, count: usize) -> PlannedWorker {
        let address = format!("http://127.0.0.1:{}", name.len());
        PlannedWorker {
            name: name.into(),
            address,
            transport: "tcp".into(),
            count,
            reloadable: true,
            ..Default::default()
        }
    }

    fn groups(workers: &[PlannedWorker]) -> Vec<(Vec<usize>, usize)> {
        let plan = Plan { workers: workers.to_vec() };
        plan.groups().into_iter().map(|group| (group.workers, group.count)).collect()
    }

    #[test]
    fn workers_of_which_there_is_one_share_a_process() {
        let workers = [worker("a", 1), worker("web", 4), worker("b", 1), worker("chat", 2)];
        assert_eq!(groups(&workers), [(vec![0, 2], 1), (vec![1], 4), (vec![3], 2)]);
        assert_eq!(groups(&[]), []);
    }

    #[test]
    fn who_is_not_alike_shares_nothing() {
        let other = PlannedWorker { user: "www-data".into(), ..worker("b", 1) };
        let stays = PlannedWorker { reloadable: false, ..worker("c", 1) };
        assert_eq!(groups(&[worker("a", 1), other, stays]), [(vec![0], 1), (vec![1], 1), (vec![2], 1)]);
    }

    #[test]
    fn a_worker_that_other_workers_hand_connections_to_needs_no_process() {
        let helper = PlannedWorker { address: String::new(), only_helps: true, ..worker("chat", 1) };
        assert_eq!(groups(&[helper.clone(), worker("web", 2)]), [(vec![1], 2)]);
        assert_eq!(groups(&[helper]), [(vec![0], 1)]);
    }

    #[test]
    fn one_process_does_where_nothing_asks_for_more() {
        let needs_one = |workers: &[PlannedWorker]| Plan { workers: workers.to_vec() }.needs_one_process();
        assert!(needs_one(&[]) && needs_one(&[worker("a", 1), worker("b", 1)]));
        assert!(needs_one(&[worker("a", 1), PlannedWorker { reloadable: false, ..worker("b", 1) }]));
        assert!(!needs_one(&[worker("a", 2)]) && !needs_one(&[worker("a", 1), worker("b", 2)]));
        assert!(!needs_one(&[worker("a", 1), PlannedWorker { user: "www-data".into(), ..worker("b", 1) }]));
    }

    #[test]
    fn listeners_have_no_order_and_no_name() {
        let one = Plan { workers: vec![worker("a", 1), worker("web", 4)] };
        let other = Plan { workers: vec![worker("dew", 2), worker("b", 1)] };
        assert_eq!(one.listeners(), other.listeners());
        assert_ne!(one.listeners(), Plan { workers: vec![worker("a", 1)] }.listeners());
    }
}
