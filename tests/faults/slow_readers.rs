//! Clients that do not read what they asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::outside::{eventually, read_until};
use super::target::{KIB, MIB, Target, dial, value};

/// The pieces of an endless answer: 1 GiB of 64 KiB each.
const PIECES: usize = MIB / 64;
const SEND_BUFFER: usize = MIB;

fn request(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
}

/// A client that has asked and never reads.
fn stuck(target: &Target, path: &str) -> TcpStream {
    let mut client = dial(target.address, 2, Some(4 * KIB));
    request(&mut client, path);
    client
}

/// Asserts that the server never had more than so much memory above what it had before, and prints how much it was.
fn assert_peak(target: &Target, before: usize, most: usize) {
    let peak = target.peak().saturating_sub(before);
    println!("{} KiB at most, {} KiB are allowed", peak / KIB, most / KIB);
    assert!(peak <= most, "{peak} bytes more than before, of {most}");
}

#[test]
fn of_an_endless_stream_nobody_reads_the_send_buffer_is_all_that_is_kept() {
    for path in ["/whole", "/heedless"] {
        let mut target = Target::start(&[]);
        target.serves();
        let before = target.memory();
        let client = stuck(&target, path);
        eventually("all of it was sent", || {
            target.serves();
            target.count("accepted") + target.count("dropped") == PIECES
        });
        let (accepted, dropped) = (target.count("accepted"), target.count("dropped"));
        let connection = target.connection(&client).expect("a stream has no deadline");
        let (written, queued) = (value(&connection, "written"), value(&connection, "queued"));
        println!("{path}: {accepted} pieces accepted, {dropped} dropped; {connection}");
        assert!((SEND_BUFFER..=SEND_BUFFER + 65 * KIB).contains(&queued), "{connection}");
        assert!(accepted * 64 * KIB < written + SEND_BUFFER + 65 * KIB, "accepted is what left or waits: {connection}");
        assert_eq!((target.count("full"), target.count("errors")), (1, dropped), "told once that it is full");
        assert_peak(&target, before, SEND_BUFFER + MIB);
    }
}

#[test]
fn an_endless_answer_that_heeds_on_buffer_drain_keeps_a_piece_and_ends_when_its_reader_stalls() {
    let mut target = Target::start(&[("WRITE", "3")]);
    target.serves();
    let before = target.memory();
    let mut slow = stuck(&target, "/guided");
    let waits = |line: String| value(&line, "queued") > 0;
    eventually("the system takes no more of it", || target.connection(&slow).is_some_and(waits));
    // For as long as it reads, a client gets all it wants.
    for _ in 0..PIECES / 64 {
        slow.read_exact(&mut vec![0; 64 * KIB]).expect("the answer goes on");
    }
    assert!(target.count("drained") > 0);
    let connection = target.connection(&slow).expect("it stands");
    assert!(value(&connection, "queued") <= 65 * KIB, "{connection}");
    eventually("the deadline of writing has come", || {
        target.serves();
        target.connection(&slow).is_none()
    });
    assert_eq!(target.count("dropped"), 0);
    assert_peak(&target, before, SEND_BUFFER);
}

#[test]
fn stuck_subscribers_cost_their_send_buffer_and_the_others_lose_nothing() {
    const STUCK: usize = 5;
    const FAST: usize = 10;
    const EVENTS: usize = 2_000;
    const BATCH: usize = 20;
    let mut target = Target::start(&[]);
    let progress: Arc<[AtomicUsize]> = (0..FAST).map(|_| AtomicUsize::new(0)).collect();
    let readers: Vec<_> = (0..FAST)
        .map(|index| {
            let (stream, progress) = (subscribe(&target, None), Arc::clone(&progress));
            thread::spawn(move || read_events(stream, EVENTS + BATCH, &progress[index]))
        })
        .collect();
    let publish = |target: &mut Target, until: usize| {
        target.ask(&format!("/publish?n={BATCH}"), "ok\n");
        // The next when the fast ones have these: then the server knows no reason to drop any.
        eventually("the fast ones have read", || progress.iter().all(|events| events.load(Ordering::Relaxed) >= until));
    };
    publish(&mut target, BATCH);

    let before = target.memory();
    let _stuck: Vec<TcpStream> = (0..STUCK).map(|_| subscribe(&target, Some(4 * KIB))).collect();
    let accepted = target.count("accepted");
    for batch in 1..=EVENTS / BATCH {
        publish(&mut target, (batch + 1) * BATCH);
    }
    for reader in readers {
        assert_eq!(reader.join().expect("nothing is lost, all is in order"), EVENTS + BATCH);
    }
    let (accepted, dropped) = (target.count("accepted") - accepted, target.count("dropped"));
    println!("{dropped} events dropped for {STUCK} that do not read");
    assert_eq!(accepted + dropped, EVENTS * (STUCK + FAST), "each is accepted or said to be dropped");
    assert!(accepted >= EVENTS * FAST && dropped > EVENTS * STUCK / 2, "{accepted} accepted, {dropped} dropped");
    assert_eq!((target.count("full"), target.count("errors")), (STUCK, dropped), "each is told");
    // Not even that for each of them: they wait for the same events, of which there is one copy.
    assert_peak(&target, before, 2 * SEND_BUFFER);
}

fn subscribe(target: &Target, receive_buffer: Option<usize>) -> TcpStream {
    let mut client = dial(target.address, 2, receive_buffer);
    request(&mut client, "/subscribe");
    read_until(&mut client, "\r\n\r\n");
    client
}

/// Reads events whose ids count from 1, each in a chunk of its own, and answers the last.
fn read_events(stream: TcpStream, count: usize, progress: &AtomicUsize) -> usize {
    let (mut stream, mut line, mut event) = (BufReader::with_capacity(64 * KIB, stream), String::new(), Vec::new());
    for id in 1..=count {
        line.clear();
        stream.read_line(&mut line).expect("the stream goes on");
        let size = usize::from_str_radix(line.trim(), 16).expect("the size of a chunk");
        event.resize(size + 2, 0);
        stream.read_exact(&mut event).expect("the chunk comes whole");
        assert!(event.starts_with(format!("id: {id}\ndata: xxx").as_bytes()), "event {id} is not the next");
        assert!(event.ends_with(b"xxx\n\n\r\n") && size > 16 * KIB, "event {id} is not whole");
        progress.store(id, Ordering::Relaxed);
    }
    count
}
