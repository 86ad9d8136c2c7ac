//! Sockets that listen on TCP. Accepted ones inherit the options that are set here.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::BACKLOG;
use crate::address::Address;

/// As in PHP: a peer that is gone without a word is found after two minutes.
const KEEPALIVE: Duration = Duration::from_secs(55);

/// The first of the addresses that can be had, or why the last could not.
pub(super) fn bind_first(address: &Address, reuse_port: bool) -> io::Result<Socket> {
    let mut error = io::ErrorKind::AddrNotAvailable.into();
    for candidate in address.resolve()? {
        match bind(candidate, reuse_port) {
            Ok(socket) => return Ok(socket),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

/// With `reuse_port`, others of the same user may listen there too, if they have said the same.
pub(super) fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(1);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
