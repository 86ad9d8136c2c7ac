//! Listeners that one process makes and others use: real sockets, with the loops of threads in the place of processes.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::rc::Rc;
use std::thread;

use outside::TemporaryDirectory;
use socket2::{Domain, SockRef, Socket, Type};
use workerman::testing::Simulation;
use workerman::testing::process::{self, Bound, Layout, Local, Which};
use workerman::{Error, Tcp, UdpWorker, Worker};

const ANYWHERE: &str = "tcp://127.0.0.1:0";

/// The only worker of this thread.
fn only() -> Which {
    let [which] = Which::all()[..] else { panic!("there is one worker") };
    which
}

fn bind(slots: usize) -> Bound {
    Bound::new(only(), slots).expect("it can be bound").expect("it has an address")
}

fn address_of(socket: BorrowedFd<'_>) -> SocketAddr {
    match Local::of(socket).expect("a socket") {
        Some(Local::Tcp(address) | Local::Udp(address)) => address,
        other => panic!("{other:?}"),
    }
}

fn copies(sockets: Vec<BorrowedFd<'_>>) -> Vec<OwnedFd> {
    sockets.into_iter().map(|socket| socket.try_clone_to_owned().expect("a copy")).collect()
}

/// A worker that counts its connections, in the loop of this thread.
fn counting(address: &str) -> (Worker<Tcp>, Rc<Cell<usize>>) {
    let worker = Worker::<Tcp>::new(address);
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    worker.on_connect(move |_| counted.set(counted.get() + 1));
    (worker, count)
}

/// Several turns: more than what waits needs.
fn turns(simulation: &Simulation) {
    (0..50).for_each(|_| simulation.turn());
}

fn is_in_use<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse)
}

#[test]
fn of_too_few_sockets_every_process_has_one() {
    let _simulation = Simulation::new();
    let worker = Worker::<Tcp>::new(ANYWHERE);
    worker.set_reuse_port(true);
    let bound = bind(2);
    assert_eq!((0..5).map(|slot| bound.share_of(slot, 5).len()).collect::<Vec<_>>(), [1; 5]);
}

#[test]
fn port_0_is_one_port_for_all_processes() {
    let _simulation = Simulation::new();
    let worker = Worker::<Tcp>::new(ANYWHERE);
    worker.set_reuse_port(true);
    let bound = bind(4);
    let first = address_of(bound.sockets()[0].as_fd());
    assert!(first.port() > 0 && bound.sockets().len() == 4);
    assert!(bound.sockets().iter().all(|socket| address_of(socket.as_fd()) == first));
    assert_eq!((bound.layout(), bound.local()), (Layout::Each, &Local::Tcp(first)));
    assert_eq!(bound.budget(4), usize::MAX);

    worker.set_reuse_port(false);
    let shared = bind(4);
    assert_eq!((shared.sockets().len(), shared.share_of(3, 4).len(), shared.budget(4)), (1, 1, 1));
    assert_eq!(shared.budget(1), usize::MAX, "nobody else has it");
}

#[test]
fn an_address_that_somebody_listens_on_is_an_error_whatever_either_says() {
    for shares in [false, true] {
        let _simulation = Simulation::new();
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        taken.set_reuse_address(true).unwrap();
        taken.set_reuse_port(shares).unwrap();
        taken.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        taken.listen(1).unwrap();
        let address = taken.local_addr().unwrap().as_socket().unwrap();
        let worker = Worker::<Tcp>::new(&address.to_string());
        for reuse_port in [true, false] {
            worker.set_reuse_port(reuse_port);
            let result = Bound::new(only(), 4);
            let text = result.as_ref().expect_err("it is taken").to_string();
            assert!(text.contains(&address.to_string()), "{text}");
            assert!(is_in_use(result));
        }
        // One that listens by itself, in one of several processes, may say otherwise.
        worker.set_reuse_port(true);
        assert_eq!(worker.listen().is_ok(), shares);
    }
}

#[test]
fn who_binds_for_one_process_lets_nobody_in_beside() {
    let _simulation = Simulation::new();
    let worker = Worker::<Tcp>::new(ANYWHERE);
    worker.set_reuse_port(true);
    let bound = bind(1);
    assert!(!SockRef::from(&bound.sockets()[0]).reuse_port().unwrap());
}

