//! Promise: a new program takes the place of the old one without a failed request or a lost stream, and one that is not
//! fit for it does no harm.

#![allow(dead_code)] // each test program uses its part of the modules
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

#[path = "outside/app.rs"]
mod app;
#[path = "outside/load.rs"]
mod load;
#[path = "outside/streams.rs"]
mod streams;

use std::fs;
use std::thread;
use std::time::Duration;

use app::{App, answer_in};
use load::{Load, Report};
use outside::{descriptors, eventually, now, raise_descriptors, signal};
use streams::{Streams, StreamsReport};

/// Clients that keep their connection, and new connections a second.
const FEW: (usize, u32) = (8, 50);
const MANY: (usize, u32) = (64, 200);

fn nothing_failed(report: &Report) {
    assert!(report.failures.is_empty(), "{} of {}: {:?}", report.failures.len(), report.requests, report.failures);
    assert!(report.requests > 0);
}

fn nothing_was_lost(report: &StreamsReport) {
    assert!(report.failures.is_empty(), "{}: {:?}", report.failures.len(), report.failures.iter().take(5));
    assert_eq!(report.jumps, 0, "each stream goes on where it was");
}

/// All who are answered now are answered by processes that say this.
fn all_say(app: &App, word: &str) {
    for _ in 0..20 {
        let (said, process) = app.answer();
        assert_eq!(said, word);
        assert!(app.workers().contains(&process));
    }
}

/// Waits until the processes that said this before are gone.
fn none_is_left_of(old: &[u32], app: &App) {
    eventually("the old processes are gone", || app.workers().iter().all(|worker| !old.contains(worker)));
}

#[test]
fn a_new_program_takes_over_with_its_next_reload_and_not_before() {
    let app = App::start();
    let (old, master) = (app.workers(), app.master.id());
    let load = Load::start(app.address, FEW.0, FEW.1);
    app.install("answer=second");
    // Who dies now is replaced by what runs, not by what is to come.
    signal(old[0], "KILL");
    eventually("the dead process is replaced", || app.workers().len() == 4 && !app.workers().contains(&old[0]));
    app.has_processes(4);
    all_say(&app, "first");
    let failed_by_death = load.stop().failures.len();
    assert!(failed_by_death <= FEW.0 + 2, "{failed_by_death}");

    let old = app.workers();
    let load = Load::start(app.address, FEW.0, FEW.1);
    eventually("requests are answered", || load.requests() > 100);
    app.reload();
    none_is_left_of(&old, &app);
    all_say(&app, "second");
    let report = load.stop();
    nothing_failed(&report);
    let words: Vec<String> = report.bodies.keys().map(|body| answer_in(body).0).collect();
    assert!(words.contains(&"first".to_owned()) && words.contains(&"second".to_owned()), "{words:?}");

    assert_eq!(app.program.pid(), Some(master), "the master is the same process");
    let disk = app.program.path().canonicalize().expect("it is there");
    assert_eq!(app.image_of(master), disk, "and runs the new program");
    let killed = app.workers()[0];
    signal(killed, "KILL");
    eventually("the dead process is replaced", || !app.workers().contains(&killed));
    app.has_processes(4);
    all_say(&app, "second");
}

#[test]
fn a_program_that_is_not_fit_to_take_over_is_refused_and_nobody_notices() {
    let app = App::start();
    let (workers, master) = (app.workers(), app.image_of(app.master.id()));
    let load = Load::start(app.address, FEW.0, FEW.1);
    for (words, reason) in [
        ("fail=exit", "ended before it was ready, status 768 (code 3)"),
        ("fail=panic", "ended before it was ready, status 25856 (code 101)"),
        ("fail=start", "ended before it was ready, status 1024 (code 4)"),
        ("answer=other beside=127.0.0.1:1", "the new program listens elsewhere"),
    ] {
        app.install(words);
        let refused = app.refused();
        assert!(refused.contains(reason), "{words}: {refused}");
    }
    fs::write(app.program.directory().join("text"), "no program\n").expect("a file can be written");
    app.program.replace_with(&app.program.directory().join("text"));
    assert!(app.refused().contains("the new program cannot be started: "), "a file that is no program");
    fs::remove_file(app.program.path()).expect("it can be removed");
    assert!(app.refused().contains("the new program cannot be started: No such file"), "no file");

    eventually("who was refused is gone", || app.workers() == workers);
    all_say(&app, "first");
    nothing_failed(&load.stop());
    let image = app.image_of(app.master.id());
    assert!(image.starts_with(app.program.directory()) && master.starts_with(app.program.directory()), "{image:?}");
    app.install("answer=second");
    app.reload();
    none_is_left_of(&workers, &app);
    all_say(&app, "second");
}

