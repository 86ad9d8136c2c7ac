//! Promise: a process that stops completes what has begun, says so where the protocol has words for it, takes nothing on, and
//! ends in the time that it was given.

mod common;
mod support;
#[path = "websocket/client.rs"]
mod websocket;

use std::time::Duration;

use common::{Answer, GET, answers, chunks, get, serve, split_head};
use proptest::prelude::*;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{
    Chunk, Codec, Deadlines, Http, Response, ServerSentEvents, Status, Tcp, TcpConnection, Text, Timer, Websocket,
    Worker,
};

const EVENTS: (&str, &str) = ("Content-Type", "text/event-stream");

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A worker whose paths say what it does: nothing, an answer in so many seconds, a stream.
fn server() -> (Simulation, Worker<Http>, Log) {
    let (simulation, worker) = serve(|connection, request| match request.path() {
        "/never" => {}
        "/events" => {
            connection.send(Response::new(200, &[EVENTS], ""));
            connection.send(ServerSentEvents::new().data("one"));
        }
        "/parts" => {
            connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], "part"));
            connection.add_timer(5, move || connection.send(Chunk::new("")));
        }
        "/raw" => {
            connection.add_timer(5, move || connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        }
        path => match path.trim_start_matches('/').parse::<u64>() {
            Ok(time) => drop(connection.add_timer(time, move || connection.send("late"))),
            Err(_) => drop(connection.send(request.raw_body())),
        },
    });
    let log = Log::default();
    let closes = log.clone();
    worker.on_close(move |_| closes.add("closed"));
    (simulation, worker, log)
}

fn ask(simulation: &Simulation, worker: Worker<Http>, path: &str) -> Peer {
    let peer = simulation.connect(worker);
    peer.write(get(path));
    simulation.run();
    peer
}

/// A connection that was of use once, and then for seconds no more.
fn idle<P: Codec>(simulation: &Simulation, worker: Worker<P>, request: &str) -> Peer {
    let peer = simulation.connect(worker);
    peer.write(request);
    simulation.run();
    peer.read();
    simulation.advance(seconds(1));
    peer
}

fn stop_gracefully(simulation: &Simulation) {
    Worker::stop_all_gracefully();
    simulation.begin_stop();
    simulation.run();
}

/// The one answer, which says that it is the last.
fn last(peer: &Peer) -> Answer {
    let [answer] = answers(&peer.read()).try_into().expect("one answer");
    assert_eq!(answer.header("connection"), Some("close"), "{}", answer.head);
    assert!(peer.is_finished());
    answer
}

#[test]
fn a_connection_that_is_idle_closes_at_once() {
    let (simulation, worker, log) = server();
    let peer = idle(&simulation, worker, GET);
    stop_gracefully(&simulation);
    assert!(peer.is_closed() && simulation.has_stopped());
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn a_request_that_comes_while_its_client_cannot_know_yet_is_answered() {
    let (simulation, worker, log) = server();
    let quick = ask(&simulation, worker, "/");
    quick.read();
    let new = simulation.connect(worker);
    let silent = [ask(&simulation, worker, "/"), simulation.connect(worker)];
    stop_gracefully(&simulation);
    simulation.advance(milliseconds(200));
    assert!(![&quick, &new, &silent[0], &silent[1]].into_iter().any(Peer::is_finished));
    for peer in [&quick, &new] {
        peer.write(GET);
        simulation.run();
        last(peer);
    }
    simulation.advance(milliseconds(100));
    assert!(silent.iter().all(Peer::is_closed) && simulation.has_stopped());
    assert_eq!(log.count("closed"), 4);
}

#[test]
fn without_deadlines_nobody_is_known_to_be_idle_before_that_moment_is_over() {
    let (simulation, worker, _) = server();
    worker.set_deadlines(Deadlines::none());
    let peer = idle(&simulation, worker, GET);
    stop_gracefully(&simulation);
    assert!(!peer.is_finished());
    simulation.advance(milliseconds(300));
    assert!(peer.is_closed() && simulation.has_stopped());
}

#[test]
fn a_request_that_is_being_read_is_read_to_its_end_and_answered() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for at in 1..post.len() {
        let (simulation, worker, _) = server();
        let peer = simulation.connect(worker);
        let (begin, end) = post.split_at(at);
        peer.write(begin);
        simulation.run();
        stop_gracefully(&simulation);
        simulation.advance(seconds(3));
        assert!(!peer.is_finished(), "{at}");
        peer.write(end);
        simulation.run();
        assert_eq!(last(&peer).body(), "hello", "{at}");
        assert!(simulation.has_stopped());
    }
}

