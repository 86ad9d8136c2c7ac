//! Servers as processes: how they end, and what they say when they cannot start.

mod outside;

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;

use outside::{Program, ask, connect, read_to_end, start_example};

const SIGNALS: [(&str, i32); 4] = [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)];

#[test]
fn a_signal_ends_the_process_well_after_its_last_callbacks() {
    for (signal, _) in SIGNALS {
        let (server, address) = start_example("lifecycle");
        let mut asking = connect(address);
        ask(&mut asking, "/", "ok\n");
        let mut silent = connect(address);
        assert_eq!([server.line(), server.line()], ["connect", "connect"]);
        server.signal(signal);
        let lines: Vec<String> = (0..4).map(|_| server.line()).collect();
        assert_eq!(lines, ["stop with 2 connections", "close", "close", "returned"], "SIG{signal}");
        assert_eq!([read_to_end(&mut asking), read_to_end(&mut silent)], ["", ""], "SIG{signal}: a proper end");
        let (status, errors) = server.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {errors}");
    }
}

#[test]
fn a_signal_ends_the_second_loop_of_a_process_as_well_as_the_first() {
    let (server, _) = Program::new("lifecycle").with("MODE", "twice").serve();
    server.signal("INT");
    assert_eq!([server.line(), server.line()], ["stop with 0 connections", "returned"]);
    let (status, errors) = server.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}

#[test]
fn a_signal_ends_the_examples_too() {
    for (name, signal) in [("hello", "INT"), ("sse", "TERM")] {
        let (server, address) = start_example(name);
        let mut client = connect(address);
        write!(client, "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n")
            .expect("the request is sent");
        outside::read_until(&mut client, "\r\n\r\n");
        server.signal(signal);
        let (status, errors) = server.wait();
        assert_eq!(status.code(), Some(0), "{name}: {errors}");
        read_to_end(&mut client);
    }
}

#[test]
fn after_run_all_has_returned_a_signal_kills_again() {
    for (signal, number) in SIGNALS {
        for by_signal in [false, true] {
            let (server, address) = Program::new("lifecycle").with("MODE", "stay").serve();
            if by_signal {
                server.signal(signal);
            } else {
                ask(&mut connect(address), "/stop", "ok\n");
            }
            server.line_after("returned");
            server.signal(signal);
            let (status, errors) = server.wait();
            assert_eq!(status.signal(), Some(number), "SIG{signal}, stopped by one: {by_signal}: {errors}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_ends_the_process_with_its_name_and_the_cause() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("a listener has an address");
    let in_use = taken.1.to_string();
    for (address, cause) in [
        ("127.0.0.1", "no port"),
        ("127.0.0.1:99999", "99999"),
        ("websocket://127.0.0.1:0", "the protocol of this worker is \"http\""),
        ("nobody.invalid:80", "lookup"),
        ("192.0.2.1:80", "Cannot assign requested address"),
        (&in_use, "Address already in use"),
    ] {
        let server = Program::new("lifecycle").with("ADDRESS", address).start();
        let (status, errors) = server.wait();
        assert!(status.code().is_some_and(|code| code != 0), "{address}: {status}");
        assert!(errors.contains(address) && errors.contains(cause), "{address}: {errors:?}");
        assert!(!errors.contains("panicked"), "{address}: {errors}");
        assert_eq!(errors.lines().count(), 1, "one line says it all: {errors}");
    }
}
