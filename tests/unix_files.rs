//! The promises about the file of a Unix socket: whose name it takes, what it is when somebody can see it, and how it
//! goes. Real files and sockets, by hand.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use outside::TemporaryDirectory;
use workerman::testing::Simulation;
use workerman::{Error, Text, Worker};

/// A directory and the path of a socket in it.
fn place(name: &str) -> (TemporaryDirectory, PathBuf) {
    let directory = TemporaryDirectory::new(&format!("unix-{name}"));
    let path = directory.0.join("app.sock");
    (directory, path)
}

fn worker(path: &Path) -> Worker<Text> {
    let worker = Worker::<Text>::new(&format!("unix://{}", path.display()));
    worker.on_message(|connection, line| connection.send(line));
    worker
}

/// A socket that nobody serves, as a killed server leaves it behind.
fn leave_behind(path: &Path) {
    drop(UnixListener::bind(path).expect("the path is free"));
    assert_eq!(UnixStream::connect(path).expect_err("nobody serves it").kind(), ErrorKind::ConnectionRefused);
}

/// What stands in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.into_string().expect("a name in UTF-8")).collect()
}

/// Whether the worker of this loop answers there.
fn answers(simulation: &Simulation, mut stream: UnixStream) -> bool {
    stream.write_all(b"hello\n").expect("it can be sent");
    // Those who have only looked whether it is served come before.
    (0..10).for_each(|_| simulation.turn());
    stream.set_nonblocking(true).expect("it can be set");
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).is_ok() && answer == *b"hello\n"
}

fn refusal(worker: Worker<Text>) -> (ErrorKind, String) {
    let error = worker.listen().expect_err("it cannot be had");
    let text = error.to_string();
    assert!(text.contains(&worker.socket_name()), "{text}");
    match error {
        Error::Listen { source, .. } => (source.kind(), text),
        other => panic!("{other}"),
    }
}

#[test]
fn a_worker_tells_its_path_while_it_listens_and_its_file_goes_with_it() {
    let (directory, path) = place("path");
    let simulation = Simulation::new();
    let worker = worker(&path);
    assert_eq!(worker.local_path(), None);
    worker.listen().expect("the path is free");
    assert_eq!((worker.local_path(), worker.local_addr()), (Some(path.clone()), None));
    assert_eq!(names(&directory.0), ["app.sock"], "nothing else is left in the directory");
    assert!(answers(&simulation, UnixStream::connect(&path).expect("it listens")));
    worker.unlisten();
    assert_eq!((worker.local_path(), names(&directory.0)), (None, Vec::new()));
    worker.listen().expect("the path is free again");
    simulation.stop();
    assert_eq!(names(&directory.0), [""; 0], "the end of the loop removes it");
}

#[test]
fn a_start_that_fails_leaves_no_file_behind() {
    let (directory, path) = place("failure");
    let simulation = Simulation::new();
    worker(&path);
    worker(&directory.0.join("missing/app.sock"));
    let error = simulation.start().expect_err("a directory is missing").to_string();
    assert!(error.contains("missing/app.sock") && error.contains("No such file"), "{error}");
    assert!(path.exists(), "the first was there");
    drop(simulation);
    assert_eq!(names(&directory.0), [""; 0]);
}

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let (directory, path) = place("stale");
    let simulation = Simulation::new();
    leave_behind(&path);
    worker(&path).listen().expect("it is replaced");
    assert!(answers(&simulation, UnixStream::connect(&path).expect("it listens")));
    assert_eq!(names(&directory.0), ["app.sock"]);
}

#[test]
fn a_socket_that_is_served_is_left_alone() {
    let (directory, path) = place("served");
    let simulation = Simulation::new();
    let first = UnixListener::bind(&path).expect("the path is free");
    let (kind, text) = refusal(worker(&path));
    assert!(kind == ErrorKind::AddrInUse && text.contains("somebody listens"), "{text}");
    assert_eq!(names(&directory.0), ["app.sock"]);
    UnixStream::connect(&path).expect("the first goes on");
    drop(first);

    let second = worker(&path);
    second.listen().expect("the first is gone");
    assert_eq!(refusal(worker(&path)).0, ErrorKind::AddrInUse, "a worker of the same process is served too");
    assert!(answers(&simulation, UnixStream::connect(&path).expect("it listens")));
    second.unlisten();

    let _datagrams = UnixDatagram::bind(&path).expect("the path is free");
    assert_eq!(refusal(worker(&path)).0, ErrorKind::AddrInUse, "a socket of another type is served");
}

#[test]
fn what_is_no_socket_is_never_replaced() {
    let (directory, path) = place("others");
    let _simulation = Simulation::new();
    let stale = directory.0.join("stale");
    leave_behind(&stale);
    let refused = || {
        let (kind, text) = refusal(worker(&path));
        assert!(kind == ErrorKind::AlreadyExists && text.contains("no socket"), "{text}");
    };
    fs::write(&path, "precious").expect("it can be written");
    refused();
    assert_eq!(fs::read(&path).expect("it is there"), b"precious");
    fs::remove_file(&path).expect("it can be removed");
    symlink(&stale, &path).expect("it can be linked");
    refused();
    fs::remove_file(&path).expect("it can be removed");
    fs::create_dir(&path).expect("it can be made");
    refused();
    assert_eq!(names(&directory.0).len(), 2);
}

