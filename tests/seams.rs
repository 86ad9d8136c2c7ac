//! Promise: what was made one by one works together: protocols of one's own, upgrades, broadcasts and pipes.

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::cell::Cell;
use std::time::Duration;

use client::{Frame, exchange, frames, handshake, text};
use support::{Log, answers, boom, get};
use workerman::testing::{Peer, Simulation};
use workerman::{
    Encode, Encoded, Http, Output, PROTOCOL_FAIL, PanicPolicy, Protocol, Request, Result, SendStatus, Status, Tcp,
    TcpConnection, Text, Websocket, Worker,
};

thread_local! {
    /// Whether the next codec cannot be made.
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

/// Numbers the lines of each connection: it has a state, and may fail in each of its methods.
struct Numbered(u32);

impl Default for Numbered {
    fn default() -> Self {
        if BROKEN.take() {
            boom();
        }
        Self(0)
    }
}

impl Protocol for Numbered {
    type Message = String;

    const SCHEME: &'static str = "numbered";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        if let Some(length) = buffer.strip_prefix(b"#").and_then(|rest| rest.first()) {
            return Ok(Some(2 + usize::from(*length)));
        }
        Ok(buffer.iter().position(|byte| *byte == b'\n').map(|end| end + 1))
    }

    fn decode(&mut self, package: &[u8]) -> Result<String> {
        self.0 += 1;
        Ok(format!("{} {}", self.0, str::from_utf8(package)?.trim_end()))
    }
}

impl Encode<String> for Numbered {
    fn encode(&mut self, message: String, output: &mut Output<'_>) -> Encoded {
        output.bytes(format!("{message} of {}\n", self.0).as_bytes());
        if message.ends_with("secret") { Encoded::Failed("it is secret".to_owned()) } else { Encoded::Done }
    }
}

fn upgrade_request(protocol: &str) -> String {
    format!("GET /lines HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n")
}

/// A worker of HTTP that upgrades `/lines` to one of [`Numbered`], which echoes, and answers everything else.
fn site() -> (Simulation, Worker<Http>, Worker<Numbered>, Log) {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let (site, lines, log) = (Worker::<Http>::new(""), Worker::<Numbered>::new(""), Log::default());
    site.on_message(move |connection, request: Request| -> Result<()> {
        if request.path() == "/lines" {
            connection.upgrade_to(lines, request)?;
        } else {
            connection.send(request.path());
        }
        Ok(())
    });
    lines.on_message(|connection, line| connection.send(line));
    let teller = |line: &'static str| {
        let log = log.clone();
        move || log.add(line)
    };
    let (site_closed, came, gone) = (teller("site closed"), teller("lines came"), teller("lines gone"));
    site.on_close(move |_| site_closed());
    lines.on_connect(move |_| came());
    lines.on_close(move |_| gone());
    for_errors(site, &log);
    for_errors(lines, &log);
    (sim, site, lines, log)
}

fn for_errors<P: workerman::Codec>(worker: Worker<P>, log: &Log) {
    let log = log.clone();
    worker.on_error(move |_, code, text| {
        assert_eq!(code, PROTOCOL_FAIL);
        log.add(text);
    });
}

/// What came behind the blank line of the 101.
fn behind_101(peer: &Peer) -> String {
    let all = peer.read_text();
    let (head, rest) = all.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    rest.to_owned()
}

#[test]
fn a_protocol_of_ones_own_keeps_its_state_behind_an_upgrade() {
    let (sim, site, lines, log) = site();
    let bytes = upgrade_request("numbered") + "a\nb\n#\u{3}cde";
    for cut in 1..bytes.len() {
        let peer = sim.connect(site);
        peer.write(&bytes[..cut]);
        sim.run();
        peer.write(&bytes[cut..]);
        sim.run();
        assert_eq!(behind_101(&peer), "1 a of 1\n2 b of 2\n3 #\u{3}cde of 3\n", "cut at {cut}");
        assert_eq!((site.connections().count(), lines.connections().count()), (0, 1));
        peer.finish();
        sim.run();
        assert_eq!(log.take(), ["lines came", "lines gone", "site closed"]);
    }
}