#[test]
fn a_program_that_says_nothing_is_refused_after_ten_seconds() {
    let app = App::start();
    let workers = app.workers();
    app.install("fail=hang");
    let start = now();
    let tool = &app.tool;
    let (code, _, said) = thread::scope(|scope| {
        let asked = scope.spawn(|| tool.run(&["reload"]));
        eventually("the new program is there", || app.workers().len() == 5);
        let (code, said) = app.command(&["reload"]);
        assert!(code == 1 && said.contains("the reload is refused: a reload is going on"), "{said}");
        asked.join().expect("it ends")
    });
    assert!(code == 1 && said.contains("the reload is refused: the new program did not come up in time"), "{said}");
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
    eventually("who was refused is gone", || app.workers() == workers);
    all_say(&app, "first");
}

#[test]
fn a_reload_takes_another_count() {
    let app = App::start();
    let load = Load::start(app.address, FEW.0, FEW.1);
    for count in [6, 1, 3, 2] {
        let old = app.workers();
        app.install(&format!("answer=second count={count}"));
        app.reload();
        none_is_left_of(&old, &app);
        app.has_processes(count);
        all_say(&app, "second");
    }
    nothing_failed(&load.stop());
}

#[test]
fn streams_of_several_generations_end_in_their_time_while_others_take_over() {
    let app = App::start_with("window=1000", |program| program);
    let streams = Streams::start(app.address, "/events", 100);
    eventually("all are open", || streams.open() == 100);
    for nth in 0..4 {
        app.install(&format!("answer={nth} window=1000"));
        app.reload();
    }
    assert!(app.workers().len() > 8, "several generations are there: {:?}", app.workers());
    app.has_processes(4);
    eventually("all are back", || streams.open() == 100);
    let report = streams.stop();
    nothing_was_lost(&report);
    assert!(report.absences.len() >= 100);
    all_say(&app, "3");
}

#[test]
fn signals_that_come_while_the_master_exchanges_its_program_are_not_lost_and_end_nobody() {
    let app = App::start_with("answer=first window=0", |program| program);
    let start = now();
    // Of another pace than the reloads are, so they come at any time of one.
    for pause in (0..8).cycle() {
        app.master.signal("USR1");
        thread::sleep(Duration::from_millis(pause));
        if start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    app.reload_when_possible();
    app.has_processes(4);
    app.master.signal("USR1");
    app.master.signal("TERM");
    let (status, errors) = app.master.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}

/// So many reloads under this load; what became of the requests and streams.
fn reloads(times: usize, clients: (usize, u32), readers: usize) -> (Report, StreamsReport) {
    let app = App::start_with("answer=first window=1000", |program| program);
    raise_descriptors(readers + 1000);
    let streams = Streams::start(app.address, "/events", readers);
    eventually("all are open", || streams.open() == readers);
    let load = Load::start(app.address, clients.0, clients.1);
    let before = descriptors(&app.master.id().to_string());
    let held = of_workers(&app);
    for _ in 0..times {
        app.reload();
    }
    app.has_processes(4);
    eventually("all are back", || streams.open() == readers);
    assert_eq!(descriptors(&app.master.id().to_string()), before, "the master has no more descriptors than before");
    let report = (load.stop(), streams.stop());
    eventually("connections are gone", || of_workers(&app) <= held);
    report
}

/// The most descriptors that a worker has beside its connections.
fn of_workers(app: &App) -> usize {
    let connections = |pid: u32| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        links.filter(|link| !fs::read_link(link.path()).is_ok_and(|to| to.starts_with("socket:"))).count()
    };
    app.workers().into_iter().map(connections).max().unwrap_or_default()
}

#[test]
fn twenty_reloads_in_a_row_under_load_fail_nobody_and_leave_no_descriptor_behind() {
    let start = now();
    let (requests, streams) = reloads(20, MANY, 1000);
    // For docs/performance.md.
    println!(
        "20 reloads in {:?}: {} requests, {} failed, longest {:?}; {} returns of 1,000 streams, {} failed, longest {:?}",
        start.elapsed(),
        requests.requests,
        requests.failures.len(),
        requests.longest_pause,
        streams.absences.len(),
        streams.failures.len(),
        streams.longest_absence()
    );
    nothing_failed(&requests);
    nothing_was_lost(&streams);
    assert!(streams.longest_absence() < Duration::from_secs(3), "{:?}", streams.longest_absence());
}
