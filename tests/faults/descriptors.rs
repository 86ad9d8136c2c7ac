//! A process without descriptors.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::outside::{ask, connect, eventually, now, read_until};
use super::target::Target;

const LIMIT: usize = 64;
const CLIENTS: usize = 300;

#[test]
fn without_descriptors_connections_are_served_and_new_ones_wait_without_a_spin() {
    let target = Target::start_with_descriptors(LIMIT);
    let own = target.process.descriptors();
    let mut waiting: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(target.address)).collect();
    // Descriptors are what ends accepting, so the process has none left when it has taken in what it can.
    eventually("all descriptors are in use", || target.process.descriptors() >= LIMIT);
    let accepted = LIMIT - own;
    assert!((40..LIMIT).contains(&accepted), "{accepted} of {CLIENTS} connections stand");

    let (cpu, start) = (target.cpu(), now());
    serve_all(&mut waiting[..accepted]);
    thread::sleep(Duration::from_secs(2).saturating_sub(start.elapsed()));
    let (cpu, time) = (target.cpu() - cpu, start.elapsed());
    println!("{cpu:?} of processor time in {time:?}, {accepted} requests included");
    assert!(cpu < time / 20, "{cpu:?} of processor time in {time:?}");
    serve_all(&mut waiting[..accepted]);

    // Those that stand hang up, and those that wait come in: in an instant, on a machine that has one to spare.
    let mut times = Vec::new();
    while waiting.len() >= 2 * accepted {
        let gone: Vec<TcpStream> = waiting.drain(..accepted).collect();
        for client in &mut waiting[..accepted] {
            write!(client, "GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
        }
        let start = now();
        drop(gone);
        for client in &mut waiting[..accepted] {
            read_until(client, "ok\n");
        }
        times.push(start.elapsed());
    }
    println!("{times:?} until {accepted} that waited were served");
    times.sort_unstable();
    let middle = times[times.len() / 2];
    assert!(middle < Duration::from_millis(200), "{middle:?} until those that waited were served");
}

fn serve_all(clients: &mut [TcpStream]) {
    for client in clients {
        ask(client, "/", "ok\n");
    }
}
