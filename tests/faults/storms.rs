//! Many connections that come and go, by every way to go.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::outside::{eventually, read_to_end};
use super::target::{ALLOCATOR_SLACK, HEAP_STEP, KIB, Target, dial, reset};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn a_reset_in_the_middle_of_an_answer_closes_once_and_costs_nothing() {
    const ROUNDS: usize = 2_000;
    let mut target = Target::start(&[]);
    let reset_all = |target: &mut Target, rounds: usize| {
        for round in 0..rounds {
            // Small, so that most of the answer waits in the server.
            let mut client = dial(target.address, 2, Some(4 * KIB));
            client.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
            // Before its first byte, at its beginning, or well inside.
            for _ in 0..[0, 1, 50][round % 3] {
                client.read_exact(&mut [0; 4 * KIB]).expect("the answer begins");
            }
            // A FIN before the reset takes the server another way.
            if round % 2 == 0 {
                client.shutdown(Shutdown::Write).expect("a FIN can be sent");
            }
            reset(client);
            if round % 10 == 0 {
                target.serves();
            }
        }
        eventually("all are closed", || target.count("connects") - target.count("closes") == 1);
    };
    reset_all(&mut target, 50);
    let (memory, descriptors) = target.at_rest();
    reset_all(&mut target, ROUNDS);

    // Requests that were reset before they were read never asked for anything.
    let (open, closed) = (target.count("large"), target.count("large_closes"));
    assert_eq!(open, 0, "connections without an on_close");
    assert!(closed > ROUNDS / 2, "{closed} of {ROUNDS} were reset inside their answer");
    let stays = target.memory().saturating_sub(memory);
    println!("{closed} resets inside an answer, {} KiB stay", stays / KIB);
    assert!(stays <= ALLOCATOR_SLACK, "{stays} bytes stay");
    assert_eq!(target.at_rest().1, descriptors);
}

#[test]
fn fifty_thousand_connections_that_come_and_go_leave_nothing() {
    const CONNECTIONS: usize = 50_000;
    let mut target = Target::start(&[]);
    come_and_go(&mut target, 5_000);
    let (memory, descriptors) = target.at_rest();
    come_and_go(&mut target, CONNECTIONS);
    let stays = target.memory().saturating_sub(memory);
    println!("{} KiB stay of {CONNECTIONS} connections", stays / KIB);
    assert!(stays <= ALLOCATOR_SLACK, "{stays} bytes stay of {CONNECTIONS} connections");
    assert_eq!(target.at_rest().1, descriptors);
    assert_eq!(target.count("connects"), target.count("closes") + 1);
    target.serves();
}

/// Most with a reset, because a port rests for a minute after a FIN, and some with half a request, a whole one or an
/// answer read.
fn come_and_go(target: &mut Target, count: usize) {
    const WAVE: usize = 250;
    for wave in 0..count / WAVE {
        let host = u8::try_from(2 + wave % 8).expect("small");
        let clients = (0..WAVE).map(|_| dial(target.address, host, None)).collect();
        end_each_its_way(clients);
        // Not faster than they are accepted: the system's queue is bounded.
        target.wait_until_alone();
    }
}

fn end_each_its_way(clients: Vec<TcpStream>) {
    for (index, mut client) in clients.into_iter().enumerate() {
        match index % 25 {
            0 => drop(client),
            1..=5 => {
                client.write_all(REQUEST).expect("the request is sent");
                client.read_exact(&mut [0; 100]).expect("an answer comes");
                reset(client);
            }
            6..=9 => {
                client.write_all(REQUEST).expect("the request is sent");
                reset(client);
            }
            10..=12 => {
                client.write_all(&REQUEST[..20]).expect("a part of the request is sent");
                reset(client);
            }
            _ => reset(client),
        }
    }
}

#[test]
fn a_hundred_thousand_panics_cost_their_connections_and_nothing_else() {
    const PANICS: usize = 100_000;
    let mut target = Target::start(&[]);
    panic_often(&mut target, PANICS / 10);
    let (memory, descriptors) = target.at_rest();
    let before = target.count("panics");
    panic_often(&mut target, PANICS);
    assert_eq!(target.count("panics") - before, PANICS);
    let stays = target.memory().saturating_sub(memory);
    println!("{} KiB stay of {PANICS} panics", stays / KIB);
    assert!(stays <= ALLOCATOR_SLACK + HEAP_STEP, "{stays} bytes stay of {PANICS} panics");
    assert_eq!(target.at_rest().1, descriptors);
    assert_eq!(target.count("connects"), target.count("closes") + 1);
    target.serves();
}

/// Half of them in `on_message`, each of which costs a connection, the others in timers.
fn panic_often(target: &mut Target, count: usize) {
    const WAVE: usize = 250;
    for wave in 0..count / 2 / WAVE {
        let host = u8::try_from(2 + wave % 8).expect("small");
        let mut clients: Vec<TcpStream> = (0..WAVE).map(|_| dial(target.address, host, None)).collect();
        for client in &mut clients {
            client.write_all(b"GET /panic HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
        }
        for mut client in clients {
            let answer = read_to_end(&mut client);
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer:?}");
            reset(client);
        }
    }
    target.ask(&format!("/panics?n={}", count / 2), "done\n");
}
