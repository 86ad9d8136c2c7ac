use std::collections::VecDeque;

use super::*;
use crate::process::plan::PlannedWorker;

const SECOND: u64 = 1_000_000_000;
const LIMITS: Limits = Limits { graceful: 30 * SECOND, plain: 2 * SECOND };

/// What was done, in words; pids are given from 1 on.
#[derive(Debug, Default)]
struct Notes {
    done: VecDeque<String>,
    pids: u32,
    spawn_fails: bool,
    no_sockets: bool,
}

impl Hands for Notes {
    fn spawn(&mut self, image: Image, name: &str) -> io::Result<u32> {
        if self.spawn_fails {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.pids += 1;
        self.done.push_back(format!("spawn {image:?} {name} {}", self.pids));
        Ok(self.pids)
    }

    fn assign(&mut self, pid: u32, _: &Plan, Assigned { group, id, number }: &Assigned<'_>) {
        self.done.push_back(format!("assign {pid}: {:?} {id} number {number}", group.workers));
    }

    fn tell_of_reload(&mut self, pid: u32) {
        self.done.push_back(format!("reloaded {pid}"));
    }

    fn retire(&mut self, pid: u32, why: Why) {
        self.done.push_back(format!("retire {pid} {why:?}"));
    }

    fn kill(&mut self, pid: u32) {
        self.done.push_back(format!("kill {pid}"));
    }

    fn prepare(&mut self, _: &Plan) -> Result<(), String> {
        if self.no_sockets { Err("no sockets".to_owned()) } else { Ok(()) }
    }
}

impl Notes {
    #[track_caller]
    fn are(&mut self, expected: &[&str]) {
        assert_eq!(self.done.drain(..).collect::<Vec<_>>(), expected);
    }
}

fn worker(name: &str, count: usize) -> PlannedWorker {
    let (transport, address) = ("tcp".to_owned(), format!("http://{name}:80"));
    PlannedWorker { name: name.into(), address, transport, count, reloadable: true, ..PlannedWorker::default() }
}

fn plan(workers: &[PlannedWorker]) -> Plan {
    Plan { workers: workers.to_vec() }
}

/// An app whose processes, of the pids from 1 on, are all ready.
fn running(plan: &Plan) -> (Supervisor, Notes) {
    let mut notes = Notes::default();
    let mut supervisor = Supervisor::new(plan.clone(), LIMITS);
    supervisor.start(0, &mut notes);
    for pid in 1..=notes.pids {
        come_up(&mut supervisor, pid, plan, &mut notes);
    }
    assert!(supervisor.has_come_up());
    notes.done.clear();
    (supervisor, notes)
}

fn come_up(supervisor: &mut Supervisor, pid: u32, plan: &Plan, notes: &mut Notes) {
    supervisor.hello(pid, plan, 0, notes);
    supervisor.ready(pid, 0, notes);
}

#[test]
fn every_place_gets_a_process_and_each_process_its_number() {
    let plan = plan(&[worker("web", 2), worker("a", 1), worker("b", 1)]);
    let (mut supervisor, mut notes) = (Supervisor::new(plan.clone(), LIMITS), Notes::default());
    supervisor.start(0, &mut notes);
    notes.are(&["spawn Own web 1", "spawn Own web 2", "spawn Own a+b 3"]);
    for pid in [3, 1, 2] {
        come_up(&mut supervisor, pid, &plan, &mut notes);
    }
    notes.are(&["assign 3: [1, 2] 0 number 3", "assign 1: [0] 0 number 1", "assign 2: [0] 1 number 2"]);
    assert!(supervisor.has_come_up() && supervisor.next_due().is_none());
}

#[test]
fn who_dies_is_replaced_at_once_and_from_the_third_time_on_later() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    let gone = supervisor.exited(1, 9, SECOND, &mut notes).expect("it was ours");
    assert_eq!((gone.name.as_str(), gone.uptime, gone.expected), ("web", SECOND, false));
    notes.are(&["spawn Own web 2"]);
    supervisor.exited(2, 9, SECOND, &mut notes);
    notes.are(&["spawn Own web 3"]);
    supervisor.exited(3, 11, SECOND, &mut notes);
    notes.are(&[]);
    assert_eq!(supervisor.next_due(), Some(SECOND + SECOND / 2));
    supervisor.tick(SECOND + SECOND / 2, &mut notes);
    notes.are(&["spawn Own web 4"]);
    assert_eq!(supervisor.exits(0), [Exit { status: 9, count: 2 }, Exit { status: 11, count: 1 }]);
    assert_eq!(supervisor.exited(77, 0, 0, &mut notes), None);
}

