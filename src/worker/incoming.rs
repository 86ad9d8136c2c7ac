//! From a socket that was accepted to a connection: at once, or when both ends have agreed on how to encrypt.

use std::net::SocketAddr;
use std::rc::Rc;

use super::stop;
use crate::connection::{self, Driver};
use crate::reactor::Key;
use crate::transport::Transport;

/// Takes in who has come to a worker; its `on_connect` runs now or later.
pub(crate) fn take_in(key: Key, transport: Transport, remote: Option<SocketAddr>, driver: &Rc<dyn Driver>) {
    #[cfg(feature = "_tls")]
    if let Some(acceptor) = super::tls::acceptor(key) {
        return super::tls::shake_hands(&acceptor, transport, remote, driver);
    }
    #[cfg(not(feature = "_tls"))]
    let _ = key;
    open(transport, remote, driver);
}

pub(super) fn open(transport: Transport, remote: Option<SocketAddr>, driver: &Rc<dyn Driver>) {
    match connection::open(transport, remote, driver) {
        Ok(key) if stop::has_begun() => connection::retire_late(key),
        Ok(_) => {}
        Err(error) => log::error!("a connection of {} cannot be taken in: {error}", name(remote)),
    }
}

/// Whose it is, for the log.
pub(super) fn name(remote: Option<SocketAddr>) -> String {
    remote.map_or_else(|| "a Unix socket".to_owned(), |remote| remote.to_string())
}
