//! Promises to whoever runs apps as services: sockets that a manager has opened are served, the manager is told how the
//! app stands, and process 1 of a container has no dead beside it.

mod outside;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use outside::{
    PATIENCE, Process, Program, TemporaryDirectory, Unit, ask, ask_and_lose, children_of, connect, eventually,
    free_address, is_alive, pid_at, read_to_end, reload, signal,
};

/// A manager that wants to know how its service stands.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: TemporaryDirectory,
}

impl Manager {
    fn new() -> Self {
        let directory = TemporaryDirectory::new("manager");
        let path = directory.0.join("notify");
        let socket = UnixDatagram::bind(&path).expect("the path is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { socket, path, _directory: directory }
    }

    /// What it is told next, in time.
    fn hears(&self) -> String {
        let mut buffer = [0; 256];
        let count = loop {
            match self.socket.recv(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                told => break told.expect("it is told something"),
            }
        };
        String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned()
    }

    fn hears_of_a_reload(&self) {
        let told = self.hears();
        let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told}"));
        let uptime = fs::read_to_string("/proc/uptime").expect("/proc is there");
        let uptime: f64 = uptime.split_whitespace().next().and_then(|it| it.parse().ok()).expect("seconds");
        let time = time.parse::<f64>().expect("microseconds") / 1e6;
        assert!((uptime - 60.0..=uptime + 0.1).contains(&time), "{time} at {uptime}");
        assert_eq!(self.hears(), "READY=1");
    }

    fn hears_nothing(&self) {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 256];
        assert!(self.socket.recv(&mut buffer).is_err(), "{}", String::from_utf8_lossy(&buffer));
        self.socket.set_nonblocking(false).expect("a socket");
    }
}

fn environment_of(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/environ")).expect("it lives")
}

#[test]
fn sockets_of_the_manager_are_served_and_others_closed() {
    for count in ["1", "2"] {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let nobodys = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = tcp.local_addr().expect("an address");
        let udp_address = udp.local_addr().expect("an address");
        let nobodys_address = nobodys.local_addr().expect("an address");
        let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", count);
        let log = program.directory().join("log");
        let program = program.with("UDP", udp_address.to_string()).with("LOG_FILE", &log);
        let mut unit = Unit::start(program, &[], vec![tcp.into(), udp.into(), nobodys.into()]);
        assert!(pid_at(address, "/") > 0, "{}", unit.errors());

        let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        client.send_to(b"hello", udp_address).expect("it is sent");
        let mut buffer = [0; 64];
        let count = client.recv(&mut buffer).expect("an answer");
        assert!(buffer[..count].starts_with(b"udp hello"), "{}", unit.errors());

        eventually("what is nobody's is closed", || TcpStream::connect(nobodys_address).is_err());
        let log = fs::read_to_string(&log).expect("a log");
        let closed = log.lines().filter(|line| line.contains("of LISTEN_FDS is closed")).count();
        assert!(closed == 1 && log.contains(&nobodys_address.to_string()), "{log}");
        unit.stop();
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn a_unix_socket_of_the_manager_stays_when_the_app_ends() {
    for count in ["1", "2"] {
        let directory = TemporaryDirectory::new("sockets");
        let path = directory.0.join("app.sock");
        let listener = UnixListener::bind(&path).expect("the path is free");
        let program = Program::new("unit").with("ADDRESS", format!("unix://{}", path.display())).with("COUNT", count);
        let mut unit = Unit::start(program, &["start", "-q"], vec![listener.into()]);
        let mut client = UnixStream::connect(&path).expect("it listens");
        client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it is sent");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("ok\n"), "{answer}");
        unit.stop();
        assert!(path.exists(), "the file is the manager's");
    }
}

#[test]
fn a_reload_keeps_the_sockets_of_the_manager_and_takes_no_others_for_them() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = tcp.local_addr().expect("an address");
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", "2");
    let log = program.directory().join("log");
    let program = program.with("LOG_FILE", &log);
    let mut unit = Unit::start(program, &[], vec![tcp.into()]);
    let mut last = pid_at(address, "/");
    for _ in 0..3 {
        reload(&unit.program);
        assert_eq!(unit.program.pid(), Some(unit.id()), "the master is the same process");
        let next = pid_at(address, "/");
        assert_ne!(next, last);
        last = next;
    }
    for worker in children_of(unit.id()) {
        let environment = environment_of(worker);
        assert!(!environment.contains("LISTEN_"), "{environment}");
    }
    // One whose worker has died is served by the next.
    let _ = ask_and_lose(address, "/crash");
    assert!(pid_at(address, "/") > 0);
    let text = fs::read_to_string(&log).expect("a log");
    assert!(!text.contains("LISTEN_FDS"), "{text}");
    unit.stop();
}

#[test]
fn who_goes_into_the_background_does_not_take_the_sockets_of_the_manager() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = tcp.local_addr().expect("an address").to_string();
    let program = Program::new("unit").with("ADDRESS", &address);
    let mut unit = Unit::start(program, &["start", "-d"], vec![tcp.into()]);
    assert!(!unit.wait().success());
    let errors = unit.errors();
    assert!(errors.contains(&address) && errors.contains("in use"), "{errors}");
}