#[test]
fn a_protocol_that_fails_behind_an_upgrade_is_told_to_its_worker_alone() {
    for (bytes, answer, reason) in [
        ("a\n\u{ff}", "1 a of 1\n", "longer than max_package_size"),
        ("a\nsecret\nb\n", "1 a of 1\n", "it is secret"),
        ("a\n#\u{7f}b", "1 a of 1\n", "longer than max_package_size"),
    ] {
        let (sim, site, _, log) = site();
        let peer = sim.connect(site);
        // The limit was that of requests, and is now that of lines.
        site.connections().for_each(|connection| connection.set_max_package_size(100));
        let many = if bytes.ends_with('\u{ff}') { "x".repeat(100) } else { String::new() };
        peer.write(upgrade_request("numbered") + bytes + &many);
        sim.run();
        assert_eq!(behind_101(&peer), answer);
        assert!(peer.is_finished());
        sim.advance(Duration::from_secs(2));
        let told = log.take();
        assert!(told[1].contains(reason), "{told:?}");
        assert_eq!([&told[0], &told[2], &told[3]], ["lines came", "lines gone", "site closed"]);
    }
}

#[test]
fn a_protocol_that_cannot_be_made_costs_no_answer_before_it() {
    let (sim, site, _, log) = site();
    let peer = sim.connect(site);
    BROKEN.set(true);
    peer.write(get("/a") + &get("/b") + &upgrade_request("numbered") + "line\n");
    sim.run();
    let answers = answers(&peer.read_text());
    assert_eq!(answers.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 500]);
    sim.advance(Duration::from_secs(2));
    assert!(peer.is_closed());
    assert_eq!(log.take(), ["site closed"], "nobody came to the other worker");
}

#[test]
fn a_protocol_that_cannot_be_made_leaves_the_one_before() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Text>::new("");
    let log = Log::default();
    let gone = log.clone();
    worker.on_message(|connection, line| {
        connection.send(line);
        BROKEN.set(true);
        connection.set_protocol::<Numbered>();
    });
    worker.on_close(move |_| gone.add("gone"));
    let peer = sim.connect(worker);
    peer.write("a\nb\n");
    sim.run();
    assert_eq!((peer.read_text().as_str(), peer.is_closed()), ("a\n", true));
    assert_eq!(log.take(), ["gone"]);
}