#[test]
fn an_orderly_end_is_no_death_however_often() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    for pid in 1..20 {
        supervisor.exited(pid, 0, SECOND, &mut notes);
        notes.are(&[&format!("spawn Own web {}", pid + 1)]);
        come_up(&mut supervisor, pid + 1, &plan, &mut notes);
        notes.done.clear();
    }
}

#[test]
fn numbers_rest_before_they_are_given_again() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    let mut numbers = Vec::new();
    for pid in 1..600 {
        supervisor.exited(pid, 0, SECOND, &mut notes);
        notes.done.clear();
        supervisor.hello(pid + 1, &plan, SECOND, &mut notes);
        numbers
            .push(notes.done.pop_front().and_then(|note| note.rsplit(' ').next()?.parse::<usize>().ok()).expect("one"));
        supervisor.ready(pid + 1, SECOND, &mut notes);
    }
    assert!(numbers.iter().zip(2..).all(|(number, count)| *number == (count - 1) % 255 + 1), "{numbers:?}");
}

#[test]
fn an_app_that_does_not_come_up_ends_with_the_reason() {
    let plan = plan(&[worker("web", 2)]);
    let (mut supervisor, mut notes) = (Supervisor::new(plan.clone(), LIMITS), Notes::default());
    supervisor.start(0, &mut notes);
    supervisor.failed(1, "the database is away".to_owned(), &mut notes);
    supervisor.exited(1, 256, 1, &mut notes);
    assert_eq!(supervisor.failure(), Some("the database is away"));
    notes.are(&["spawn Own web 1", "spawn Own web 2", "retire 2 Stop(AtOnce)"]);
    supervisor.exited(2, 0, 2, &mut notes);
    assert!(supervisor.is_done());
    notes.are(&[]);

    let (mut supervisor, mut notes) = (Supervisor::new(plan, LIMITS), Notes { spawn_fails: true, ..Notes::default() });
    supervisor.start(0, &mut notes);
    assert!(supervisor.is_done() && supervisor.failure().is_some());
}

#[test]
fn once_it_has_come_up_whatever_fails_is_tried_again() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    notes.spawn_fails = true;
    supervisor.exited(1, 9, SECOND, &mut notes);
    assert!(!supervisor.is_stopping());
    notes.spawn_fails = false;
    supervisor.tick(supervisor.next_due().expect("another try"), &mut notes);
    notes.are(&["spawn Own web 2"]);
    supervisor.failed(2, "the database is away".to_owned(), &mut notes);
    supervisor.exited(2, 256, SECOND, &mut notes);
    assert!(!supervisor.is_stopping() && supervisor.next_due().is_some());
}

#[test]
fn a_worker_with_another_main_is_not_let_in() {
    let (mut supervisor, mut notes) = running(&plan(&[worker("web", 1)]));
    supervisor.exited(1, 9, SECOND, &mut notes);
    supervisor.hello(2, &plan(&[worker("web", 2)]), SECOND, &mut notes);
    notes.are(&["spawn Own web 2", "kill 2"]);
}

#[test]
fn a_stop_kills_who_outlives_his_time_and_starts_nobody() {
    let (mut supervisor, mut notes) = running(&plan(&[worker("web", 2)]));
    supervisor.stop(How::Gracefully, 0, &mut notes);
    notes.are(&["retire 1 Stop(Gracefully)", "retire 2 Stop(Gracefully)"]);
    assert_eq!(supervisor.next_due(), Some(31 * SECOND));
    supervisor.stop(How::Gracefully, SECOND, &mut notes);
    notes.are(&[]);
    supervisor.stop(How::Plainly, SECOND, &mut notes);
    notes.are(&["retire 1 Stop(Plainly)", "retire 2 Stop(Plainly)"]);
    assert!(supervisor.exited(1, 0, 2 * SECOND, &mut notes).expect("ours").expected);
    supervisor.tick(4 * SECOND, &mut notes);
    notes.are(&["kill 2"]);
    assert!(!supervisor.is_done());
    supervisor.exited(2, 9, 4 * SECOND, &mut notes);
    assert!(supervisor.is_done() && supervisor.next_due().is_none());
    notes.are(&[]);
}

#[test]
fn a_stop_is_never_lengthened() {
    let (mut supervisor, mut notes) = running(&plan(&[worker("web", 1)]));
    supervisor.stop(How::AtOnce, 0, &mut notes);
    supervisor.stop(How::Gracefully, 0, &mut notes);
    notes.are(&["retire 1 Stop(AtOnce)"]);
    assert_eq!(supervisor.next_due(), Some(SECOND));
}

