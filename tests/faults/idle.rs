//! Connections that do nothing.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::outside::{ask, connect, now, raise_descriptors};
use super::target::{KIB, MIB, Target, dial};

const CONNECTIONS: usize = 10_000;
/// What this process and the server need besides, the other tests of this file included.
const SPARE: usize = 1000;
/// 160 bytes are the connection, 4 the generation of its slot; the rest is for tables that grow by doubling and for what
/// a burst of connections leaves in the loop's lists.
const EACH: usize = 300;

#[test]
fn ten_thousand_idle_connections_cost_three_hundred_bytes_each_and_no_processor_time() {
    let limit = raise_descriptors(CONNECTIONS + SPARE);
    let count = CONNECTIONS.min(limit - SPARE.min(limit / 2));
    if count < CONNECTIONS {
        println!("only {count} connections: no more than {limit} descriptors are permitted");
    }
    let mut target = Target::start(&[]);
    drop(open(&target, 200));
    let (memory, descriptors) = target.at_rest();

    let clients = open(&target, count);
    let each = target.memory().saturating_sub(memory) / count;
    println!("{each} bytes for each of {count} idle connections");
    assert!(each <= EACH, "{each} bytes for each of {count} idle connections");
    assert_eq!(target.process.descriptors(), descriptors + count);

    // The deadlines of all of them together may wake the loop once a second.
    let (cpu, sleeps, start) = (target.cpu(), target.sleeps(), now());
    thread::sleep(Duration::from_secs(2));
    let (cpu, sleeps) = (target.cpu() - cpu, target.sleeps() - sleeps);
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap_or(usize::MAX);
    println!("{cpu:?} of processor time and {sleeps} wake-ups in {:?}", start.elapsed());
    assert!(cpu < Duration::from_millis(20), "{cpu:?} of processor time while nothing happens");
    assert!(sleeps <= seconds + 1, "{sleeps} wake-ups while nothing happens");

    // At once: at the cost of one request, however many connections there are.
    let (cpu, mut further) = (target.cpu(), connect(target.address));
    ask(&mut further, "/", "ok\n");
    let cpu = target.cpu() - cpu;
    println!("{cpu:?} for a further client");
    assert!(cpu < Duration::from_millis(10), "{cpu:?} of processor time for a further client");

    drop((further, clients));
    target.wait_until_alone();
    let stays = target.memory().saturating_sub(memory);
    println!("{} KiB stay", stays / KIB);
    assert!(stays <= MIB, "{stays} bytes stay when all have gone");
    assert_eq!(target.process.descriptors(), descriptors);
}

/// Connections that have each been answered once. With an address for each thousand.
fn open(target: &Target, count: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for index in 0..count {
        let host = u8::try_from(2 + index / 1000).expect("not so many");
        let mut client = dial(target.address, host, None);
        ask(&mut client, "/", "ok\n");
        clients.push(client);
    }
    clients
}