#[test]
fn the_manager_hears_of_a_master_when_all_its_workers_serve_and_of_reloads_and_the_end() {
    let manager = Manager::new();
    let address = free_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", "2");
    let gate = program.directory().join("gate");
    let program = program.with("GATE", &gate).with("NOTIFY_SOCKET", &manager.path);
    let mut unit = Unit::start(program, &[], Vec::new());
    eventually("one worker serves", || unit.output().contains("start Some"));
    manager.hears_nothing();
    File::create(&gate).expect("a file can be made");
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(unit.output().matches("start Some").count(), 2);

    signal(unit.id(), "USR1");
    manager.hears_of_a_reload();
    reload(&unit.program);
    manager.hears_of_a_reload();
    unit.program.replace_with(Path::new("/bin/false"));
    signal(unit.id(), "USR2");
    manager.hears_of_a_reload();
    for worker in children_of(unit.id()) {
        assert!(!environment_of(worker).contains("NOTIFY_SOCKET"));
    }

    let mut late = stops_with_a_late_answer(&manager, &unit, address);
    // Too late, and not told.
    signal(unit.id(), "USR1");
    thread::sleep(Duration::from_millis(20));
    signal(unit.id(), "TERM");
    assert_eq!(read_to_end(&mut late), "");
    assert_eq!(unit.wait().code(), Some(0));
    manager.hears_nothing();
}

/// The manager hears of the stop when it begins, while an answer keeps the app from ending; that answer's client.
fn stops_with_a_late_answer(manager: &Manager, unit: &Unit, address: SocketAddr) -> TcpStream {
    let mut late = connect(address);
    write!(late, "GET /never HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    assert!(pid_at(address, "/") > 0);
    signal(unit.id(), "TERM");
    assert_eq!(manager.hears(), "STOPPING=1");
    assert!(is_alive(unit.id()));
    late
}

#[test]
fn the_manager_hears_of_a_process_without_a_master_too() {
    let manager = Manager::new();
    let address = free_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("NOTIFY_SOCKET", &manager.path);
    let mut unit = Unit::start(program, &[], Vec::new());
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(unit.output().matches("start Some").count(), 1);
    signal(unit.id(), "USR1");
    manager.hears_of_a_reload();
    assert_eq!(unit.program.run(&["reload"]).0, 1);
    manager.hears_of_a_reload();
    assert_eq!(unit.output().lines().filter(|line| *line == "reload").count(), 2, "{}", unit.output());

    let mut late = stops_with_a_late_answer(&manager, &unit, address);
    thread::sleep(Duration::from_millis(10)); // else the two might be one
    signal(unit.id(), "TERM");
    assert_eq!(read_to_end(&mut late), "");
    assert_eq!(unit.wait().code(), Some(0));
    manager.hears_nothing();
}

#[test]
fn a_manager_that_wants_signs_of_life_gets_them_at_half_the_time() {
    for count in ["1", "2"] {
        let manager = Manager::new();
        let program = Program::new("unit").with("COUNT", count).with("NOTIFY_SOCKET", &manager.path);
        let mut unit = Unit::start(program.with("WATCHDOG_USEC", "100000"), &[], Vec::new());
        let mut told = Vec::new();
        while told.iter().filter(|told| *told == "WATCHDOG=1").count() < 3 {
            told.push(manager.hears());
        }
        assert!(told.iter().all(|told| told == "READY=1" || told == "WATCHDOG=1"), "{told:?}");
        unit.stop();
    }
}

#[test]
fn a_worker_of_datagrams_has_processes_as_others_have() {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port is free");
    for stays in [false, true] {
        let web = free_address();
        let program = Program::new("unit").with("ADDRESS", web.to_string()).with("UDP", address.to_string());
        let program = program.with("UDP_COUNT", "2");
        let program = if stays { program.with("UDP_STAYS", "1") } else { program };
        let mut unit = Unit::start(program, &[], Vec::new());
        let says = |unit: &Unit, line: &str, times| {
            eventually(line, || unit.output().lines().filter(|found| *found == line).count() == times);
        };
        says(&unit, "udp 0", 1);
        says(&unit, "udp 1", 1);
        for _ in 0..20 {
            // Whichever process a peer is dealt to answers it.
            let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            client.set_read_timeout(Some(PATIENCE)).expect("a time can be set");
            client.send_to(b"hello", address).expect("it is sent");
            let mut buffer = [0; 32];
            let count = client.recv(&mut buffer).expect("it is answered");
            assert_eq!(&buffer[..count], b"udp hello");
        }
        reload(&unit.program);
        says(&unit, "udp reload 0", 1);
        says(&unit, "udp reload 1", 1);
        let starts = if stays { 1 } else { 2 };
        says(&unit, "udp 0", starts);
        says(&unit, "udp exit 0", 2 * (starts - 1));
        children_of(unit.id()).into_iter().for_each(|child| signal(child, "KILL"));
        says(&unit, "udp exit 9", 2);
        says(&unit, "udp 0", starts + 1);
        unit.stop();
    }
}

#[test]
fn process_1_has_no_dead_beside_it_and_stops_when_it_is_told_to() {
    let is_possible = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !is_possible.is_ok_and(|output| output.status.success()) {
        return eprintln!("not tested: there are no namespaces to be had");
    }
    for count in [1, 2] {
        let address = free_address();
        let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", count.to_string());
        let inner = program.command(&[]);
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]).arg(program.path());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let process = Process::start(&mut command);
        eventually("it serves", || TcpStream::connect(address).is_ok());
        let first = *children_of(process.id()).first().expect("process 1");
        let processes = 1 + count;
        (0..5).for_each(|_| drop(ask(&mut connect(address), "/orphan", "ok\n")));
        eventually("all orphans are gone", || processes_in(first).len() == processes);
        // From outside, since the command would not find process 1 here.
        signal(first, "USR1");
        eventually("there are new workers", || process.line() == "reload");
        eventually("and only those", || processes_in(first).len() == processes);
        signal(first, "TERM");
        let (status, errors) = process.wait();
        assert_eq!(status.code(), Some(0), "{count}: {errors}");
    }
}

/// All below a process, the dead among them.
fn processes_in(first: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    [first].into_iter().chain(children.flat_map(processes_in)).collect()
}
