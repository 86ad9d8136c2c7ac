//! Promise: a process that is told to stop loses nothing that it can still give, lets nobody in, and ends in time.
//!
//! What becomes of which connection is in `tests/stopping.rs`; here are real signals, sockets and clocks.

mod outside;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use outside::{Program, ask, connect, eventually, now, read_to_end, read_until, start_example};

/// Sends a request and reads nothing.
fn request(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    stream
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn sigterm_loses_no_answer() {
    let (server, address) = start_example("stopping");
    let late: Vec<TcpStream> = (0..50).map(|_| request(address, "/late?seconds=1")).collect();
    let mut large: Vec<TcpStream> = (0..4).map(|_| request(address, "/large")).collect();
    for stream in &mut large {
        let mut half = vec![0; 1 << 20];
        stream.read_exact(&mut half).expect("a beginning");
    }
    let mut half_asked = connect(address);
    half_asked.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe").expect("half a request");
    let mut idle = connect(address);
    ask(&mut idle, "/", "ok\n");
    server.signal("TERM");
    assert_eq!(server.line(), "stop");
    eventually("nobody is let in", || is_refused(address));
    assert_eq!(read_to_end(&mut idle), "");
    half_asked.write_all(b"llo").expect("the other half");
    let answer = read_to_end(&mut half_asked);
    assert!(answer.contains("Connection: close") && answer.ends_with("ok\n"), "{answer}");
    for mut stream in late {
        let answer = read_to_end(&mut stream);
        assert!(answer.contains("Connection: close") && answer.ends_with("\r\n\r\nlate"), "{answer}");
    }
    for mut stream in large {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("a proper end");
        let length = rest.len() + (1 << 20);
        assert!((32 << 20..(32 << 20) + 1024).contains(&length), "{length}");
    }
    assert_eq!(server.line(), "returned");
    let (status, errors) = server.wait();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn nobody_is_let_in_100_ms_later_on_a_machine_with_a_moment_to_spare() {
    let times = (0..5).map(|_| {
        let (server, address) = start_example("stopping");
        let _stuck = request(address, "/late?seconds=1");
        server.signal("TERM");
        let start = now();
        eventually("connections are refused", || is_refused(address));
        start.elapsed()
    });
    let best = times.min().expect("five");
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[test]
fn who_was_connected_before_the_signal_is_served() {
    let (server, address) = start_example("stopping");
    // They may still wait to be accepted.
    let waiting: Vec<TcpStream> = (0..200).map(|_| request(address, "/")).collect();
    server.signal("TERM");
    for mut stream in waiting {
        assert!(read_to_end(&mut stream).ends_with("ok\n"));
    }
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn no_request_of_a_busy_client_is_lost() {
    let (server, address) = start_example("stopping");
    let clients: Vec<_> = (0..16)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = connect(address);
                let mut count = 0;
                // Panics if the connection ends in the place of an answer.
                while !ask(&mut stream, "/", "ok\n").contains("Connection: close") {
                    count += 1;
                }
                assert_eq!(read_to_end(&mut stream), "");
                count
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(100));
    server.signal("TERM");
    let counts: Vec<u32> =
        clients.into_iter().map(|client| client.join().expect("every request is answered")).collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn event_streams_end_properly_one_after_another() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let (server, address) = start_example("stopping");
        let mut streams: Vec<TcpStream> = (0..20).map(|_| request(address, "/events")).collect();
        for stream in &mut streams {
            read_until(stream, "data: one\n\n");
        }
        server.signal(signal);
        for stream in &mut streams {
            assert!(read_to_end(stream).ends_with("0\r\n\r\n"), "SIG{signal}");
        }
        assert_eq!(server.wait().0.code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn a_second_signal_cuts_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT"), ("INT", "TERM")] {
        let (server, address) = start_example("stopping");
        let mut stuck = request(address, "/never");
        ask(&mut connect(address), "/", "ok\n");
        let start = now();
        server.signal(first);
        assert_eq!(server.line(), "stop");
        thread::sleep(Duration::from_millis(10)); // else they might be one
        server.signal(second);
        assert_eq!(read_to_end(&mut stuck), "");
        let (status, errors) = server.wait();
        assert_eq!(status.code(), Some(0), "{first}, {second}: {errors}");
        assert!(start.elapsed() < Duration::from_secs(2), "{first}, {second}: {:?}", start.elapsed());
    }
}

#[test]
fn sigint_does_not_wait_longer_than_2_s() {
    let (server, address) = start_example("stopping");
    let mut stuck = request(address, "/never");
    ask(&mut connect(address), "/", "ok\n");
    server.signal("INT");
    let start = now();
    assert_eq!(read_to_end(&mut stuck), "");
    let waited = start.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_sighup_that_was_ignored_at_the_start_stays_ignored() {
    let (server, address) = Program::new("stopping").prepared_by("trap '' HUP").serve();
    server.signal("HUP");
    ask(&mut connect(address), "/", "ok\n");
    assert_eq!(server.try_line(), None);
    server.signal("TERM");
    assert_eq!(server.line(), "stop");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn the_process_ends_with_the_code_that_the_app_has_said() {
    let (server, address) = start_example("stopping");
    let mut client = connect(address);
    assert!(ask(&mut client, "/code", "ok\n").contains("200 OK"));
    let (status, errors) = server.wait();
    assert_eq!((status.code(), status.signal()), (Some(3), None), "{errors}");
}