#[test]
fn a_reload_retires_nobody_before_all_new_ones_are_ready() {
    let plan = plan(&[worker("web", 2), worker("a", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    supervisor.reload(0, &mut notes);
    notes.are(&["spawn Disk web 4"]);
    supervisor.hello(4, &plan, 0, &mut notes);
    notes.are(&["spawn Disk web 5", "spawn Disk a 6", "assign 4: [0] 0 number 4"]);
    supervisor.hello(5, &plan, 0, &mut notes);
    supervisor.hello(6, &plan, 0, &mut notes);
    notes.are(&["assign 5: [0] 1 number 5", "assign 6: [1] 0 number 6"]);
    supervisor.ready(4, 0, &mut notes);
    supervisor.ready(6, 0, &mut notes);
    assert!(supervisor.is_reloading() && supervisor.take_reloaded().is_none());
    notes.are(&[]);
    supervisor.ready(5, 0, &mut notes);
    notes.are(&["retire 1 Replaced", "retire 2 Replaced", "retire 3 Replaced"]);
    assert_eq!(supervisor.take_reloaded(), Some(Ok(true)));
    assert_eq!((supervisor.is_reloading(), supervisor.take_reloaded()), (false, None));
    // The old ones go in their own time, and several generations at once; nobody takes their place.
    supervisor.exited(2, 0, SECOND, &mut notes);
    supervisor.reload(0, &mut notes);
    supervisor.exited(1, 0, SECOND, &mut notes);
    notes.are(&["spawn Disk web 7"]);
    assert_eq!(supervisor.next_due(), Some(10 * SECOND));
    supervisor.tick(31 * SECOND, &mut notes);
    notes.are(&["kill 3", "kill 7"]);
    // Whoever dies is replaced by the program that the master then is.
    supervisor.exited(5, 9, 32 * SECOND, &mut notes);
    notes.are(&["spawn Own web 8"]);
}

#[test]
fn a_program_that_does_not_come_up_is_refused_and_the_old_one_serves() {
    let plan = plan(&[worker("web", 2)]);
    let refused = |supervisor: &mut Supervisor, reason: &str| {
        assert_eq!(supervisor.take_reloaded(), Some(Err(reason.to_owned())));
        assert!(!supervisor.is_reloading() && !supervisor.is_stopping());
        assert_eq!(supervisor.next_due(), None);
    };
    let begin = || {
        let (mut supervisor, mut notes) = running(&plan);
        supervisor.reload(0, &mut notes);
        (supervisor, notes)
    };

    let (mut supervisor, mut notes) = begin();
    supervisor.exited(3, 101 << 8, 1, &mut notes);
    refused(&mut supervisor, "a worker of the new program ended before it was ready, status 25856 (code 101)");
    notes.are(&["spawn Disk web 3"]);

    let (mut supervisor, mut notes) = begin();
    supervisor.hello(3, &plan, 0, &mut notes);
    supervisor.failed(4, "the database is away".to_owned(), &mut notes);
    refused(&mut supervisor, "the database is away");
    notes.are(&["spawn Disk web 3", "spawn Disk web 4", "assign 3: [0] 0 number 3", "kill 3", "kill 4", "kill 3"]);
    supervisor.exited(4, 256, 0, &mut notes);
    supervisor.exited(3, 9, 0, &mut notes);
    notes.are(&[]);

    let (mut supervisor, mut notes) = begin();
    supervisor.tick(10 * SECOND, &mut notes);
    refused(&mut supervisor, "the new program did not come up in time");
    notes.are(&["spawn Disk web 3", "kill 3"]);

    let (mut supervisor, mut notes) = begin();
    supervisor.hello(3, &Plan { workers: vec![worker("other", 2)] }, 0, &mut notes);
    refused(&mut supervisor, "the new program listens elsewhere (http://other:80), which takes a restart");

    let (mut supervisor, mut notes) = begin();
    notes.no_sockets = true;
    supervisor.hello(3, &plan, 0, &mut notes);
    refused(&mut supervisor, "no sockets");

    let (mut supervisor, mut notes) = begin();
    notes.spawn_fails = true;
    supervisor.hello(3, &plan, 0, &mut notes);
    refused(&mut supervisor, "the new program cannot be started: out of memory");
}

#[test]
fn a_reload_that_has_no_place_is_refused() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    supervisor.reload(0, &mut notes);
    assert_eq!(supervisor.may_reload(), Err("a reload is going on"));
    supervisor.reload(0, &mut notes);
    assert_eq!(supervisor.take_reloaded(), None, "the first one goes on");
    assert!(supervisor.is_reloading());
    supervisor.stop(How::Plainly, 0, &mut notes);
    assert_eq!(supervisor.take_reloaded(), Some(Err("the app stops".to_owned())));
    assert_eq!(supervisor.may_reload(), Err("the app stops"));
    supervisor.reload(0, &mut notes);
    assert!(!supervisor.is_reloading());
}

#[test]
fn a_reload_that_is_done_and_not_yet_told_of_is_not_overtaken_by_another() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&plan);
    supervisor.reload(0, &mut notes);
    come_up(&mut supervisor, 2, &plan, &mut notes);
    supervisor.reload(0, &mut notes);
    assert!(!supervisor.is_reloading(), "its process would be nobody's in the program that takes over");
    assert_eq!((supervisor.take_reloaded(), supervisor.may_reload()), (Some(Ok(true)), Ok(())));
}

