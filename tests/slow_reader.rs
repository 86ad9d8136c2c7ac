//! The promise: only who reads nothing has stalled. A system says that there is room when a third of its buffer is free,
//! so that for a slow reader it says nothing for longer than the deadline.

mod outside;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use outside::Server;
use socket2::{Domain, Socket, Type};
use workerman::Deadlines;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client whose system takes only a little ahead of it.
fn connect(address: SocketAddr) -> std::net::TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

#[test]
fn a_reader_that_is_slow_and_steady_is_not_cut_off() {
    let (closed, ends) = std::sync::mpsc::channel();
    let server = Server::start(move |worker| {
        worker.set_deadlines(Deadlines::default().write(1));
        worker.on_message(|connection, _| connection.send(vec![b'x'; 32 << 20]));
        worker.on_close(move |_| closed.send(()).is_ok());
    });
    let mut client = connect(server.address);
    client.write_all(GET).expect("it can be sent");
    let (began, mut piece) = (outside::now(), [0; 4096]);
    while began.elapsed() < Duration::from_secs(4) {
        assert!(client.read(&mut piece).expect("bytes") > 0, "cut off after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ends.try_recv().is_err(), "closed while it was read");
    // And then it reads nothing.
    assert_eq!(ends.recv_timeout(Duration::from_secs(10)), Ok(()), "it has stalled");
}