#[test]
fn each_process_gets_about_as_many_as_the_others() {
    let _simulation = Simulation::new();
    Worker::<Tcp>::new(ANYWHERE);
    let bound = bind(4);
    assert_eq!(bound.layout(), Layout::Each, "this is what is usual on Linux");
    let address = address_of(bound.sockets()[0].as_fd());
    let clients: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(address).unwrap()).collect();
    let processes: Vec<_> = (0..4).map(|slot| copies(bound.share_of(slot, 4))).collect();
    let counts: Vec<usize> = processes
        .into_iter()
        .map(|sockets| {
            let process = thread::spawn(move || {
                let simulation = Simulation::new();
                let (worker, count) = counting(ANYWHERE);
                only().adopt(sockets, usize::MAX);
                worker.listen().unwrap();
                assert_eq!(worker.local_addr(), Some(address));
                turns(&simulation);
                count.get()
            });
            process.join().unwrap()
        })
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), clients.len());
    assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
}

#[test]
fn more_processes_get_sockets_beside_those_there_are() {
    let simulation = Simulation::new();
    let (worker, count) = counting(ANYWHERE);
    let mut bound = bind(1);
    let address = address_of(bound.sockets()[0].as_fd());
    let early = TcpStream::connect(address).unwrap();
    bound.resize(3).unwrap();
    assert_eq!((0..3).map(|slot| bound.share_of(slot, 3).len()).collect::<Vec<_>>(), [1, 1, 1]);
    only().adopt(copies(bound.share_of(0, 3)), bound.budget(3));
    worker.listen().unwrap();
    turns(&simulation);
    assert_eq!(count.get(), 1, "who waited waits still");
    drop(early);
    let _late: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    turns(&simulation);
    assert!((2..61).contains(&count.get()), "{}", count.get());
}

#[test]
fn fewer_processes_take_what_comes_to_the_sockets_of_those_who_are_gone() {
    let simulation = Simulation::new();
    let (worker, count) = counting(ANYWHERE);
    let bound = bind(3);
    let address = address_of(bound.sockets()[0].as_fd());
    let clients: Vec<TcpStream> = (0..90).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!([bound.share_of(0, 2).len(), bound.share_of(1, 2).len()], [2, 1]);
    only().adopt(copies(bound.share_of(0, 1)), bound.budget(1));
    worker.listen().unwrap();
    turns(&simulation);
    assert_eq!(count.get(), clients.len());
}

#[test]
fn a_shared_socket_gives_one_connection_at_a_visit() {
    let simulation = Simulation::new();
    let (worker, count) = counting(ANYWHERE);
    worker.set_reuse_port(false);
    let bound = bind(2);
    let address = address_of(bound.sockets()[0].as_fd());
    let clients: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    only().adopt(copies(bound.share_of(0, 2)), bound.budget(2));
    worker.listen().unwrap();
    simulation.turn();
    assert_eq!(count.get(), 2, "by the event, and once more behind all others");
    simulation.turn();
    assert_eq!(count.get(), 3);
    turns(&simulation);
    assert_eq!(count.get(), clients.len());
}

#[test]
fn who_listens_no_longer_hears_nothing_of_a_socket_that_others_have() {
    let simulation = Simulation::new();
    let (worker, count) = counting(ANYWHERE);
    let bound = bind(1);
    let address = address_of(bound.sockets()[0].as_fd());
    only().adopt(copies(bound.share_of(0, 1)), bound.budget(1));
    worker.listen().unwrap();
    worker.unlisten();
    let _waits = TcpStream::connect(address).expect("the socket is there still");
    simulation.turn();
    assert_eq!((simulation.events(), count.get()), (0, 0));
    worker.listen().expect("nothing has to be bound for that");
    turns(&simulation);
    assert_eq!(count.get(), 1);
}

