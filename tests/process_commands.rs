//! Promise: every command does what PHP's does, once and again, in order and out of order, and says by its exit code
//! whether it was good.
//!
//! The app is `tests/outside/operated.rs`, as a process of its own and with a master.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outside::{Process, Program, ask, connect, eventually, finish, is_alive, signal};
use serde_json::Value;

/// A single process, and one with a master.
const COUNTS: [usize; 2] = [1, 2];
/// Those that need an app which runs.
const NEEDY: [&[&str]; 6] = [&["stop"], &["stop", "-g"], &["reload"], &["reload", "-g"], &["status"], &["connections"]];

fn app(count: usize) -> Program {
    Program::new("operated").with("COUNT", count.to_string())
}

/// Runs it in the foreground until all of its processes serve; answers where.
fn serve(program: &Program, count: usize) -> (Process, SocketAddr) {
    let process = Process::start(&mut program.command(&["start"]));
    let address = until_serving(&process, count);
    // Who tells of itself has said before that it is ready.
    good(program, &["status"]);
    (process, address)
}

fn until_serving(process: &Process, count: usize) -> SocketAddr {
    let lines: Vec<String> = (0..count).map(|_| process.line_after("start web")).collect();
    outside::address_in(&lines[0])
}

/// A command that is good and says only this, below its own name.
fn good(program: &Program, words: &[&str]) -> String {
    let (code, output, errors) = program.run(words);
    assert_eq!((code, errors.as_str()), (0, ""), "{words:?}: {output}");
    let title = format!("Workerman[operated] {}\n", words[0]);
    output.strip_prefix(&title).unwrap_or_else(|| panic!("{words:?}: no {title:?}: {output}")).to_owned()
}

/// A command that fails; answers what it says below its own name.
fn bad(program: &Program, words: &[&str]) -> String {
    let (code, output, errors) = program.run(words);
    assert_eq!(code, 1, "{words:?}: {output}{errors}");
    let rest = output.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{rest}{errors}")
}

fn stop(program: &Program) {
    let said = good(program, &["stop"]);
    assert_eq!(said, "Workerman[operated] is stopping ...\nWorkerman[operated] stop success\n");
}

fn control_socket(program: &Program) -> PathBuf {
    program.pid_file().with_extension("sock")
}

/// What its directory holds beside itself.
fn files_beside(program: &Program) -> Vec<PathBuf> {
    let directory = program.path().parent().expect("it lies in a directory");
    let files = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.path());
    files.filter(|path| path != program.path()).collect()
}

#[test]
fn every_command_does_its_part_and_does_it_again() {
    for count in COUNTS {
        let program = app(count);
        let (server, address) = serve(&program, count);
        let mut client = connect(address);
        ask(&mut client, "/", "\n");
        for _ in 0..2 {
            let status = good(&program, &["status"]);
            assert!(status.starts_with("Start worker in DEBUG mode.\n-"), "{status}");
            let rows = status.lines().filter(|line| line.contains(" web ") && line.ends_with("[idle]"));
            assert_eq!(rows.count(), count, "{status}");
            let connections = good(&program, &["connections"]);
            let client = client.local_addr().expect("it has an address").to_string();
            let rows: Vec<&str> = connections.lines().filter(|line| line.contains(&client)).collect();
            assert!(rows.len() == 1 && rows[0].contains("ESTABLISHED"), "{connections}");
        }
        for words in [&["reload"][..], &["reload", "-g"]] {
            if count == 1 {
                let said = bad(&program, words);
                assert!(said.contains("a process without a master cannot be replaced"), "{said}");
            } else {
                assert_eq!(good(&program, words), "Workerman[operated] reload success\n");
            }
        }
        ask(&mut connect(address), "/", "\n");
        stop(&program);
        assert_eq!(server.wait().0.code(), Some(0));
        assert!(program.processes().is_empty());
        assert_eq!(bad(&program, &["stop"]), "Workerman[operated] not run\n");
    }
}

