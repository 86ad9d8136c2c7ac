//! Promise: clients find real servers, and whatever keeps them from it is told once, in words that a person understands.

mod outside;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use outside::{TemporaryDirectory, free_address, now, receive};
use workerman::{AsyncTcpConnection, LoopHandle, Text, Worker};

type Client = AsyncTcpConnection<Text>;

/// A loop with one client on a thread of its own, and what it is told.
struct Told {
    events: Receiver<String>,
    handle: LoopHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Told {
    fn by(address: &str, set_up: impl FnOnce(Client) + Send + 'static) -> Self {
        let (tell, events) = mpsc::channel();
        let (handles, handle) = mpsc::channel();
        let address = address.to_owned();
        let thread = thread::spawn(move || {
            let client = Client::new(&address);
            let (connect, message, error, close) = (tell.clone(), tell.clone(), tell.clone(), tell);
            client.on_connect(move |_| drop(connect.send("connect".to_owned())));
            client.on_message(move |_, line| drop(message.send(line)));
            client.on_error(move |_, code, text| drop(error.send(format!("{code} {text}"))));
            client.on_close(move |_| drop(close.send("close".to_owned())));
            set_up(client);
            client.connect();
            let _ = handles.send(LoopHandle::current());
            Worker::run_all().expect("the loop ends without an error");
        });
        let handle = receive("the loop", &handle);
        Self { events, handle, thread: Some(thread) }
    }

    fn next(&self) -> String {
        receive("an event", &self.events)
    }

    /// One error, whose text has this in it, and one end.
    fn fails(&self, part: &str) {
        let error = self.next();
        assert!(error.starts_with("1 connect ") && error.contains(part), "{error}");
        assert_eq!(self.next(), "close");
        assert!(self.events.recv_timeout(Duration::from_millis(50)).is_err(), "that was all");
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.handle.run(Worker::stop_all);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

/// A server that says a line, and gives back what it is told in one.
fn echo_once(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().expect("somebody comes");
    stream.write_all(b"welcome\n").expect("it listens");
    let mut line = [0; 6];
    stream.read_exact(&mut line).expect("it says something");
    String::from_utf8_lossy(&line).into_owned()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

#[test]
fn a_server_is_found_by_number_and_by_name() {
    let (listener, address) = listener();
    // A name may have addresses on which nobody listens: all are tried.
    for host in ["127.0.0.1", "localhost"] {
        let client = Told::by(&format!("text://{host}:{}", address.port()), |client| {
            client.send("hello");
        });
        assert_eq!(echo_once(&listener), "hello\n");
        assert_eq!([client.next(), client.next(), client.next()], ["connect", "welcome", "close"]);
    }
}

#[test]
fn a_server_is_found_by_the_path_of_its_socket() {
    let directory = TemporaryDirectory::new("client");
    let path = directory.0.join("server.sock");
    let listener = UnixListener::bind(&path).expect("the path is free");
    let client = Told::by(&format!("unix://{}", path.display()), |client| {
        client.send("hello");
    });
    let (mut stream, _) = listener.accept().expect("somebody comes");
    let mut line = [0; 6];
    stream.read_exact(&mut line).expect("it says something");
    stream.write_all(b"welcome\n").expect("it listens");
    drop(stream);
    assert_eq!([client.next(), client.next(), client.next()], ["connect", "welcome", "close"]);
    let nobody = Told::by(&format!("unix://{}.none", path.display()), |_| {});
    nobody.fails("No such file");
}

#[test]
fn a_port_on_which_nobody_listens_is_refused() {
    let address = free_address();
    Told::by(&format!("text://{address}"), |_| {}).fails("refused");
    Told::by(&format!("text://localhost:{}", address.port()), |_| {}).fails("refused");
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    Told::by("text://there.is.no.such.name.invalid:1", |_| {}).fails("there.is.no.such.name.invalid");
}

#[test]
fn a_server_that_never_answers_takes_as_long_as_it_may_and_no_longer() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    // They fill the queue, from where nobody takes them.
    let _waiting: Vec<_> = (0..4).map(|_| connect_without_waiting(address)).collect();
    let start = now();
    let client = Told::by(&format!("text://{address}"), |client| client.set_connect_timeout(0.3));
    client.fails("it takes too long");
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

fn connect_without_waiting(address: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("it need not wait");
    let _ = socket.connect(&address.into());
    socket
}

#[test]
fn a_client_comes_back_to_a_server_that_comes_back() {
    let (listener, address) = listener();
    let client = Told::by(&format!("text://{address}"), |client| {
        client.on_close(|client| client.reconnect(0.05));
    });
    drop(listener.accept().expect("it comes"));
    assert_eq!(client.next(), "connect");
    drop(listener);
    let error = client.next();
    assert!(error.contains("refused"), "{error}");
    let again = TcpListener::bind(address).expect("the port is free again");
    let (mut stream, _) = again.accept().expect("it comes back");
    stream.write_all(b"welcome\n").expect("it listens");
    let mut event = client.next();
    while event.starts_with("1 connect") {
        event = client.next();
    }
    assert_eq!([event, client.next()], ["connect", "welcome"]);
}
