//! The promise: a bug that was found once does not come back. One test for each, named after what must hold, for bugs
//! that no other file's promise covers; at the end, three holes of PHP Workerman 5.2.2.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{Log, OnDrop, answers, boom, get};
use workerman::testing::{Peer, Simulation};
use workerman::{Http, PanicPolicy, Response, Tcp, Text, Timer, Websocket, Worker};

#[test]
fn del_all_leaves_the_frameworks_own_deadlines() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|_, _| {});
    let (ending, half_closed) = (sim.connect(worker), sim.connect(worker));
    ending.write("nonsense\r\n\r\n");
    half_closed.write(get("/never"));
    sim.run();
    half_closed.finish();
    sim.run();
    Timer::del_all();
    sim.advance(Duration::from_secs(31));
    assert!(ending.is_closed() && half_closed.is_closed());
}

/// Bytes of a user's own type, which call the framework when they are looked at.
struct Nosy<F: Fn()>(F);

impl<F: Fn()> AsRef<[u8]> for Nosy<F> {
    fn as_ref(&self) -> &[u8] {
        (self.0)();
        b"nosy"
    }
}

#[test]
fn bytes_of_a_users_own_may_send_on_the_same_connection_when_they_are_looked_at() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let peer = sim.connect(worker);
    let connection = worker.connections().next().unwrap();
    assert!(connection.send_raw(Nosy(|| assert!(connection.send("inner ").is_accepted()))).is_accepted());
    sim.run();
    assert_eq!(peer.read_text(), "inner nosy");
}

#[test]
fn bytes_of_a_users_own_may_panic_when_they_are_looked_at() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() == "/bad" {
            connection.send_raw(Nosy(boom));
        }
        connection.send("ok");
    });
    let peer = sim.connect(worker);
    peer.write(get("/good") + &get("/bad"));
    sim.run();
    let statuses: Vec<u16> = answers(&peer.read_text()).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [200, 500]);
}

#[test]
fn bytes_of_a_users_own_may_end_the_connection_when_they_are_looked_at() {
    let sim = Simulation::new();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_close({
        let log = log.clone();
        move |_| log.add("close")
    });
    worker.on_error(|_, _, _| support::never());
    worker.on_message({
        let log = log.clone();
        move |connection, _| log.add(format!("{:?}", connection.send_raw(Nosy(|| connection.destroy()))))
    });
    let peer = sim.connect(worker);
    peer.write("x");
    sim.run();
    assert_eq!(log.take(), ["Closed", "close"]);
}

#[test]
fn what_destructors_add_at_the_end_of_a_loop_does_not_reach_the_next() {
    let sim = Simulation::new();
    let late = OnDrop(|| {
        Timer::delay(60, support::never);
        Worker::<Tcp>::new("").on_worker_start(|_| support::never());
    });
    Timer::add(1, move || support::keep(&late));
    drop(sim);
    let sim = Simulation::new();
    assert_eq!(sim.next_wake_up(), None);
    sim.start().unwrap();
    sim.advance(Duration::from_secs(100));
}

#[test]
fn stopping_comes_to_an_end_with_a_timer_of_zero_and_a_peer_that_does_not_read() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let peer = sim.connect(worker);
        peer.set_window(1);
        worker.connections().for_each(|connection| connection.close_with("more than fits"));
        Timer::add(0, || {});
        sim.stop();
        let _ = sender.send(peer.is_closed());
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(true));
}

/// Runs the test of this name in a process of its own, where `inside` is run; answers whether that went well.
fn in_a_process(name: &str, inside: impl FnOnce()) -> bool {
    const MARK: &str = "WORKERMAN_TEST_INSIDE";
    if std::env::var_os(MARK).is_some() {
        inside();
        return true;
    }
    let program = std::env::current_exe().expect("the test's own program");
    let output = std::process::Command::new(program).args(["--exact", name]).env(MARK, "1").output();
    output.expect("a process").status.success()
}

#[test]
fn timers_whose_destructors_panic_do_not_abort_the_process_when_they_end_together() {
    let name = "timers_whose_destructors_panic_do_not_abort_the_process_when_they_end_together";
    let survived = in_a_process(name, || {
        let _sim = Simulation::new();
        Worker::set_panic_policy(PanicPolicy::CloseConnection);
        for _ in 0..2 {
            let value = OnDrop(boom);
            Timer::add(1, move || support::keep(&value));
        }
        Timer::del_all();
    });
    assert!(survived, "the process was aborted");
}

#[test]
fn values_of_one_connection_whose_destructors_panic_do_not_abort_the_process() {
    struct Another(OnDrop<fn()>);
    let survived = in_a_process("values_of_one_connection_whose_destructors_panic_do_not_abort_the_process", || {
        let sim = Simulation::new();
        Worker::set_panic_policy(PanicPolicy::CloseConnection);
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = worker.connections().next().unwrap();
        connection.set(Another(OnDrop(boom)));
        connection.with(|another: &mut Another| support::keep(&another.0));
        connection.set(OnDrop(boom as fn()));
        connection.destroy();
        sim.run();
    });
    assert!(survived, "the process was aborted");
}

