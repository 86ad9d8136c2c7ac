//! Gives back what it is sent, on `PORT`, to as many as come: for the client that makes ten thousand connections.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

fn main() -> beside::Result<()> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut streams: HashMap<usize, TcpStream> = HashMap::new();
    let mut events = Events::with_capacity(1024);
    let mut next = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != LISTENER {
                if let Some(stream) = streams.get_mut(&event.token().0)
                    && !echo(stream)
                {
                    streams.remove(&event.token().0);
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                poll.registry().register(&mut stream, Token(next), Interest::READABLE)?;
                streams.insert(next, stream);
                next += 1;
            }
        }
    }
}

/// What is little enough to leave at once; answers whether the peer is still there.
fn echo(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                if stream.write_all(&buffer[..count]).is_err() {
                    return false;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