#[test]
fn a_body_that_is_taken_in_pieces_is_taken_to_its_end() {
    let (simulation, worker, _) = server();
    worker.on_head(|connection, _| connection.on_body(|_, _| {}));
    let peer = simulation.connect(worker);
    peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    simulation.run();
    stop_gracefully(&simulation);
    simulation.advance(seconds(3));
    peer.write("llo");
    simulation.run();
    assert_eq!(last(&peer).body(), "");
}

#[test]
fn a_late_answer_is_given() {
    for path in ["/5", "/29"] {
        let (simulation, worker, log) = server();
        let peer = ask(&simulation, worker, path);
        stop_gracefully(&simulation);
        simulation.advance(seconds(4));
        assert!(!peer.is_finished() && !simulation.has_stopped());
        simulation.advance(seconds(25));
        assert_eq!(last(&peer).body(), "late");
        assert!(simulation.has_stopped());
        assert_eq!(log.take(), ["closed"]);
    }
}

#[test]
fn an_answer_in_parts_is_completed_by_the_app() {
    let (simulation, worker, _) = server();
    let peer = ask(&simulation, worker, "/parts");
    stop_gracefully(&simulation);
    simulation.advance(seconds(4));
    assert!(!peer.is_finished());
    simulation.advance(seconds(1));
    assert!(peer.is_finished() && simulation.has_stopped());
    assert!(peer.read().ends_with(b"4\r\npart\r\n0\r\n\r\n"));
}

#[test]
fn an_answer_that_the_app_frames_is_the_last_too() {
    let (simulation, worker, _) = server();
    let peer = ask(&simulation, worker, "/raw");
    stop_gracefully(&simulation);
    simulation.advance(milliseconds(5300));
    assert_eq!(answers(&peer.read()).len(), 1);
    assert!(peer.is_finished() && simulation.has_stopped());
}

#[test]
fn an_answer_on_its_way_arrives_whole() {
    let (simulation, worker) = serve(|connection, _| connection.send(vec![b'x'; 3 << 20]));
    let peer = simulation.connect(worker);
    peer.set_window(100_000);
    peer.write(GET);
    simulation.run();
    stop_gracefully(&simulation);
    let mut bytes = Vec::new();
    while !peer.is_finished() {
        bytes.extend(peer.read());
        simulation.advance(milliseconds(100));
    }
    bytes.extend(peer.read());
    assert_eq!(answers(&bytes)[0].body.len(), 3 << 20);
    assert!(simulation.has_stopped());
}

#[test]
fn of_requests_in_a_row_the_one_at_hand_is_answered() {
    let (simulation, worker, _) = server();
    let peer = simulation.connect(worker);
    peer.write([get("/5"), get("/"), get("/")].concat());
    simulation.run();
    stop_gracefully(&simulation);
    simulation.advance(seconds(5));
    assert_eq!(last(&peer).body(), "late");
}

#[test]
fn the_time_is_30_s_and_can_be_set() {
    for (set, limit) in [(None, 30), (Some(7), 7)] {
        let (simulation, worker, log) = server();
        if let Some(time) = set {
            Worker::set_graceful_timeout(time);
        }
        let peer = ask(&simulation, worker, "/never");
        stop_gracefully(&simulation);
        simulation.advance(seconds(limit) - milliseconds(1));
        assert!(!peer.is_finished() && !simulation.has_stopped());
        simulation.advance(milliseconds(2));
        assert!(peer.is_closed() && simulation.has_stopped());
        assert_eq!((peer.read().len(), log.take()), (0, vec!["closed".to_owned()]));
    }
}

