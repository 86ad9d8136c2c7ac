//! The promise: a UDP worker answers whoever sends to it, and no datagram, callback or peer ends it.
//!
//! All on one thread: a datagram over loopback has arrived when `send` returns, so clients send before the loop runs, and
//! read after it.

mod outside;
mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::rc::Rc;

use outside::{PATIENCE, start_example};
use support::Log;
use workerman::{
    Datagram, Encode, Encoded, Frame, Output, PROTOCOL_FAIL, PanicPolicy, Protocol, SEND_FAIL, SendStatus, Tcp, Text,
    Timer, UdpConnection, UdpWorker, Worker,
};

/// The longest message in a datagram of IPv4.
const LONGEST: usize = 65_507;

/// A worker that listens already, on a port of its own.
fn worker<P: Datagram>() -> UdpWorker<P> {
    let worker = UdpWorker::<P>::new("udp://127.0.0.1:0");
    worker.listen().expect("a port is free");
    worker
}

fn client<P: Datagram>(worker: UdpWorker<P>) -> UdpSocket {
    client_of(worker.local_addr().expect("it listens"))
}

/// A client of this address, which reads what comes from there alone.
fn client_of(address: SocketAddr) -> UdpSocket {
    let own = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let client = UdpSocket::bind(own).expect("a port is free");
    client.connect(address).expect("an address of this machine");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    client
}

fn send(client: &UdpSocket, datagrams: &[&[u8]]) {
    for datagram in datagrams {
        client.send(datagram).expect("it is sent");
    }
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = client.recv(&mut buffer).expect("an answer");
    buffer.truncate(length);
    buffer
}

fn receive_text(client: &UdpSocket) -> String {
    String::from_utf8_lossy(&receive(client)).into_owned()
}

/// Runs the loop until a callback stops it.
fn run(policy: PanicPolicy) {
    Worker::set_panic_policy(policy);
    Timer::delay(PATIENCE, || {
        Worker::set_panic_policy(PanicPolicy::Propagate);
        panic!("nothing has stopped the loop");
    });
    Worker::run_all().expect("the loop ends without an error");
}