/// An HTTP worker that answers with so many bytes, and a peer that takes 1,000 of them and reads none.
fn slow_peer(sim: &Simulation, bytes: usize) -> Peer {
    let worker = Worker::<Http>::new("");
    worker.on_message(move |connection, _| connection.send("x".repeat(bytes)));
    let peer = sim.connect(worker);
    peer.set_window(1000);
    peer
}

#[test]
fn a_fin_behind_a_full_queue_that_nobody_reads_ends_the_connection_after_30_s() {
    let sim = Simulation::new();
    let peer = slow_peer(&sim, 2 << 20);
    peer.write(get("/"));
    sim.run();
    peer.finish();
    sim.advance(Duration::from_secs(29));
    assert!(!peer.is_closed());
    sim.advance(Duration::from_secs(2));
    assert!(peer.is_closed());
}

#[test]
fn a_fin_is_heeded_while_a_closing_answer_waits() {
    let sim = Simulation::new();
    let peer = slow_peer(&sim, 10_000);
    peer.write("GET / HTTP/1.0\r\n\r\n");
    sim.run();
    peer.finish();
    sim.advance(Duration::from_secs(31));
    assert!(peer.is_closed());
}

#[test]
fn a_refused_request_behind_an_answer_that_nobody_reads_ends_after_30_s() {
    let sim = Simulation::new();
    let peer = slow_peer(&sim, 10_000);
    peer.write(get("/") + "BAD\r\n\r\n");
    sim.advance(Duration::from_secs(31));
    assert!(peer.is_closed());
}

#[test]
fn an_error_whose_display_fails_costs_one_connection_only() {
    #[derive(Debug)]
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    impl std::error::Error for Mute {}
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Http>::new("");
    worker.on_message(|_, _| -> workerman::Result<()> { Err(Mute.into()) });
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 500 "));
}

#[test]
fn a_bad_address_stays_an_error() {
    let worker = Worker::<Http>::new("websocket://0.0.0.0:80");
    assert!(worker.listen().is_err());
    assert!(worker.listen().is_err());
}

/// The status of the answer to a request on a connection of its own.
fn status_of(request: impl AsRef<[u8]>) -> String {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send("ok"));
    let peer = sim.connect(worker);
    peer.write(request);
    sim.run();
    peer.read_text().split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_target_that_is_too_long_is_said_to_be_so() {
    // RFC 9112 §3. The lines behind it, or a method, are another matter.
    let long = "a".repeat(16 * 1024);
    assert_eq!(status_of(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), "414");
    assert_eq!(status_of(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")), "431");
    assert_eq!(status_of(long), "431");
}

#[test]
fn a_host_in_brackets_is_an_ipv6_address_and_a_percent_sign_escapes() {
    // RFC 9110 §7.2, RFC 3986 §3.2.2.
    let status = |host: &str| status_of(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["[::1]:80", "[1:2:3:4:5:6:7:8]", "[::ffff:1.2.3.4]", "a%20b", "%41:80"] {
        assert_eq!(status(host), "200", "{host}");
    }
    for host in ["[:]", "[1.2.3.4]", "[abc]", "[1:2:3:4:5:6:7:8:9]", "[12345::]", "a%", "%4", "a%2gb", "a%:80"] {
        assert_eq!(status(host), "400", "{host}");
    }
}

#[test]
fn a_205_has_no_content_and_says_so() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send(Response::new(205, &[("X-A", "b")], "content")));
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.run();
    let wire = peer.read_text();
    assert!(wire.contains("\r\nContent-Length: 0\r\n") && wire.ends_with("\r\n\r\n"), "{wire}");
}

#[test]
fn a_head_with_bare_line_feeds_is_refused_at_once_and_not_when_its_time_is_over() {
    // RFC 9112 §2.2. To such a client its head is complete.
    assert_eq!(status_of("GET / HTTP/1.1\nHost: a\n\n"), "400");
    assert_eq!(status_of("GET / HTTP/1.1\n"), "400");
    assert_eq!(status_of("\n"), "400");
    assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\n\n"), "400");
    assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\n\n"), "200", "a body may hold any");
}

#[test]
fn what_a_panic_was_raised_with_is_dropped_even_when_that_panics_again() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Http>::new("");
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    worker.on_message(move |_, request| {
        let (count, again) = (Arc::clone(&count), request.path() == "/again");
        let payload = OnDrop(move || {
            count.fetch_add(1, Ordering::Relaxed);
            assert!(!again, "once more");
        });
        std::panic::panic_any(payload);
    });
    for (path, count) in [("/", 1), ("/again", 2), ("/", 3)] {
        let peer = sim.connect(worker);
        peer.write(get(path));
        sim.run();
        assert!(peer.read_text().starts_with("HTTP/1.1 500 ") && peer.is_closed(), "{path}");
        assert_eq!(dropped.load(Ordering::Relaxed), count, "{path}");
    }
}