#[test]
fn status_for_programs_is_json_and_nothing_else() {
    for count in COUNTS {
        let program = app(count).with("OTHERS", "2");
        let (_server, address) = serve(&program, count);
        ask(&mut connect(address), "/", "\n");
        for _ in 0..2 {
            let (code, output, errors) = program.run(&["status", "--json"]);
            assert_eq!((code, errors.as_str()), (0, ""));
            let status: Value = serde_json::from_str(&output).expect("it is JSON");
            assert_eq!((&status["daemon"], output.lines().count()), (&Value::Bool(false), 1));
            let names: Vec<&Value> =
                status["workers"].as_array().expect("workers").iter().map(|w| &w["name"]).collect();
            assert_eq!(names, ["web", "other0", "other1"]);
            let rows = status["processes"].as_array().expect("processes");
            assert_eq!(rows.len(), count + 2, "{output}");
            let requests: Vec<u64> = rows.iter().filter_map(|row| row["counts"]["total_request"].as_u64()).collect();
            assert_eq!(requests.iter().max(), Some(&1), "{output}");
        }
    }
}

#[test]
fn a_live_status_is_shown_again_each_second_and_counts() {
    for count in COUNTS {
        let program = app(count);
        let (server, address) = serve(&program, count);
        let mut live =
            program.command(&["status", "-d"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(live.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let mut screen = || -> Vec<String> {
            let lines = lines.by_ref().take_while(|line| line != "Press Ctrl+C to quit.");
            lines.filter(|line| line.ends_with("[idle]") && line.contains(" web ")).collect()
        };
        let qps = |rows: &[String]| -> u64 {
            let column = |row: &String| row.split_whitespace().rev().nth(1).and_then(|word| word.parse::<u64>().ok());
            rows.iter().map(|row| column(row).unwrap_or_else(|| panic!("no qps: {row:?}"))).sum()
        };
        assert_eq!(qps(&screen()), 0);
        let mut client = connect(address);
        for _ in 0..100 {
            ask(&mut client, "/", "\n");
        }
        let second = screen();
        assert_eq!(second.len(), count);
        assert!((34..=100).contains(&qps(&second)), "{second:?}");
        drop(server);
        eventually("it ends with the app", || live.try_wait().expect("it can be waited for").is_some());
        assert_eq!(live.wait().expect("it has ended").code(), Some(1));
    }
}

#[test]
fn a_live_status_goes_on_after_a_reload() {
    let program = app(2);
    let (_server, _) = serve(&program, 2);
    let mut live =
        program.command(&["status", "-d"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let lines = BufReader::new(live.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut screens = lines.filter(|line| line == "Press Ctrl+C to quit.");
    assert!(screens.next().is_some());
    good(&program, &["reload"]);
    assert!(screens.next().is_some(), "the master is the new program by now");
    live.kill().expect("it can be killed");
    live.wait().expect("it ends");
}

#[test]
fn two_who_ask_at_the_same_time_see_each_process_once() {
    let program = app(2);
    let (_server, address) = serve(&program, 2);
    let mut busy = connect(address);
    write!(busy, "GET /block HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    let ask = |_| {
        let mut command = program.command(&["status", "--json"]);
        std::thread::spawn(move || finish(&mut command))
    };
    for asking in [(), (), ()].map(ask) {
        let (code, output, errors) = asking.join().expect("it ends");
        assert_eq!((code, errors.as_str()), (0, ""));
        let status: Value = serde_json::from_str(&output).expect("it is JSON");
        assert_eq!(status["processes"].as_array().map(Vec::len), Some(2), "{output}");
    }
}

#[test]
fn without_an_app_every_command_says_so() {
    let program = app(1);
    for words in NEEDY.into_iter().chain([&["status", "-d"][..]]) {
        assert_eq!(bad(&program, words), "Workerman[operated] not run\n", "{words:?}");
    }
    let (code, output, errors) = program.run(&["status", "--json"]);
    assert_eq!((code, output.as_str(), errors.as_str()), (1, "", "Workerman[operated] not run\n"));
    assert!(files_beside(&program).is_empty());
}

#[test]
fn what_is_not_known_is_answered_by_the_usage_and_starts_nothing() {
    let program = app(2);
    for words in [&["frobnicate"][..], &["stop", "now"], &["START"], &["start", "-x"], &["--daemon"], &["status=1"]] {
        let (code, output, errors) = program.run(words);
        assert_eq!((code, errors.as_str()), (2, ""), "{words:?}: {output}");
        assert!(output.lines().nth(1).is_some_and(|line| line.starts_with("Usage: ")), "{words:?}: {output}");
    }
    for words in [&["--help"][..], &["-h"], &["stop", "--help"]] {
        let (code, output, errors) = program.run(words);
        assert_eq!((code, errors.as_str()), (0, ""), "{words:?}: {output}");
        assert!(output.starts_with("Usage: "), "{words:?}: {output}");
    }
    assert!(files_beside(&program).is_empty());
}

#[test]
fn without_a_word_the_app_starts_as_with_start() {
    for count in COUNTS {
        let program = app(count);
        let server = Process::start(&mut program.command(&[]));
        until_serving(&server, count);
        assert_eq!(program.pid(), Some(server.id()));
        stop(&program);
    }
}

#[test]
fn a_second_start_says_who_runs_and_changes_nothing() {
    for count in COUNTS {
        let program = app(count);
        let (server, address) = serve(&program, count);
        let before = program.processes();
        for words in [&["start"][..], &["start"], &["start", "-d"], &["-d"], &["start", "-q"]] {
            let said = bad(&program, words);
            assert_eq!(said, format!("Workerman[operated] already running, pid {}\n", server.id()), "{words:?}");
        }
        assert_eq!(program.processes(), before);
        ask(&mut connect(address), "/", "\n");
        stop(&program);
    }
}

#[test]
fn a_restart_takes_the_place_of_the_app_whether_one_runs_or_not() {
    for count in COUNTS {
        let program = app(count);
        for _ in 0..2 {
            let restarted = Process::start(&mut program.command(&["restart"]));
            until_serving(&restarted, count);
            assert_eq!(program.pid(), Some(restarted.id()));
            let next = Process::start(&mut program.command(&["restart", "-g"]));
            until_serving(&next, count);
            assert_eq!(restarted.wait().0.code(), Some(0));
            assert_eq!(program.pid(), Some(next.id()));
            stop(&program);
        }
    }
}

#[test]
fn a_restart_in_the_background_says_what_phps_does() {
    let program = app(2);
    let said = good(&program, &["restart", "-d"]);
    assert!(said.starts_with("----"), "{said}");
    let first = program.pid().expect("it runs");
    let said = good(&program, &["restart", "-d", "-g", "-q"]);
    let stopped = "Workerman[operated] is gracefully stopping ...\nWorkerman[operated] stop success\n";
    assert_eq!(said, format!("{stopped}Input \"operated stop\" to stop. Start success.\n\n"));
    assert!(!is_alive(first) && program.pid().is_some_and(|pid| pid != first));
    let (server, _) = {
        let next = Process::start(&mut program.command(&["restart"]));
        let address = until_serving(&next, 2);
        (next, address)
    };
    assert_eq!(program.pid(), Some(server.id()));
}

#[test]
fn a_stop_while_the_app_starts_stops_it() {
    let program = app(2).with("MODE", "slow main");
    for words in [&["stop"][..], &["stop", "-g"]] {
        let server = Process::start(&mut program.command(&["start"]));
        eventually("it has begun", || program.pid() == Some(server.id()) && control_socket(&program).exists());
        good(&program, words);
        assert_eq!(server.wait().0.code(), Some(0));
        assert!(program.processes().is_empty());
    }
}

#[test]
fn a_start_in_the_background_that_is_stopped_meanwhile_says_so() {
    let program = app(2).with("MODE", "slow main");
    let mut starting = program.command(&["start", "-d"]);
    let starting = std::thread::spawn(move || finish(&mut starting));
    eventually("it has begun", || program.pid().is_some() && control_socket(&program).exists());
    stop(&program);
    let (code, output, errors) = starting.join().expect("it ends");
    assert_eq!(code, 1, "{output}");
    assert_eq!(errors, "Error: the app was stopped before it served\n");
    assert!(program.processes().is_empty());
}

#[test]
fn a_look_at_the_app_while_it_starts_does_no_harm() {
    let program = app(2).with("MODE", "slow main");
    let server = Process::start(&mut program.command(&["start"]));
    eventually("it has begun", || program.processes().len() == 3 && control_socket(&program).exists());
    let asking = NEEDY[4..].iter().map(|words| {
        let mut command = program.command(words);
        std::thread::spawn(move || finish(&mut command))
    });
    for asking in asking.collect::<Vec<_>>() {
        let (code, output, errors) = asking.join().expect("it ends");
        assert_eq!((code, errors.as_str()), (0, ""));
        let busy = output.lines().filter(|line| line.trim_end().ends_with("[busy]")).count();
        assert_eq!(busy, if output.contains("connections\n") { 0 } else { 2 }, "{output}");
    }
    ask(&mut connect(until_serving(&server, 2)), "/", "\n");
    assert_eq!(program.processes().len(), 3);
}

#[test]
fn a_reload_while_the_app_starts_is_refused_and_does_no_harm() {
    let program = app(2).with("MODE", "slow main");
    let server = Process::start(&mut program.command(&["start"]));
    eventually("it has begun", || program.pid() == Some(server.id()) && control_socket(&program).exists());
    let said = bad(&program, &["reload"]);
    assert_eq!(said, "the reload is refused: the app is starting\n");
    until_serving(&server, 2);
}

#[test]
fn a_reload_during_a_reload_is_refused_and_the_first_one_is_good() {
    let program = app(2).with("MODE", "slow main");
    let (server, address) = serve(&program, 2);
    let mut first = program.command(&["reload"]);
    let first = std::thread::spawn(move || finish(&mut first));
    eventually("it has begun", || program.processes().len() > 3 + 1);
    let said = bad(&program, &["reload"]);
    assert_eq!(said, "the reload is refused: a reload is going on\n");
    server.signal("USR1");
    let (code, output, errors) = first.join().expect("it ends");
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    ask(&mut connect(address), "/", "\n");
    eventually("the old ones are gone", || program.processes().len() == 3);
    good(&program, &["reload"]);
}

#[test]
fn a_stop_during_a_reload_ends_old_and_new_ones() {
    let program = app(2).with("MODE", "slow main");
    let (server, _) = serve(&program, 2);
    let mut reload = program.command(&["reload"]);
    let reload = std::thread::spawn(move || finish(&mut reload));
    eventually("it has begun", || program.processes().len() > 3 + 1);
    stop(&program);
    let (code, output, errors) = reload.join().expect("it ends");
    assert_eq!((code, errors.as_str()), (1, "the reload is refused: the app stops\n"), "{output}");
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(program.processes().is_empty());
}

#[test]
fn whatever_a_stale_pid_file_says_the_app_starts() {
    for (count, text) in COUNTS.into_iter().flat_map(|count| {
        let own = format!("{}\n", std::process::id());
        ["", "garbage\u{7f}\n", "99999999999999999999\n", "-1\n", "0\n", &own].map(|text| (count, text.to_owned()))
    }) {
        let program = app(count);
        fs::write(program.pid_file(), &text).expect("it can be written");
        fs::write(control_socket(&program), "no socket").expect("it can be written");
        for words in NEEDY {
            assert_eq!(bad(&program, words), "Workerman[operated] not run\n", "{text:?}");
        }
        let (server, _) = serve(&program, count);
        assert_eq!(fs::read_to_string(program.pid_file()).expect("it is there"), format!("{}\n", server.id()));
        good(&program, &["status"]);
        stop(&program);
        assert!(files_beside(&program).is_empty());
    }
}

#[test]
fn the_files_of_an_app_go_with_it_and_only_its_user_may_ask() {
    for count in COUNTS {
        for end in ["INT", "TERM", "QUIT", "HUP"] {
            let program = app(count);
            let (server, _) = serve(&program, count);
            let mode = fs::metadata(control_socket(&program)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            server.signal(end);
            assert_eq!(server.wait().0.code(), Some(0), "SIG{end}");
            assert!(files_beside(&program).is_empty(), "SIG{end}: {:?}", files_beside(&program));
        }
    }
}

#[test]
fn after_a_kill_the_app_starts_again_on_the_same_port() {
    for count in COUNTS {
        let program = app(count);
        let (server, address) = serve(&program, count);
        signal(server.id(), "KILL");
        server.wait();
        assert_eq!(bad(&program, &["status"]), "Workerman[operated] not run\n");
        eventually("its workers have gone", || program.processes().is_empty());
        let again = Process::start(program.command(&["start"]).env("ADDRESS", address.to_string()));
        assert_eq!(until_serving(&again, count), address);
        good(&program, &["status"]);
        stop(&program);
        assert!(files_beside(&program).is_empty());
    }
}

#[test]
fn a_path_may_be_longer_than_an_address_of_a_socket() {
    for count in COUNTS {
        let program = app(count).in_directory(&["d".repeat(100), "e".repeat(100)].join("/"));
        let (server, _) = serve(&program, count);
        good(&program, &["status"]);
        stop(&program);
        assert_eq!(server.wait().0.code(), Some(0));
        assert!(files_beside(&program).is_empty());
    }
}

#[test]
fn commands_find_the_app_from_everywhere_and_through_links() {
    for count in COUNTS {
        let program = app(count).in_directory("programs");
        let link = program.directory().join("current");
        symlink(program.path(), &link).expect("a link can be made");
        let from =
            |place: &Path, path: &Path, words: &[&str]| finish(program.command(words).current_dir(place).arg0(path));
        let by = |place: &Path, path: &str, words: &[&str]| {
            finish(Command::new(path).args(words).current_dir(place).stdin(Stdio::null()))
        };
        let (server, _) = serve(&program, count);
        for (code, output, errors) in [
            from(Path::new("/"), program.path(), &["status"]),
            by(program.directory(), "programs/operated", &["status"]),
            by(program.directory(), "./current", &["status"]),
            by(Path::new("/tmp"), &link.display().to_string(), &["status"]),
        ] {
            assert_eq!((code, errors.as_str()), (0, ""), "{output}");
        }
        let (code, ..) = by(program.directory(), "./current", &["stop"]);
        assert_eq!((code, server.wait().0.code()), (0, Some(0)));
    }
}

#[test]
fn a_link_stays_a_link_so_a_reload_takes_what_it_leads_to_by_then() {
    let program = app(2).in_directory("one");
    let two = program.directory().join("two");
    fs::create_dir(&two).expect("a directory can be made");
    fs::hard_link(program.path(), two.join("operated")).expect("a link can be made");
    let link = program.directory().join("current");
    let lead_to = |directory: &str| {
        let new = program.directory().join("new");
        symlink(directory, &new).expect("a link can be made");
        fs::rename(&new, &link).expect("a link can be renamed");
    };
    lead_to("one");
    let mut command = Command::new(link.join("operated"));
    let server = Process::start(command.arg("start").env("ADDRESS", "127.0.0.1:0").env("COUNT", "2"));
    until_serving(&server, 2);
    good(&program, &["status"]);
    let runs = |process: u32| fs::read_link(format!("/proc/{process}/exe")).expect("it runs");
    assert!(runs(server.id()).ends_with("one/operated"));
    lead_to("two");
    // The app that runs has its files where its program lay when it started.
    let (code, output, errors) = finish(&mut program.command(&["reload"]));
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    until_serving(&server, 2);
    eventually("the old ones are gone", || outside::children_of(server.id()).len() == 2);
    let family = [vec![server.id()], outside::children_of(server.id())].concat();
    assert!(family.iter().all(|process| runs(*process).ends_with("two/operated")), "{family:?}");
}

/// Those of another user, where this one may become another: nobody, who owns nothing.
fn as_nobody(program: &Program, words: &[&str]) -> Command {
    let mut command = program.command(words);
    command.uid(65_534).gid(65_534);
    command
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: it takes root to become another user");
    }
    is_root
}

#[test]
fn another_user_is_told_that_the_app_is_not_his() {
    for count in COUNTS {
        if !is_root() {
            return;
        }
        let program = app(count);
        let (server, address) = serve(&program, count);
        let denied = |words: &[&str], reason: &str| {
            let (code, output, errors) = finish(&mut as_nobody(&program, words));
            assert_eq!(code, 1, "{words:?}: {output}{errors}");
            assert!((output + &errors).contains(reason), "{words:?}: no {reason:?}: {errors}");
        };
        for words in [&["status"][..], &["status", "-d"], &["status", "--json"], &["connections"], &["reload"]] {
            denied(words, "Permission denied");
        }
        for words in [&["stop"][..], &["stop", "-g"], &["restart"], &["restart", "-d"]] {
            denied(words, "Operation not permitted");
        }
        for words in [&["start"][..], &["start", "-d"]] {
            denied(words, &format!("already running, pid {}", server.id()));
        }
        ask(&mut connect(address), "/", "\n");
        stop(&program);
    }
}

#[test]
fn where_nothing_can_be_written_the_app_runs_without_its_files_unless_it_has_asked_for_them() {
    for count in COUNTS {
        if !is_root() {
            return;
        }
        let program = app(count);
        let place = outside::TemporaryDirectory::new("log");
        fs::set_permissions(&place.0, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let log = place.0.join("app.log");
        let server = Process::start(as_nobody(&program, &["start"]).env("LOG_FILE", &log));
        ask(&mut connect(until_serving(&server, count)), "/", "\n");
        assert!(files_beside(&program).is_empty());
        assert_eq!(bad(&program, &["status"]), "Workerman[operated] not run\n");
        server.signal("TERM");
        assert_eq!(server.wait().0.code(), Some(0));
        let log = fs::read_to_string(&log).expect("it is there");
        let warning = format!("commands will not find this process: the pid file {}: ", program.pid_file().display());
        assert!(log.contains(&warning), "{log}");

        let wanted = program.directory().join("app.pid");
        for words in [&["start"][..], &["start", "-d"]] {
            let (code, output, errors) = finish(as_nobody(&program, words).env("PID_FILE", &wanted));
            let expected = format!("Error: the pid file {}: Permission denied (os error 13)\n", wanted.display());
            assert_eq!((code, errors), (1, expected), "{words:?}: {output}");
        }
        assert!(program.processes().is_empty());
    }
}

#[test]
fn the_pid_file_is_where_the_app_says() {
    for count in COUNTS {
        let directory = outside::TemporaryDirectory::new("pid");
        let path = directory.0.join("app.pid");
        let program = app(count).with("PID_FILE", &path);
        let (server, _) = serve(&program, count);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), format!("{}\n", server.id()));
        good(&program, &["status"]);
        assert!(files_beside(&program).is_empty());
        stop(&program);
        assert_eq!(fs::read_dir(&directory.0).expect("it is there").count(), 0);
    }
}

#[test]
fn an_app_with_a_command_line_of_its_own_passes_the_command() {
    for count in COUNTS {
        let program = app(count).with("WITH", "quiet");
        let server = Process::start(&mut program.command(&["--colour", "blue", "frobnicate"]));
        ask(&mut connect(until_serving(&server, count)), "/", "\n");
        let (code, output, _) = finish(program.command(&["stop"]).env("WITH", "status"));
        assert!(code == 0 && output.contains("Start worker in DEBUG mode."), "{output}");
        if count > 1 {
            server.signal("USR1");
            until_serving(&server, count);
        }
        finish(program.command(&["stop"]).env_remove("WITH"));
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

#[test]
fn signals_stop_the_master_as_they_stop_a_single_process() {
    // Ctrl-C has as long as the app says; a second one, or a SIGTERM, has no time at all, and after another signal its own.
    for (words, first, second, stop_timeout) in [
        (&["start"][..], "INT", None, "0.2"),
        (&["start"], "INT", Some("TERM"), "30"),
        (&["start"], "TERM", Some("TERM"), "30"),
        (&["start"], "HUP", Some("INT"), "0.2"),
        (&["start"], "QUIT", Some("INT"), "0.2"),
        (&["start", "-g"], "INT", Some("INT"), "30"),
    ] {
        for count in COUNTS {
            let program = app(count).with("STOP_TIMEOUT", stop_timeout);
            let server = Process::start(&mut program.command(words));
            let address = until_serving(&server, count);
            let mut stuck = connect(address);
            write!(stuck, "GET /never HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
            ask(&mut connect(address), "/", "\n");
            server.signal(first);
            server.line_after("stop web");
            if let Some(second) = second {
                std::thread::sleep(std::time::Duration::from_millis(10)); // else they might be one
                server.signal(second);
            }
            assert_eq!(outside::read_to_end(&mut stuck), "");
            let (status, errors) = server.wait();
            assert_eq!(status.code(), Some(0), "{words:?} {first}, {second:?}: {errors}");
            assert!(files_beside(&program).is_empty());
        }
    }
}

#[test]
fn a_signal_that_comes_while_the_master_becomes_the_new_program_is_obeyed() {
    for signals in [&["TERM"][..], &["INT"], &["USR1", "USR2", "TERM"]] {
        let program = app(2).with("MODE", "slow main");
        let (server, address) = serve(&program, 2);
        server.signal("USR1");
        until_serving(&server, 2);
        for signal in signals {
            // Some come before it, some within.
            std::thread::sleep(std::time::Duration::from_millis(40));
            server.signal(signal);
        }
        let (status, errors) = server.wait();
        assert_eq!(status.code(), Some(0), "{signals:?}: {status}: {errors}");
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(files_beside(&program).is_empty());
    }
}