#[test]
fn a_plain_stop_does_the_same_in_2_s_or_what_is_set() {
    for (set, limit) in [(None, 2000), (Some(0.5), 500), (Some(0.0), 0)] {
        let (simulation, worker, _) = server();
        if let Some(time) = set {
            Worker::set_stop_timeout(time);
        }
        let (late, stuck, idle) =
            (ask(&simulation, worker, "/1"), ask(&simulation, worker, "/never"), idle(&simulation, worker, GET));
        late.read();
        let late = (limit > 1000).then(|| ask(&simulation, worker, "/1"));
        Worker::stop_all();
        simulation.begin_stop();
        simulation.run();
        assert!(idle.is_closed());
        simulation.advance(milliseconds(limit).saturating_sub(milliseconds(1)));
        assert_eq!(stuck.is_finished(), limit == 0);
        simulation.advance(milliseconds(2));
        assert!(stuck.is_closed() && simulation.has_stopped());
        late.into_iter().for_each(|late| drop(last(&late)));
    }
}

#[test]
fn an_event_stream_ends_properly() {
    for (version, end) in [("1.1", "\r\n0\r\n\r\n"), ("1.0", "data: one\n\n")] {
        let (simulation, worker, log) = server();
        let peer = simulation.connect(worker);
        peer.write(format!("GET /events HTTP/{version}\r\nHost: a\r\n\r\n"));
        simulation.run();
        stop_gracefully(&simulation);
        assert!(peer.is_finished() && simulation.has_stopped());
        let bytes = peer.read();
        assert!(bytes.ends_with(end.as_bytes()), "{}", bytes.escape_ascii());
        if version == "1.1" {
            assert!(chunks(split_head(&bytes).1).1);
        }
        assert_eq!(log.take(), ["closed"]);
    }
}

/// How many of these have ended.
fn ended(peers: &[Peer]) -> usize {
    peers.iter().filter(|peer| peer.is_finished()).count()
}

#[test]
fn many_streams_end_one_after_another_and_few_soon() {
    for (count, window, half, whole) in [
        (1000, None, 500, 1000),
        (3, None, 10, 30),
        (1000, Some(4), 2000, 4000),
        (1000, Some(0), 0, 0),
        (2000, Some(90), 7500, 15_000),
    ] {
        let (simulation, worker, log) = server();
        if let Some(window) = window {
            Worker::set_stream_end_window(window);
        }
        let peers: Vec<Peer> = (0..count).map(|_| ask(&simulation, worker, "/events")).collect();
        stop_gracefully(&simulation);
        if whole > 0 {
            assert!((1..=count / 3).contains(&ended(&peers)), "a few begin");
            simulation.advance(milliseconds(half));
            assert!((count * 2 / 5..=count * 2 / 3).contains(&ended(&peers)), "{} of {count}", ended(&peers));
            simulation.advance(milliseconds(whole - half));
        }
        assert_eq!((ended(&peers), simulation.has_stopped()), (count, true));
        assert!(peers.iter().all(|peer| peer.read().ends_with(b"0\r\n\r\n")));
        assert_eq!(log.count("closed"), count);
    }
}

#[test]
fn what_becomes_a_stream_while_the_process_stops_ends_too() {
    let (simulation, worker, _) = server();
    worker.on_message(|connection, _| {
        connection.add_timer(5, move || connection.send(Response::new(200, &[EVENTS], "")));
    });
    let peer = ask(&simulation, worker, "/");
    stop_gracefully(&simulation);
    simulation.advance(milliseconds(5300));
    let bytes = peer.read();
    let (head, body) = split_head(&bytes);
    assert!(head.contains("Connection: close") && chunks(body).1);
    assert!(peer.is_finished() && simulation.has_stopped());
}