#[test]
fn a_head_with_bare_crs_is_refused_at_once_and_not_when_its_time_is_over() {
    // RFC 9112 §2.2. It had waited for CRLF CRLF, for 30 s or 16 KiB.
    assert_eq!(status_of("GET / HTTP/1.1\rHost: a\r\r"), "400");
    assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\rX"), "400");
    assert_eq!(status_of("\rG"), "400");
    assert_eq!(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\r\r"), "200", "a body may hold any");

    // Not before it is known to be bare.
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send("ok"));
    let peer = sim.connect(worker);
    for piece in ["\r", "\n\r", "\nGET / HTTP/1.1\r", "\nHost: a\r", "\n\r"] {
        peer.write(piece);
        sim.run();
        assert_eq!(peer.read_text(), "", "{piece:?}");
    }
    peer.write("\n");
    sim.run();
    assert_eq!(answers(&peer.read_text()), [(200, "ok".to_owned())]);
}

/// A WebSocket's frame, masked with zeros as PHP Workerman's own client does.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => vec![0x80 | short],
        (_, Ok(length)) => [&[0xfe], &length.to_be_bytes()[..]].concat(),
        _ => panic!("a short payload"),
    };
    [&[first], &length[..], &[0; 4], payload].concat()
}

/// A connection of this worker that has shaken hands, perhaps with an offer.
fn websocket(sim: &Simulation, worker: Worker<Websocket>, offer: &str) -> Peer {
    let peer = sim.connect(worker);
    peer.write(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    ));
    sim.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 101 "));
    peer
}

#[test]
fn what_was_decoded_for_one_connection_is_given_to_no_other() {
    // PHP keeps messages by their bytes, for all connections and all protocols of the process.
    let sim = Simulation::new();
    let (chat, lines, raw) = (Worker::<Websocket>::new(""), Worker::<Text>::new(""), Worker::<Tcp>::new(""));
    let log = Log::default();
    let (messages, texts, bytes) = (log.clone(), log.clone(), log.clone());
    chat.on_message(move |_, message| messages.add(format_args!("message {message}")));
    lines.on_message(move |_, line| texts.add(format_args!("line {line:?}")));
    raw.on_message(move |_, raw| bytes.add(format_args!("bytes {}", raw.escape_ascii())));
    let (ann, bob) = (websocket(&sim, chat, ""), websocket(&sim, chat, ""));
    let end = frame(0x80, b"of mine");
    ann.write([frame(0x01, b"a secret "), end.clone()].concat());
    sim.run();
    bob.write([frame(0x01, b"nothing "), end].concat());
    sim.run();
    assert_eq!(log.take(), ["message a secret of mine", "message nothing of mine"]);

    // Nor to one that has not shaken hands, or speaks another protocol.
    let whole = frame(0x81, b"a line\n");
    ann.write(&whole);
    sim.run();
    let others = [sim.connect(chat), sim.connect(lines), sim.connect(raw)];
    for (peer, bytes) in others.iter().zip([&whole[..], b"a line\n", b"a line\n"]) {
        peer.write(bytes);
        sim.run();
    }
    assert_eq!(log.take(), ["message a line\n", "line \"a line\"", "bytes a line\\n"]);
}

#[cfg(feature = "deflate")]
#[test]
fn a_compressed_frame_that_is_none_costs_one_connection() {
    // It ends PHP's process, and so everybody's connection.
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_message(|connection, message| connection.send(message));
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (ann, bob, old) = (websocket(&sim, worker, offer), websocket(&sim, worker, offer), websocket(&sim, worker, ""));
    bob.write(frame(0xc1, b"\xff\xff\xff\xff"));
    // Whoever has agreed to nothing may not compress at all.
    old.write(frame(0xc1, b"\xff\xff\xff\xff"));
    sim.run();
    assert!(bob.read().starts_with(&[0x88]) && bob.is_finished());
    assert!(old.read().starts_with(&[0x88]) && old.is_finished());
    ann.write(frame(0x81, b"still here"));
    sim.run();
    assert_eq!(ann.read(), b"\x81\x0astill here");
}

#[cfg(feature = "deflate")]
#[test]
fn a_decompression_bomb_takes_no_more_memory_than_the_largest_message() {
    // PHP inflates all of it, however much that is, then looks at the limit, then dies.
    let mut packed = Vec::with_capacity(40_000);
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let zeros = vec![0; 8_000_000];
    compress.compress_vec(&zeros, &mut packed, flate2::FlushCompress::Sync).expect("zlib compresses");
    assert_eq!(compress.total_in(), 8_000_000);
    let bomb = frame(0xc2, &packed);
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_connect(|connection| connection.set_max_package_size(1 << 20));
    worker.on_message(|_, _| support::never());
    let peer = websocket(&sim, worker, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    let taken = allocation_counter::measure(|| {
        peer.write(&bomb);
        sim.run();
    });
    assert_eq!(peer.read().get(2..4), Some(&1009_u16.to_be_bytes()[..]));
    assert!(taken.bytes_max < 3 << 20, "{} bytes", taken.bytes_max);
}