#[test]
fn datagrams_of_a_peer_come_to_one_process() {
    let simulation = Simulation::new();
    let worker = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
    let bound = bind(2);
    let address = address_of(bound.sockets()[0].as_fd());
    assert_eq!((bound.local(), bound.layout()), (&Local::Udp(address), Layout::Each));
    let peers: Vec<UdpSocket> = (0..40).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for _ in 0..2 {
        peers.iter().for_each(|peer| assert_eq!(peer.send_to(b"x", address).unwrap(), 1));
    }
    let counts = Rc::new(Cell::new(0));
    let counted = Rc::clone(&counts);
    worker.on_message(move |connection, _bytes| {
        counted.set(counted.get() + 1);
        connection.send("y")
    });
    only().adopt(copies(bound.share_of(0, 2)), bound.budget(2));
    worker.listen().unwrap();
    assert_eq!(worker.local_addr(), Some(address));
    turns(&simulation);
    let first = counts.take();
    assert!(first % 2 == 0 && (2..79).contains(&first), "{first}");

    worker.unlisten();
    peers.iter().for_each(|peer| assert_eq!(peer.send_to(b"x", address).unwrap(), 1));
    simulation.turn();
    assert_eq!((simulation.events(), counts.get()), (0, 0), "others have the socket, and it has nothing to do with it");
    only().adopt(copies(bound.share_of(0, 1)), bound.budget(1));
    worker.listen().unwrap();
    turns(&simulation);
    assert_eq!(first + counts.get(), 120, "the other socket's too");
    for peer in peers {
        peer.set_nonblocking(true).unwrap();
        (0..3).for_each(|_| assert_eq!(peer.recv_from(&mut [0; 2]).unwrap(), (1, address)));
    }
}

#[test]
fn what_is_sent_to_all_comes_to_one_socket_for_all() {
    let _simulation = Simulation::new();
    let worker = UdpWorker::<Tcp>::new("udp://0.0.0.0:0");
    worker.join_multicast([239, 255, 70, 1].into()).unwrap();
    let bound = bind(4);
    assert_eq!((bound.layout(), bound.sockets().len(), bound.budget(4)), (Layout::One, 1, 1));
    only().adopt(copies(bound.share_of(2, 4)), bound.budget(4));
    worker.listen().unwrap();
    worker.join_multicast([239, 255, 70, 1].into()).expect("another process has joined already");
}

#[test]
fn udp_is_taken_as_others_allow() {
    let _simulation = Simulation::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let worker = UdpWorker::<Tcp>::new(&format!("udp://{}", taken.local_addr().unwrap()));
    worker.set_reuse_port(true);
    assert!(is_in_use(Bound::new(only(), 2)));
}

#[test]
fn the_file_of_a_unix_socket_stays_with_its_maker() {
    let directory = TemporaryDirectory::new("listeners-unix");
    let path = directory.0.join("app.sock");
    let simulation = Simulation::new();
    let (worker, count) = counting(&format!("unix://{}", path.display()));
    let bound = bind(4);
    assert_eq!((bound.layout(), bound.sockets().len()), (Layout::One, 1));
    only().adopt(copies(bound.share_of(1, 4)), bound.budget(4));
    worker.listen().unwrap();
    assert_eq!((worker.local_path().as_deref(), worker.local_addr()), (Some(&*path), None));
    let _client = UnixStream::connect(&path).unwrap();
    turns(&simulation);
    assert_eq!(count.get(), 1);
    worker.unlisten();
    assert!(path.exists(), "other processes listen");
    // As after an `exec`, which drops nothing.
    let sockets = copies(bound.sockets().iter().map(AsFd::as_fd).collect());
    std::mem::forget(bound);
    let resumed = Bound::resumed(only(), sockets).unwrap();
    assert!(resumed.is_ours() && UnixStream::connect(&path).is_ok());
    drop(resumed);
    assert!(!path.exists());
}

#[test]
fn a_worker_is_where_its_address_says_and_nowhere_else() {
    let _simulation = Simulation::new();
    let is_at = |address: &str, local: &Local| {
        let worker = Worker::<Tcp>::new(address);
        let which = *Which::all().last().expect("there is one");
        assert_eq!(which.address(), worker.socket_name());
        which.is_at(local)
    };
    let tcp = |text: &str| Local::Tcp(text.parse().unwrap());
    assert!(is_at("tcp://0.0.0.0:80", &tcp("0.0.0.0:80")));
    assert!(is_at("127.0.0.1:80", &tcp("127.0.0.1:80")) && is_at("tcp://[::1]:80", &tcp("[::1]:80")));
    assert!(!is_at("tcp://0.0.0.0:80", &tcp("127.0.0.1:80")) && !is_at("tcp://0.0.0.0:80", &tcp("[::]:80")));
    assert!(!is_at("tcp://127.0.0.1:0", &tcp("127.0.0.1:80")), "nobody has chosen yet");
    assert!(!is_at("tcp://127.0.0.1:80", &Local::Udp("127.0.0.1:80".parse().unwrap())));
    assert!(!is_at("nonsense", &tcp("127.0.0.1:80")));
    assert!(is_at("unix:///run/a.sock", &Local::Unix("/run/a.sock".into())));
    assert!(!is_at("unix:///run/a.sock", &Local::Unix("/run/b.sock".into())));
    assert!(is_at("unix://@a", &Local::Abstract(b"a".to_vec())));
    assert!(!is_at("unix://@a", &Local::Unix("@a".into())));
}