#[test]
fn a_websocket_gets_1001_and_has_the_time_of_a_farewell() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let log = Log::default();
    let closes = log.clone();
    worker.on_close(move |_| closes.add("closed"));
    let polite = websocket::open(&simulation, worker);
    let silent = websocket::open(&simulation, worker);
    stop_gracefully(&simulation);
    simulation.advance(milliseconds(50));
    for peer in [&polite, &silent] {
        assert_eq!(websocket::frames(&peer.read()), [websocket::Frame::close(1001)]);
    }
    polite.write(websocket::close(1001, ""));
    simulation.run();
    assert!(polite.is_finished() && !silent.is_finished());
    polite.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed"]);
    simulation.advance(seconds(9));
    assert!(!silent.is_finished());
    simulation.advance(seconds(2));
    assert!(silent.is_closed() && simulation.has_stopped());
}

#[test]
fn no_websocket_is_let_in_any_more() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_websocket_connected(|_, _| panic!("let in"));
    let request = websocket::handshake("");
    let (begin, end) = request.split_at(20);
    let half = simulation.connect(worker);
    half.write(begin);
    simulation.run();
    stop_gracefully(&simulation);
    half.write(end);
    simulation.run();
    assert_eq!(last(&half).status(), 503);
}

#[test]
fn a_websocket_that_was_a_page_gets_1001_even_if_it_becomes_one_now() {
    let (simulation, worker) = serve(|connection, request| {
        let time = if request.uri() == "/chat?late" { 1.0 } else { 0.001 };
        let mut request = Some(request);
        connection.add_timer(time, move || {
            if let Some(request) = request.take() {
                connection.upgrade::<Websocket>(request).expect("an upgrade");
            }
        });
    });
    let request = websocket::handshake("");
    let peers = [request.clone(), request.replace("?a=1", "?late")].map(|request| {
        let peer = simulation.connect(worker);
        peer.write(request);
        peer
    });
    simulation.advance(milliseconds(2));
    stop_gracefully(&simulation);
    simulation.advance(milliseconds(1300));
    for peer in &peers {
        let (head, frames) = (peer.read(), [websocket::Frame::close(1001)]);
        let (head, rest) = split_head(&head);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(websocket::frames(rest), frames);
    }
}

#[test]
fn other_protocols_send_what_is_queued_and_close() {
    let simulation = Simulation::new();
    let (tcp, lines) = (Worker::<Tcp>::new(""), Worker::<Text>::new(""));
    tcp.on_message(|connection, bytes| connection.send(bytes));
    lines.on_message(|connection, line| connection.send(line));
    let peers = [simulation.connect(tcp), simulation.connect(lines)];
    for peer in &peers {
        peer.set_window(3);
        peer.write("abcdefg\n");
    }
    let quick = [idle(&simulation, tcp, "a"), idle(&simulation, lines, "a\nhalf of a line")];
    stop_gracefully(&simulation);
    assert!(quick.iter().all(Peer::is_closed));
    for peer in peers {
        let mut all = String::new();
        while !peer.is_finished() {
            all += &peer.read_text();
            simulation.advance(seconds(1));
        }
        assert_eq!(all + &peer.read_text(), "abcdefg\n");
    }
    assert!(simulation.has_stopped());
}

#[test]
fn who_was_accepted_leaves_as_such_whatever_protocol_it_speaks_by_now() {
    let (simulation, worker, _) = server();
    let tcp = Worker::<Tcp>::new("");
    tcp.on_connect(|connection| {
        connection.set_protocol::<Text>();
    });
    let lines = simulation.connect(tcp);
    simulation.advance(seconds(1));
    let owed = ask(&simulation, worker, "/never");
    stop_gracefully(&simulation);
    simulation.advance(seconds(1));
    assert!(lines.is_finished() && !owed.is_finished());
}