#[test]
fn the_file_of_a_successor_stays() {
    let (_directory, path) = place("successor");
    let _simulation = Simulation::new();
    let worker = worker(&path);
    worker.listen().expect("the path is free");
    fs::remove_file(&path).expect("it can be removed");
    let _successor = UnixListener::bind(&path).expect("the path is free");
    worker.unlisten();
    UnixStream::connect(&path).expect("the successor is served");
}

#[test]
fn the_file_has_its_mode_and_owner() {
    let (directory, path) = place("mode");
    let _simulation = Simulation::new();
    let found = |path: &Path| fs::metadata(path).expect("it is there");
    let own = (found(&directory.0).uid(), found(&directory.0).gid());
    // Only root can give a file away.
    let wanted = if own.0 == 0 { (4711, 4712) } else { own };
    let worker = worker(&path);
    worker.set_socket_mode(0o640);
    worker.set_socket_owner(&wanted.0.to_string(), &wanted.1.to_string());
    worker.listen().expect("the path is free");
    assert_eq!(found(&path).permissions().mode() & 0o7777, 0o640);
    assert_eq!((found(&path).uid(), found(&path).gid()), wanted);
    worker.unlisten();
    worker.set_socket_mode(0o602);
    worker.set_socket_owner("", "");
    worker.listen().expect("the path is free");
    assert_eq!(found(&path).permissions().mode() & 0o7777, 0o602);
    assert_eq!(found(&path).uid(), own.0);
    worker.unlisten();
    worker.set_socket_owner("nobody-of-this-name", "");
    let (_, text) = refusal(worker);
    assert!(text.contains("\"nobody-of-this-name\" is not in /etc/passwd"), "{text}");
    assert_eq!(names(&directory.0), [""; 0]);
}

/// Whoever comes last must not take the name from whoever has just got it.
#[test]
fn of_many_that_start_at_once_one_gets_the_name_and_serves_it() {
    const RIVALS: usize = 4;
    let (directory, path) = place("race");
    for _ in 0..200 {
        leave_behind(&path);
        let barrier = Arc::new(Barrier::new(RIVALS));
        let rivals = (0..RIVALS).map(|_| {
            let (barrier, path) = (Arc::clone(&barrier), path.clone());
            thread::spawn(move || {
                let simulation = Simulation::new();
                let worker = worker(&path);
                barrier.wait();
                let listened = worker.listen();
                barrier.wait();
                // Nobody stops before all have tried.
                let served = listened.is_ok() && answers(&simulation, UnixStream::connect(&path).expect("a server"));
                barrier.wait();
                assert!(listened.is_ok() || !served);
                listened.map_or_else(|error| Err(error.to_string()), |()| Ok(served))
            })
        });
        let rivals: Vec<_> = rivals.collect();
        let results: Vec<_> = rivals.into_iter().map(|rival| rival.join().expect("no panic")).collect();
        let winners = results.iter().filter(|result| **result == Ok(true)).count();
        let losers = results.iter().filter_map(|result| result.as_ref().err());
        let losers = losers.filter(|text| text.contains("somebody listens")).count();
        assert_eq!((winners, losers), (1, RIVALS - 1), "{results:?}");
        assert_eq!(names(&directory.0), [""; 0]);
    }
}

#[test]
#[cfg(target_os = "linux")] // others take less
fn a_path_as_long_as_the_system_takes_works() {
    let (directory, _) = place("long");
    let simulation = Simulation::new();
    let rest = 107 - directory.0.as_os_str().len() - 1;
    let path = directory.0.join("a".repeat(rest));
    leave_behind(&path);
    let long = worker(&path);
    long.listen().expect("it is not too long");
    assert!(answers(&simulation, UnixStream::connect(&path).expect("it listens")));
    assert_eq!(names(&directory.0).len(), 1);
    let error = worker(&directory.0.join("a".repeat(rest + 1))).listen().expect_err("it is too long").to_string();
    assert!(error.contains("108 bytes") && error.contains("107"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_socket_without_a_file_lives_as_long_as_it_listens() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    use workerman::Tcp;

    let simulation = Simulation::new();
    let name = format!("workerman-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let worker = Worker::<Tcp>::new(&format!("unix://@{name}"));
    worker.on_message(|connection, bytes| connection.send(bytes));
    worker.listen().expect("the name is free");
    assert_eq!(worker.local_path(), None);
    assert!(answers(&simulation, UnixStream::connect_addr(&address).expect("it listens")));
    let second = Worker::<Tcp>::new(&format!("unix://@{name}"));
    assert!(second.listen().expect_err("it is served").to_string().contains("in use"));
    worker.unlisten();
    UnixStream::connect_addr(&address).expect_err("nobody listens");
    worker.set_socket_mode(0o600);
    assert!(worker.listen().expect_err("it has no mode").to_string().contains("neither mode nor owner"));
}