#[test]
fn who_is_not_reloadable_is_told_and_stays() {
    let stays = PlannedWorker { reloadable: false, ..worker("state", 1) };
    let old = plan(&[stays.clone(), worker("web", 1)]);
    let (mut supervisor, mut notes) = running(&old);
    supervisor.reload(0, &mut notes);
    let new = plan(&[worker("web", 2), stays.clone()]);
    supervisor.hello(3, &new, 0, &mut notes);
    come_up(&mut supervisor, 4, &new, &mut notes);
    supervisor.ready(3, 0, &mut notes);
    notes.are(&[
        "spawn Disk web 3",
        "spawn Disk web 4",
        "assign 3: [0] 0 number 3",
        "assign 4: [0] 1 number 4",
        "reloaded 1",
        "retire 2 Replaced",
    ]);
    supervisor.exited(1, 9, SECOND, &mut notes);
    notes.are(&["spawn Own state 5"]);

    let (mut supervisor, mut notes) = running(&plan(&[stays]));
    supervisor.reload(0, &mut notes);
    assert_eq!(supervisor.take_reloaded(), Some(Ok(false)));
    notes.are(&["reloaded 1"]);
}

#[test]
fn a_count_that_changes_fills_and_empties_places() {
    let (mut supervisor, mut notes) = running(&plan(&[worker("web", 3)]));
    let new = plan(&[worker("web", 1)]);
    supervisor.reload(0, &mut notes);
    come_up(&mut supervisor, 4, &new, &mut notes);
    notes.are(&[
        "spawn Disk web 4",
        "assign 4: [0] 0 number 4",
        "retire 1 Replaced",
        "retire 2 Replaced",
        "retire 3 Replaced",
    ]);
    assert_eq!(*supervisor.plan(), new);
}

#[test]
fn an_end_is_told_as_php_does_and_so_that_one_understands_it() {
    for (status, text) in [
        (0, "status 0 (code 0)"),
        (3 << 8, "status 768 (code 3)"),
        (250 << 8, "status 64000 (code 250)"),
        (9, "status 9 (SIGKILL)"),
        (11 | 0x80, "status 139 (SIGSEGV)"),
    ] {
        assert_eq!(status_text(status), text);
    }
}

#[test]
fn who_says_hello_when_all_stop_gets_no_order() {
    let plan = plan(&[worker("web", 1)]);
    let (mut supervisor, mut notes) = (Supervisor::new(plan.clone(), LIMITS), Notes::default());
    supervisor.start(0, &mut notes);
    supervisor.stop(How::Gracefully, 0, &mut notes);
    supervisor.hello(1, &plan, 0, &mut notes);
    notes.are(&["spawn Own web 1", "retire 1 Stop(Gracefully)"]);
}

#[test]
fn workers_that_have_changed_their_places_keep_what_is_known_of_them() {
    let (stays, web) = (PlannedWorker { reloadable: false, ..worker("state", 2) }, worker("web", 2));
    let (old, new) = (plan(&[stays.clone(), web.clone()]), plan(&[web, stays]));
    let (mut supervisor, mut notes) = running(&old);
    supervisor.exited(1, 9, 0, &mut notes);
    come_up(&mut supervisor, 5, &old, &mut notes);
    supervisor.reload(0, &mut notes);
    [6, 7].into_iter().for_each(|pid| come_up(&mut supervisor, pid, &new, &mut notes));
    assert_eq!(supervisor.take_reloaded(), Some(Ok(true)));
    let workers: Vec<_> = supervisor.processes().map(|(pid, _, workers)| (pid, workers.to_vec())).collect();
    // 3 and 4 are on their way out.
    assert_eq!(workers, [(2, vec![1]), (3, vec![0]), (4, vec![0]), (5, vec![1]), (6, vec![0]), (7, vec![0])]);
    assert_eq!((supervisor.exits(0), supervisor.exits(1)), (&[][..], &[Exit { status: 9, count: 1 }][..]));
}