#[test]
fn what_has_arrived_is_read_before_anybody_counts_as_idle() {
    let simulation = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    worker.on_message(|connection, bytes| connection.send(bytes));
    let peer = idle(&simulation, worker, "a");
    peer.write("b");
    stop_gracefully(&simulation);
    assert_eq!((peer.read_text(), peer.is_finished()), ("b".to_owned(), true));
}

#[test]
fn on_worker_stop_comes_first_and_each_on_close_once_with_its_data() {
    let (simulation, worker, _) = server();
    let log = Log::default();
    worker.on_connect(|connection| connection.set(connection.id()));
    let stops = log.clone();
    worker.on_worker_stop(move |worker| {
        stops.add("stop");
        worker.connections().for_each(|connection| assert_eq!(connection.status(), Status::Established));
    });
    let closes = log.clone();
    worker.on_close(move |connection| closes.add(format!("{:?}", (connection.id(), connection.get::<u64>()))));
    let peers: Vec<Peer> =
        ["/", "/never", "/3", "/events", "/parts"].into_iter().map(|path| ask(&simulation, worker, path)).collect();
    let ids: Vec<u64> = worker.connections().map(TcpConnection::id).collect();
    stop_gracefully(&simulation);
    simulation.advance(seconds(31));
    assert!(peers.iter().all(Peer::is_closed) && simulation.has_stopped());
    let seen = log.take();
    assert_eq!(seen[0], "stop");
    let mut closed: Vec<_> = ids.iter().map(|id| format!("{:?}", (id, Some(id)))).collect();
    closed.sort();
    let mut seen = seen[1..].to_vec();
    seen.sort();
    assert_eq!(seen, closed);
}

/// What a client was doing when the process was told to stop, how often it has been served before, and how it reads.
#[derive(Clone, Debug)]
struct Client {
    path: &'static str,
    /// So many bytes of its request are sent before, the rest after so many milliseconds.
    cut: usize,
    pause: u64,
    served: usize,
    window: usize,
}

fn client() -> impl Strategy<Value = Client> {
    let path = prop::sample::select(vec!["/", "/1", "/4", "/parts", "/raw", "/events", "/never"]);
    (path, 0..60_usize, 0..2000_u64, 0..3_usize, prop::sample::select(vec![7, 100, usize::MAX]))
        .prop_map(|(path, cut, pause, served, window)| Client { path, cut, pause, served, window })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_clients_do_what_has_begun_is_completed(clients in prop::collection::vec(client(), 1..12), idle in 0..2000_u64) {
        let (simulation, worker, log) = server();
        let peers: Vec<Peer> = clients.iter().map(|client| {
            let peer = simulation.connect(worker);
            for _ in 0..client.served {
                peer.write(GET);
                simulation.run();
                peer.read();
            }
            peer
        }).collect();
        simulation.advance(milliseconds(idle));
        let requests: Vec<String> = clients.iter().map(|client| get(client.path)).collect();
        for ((client, request), peer) in clients.iter().zip(&requests).zip(&peers) {
            peer.set_window(client.window);
            peer.write(&request[..client.cut.min(request.len())]);
        }
        simulation.run();
        stop_gracefully(&simulation);
        let mut came = vec![Vec::new(); peers.len()];
        for time in 0..31_000 / 50 {
            for (nth, (client, request)) in clients.iter().zip(&requests).enumerate() {
                if client.cut > 0 && client.pause / 50 == time && client.cut < request.len() {
                    peers[nth].write(&request[client.cut..]);
                }
                came[nth].extend(peers[nth].read());
            }
            simulation.advance(milliseconds(50));
        }
        prop_assert!(simulation.has_stopped() && peers.iter().all(Peer::is_closed));
        prop_assert_eq!(log.count("closed"), peers.len());
        for ((client, request), came) in clients.iter().zip(&requests).zip(&came) {
            let text = String::from_utf8_lossy(came);
            match client.path {
                // Whoever had asked for nothing is told nothing.
                _ if client.cut == 0 => prop_assert_eq!(&*text, ""),
                "/never" => prop_assert_eq!(&*text, ""),
                "/events" | "/parts" => prop_assert!(text.ends_with("0\r\n\r\n"), "{client:?}: {text}"),
                _ => prop_assert_eq!(answers(came).len(), 1, "{:?}", client),
            }
            let begins_late = client.cut > 0 && client.cut < request.len() && client.path != "/never";
            prop_assert!(!begins_late || client.path == "/raw" || text.contains("Connection: close"), "{client:?}: {text}");
        }
    }
}

