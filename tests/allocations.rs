//! The promise: once a server is warm, a request allocates nothing but what the app does, and neither does a message of a
//! protocol of one's own, what that remembers included.

mod outside;

use std::io::Write;
use std::sync::mpsc;
use std::thread;

use allocation_counter::measure;
use outside::{connect, read_until, receive};
use workerman::{Codec, Encode, Encoded, Http, LoopHandle, Output, Protocol, Response, Result, Worker};

const GET: &str =
    "GET /?a=b HTTP/1.1\r\nHost: localhost:80\r\nAccept: */*\r\nCookie: a=b\r\nConnection: keep-alive\r\n\r\n";
const CHUNKED: &str =
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const POST: &str = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";

/// How often the thread of a loop allocates in its whole life, with so many requests in it.
fn allocations<P: Codec>(set_up: fn(Worker<P>), requests: usize, request: &'static str, end: &str) -> u64 {
    let (sender, receiver) = mpsc::channel();
    let server = thread::spawn(move || {
        let worker = Worker::<P>::new("tcp://127.0.0.1:0");
        set_up(worker);
        worker.on_worker_start(move |worker| {
            let _ = sender.send((worker.local_addr(), LoopHandle::current()));
        });
        measure(|| Worker::run_all().expect("it runs")).count_total
    });
    let (address, handle) = receive("the server's address", &receiver);
    let mut client = connect(address.expect("it listens"));
    for _ in 0..requests {
        client.write_all(request.as_bytes()).expect("it can be sent");
        read_until(&mut client, end);
    }
    handle.run(Worker::stop_all).expect("it runs");
    server.join().expect("the loop ends")
}

fn answer(worker: Worker<Http>) {
    worker.on_message(|connection, request| match request.path() {
        "/echo" => connection.send(Response::new(200, &[("Content-Type", "text/plain")], request.raw_body())),
        _ => connection.send(Response::new(200, &[("Content-Type", "text/plain"), ("X-A", "b")], "hello")),
    });
}

#[test]
fn more_requests_are_no_more_allocations() {
    for request in [GET, POST, CHUNKED] {
        let few = allocations(answer, 50, request, "hello");
        let many = allocations(answer, 2_050, request, "hello");
        assert!(many <= few + 5, "{few} for 50 requests, {many} for 2,050: {request}");
    }
}

/// Numbers by the byte, which are added up.
#[derive(Default)]
struct Sum {
    so_far: [u64; 32],
}

impl Protocol for Sum {
    type Message = u64;

    fn input(&mut self, _buffer: &[u8]) -> Result<Option<usize>> {
        Ok(Some(1))
    }

    fn decode(&mut self, package: &[u8]) -> Result<u64> {
        let [sum, ..] = &mut self.so_far;
        *sum += u64::from(*package.first().ok_or("nothing")?);
        Ok(*sum)
    }
}

impl Encode<u64> for Sum {
    fn encode(&mut self, sum: u64, output: &mut Output<'_>) -> Encoded {
        write!(output, "{sum}!").into()
    }
}

#[test]
fn more_messages_of_a_protocol_of_ones_own_are_no_more_allocations() {
    let add_up = |worker: Worker<Sum>| worker.on_message(|connection, sum| connection.send(sum));
    let few = allocations(add_up, 50, "\u{1}", "!");
    let many = allocations(add_up, 2_050, "\u{1}", "!");
    assert!(many <= few + 5, "{few} for 50 messages, {many} for 2,050");
}
