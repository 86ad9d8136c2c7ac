//! The promise: what is over leaves nothing behind. Alone in its process, because it looks at the resident memory.

use std::sync::{Mutex, PoisonError};

use workerman::testing::{Peer, Simulation};
use workerman::{Http, Response, Websocket, Worker};

/// One test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn rss() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}

#[test]
fn a_half_closing_client_that_was_answered_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send("ok"));
    sim.start().unwrap();
    let round = |count: usize| {
        for _ in 0..count {
            let peer = sim.connect(worker);
            peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            peer.finish();
            sim.run();
            assert!(peer.is_closed());
        }
    };
    round(1_000);
    let before = rss();
    round(14_000);
    let each = (rss() - before) / 14_000;
    assert!(each < 8, "{each} bytes stay for 30 s after each closed connection (a timer that nobody needs)");
}

#[test]
fn a_thread_that_makes_answers_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = |count: usize| {
        for _ in 0..count {
            let make = || drop(Response::new(200, &[("X-Long", &"x".repeat(4_000))], vec![b'x'; 12_000]));
            std::thread::spawn(make).join().unwrap();
        }
    };
    threads(100);
    let before = rss();
    threads(1_000);
    let each = rss().saturating_sub(before) / 1_000;
    assert!(each < 1024, "{each} bytes stay for each thread");
}

#[test]
fn an_upgraded_connection_keeps_no_more_than_one_that_was_a_websocket_from_the_start() {
    const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sim = Simulation::new();
    let (site, chat) = (Worker::<Http>::new(""), Worker::<Websocket>::new(""));
    site.on_message(move |connection, request| connection.upgrade_to(chat, request));
    sim.start().unwrap();
    let shake_hands = |peer: Peer| {
        peer.write(HANDSHAKE);
        sim.run();
        assert!(peer.read().starts_with(b"HTTP/1.1 101 "));
        peer
    };
    let each = |connect: &dyn Fn() -> Peer| {
        let mut peers: Vec<_> = (0..1_000).map(|_| shake_hands(connect())).collect();
        let before = rss();
        peers.extend((0..8_000).map(|_| shake_hands(connect())));
        ((rss() - before) / 8_000, peers)
    };
    // The first ones stay, so that the others do not get their memory.
    let (direct, _peers) = each(&|| sim.connect(chat));
    let (upgraded, _others) = each(&|| sim.connect(site));
    assert!(upgraded <= direct + 16, "{upgraded} bytes for each upgraded connection, {direct} for each other");
}
