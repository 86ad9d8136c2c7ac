//! Promise: the examples of other threads do what they say, from a browser's point of view: answers come back from a database and
//! from another runtime, many at a time, and a stop loses none.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::io::Write;

use outside::{Program, TemporaryDirectory, ask, connect, eventually, read_to_end, read_until};

fn post(note: &str) -> String {
    let body = format!("note={note}");
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn notes_are_kept_in_a_database_by_all_threads() {
    let directory = TemporaryDirectory::new("notes");
    let path = directory.0.join("notes.sqlite");
    let (server, address) = Program::new("background_task").with("DATABASE", &path).serve();
    let mut numbers = Vec::new();
    for round in 0..5 {
        let mut clients: Vec<_> = (0..20).map(|_| connect(address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.write_all(post(&format!("n{round}-{number}")).as_bytes()).expect("it is sent");
        }
        for client in &mut clients {
            let answer = read_to_end(client);
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
            numbers.push(body.trim_end().parse::<usize>().expect("a number"));
        }
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=100), "each has a number of its own");
    let list = ask(&mut connect(address), "/", "\n81 ");
    assert!(list.contains("\r\n\r\n100 n4-"), "{list}");
    server.signal("INT");
    let (status, errors) = server.wait();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    // What was answered is there for the next program.
    let (_server, address) = Program::new("background_task").with("DATABASE", &path).serve();
    ask(&mut connect(address), "/", "\n81 ");
}

#[test]
fn a_database_that_cannot_be_opened_ends_the_program_with_the_cause() {
    let server = Program::new("background_task").with("DATABASE", "/nowhere/notes.sqlite").start();
    let (status, errors) = server.wait();
    assert!(!status.success() && errors.contains("unable to open database file"), "{status}: {errors}");
}

#[test]
fn a_question_goes_to_tokio_and_its_answer_to_the_connection() {
    let (_server, address) = Program::new("tokio_bridge").serve();
    let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        write!(client, "GET /?name=number{number} HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is sent");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        read_until(client, &format!("hello number{number}\n"));
    }
    ask(&mut clients[7], "/?name=again", "hello again\n");
}

#[test]
fn tokio_has_the_loop_tell_everybody_the_time() {
    let (_server, address) = Program::new("tokio_bridge").serve();
    let mut clients = [connect(address), connect(address)];
    for client in &mut clients {
        write!(client, "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n").expect("it is sent");
    }
    for client in &mut clients {
        read_until(client, "event: tick\ndata: a second has passed\n\n");
    }
}

#[test]
fn a_stop_answers_what_tokio_was_asked_and_ends_its_thread() {
    let (server, address) = Program::new("tokio_bridge").serve();
    let mut client = connect(address);
    ask(&mut client, "/?name=first", "hello first\n");
    write!(client, "GET /?name=last HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is sent");
    server.signal("INT");
    assert!(read_to_end(&mut client).contains("hello last\n"));
    assert_eq!(server.line(), "the runtime has ended");
    let (status, errors) = server.wait();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
    eventually("nobody listens", || outside::try_connect(address).is_err());
}