#[test]
fn a_datagram_is_answered() {
    let worker = worker::<Tcp>();
    let client = client(worker);
    send(&client, &[b"xiami"]);
    worker.on_message(|connection, bytes| {
        assert_eq!(connection.send([b"received: ", &bytes[..]].concat()), SendStatus::Sent);
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
    assert_eq!(receive_text(&client), "received: xiami");
}

#[test]
fn a_connection_knows_both_ends() {
    let worker = worker::<Text>();
    let client = client(worker);
    let (here, there) = (worker.local_addr().unwrap(), client.local_addr().unwrap());
    send(&client, &[b"a\n"]);
    worker.on_message(move |connection, _line| {
        assert_eq!((connection.remote_addr(), connection.local_addr()), (there, Some(here)));
        assert_eq!((connection.remote_ip(), connection.remote_port()), ("127.0.0.1".to_owned(), there.port()));
        assert_eq!((connection.local_ip(), connection.local_port()), ("127.0.0.1".to_owned(), here.port()));
        assert_eq!((connection.remote_address(), connection.local_address()), (there.to_string(), here.to_string()));
        assert!(connection.is_ipv4() && !connection.is_ipv6());
        assert_eq!(connection, worker.connection(there));
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
}

#[test]
fn ipv6_works_as_ipv4_does() {
    let worker = UdpWorker::<Tcp>::new("udp://[::1]:0");
    worker.listen().expect("a port is free");
    let client = client(worker);
    send(&client, &[b"a"]);
    worker.on_message(|connection, bytes| {
        assert!(connection.is_ipv6() && !connection.is_ipv4());
        assert_eq!((connection.remote_ip().as_str(), connection.local_ip().as_str()), ("::1", "::1"));
        assert!(connection.remote_address().starts_with("[::1]:"));
        connection.send(bytes);
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
    assert_eq!(receive(&client), b"a");
}

#[test]
fn a_datagram_may_hold_several_messages_and_each_answer_is_a_datagram() {
    let worker = worker::<Text>();
    let client = client(worker);
    send(&client, &[b"a\r\nb\n\nincomplete", b" end\nlast"]);
    worker.on_message(|connection, line| {
        connection.send(&line);
        if line == " end" {
            Worker::stop_all();
        }
    });
    worker.on_error(|_, _, text| panic!("what is incomplete is dropped without a word: {text}"));
    run(PanicPolicy::Propagate);
    // The next datagram begins anew.
    for expected in ["a\n", "b\n", "\n", " end\n"] {
        assert_eq!(receive_text(&client), expected);
    }
}

#[test]
fn a_datagram_without_bytes_is_a_message_of_raw_bytes() {
    let (raw, lines) = (worker::<Tcp>(), worker::<Text>());
    let (raw_client, lines_client) = (client(raw), client(lines));
    send(&raw_client, &[b""]);
    send(&lines_client, &[b"", b"\n"]);
    let waiting = Rc::new(Cell::new(2));
    let done = move || {
        waiting.set(waiting.get() - 1);
        if waiting.get() == 0 {
            Worker::stop_all();
        }
    };
    let raw_done = done.clone();
    raw.on_message(move |connection, bytes| {
        assert_eq!((bytes.len(), connection.send("")), (0, SendStatus::Sent));
        raw_done();
    });
    lines.on_message(move |connection, line| {
        assert_eq!((line.as_str(), connection.send_raw("")), ("", SendStatus::Sent));
        done();
    });
    run(PanicPolicy::Propagate);
    assert_eq!([receive(&raw_client), receive(&lines_client)], [b"", b""]);
}

#[test]
fn the_longest_datagram_comes_and_goes_and_a_longer_one_is_told() {
    let worker = worker::<Tcp>();
    let client = client(worker);
    let longest: Vec<u8> = (0..=250).cycle().take(LONGEST).collect();
    send(&client, &[&longest]);
    worker.on_message(|connection, bytes| {
        for length in [LONGEST + 1, 65_536, 100_000, 1_000_000] {
            assert_eq!(connection.send(vec![0; length]), SendStatus::Dropped, "{length}");
        }
        assert_eq!(connection.send(bytes), SendStatus::Sent);
        assert_eq!(connection.send_raw(vec![0; 100_000]), SendStatus::Dropped);
    });
    let errors = Log::default();
    let log = errors.clone();
    worker.on_error(move |connection, code, text| {
        log.add(format!("{code} {text}"));
        // What is lost here raises no other.
        assert_eq!(connection.send(vec![0; 100_000]), SendStatus::Dropped);
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
    assert_eq!(receive(&client), longest);
    assert_eq!(errors.take(), vec![format!("{SEND_FAIL} the message is too long for a datagram"); 5]);
}

#[test]
fn garbage_is_told_and_costs_its_datagram_only() {
    let worker = worker::<Frame>();
    let client = client(worker);
    send(&client, &[b"\0\0\0\x05a\0\0\0\x01\0\0\0\x05b", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x05c"]);
    let from = client.local_addr().unwrap();
    let events = Log::default();
    let log = events.clone();
    worker.on_message(move |_, bytes| {
        log.add(bytes.escape_ascii());
        if bytes == b"c" {
            Worker::stop_all();
        }
    });
    let log = events.clone();
    worker.on_error(move |connection, code, _| {
        assert_eq!((connection.remote_addr(), code), (from, PROTOCOL_FAIL));
        log.add("refused");
    });
    run(PanicPolicy::Propagate);
    assert_eq!(events.take(), ["a", "refused", "refused", "c"]);
}

#[test]
fn a_panic_or_an_error_costs_the_rest_of_its_datagram() {
    let worker = worker::<Text>();
    let client = client(worker);
    send(&client, &[b"1\npanic\n2\n", b"3\nerror\n4\n", b"5\nstop\n"]);
    worker.on_message(|connection, line| -> workerman::Result<()> {
        match line.as_str() {
            "panic" => panic!("a bad datagram"),
            "error" => return Err("a bad datagram".into()),
            "stop" => Worker::stop_all(),
            _ => _ = connection.send(&line),
        }
        Ok(())
    });
    run(PanicPolicy::CloseConnection);
    assert_eq!([1, 3, 5].map(|_| receive_text(&client)), ["1\n", "3\n", "5\n"]);
}

/// A digit says how many bytes follow; "x" in them is refused, "!" a bug.
#[derive(Default)]
struct Digits;

impl Protocol for Digits {
    type Message = String;

    fn input(&mut self, buffer: &[u8]) -> workerman::Result<Option<usize>> {
        let first = buffer.first().ok_or("nothing")?;
        Ok(Some(1 + usize::from(first.checked_sub(b'0').ok_or("no digit")?)))
    }

    fn decode(&mut self, package: &[u8]) -> workerman::Result<String> {
        assert!(!package.contains(&b'!'), "a bug");
        match package.contains(&b'x') {
            true => Err("an x".into()),
            false => Ok(str::from_utf8(package.get(1..).unwrap_or_default())?.to_owned()),
        }
    }
}

impl Encode<&str> for Digits {
    fn encode(&mut self, message: &str, output: &mut Output<'_>) -> Encoded {
        output.bytes(b"partly ");
        if message == "fail" {
            return Encoded::Failed("it cannot be said".to_owned());
        }
        assert!(message != "panic", "a bug");
        output.bytes(message.as_bytes());
        Encoded::Done
    }
}

#[test]
fn a_protocol_of_ones_own_costs_its_datagram_when_it_fails() {
    let worker = worker::<Digits>();
    let client = client(worker);
    send(&client, &[b"1a2bc0", b"1d1x1e", b"1f1!1g", b"#", b"9h", b"1i4fail5panic4stop"]);
    let events = Log::default();
    let log = events.clone();
    worker.on_message(move |connection, message| {
        log.add(format!("{message} {:?}", connection.send(&*message)));
        if message == "stop" {
            Worker::stop_all();
        }
    });
    let log = events.clone();
    worker.on_error(move |_, code, text| log.add(format!("{code} {text}")));
    run(PanicPolicy::CloseConnection);
    let expected = [
        "a Sent",
        "bc Sent",
        " Sent",
        "d Sent",
        "3 an x",
        "f Sent",
        "3 a bug",
        "3 no digit",
        "i Sent",
        "fail Dropped",
        "3 it cannot be said",
        "panic Dropped",
        "3 a bug",
        "stop Sent",
    ];
    assert_eq!(events.take(), expected);
    let answers = ["a", "bc", "", "d", "f", "i", "stop"].map(|message| format!("partly {message}"));
    assert_eq!([(); 7].map(|()| receive_text(&client)), answers);
}

#[test]
fn an_answer_may_come_from_a_timer() {
    let worker = worker::<Tcp>();
    let clients = [client(worker), client(worker)];
    send(&clients[0], &[b"first"]);
    send(&clients[1], &[b"second"]);
    let waiting = Rc::new(Cell::new(clients.len()));
    worker.on_message(move |connection, bytes| {
        let waiting = Rc::clone(&waiting);
        Timer::delay(0.001, move || {
            connection.send(&bytes);
            waiting.set(waiting.get() - 1);
            if waiting.get() == 0 {
                Worker::stop_all();
            }
        });
    });
    run(PanicPolicy::Propagate);
    assert_eq!(clients.each_ref().map(receive_text), ["first", "second"]);
}

#[test]
fn udp_and_tcp_workers_run_side_by_side() {
    let (one, two) = (worker::<Tcp>(), worker::<Text>());
    let tcp = Worker::<Tcp>::new("tcp://127.0.0.1:0");
    tcp.listen().expect("a port is free");
    let mut stream = TcpStream::connect(tcp.local_addr().unwrap()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"tcp").unwrap();
    let clients = [client(one), client(two)];
    // Each hands on to the next, and all have started before the first message comes.
    let events = Log::default();
    let event = |line: &'static str| {
        let log = events.clone();
        move || log.add(line)
    };
    let [one_starts, two_starts, tcp_starts] = [event("one starts"), event("two starts"), event("tcp starts")];
    one.on_worker_start(move |_| one_starts());
    two.on_worker_start(move |_| two_starts());
    tcp.on_worker_start(move |_| tcp_starts());
    let [one_stops, two_stops] = [event("one stops"), event("two stops")];
    one.on_worker_stop(move |_| one_stops());
    two.on_worker_stop(move |_| two_stops());
    let [tcp_message, one_message, two_message] = [event("tcp"), event("one"), event("two")];
    let [to_one, to_two] = clients.each_ref().map(|client| client.try_clone().unwrap());
    tcp.on_message(move |connection, bytes| {
        tcp_message();
        connection.send(bytes);
        send(&to_one, &[b"one"]);
    });
    one.on_message(move |connection, bytes| {
        one_message();
        connection.send(bytes);
        send(&to_two, &[b"two\n"]);
    });
    two.on_message(move |connection, line| {
        two_message();
        connection.send(line);
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
    assert_eq!(clients.each_ref().map(receive_text), ["one", "two\n"]);
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"tcp");
    let expected = ["tcp starts", "one starts", "two starts", "tcp", "one", "two", "one stops", "two stops"];
    assert_eq!(events.take(), expected);
}

#[test]
fn a_flood_of_datagrams_lets_tcp_clients_have_their_turn() {
    // More than two turns take, and no more than the system keeps.
    const FLOOD: u8 = 200;
    let udp = worker::<Tcp>();
    let tcp = Worker::<Tcp>::new("tcp://127.0.0.1:0");
    tcp.listen().expect("a port is free");
    let client = client(udp);
    for number in 0..FLOOD {
        send(&client, &[&[number]]);
    }
    let mut stream = TcpStream::connect(tcp.local_addr().unwrap()).expect("it listens");
    stream.write_all(b"?").unwrap();
    let count = Rc::new(Cell::new(0));
    let served_after = Rc::new(Cell::new(None));
    let (counting, served) = (Rc::clone(&count), Rc::clone(&served_after));
    udp.on_message(move |_, bytes| {
        assert_eq!(bytes, [counting.get()], "in order, none lost");
        counting.set(counting.get() + 1);
        if counting.get() == FLOOD {
            Timer::delay(0.001, Worker::stop_all);
        }
    });
    tcp.on_message(move |_, _| served.set(Some(count.get())));
    run(PanicPolicy::Propagate);
    let after = served_after.get().expect("the TCP client was served");
    assert!(after < FLOOD, "after {after} of {FLOOD} datagrams");
}

#[test]
fn closing_a_connection_leaves_the_worker_alone() {
    let worker = worker::<Tcp>();
    let client = client(worker);
    send(&client, &[b"one", b"two", b"stop"]);
    worker.on_message(|connection, bytes| {
        match bytes.as_slice() {
            b"one" => connection.close(),
            b"two" => connection.close_with("bye"),
            _ => Worker::stop_all(),
        }
        // Nor is the handle of any other use than before.
        connection.send(bytes)
    });
    run(PanicPolicy::Propagate);
    assert_eq!([(); 4].map(|()| receive_text(&client)), ["one", "bye", "two", "stop"]);
}

#[test]
fn a_peer_that_is_gone_changes_nothing() {
    let worker = worker::<Tcp>();
    let gone = client(worker);
    let client = client(worker);
    for _ in 0..100 {
        send(&gone, &[b"never read"]);
    }
    drop(gone);
    send(&client, &[b"stop"]);
    worker.on_message(|connection, bytes| {
        assert_eq!(connection.send(&bytes), SendStatus::Sent);
        if bytes == b"stop" {
            Worker::stop_all();
        }
    });
    worker.on_error(|_, _, text| panic!("nobody knows of it: {text}"));
    run(PanicPolicy::Propagate);
    assert_eq!(receive_text(&client), "stop");
}

#[test]
fn a_handle_is_closed_while_its_worker_does_not_listen() {
    let worker = worker::<Tcp>();
    let peer = client(worker).local_addr().unwrap();
    let connection: UdpConnection<Tcp> = worker.connection(peer);
    assert_eq!(connection.send("a"), SendStatus::Sent);
    worker.unlisten();
    assert_eq!((connection.send("a"), connection.send_raw("a")), (SendStatus::Closed, SendStatus::Closed));
    assert_eq!((worker.local_addr(), connection.local_port(), connection.local_address()), (None, 0, String::new()));
    assert_eq!(connection.remote_addr(), peer, "who it was can still be read");
    worker.listen().expect("a port is free");
    assert_eq!(connection.send("a"), SendStatus::Sent);
    worker.on_worker_start(|_| Worker::stop_all());
    run(PanicPolicy::Propagate);
    assert_eq!((connection.send("a"), worker.local_addr()), (SendStatus::Closed, None));
}

#[test]
fn a_worker_may_stop_listening_in_the_middle_of_a_flood() {
    let worker = worker::<Tcp>();
    let client = client(worker);
    send(&client, &[b"1", b"2", b"3"]);
    let messages = Log::default();
    let log = messages.clone();
    worker.on_message(move |_, bytes| {
        log.add(bytes.escape_ascii());
        worker.unlisten();
        Timer::delay(0.001, Worker::stop_all);
    });
    run(PanicPolicy::Propagate);
    assert_eq!(messages.take(), ["1"]);
}

#[test]
fn workers_are_made_and_replaced_while_the_loop_runs() {
    let outer = worker::<Text>();
    let client = client(outer);
    send(&client, &[b"make\n"]);
    outer.on_message(move |connection, line| {
        // The callback that runs may be replaced.
        outer.on_message(|_, _| Worker::stop_all());
        let inner = worker::<Text>();
        inner.on_worker_start(|_| panic!("as in PHP, only what is there at the start is told of it"));
        inner.on_message(move |from_outside, line| {
            from_outside.send(&line);
            // Through another worker's socket, to its peer.
            connection.send(&line);
            inner.unlisten();
            Worker::stop_all();
        });
        let other_client = self::client(inner);
        send(&other_client, &[line.as_bytes(), b" inner\n"]);
    });
    run(PanicPolicy::Propagate);
    assert_eq!(receive_text(&client), " inner\n");
}

#[test]
fn broadcasting_has_to_be_allowed() {
    let (receiver, sender) = (UdpWorker::<Tcp>::new("udp://0.0.0.0:0"), UdpWorker::<Tcp>::new("udp://0.0.0.0:0"));
    receiver.listen().expect("a port is free");
    sender.listen().expect("a port is free");
    let port = receiver.local_addr().unwrap().port();
    let all = sender.connection(SocketAddr::from(([127, 255, 255, 255], port)));
    assert_eq!(all.send("not yet"), SendStatus::Dropped);
    sender.set_broadcast(true);
    assert_eq!(all.send("to all"), SendStatus::Sent);
    receiver.on_message(|_, bytes| {
        assert_eq!(bytes, b"to all");
        Worker::stop_all();
    });
    run(PanicPolicy::Propagate);
}

#[test]
fn an_error_at_the_start_names_the_address_or_the_worker() {
    let wrong = |address: &str| UdpWorker::<Tcp>::new(address).listen().unwrap_err().to_string();
    for scheme in ["tcp", "text", "unix"] {
        let error = wrong(&format!("{scheme}://127.0.0.1:0"));
        assert!(error.contains(&format!("\"{scheme}\"")) && error.contains("\"udp\""), "{error}");
    }
    assert!(wrong("udp://192.0.2.1:9").starts_with("cannot listen on udp://192.0.2.1:9: "));
    let worker = worker::<Tcp>();
    let no_group = worker.join_multicast(IpAddr::from([127, 0, 0, 1])).unwrap_err().to_string();
    assert!(no_group.starts_with("cannot listen on udp://127.0.0.1:0: "), "{no_group}");
    Worker::run_all().expect_err("workers with bad addresses are there");
    let worker = self::worker::<Tcp>();
    worker.set_name("counter");
    worker.on_worker_start(|_| -> workerman::Result<()> { Err("no database".into()) });
    let error = Worker::run_all().unwrap_err().to_string();
    assert_eq!(error, "on_worker_start of worker \"counter\" failed: no database");
}

#[test]
fn a_worker_keeps_data() {
    let worker = worker::<Tcp>();
    worker.set(1_u32);
    let client = client(worker);
    send(&client, &[b"a", b"b"]);
    worker.on_message(move |_, _| {
        worker.with(|count: &mut u32| *count += 1);
        if worker.get() == Some(3_u32) {
            Worker::stop_all();
        }
    });
    run(PanicPolicy::Propagate);
    assert_eq!(worker.get::<u32>(), None, "its loop has ended");
}

#[test]
fn the_example_answers() {
    let (_process, address) = start_example("udp_echo");
    let client = client_of(address);
    for text in ["xiami", ""] {
        send(&client, &[text.as_bytes()]);
        assert_eq!(receive_text(&client), format!("received: {text}"));
    }
}