#[test]
fn what_is_no_listener_is_not_taken_in() {
    let _simulation = Simulation::new();
    let worker = Worker::<Tcp>::new(ANYWHERE);
    assert!(Bound::inherited(only(), Vec::new()).is_err());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let error = Bound::inherited(only(), vec![connected.try_clone().unwrap().into()]).expect_err("it is connected");
    assert!(error.to_string().contains(ANYWHERE), "{error}");
    only().adopt(vec![connected.into()], 1);
    assert!(worker.listen().is_err());
    let bound = Bound::inherited(only(), vec![listener.into()]).unwrap();
    assert_eq!((bound.layout(), bound.share_of(3, 4).len(), bound.is_ours()), (Layout::One, 1, false));
}

/// The name of the variable by which the next test knows that it is the process that was started.
const STARTED: &str = "WORKERMAN_TEST_LISTEN_FDS";

#[test]
fn sockets_of_the_manager_are_claimed_once_by_address() {
    if let Ok(addresses) = std::env::var(STARTED) {
        return take_inherited(&addresses);
    }
    let directory = TemporaryDirectory::new("listeners-inherited");
    let path = directory.0.join("manager.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let addresses = format!("{} {} {}", tcp.local_addr().unwrap(), udp.local_addr().unwrap(), path.display());
    let mut client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
    // 3 is TCP, 4 UDP, 5 Unix, 6 no socket.
    let script = "exec 3<&0 4>&1 5>&2 6</dev/null </dev/null >\"$1\" 2>&1; export LISTEN_PID=$$; exec \"$0\" --exact \
                  sockets_of_the_manager_are_claimed_once_by_address --nocapture";
    let output = directory.0.join("output");
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(&output)
        .env(STARTED, addresses)
        .env("LISTEN_FDS", "4")
        .env("LISTEN_FDNAMES", "web:datagrams")
        .stdin(OwnedFd::from(tcp))
        .stdout(OwnedFd::from(udp))
        .stderr(OwnedFd::from(unix))
        .status()
        .unwrap();
    assert!(status.success(), "{}", std::fs::read_to_string(output).unwrap());
    let mut told = String::new();
    client.read_to_string(&mut told).unwrap();
    assert_eq!(told, "taken in");
    assert!(path.exists(), "it is the manager's");
}

fn take_inherited(addresses: &str) {
    let [tcp, udp, path] = addresses.split(' ').collect::<Vec<_>>()[..] else { panic!("{addresses}") };
    let simulation = Simulation::new();
    let mut inherited = process::inherited_sockets();
    assert_eq!(inherited.iter().map(|socket| &*socket.name).collect::<Vec<_>>(), ["web", "datagrams", "unknown"]);
    assert!(process::inherited_sockets().is_empty());
    let worker = Worker::<Tcp>::new(&format!("tcp://{tcp}"));
    worker.on_connect(|connection| connection.close_with("taken in"));
    Worker::<Tcp>::new(&format!("unix://{path}"));
    UdpWorker::<Tcp>::new(&format!("udp://{udp}"));
    for which in Which::all() {
        let sockets = process::claim(&mut inherited, which);
        assert_eq!(sockets.len(), 1, "{}", which.address());
        let bound = Bound::inherited(which, sockets).expect("it listens");
        which.adopt(copies(bound.share_of(0, 1)), bound.budget(1));
    }
    assert!(inherited.is_empty());
    process::close_unclaimed(inherited);
    simulation.start().expect("it starts");
    turns(&simulation);
}