#[test]
fn a_line_may_stand_in_front_of_http() {
    // What a proxy says of its client: the rest is a connection of HTTP like any other, with the worker's deadlines.
    let sim = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.on_message(|connection, line| {
        connection.set(line);
        let http = connection.set_protocol::<Http>();
        http.on_message(|http, request| {
            let client: String = http.get().expect("a line");
            http.send(format!("{} for {client}", request.path()))
        });
    });
    let bytes = "PROXY 1.2.3.4\r\n".to_owned() + &get("/a") + &get("/b");
    for cut in 1..bytes.len() {
        let peer = sim.connect(worker);
        peer.write(&bytes[..cut]);
        sim.run();
        peer.write(&bytes[cut..]);
        sim.run();
        let told = answers(&peer.read_text());
        let expected = ["/a", "/b"].map(|path| (200, format!("{path} for PROXY 1.2.3.4")));
        assert_eq!(told, expected, "cut at {cut}");
        peer.write("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
        sim.run();
        assert_eq!(answers(&peer.read_text()).first().map(|(status, _)| *status), Some(400));
        assert!(peer.is_finished());
    }
    let peer = sim.connect(worker);
    peer.write("PROXY\nGET / HT");
    sim.advance(Duration::from_secs(40));
    assert!(peer.read_text().starts_with("HTTP/1.1 408 ") && peer.is_finished());
}

#[test]
fn what_lies_behind_an_upgrade_is_held_to_the_limit_of_the_new_protocol() {
    let (sim, site, lines, log) = site();
    lines.on_connect(|connection| connection.set_max_package_size(10));
    for (behind, answer, told) in [
        (format!("ok\n{}", "x".repeat(20_000)), "1 ok of 1\n", 1),
        // Ten bytes are no more than that.
        ("123456789\n#\u{8}12345678".to_owned(), "1 123456789 of 1\n2 #\u{8}12345678 of 2\n", 0),
    ] {
        let peer = sim.connect(site);
        peer.write(upgrade_request("numbered") + &behind);
        sim.run();
        assert_eq!(behind_101(&peer), answer);
        assert_eq!(log.take().len(), told, "{behind:.20}");
        peer.reset();
        sim.run();
        log.take();
    }
}

#[test]
fn a_broadcast_reaches_who_has_come_by_an_upgrade_until_it_leaves() {
    let sim = Simulation::new();
    let (site, chat) = (Worker::<Http>::new(""), Worker::<Websocket>::new(""));
    site.on_message(move |connection, request| {
        let others = chat.connections().count();
        let websocket = connection.upgrade_to(chat, request).expect("an upgrade");
        assert_eq!(chat.broadcast_except(websocket, "news").sent, others);
        assert_eq!(chat.broadcast("news").sent, others, "its handshake is not done");
    });
    chat.on_message(move |connection, message| {
        if message == "leave" {
            let raw = connection.set_protocol::<Tcp>();
            raw.on_message(|raw, bytes| raw.send(bytes));
        } else {
            chat.broadcast_except(connection, message);
        }
    });
    let join = || {
        let peer = sim.connect(site);
        peer.write(handshake(""));
        sim.run();
        assert_eq!(behind_101(&peer), "");
        peer
    };
    let (first, second, third) = (join(), client::open(&sim, chat), join());
    for peer in [&first, &second] {
        assert!(frames(&peer.read()).iter().all(|frame| *frame == Frame::text("news")));
    }
    assert_eq!(chat.broadcast("all").sent, 3);
    sim.run();
    for peer in [&first, &second, &third] {
        assert_eq!(frames(&peer.read()), [Frame::text("all")]);
    }
    assert_eq!(exchange(&sim, &first, text("others")), []);
    for peer in [&second, &third] {
        assert_eq!(frames(&peer.read()), [Frame::text("others")]);
    }
    first.write(text("leave"));
    sim.run();
    third.reset();
    sim.run();
    assert_eq!(chat.broadcast("one").sent, 1);
    first.write("raw");
    sim.run();
    assert_eq!((first.read_text().as_str(), frames(&second.read())), ("raw", vec![Frame::text("one")]));
    assert_eq!(chat.connections().count(), 1);
}

#[test]
fn a_broadcast_of_a_protocol_with_state_reaches_who_was_upgraded_to_it() {
    let (sim, site, lines, _) = site();
    let (upgraded, direct) = (sim.connect(site), sim.connect(lines));
    upgraded.write(upgrade_request("numbered") + "a\n");
    sim.run();
    assert_eq!(behind_101(&upgraded), "1 a of 1\n");
    assert_eq!(lines.broadcast("all".to_owned()).sent, 2);
    sim.run();
    assert_eq!((upgraded.read_text().as_str(), direct.read_text().as_str()), ("all of 1\n", "all of 0\n"));
}

/// Two connections, the first of which is piped into the second.
fn piped(sim: &Simulation, from: Worker<Text>, to: Worker<Tcp>) -> (Peer, Peer) {
    let peers = (sim.connect(from), sim.connect(to));
    let source = from.connections().last().expect("a source");
    source.pipe(to.connections().last().expect("a destination"));
    peers
}

#[test]
fn a_source_that_switches_protocols_is_piped_no_more() {
    let sim = Simulation::new();
    let (from, to) = (Worker::<Text>::new(""), Worker::<Tcp>::new(""));
    let (source, destination) = piped(&sim, from, to);
    source.write("one\ntwo");
    sim.run();
    assert_eq!(destination.read_text(), "one");
    let raw = from.connections().next().expect("a source").set_protocol::<Tcp>();
    raw.on_message(|raw, bytes| raw.send(bytes));
    sim.run();
    assert_eq!(source.read_text(), "two", "what had come is the new protocol's");
    // It answers its own peer now: who reads nothing is not read.
    raw.set_max_send_buffer_size(1000);
    source.set_window(0);
    for _ in 0..100 {
        source.write("x".repeat(1000));
        sim.run();
    }
    source.set_window(usize::MAX);
    let mut echoed = 0;
    for _ in 0..100 {
        sim.run();
        echoed += source.read().len();
    }
    assert_eq!(echoed, 100 * 1000, "nothing is dropped");
    source.finish();
    sim.run();
    assert!(!destination.is_finished(), "nor do they end together");
}

#[test]
fn a_source_that_was_held_goes_on_in_its_new_protocol() {
    let sim = Simulation::new();
    let (from, to) = (Worker::<Text>::new(""), Worker::<Tcp>::new(""));
    let (source, destination) = piped(&sim, from, to);
    to.connections().for_each(|connection| connection.set_max_send_buffer_size(10));
    destination.set_window(0);
    source.write("a line that is too long\nraw");
    sim.run();
    let raw = from.connections().next().expect("a source").set_protocol::<Tcp>();
    raw.on_message(|raw, bytes| raw.send(bytes));
    sim.run();
    assert_eq!(source.read_text(), "raw");
}

#[test]
fn a_destination_that_switches_protocols_ends_the_pipe_with_the_next_message() {
    let sim = Simulation::new();
    let (from, to) = (Worker::<Text>::new(""), Worker::<Tcp>::new(""));
    let (source, destination) = piped(&sim, from, to);
    source.write("one\n");
    sim.run();
    to.connections().for_each(|connection| {
        let lines = connection.set_protocol::<Text>();
        assert_eq!(lines.send("two"), SendStatus::Sent);
    });
    source.write("three\n");
    sim.run();
    assert_eq!(destination.read_text(), "onetwo\n");
    assert!(source.is_closed() && destination.is_closed());
}

#[test]
fn an_upgraded_connection_can_be_piped() {
    let sim = Simulation::new();
    let (site, service) = (Worker::<Http>::new(""), Worker::<Tcp>::new(""));
    site.on_message(move |connection, request| {
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        let service = service.connections().next().expect("a service");
        websocket.pipe(service);
        service.pipe(websocket);
    });
    let (inside, browser) = (sim.connect(service), sim.connect(site));
    inside.write("early");
    browser.write([handshake("").as_bytes(), &text("hello")].concat());
    sim.run();
    assert_eq!((behind_101(&browser).as_str(), inside.read_text().as_str()), ("", "hello"));
    inside.write("there");
    sim.run();
    assert_eq!(frames(&browser.read()), [Frame::binary("there")]);
    inside.finish();
    sim.run();
    assert_eq!(frames(&browser.read()), [Frame::close(1000)]);
}

#[test]
fn status_tells_of_an_upgraded_connection_what_it_tells_of_others() {
    let (sim, site, lines, _) = site();
    let peer = sim.connect(site);
    peer.write(upgrade_request("numbered"));
    sim.run();
    let connection = lines.connections().next().expect("a connection");
    assert_eq!(connection.status(), Status::Established);
    connection.close_with("bye".to_owned());
    sim.run();
    assert_eq!(behind_101(&peer), "bye of 0\n");
    assert_eq!(connection.status(), Status::Closed);
}

/// A browser's WebSocket and a service that are piped to each other; the browser's connection may send little.
fn tunnel(sim: &Simulation) -> (Peer, Peer, TcpConnection<Websocket>) {
    let (chat, service) = (Worker::<Websocket>::new(""), Worker::<Tcp>::new(""));
    let inside = sim.connect(service);
    let browser = client::open(sim, chat);
    let (one, other) = (chat.connections().next().expect("one"), service.connections().next().expect("other"));
    one.pipe(other);
    other.pipe(one);
    one.set_max_send_buffer_size(1000);
    (browser, inside, one)
}

#[test]
fn the_two_directions_of_a_websocket_tunnel_do_not_wait_for_each_other() {
    let sim = Simulation::new();
    let (browser, inside, one) = tunnel(&sim);
    browser.set_window(0);
    inside.write("x".repeat(5000));
    sim.run();
    assert!(one.send_buffer_queue_size() > 1000);
    browser.write([text("not "), text("held "), text("back")].concat());
    for _ in 0..10 {
        sim.turn();
    }
    assert_eq!(inside.read_text(), "not held back");
    assert_eq!(one.status(), Status::Established);
}

#[test]
fn pings_through_a_websocket_tunnel_are_bounded_when_nobody_reads_the_pongs() {
    let sim = Simulation::new();
    let (browser, inside, one) = tunnel(&sim);
    one.set_max_package_size(10_000);
    browser.set_window(0);
    inside.write("x".repeat(5000));
    for _ in 0..200 {
        browser.write(client::frame(client::FIN | client::PING, [b'p'; 125]).repeat(1000));
        sim.run();
    }
    let most = 1000 + 10_000 + 4096 + 64 * 1024;
    assert!(one.send_buffer_queue_size() < most, "{} bytes wait", one.send_buffer_queue_size());
}