#[test]
fn who_asks_again_shortens_a_stop_and_never_lengthens_it() {
    let (plainly, gracefully): (fn(), fn()) = (Worker::stop_all, Worker::stop_all_gracefully);
    for (first, second, limit) in
        [(gracefully, plainly, 12_u64), (plainly, gracefully, 2), (gracefully, gracefully, 30)]
    {
        let (simulation, worker, _) = server();
        let peer = ask(&simulation, worker, "/never");
        Timer::delay(limit.saturating_sub(2).clamp(1, 10), second);
        first();
        simulation.begin_stop();
        simulation.advance(seconds(limit) - milliseconds(10));
        assert!(!peer.is_finished(), "{limit}");
        simulation.advance(milliseconds(20));
        assert!(peer.is_closed() && simulation.has_stopped());
    }
}

#[test]
fn signals_stop_as_they_should() {
    // The second signal comes a second after the first.
    for (signals, limit) in [
        (&[SIGTERM][..], 30_000),
        (&[SIGHUP], 30_000),
        (&[SIGQUIT], 30_000),
        (&[SIGINT], 2000),
        (&[SIGTERM, SIGTERM], 1000),
        (&[SIGTERM, SIGINT], 1000),
        (&[SIGINT, SIGINT], 1000),
        (&[SIGINT, SIGTERM], 1000),
        (&[SIGTERM, SIGHUP], 30_000),
        (&[SIGHUP, SIGTERM], 30_000),
        (&[SIGHUP, SIGHUP], 30_000),
        (&[SIGQUIT, SIGINT], 3000),
        (&[SIGQUIT, SIGQUIT, SIGTERM, SIGTERM], 3000),
    ] {
        let (simulation, worker, log) = server();
        let peer = ask(&simulation, worker, "/never");
        for (nth, signal) in signals.iter().enumerate() {
            assert!(!peer.is_finished(), "{signals:?}");
            simulation.signal(*signal);
            // One that is sent to the process and to its group.
            simulation.signal(*signal);
            if nth == 0 {
                assert!(simulation.is_stopping());
                simulation.begin_stop();
            }
            if nth + 1 < signals.len() {
                simulation.advance(seconds(1));
            }
        }
        let passed = 1000 * (signals.len() as u64 - 1);
        if limit > passed {
            simulation.advance(milliseconds(limit - passed - 1));
            assert!(!peer.is_finished(), "{signals:?}");
            simulation.advance(milliseconds(2));
        }
        assert!(peer.is_closed() && simulation.has_stopped(), "{signals:?}");
        assert_eq!(log.take(), ["closed"]);
    }
}

#[test]
fn nobody_listens_again_while_the_process_stops() {
    let (simulation, worker, _) = server();
    let _peer = ask(&simulation, worker, "/never");
    stop_gracefully(&simulation);
    let error = Worker::<Http>::new("http://127.0.0.1:0").listen().expect_err("no more listeners");
    assert!(error.to_string().contains("stopping"), "{error}");
}

#[test]
fn the_exit_code_is_what_the_app_has_said() {
    let code = |what: fn()| {
        Timer::delay(0.001, what);
        Worker::run_all().expect("a loop");
        format!("{:?}", Worker::exit_code())
    };
    let number = |code: u8| format!("{:?}", std::process::ExitCode::from(code));
    assert_eq!(code(|| Worker::stop_all_with_code(3)), number(3));
    assert_eq!(code(Worker::stop_all), number(0));
    assert_eq!(
        code(|| {
            Worker::stop_all_with_code(4);
            Worker::stop_all();
        }),
        number(4)
    );
}
