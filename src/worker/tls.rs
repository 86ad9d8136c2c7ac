//! Workers that speak TLS: when their files are read, and how those that come in are greeted.
//!
//! Invariants: a worker that listens has certificates that can be used; files that are read later and are wrong change
//! nothing; what belongs to root is read while the process is root's.

use std::net::SocketAddr;
use std::rc::Rc;

use super::run::with_entry;
use super::which::Kind as Of;
use super::{Which, Worker, incoming};
use crate::connection::{Driver, handshake};
use crate::error::Error;
use crate::protocols::Codec;
use crate::reactor::{self, Key, Kind};
use crate::transport::Transport;
use crate::transport::tls::{Acceptor, TlsOptions};

/// What a worker has been told, and what has come of it.
#[derive(Debug)]
pub(super) struct Tls {
    options: Rc<TlsOptions>,
    acceptor: Option<Acceptor>,
}

/// # TLS
///
/// With the feature `tls`, or `tls-ring`, a worker of any protocol speaks TLS 1.2 and 1.3, over TCP and Unix sockets. Its
/// `on_connect` is called when the handshake is complete; how long that may take is one of the
/// [`Deadlines`](crate::Deadlines::handshake).
impl<P: Codec> Worker<P> {
    /// Has the worker speak TLS: PHP's `$worker->transport = 'ssl'` with the `ssl` part of a context. The files are read when
    /// it begins to listen: [`listen`](Self::listen) and `run_all` fail with [`Error::Tls`] if they are wrong.
    ///
    /// ```no_run
    /// use workerman::{Http, TlsOptions, Worker};
    ///
    /// let worker = Worker::<Http>::new("http://0.0.0.0:443");
    /// worker.set_transport_ssl(TlsOptions::new("fullchain.pem", "privkey.pem"));
    /// worker.on_message(|connection, _request| connection.send("nobody else can read this"));
    /// # workerman::Result::<()>::Ok(())
    /// ```
    #[doc(alias = "transport")]
    #[doc(alias = "ssl")]
    pub fn set_transport_ssl(self, options: TlsOptions) {
        self.entry(|entry| entry.tls = Some(Tls { options: Rc::new(options), acceptor: None }));
    }

    /// Reads the files of [`set_transport_ssl`](Self::set_transport_ssl) again: connections from here on get the new
    /// certificates, those there are keep theirs. A reload of the app does the same.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] names the file that is wrong; then everything stays as it was.
    ///
    /// ```
    /// # use workerman::{Http, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// Timer::add(24 * 60 * 60, move || {
    ///     if let Err(error) = worker.reload_certificates() {
    ///         eprintln!("the old certificates stay: {error}");
    ///     }
    /// });
    /// # Timer::del_all();
    /// ```
    pub fn reload_certificates(self) -> Result<(), Error> {
        read_files(self.key)
    }
}

/// Reads the files of those that run here, for the first time: for who is about to become a user that may not.
pub(crate) fn read_first() -> Result<(), Error> {
    present().try_for_each(begin)
}

/// Those of connections that run in this process.
fn present() -> impl Iterator<Item = Key> {
    Which::present().into_iter().filter_map(|which| match which.0 {
        Of::Connections(key) => Some(key),
        Of::Datagrams(_) => None,
    })
}

/// Reads the files of a worker that is about to listen, unless that has been done.
pub(super) fn begin(key: Key) -> Result<(), Error> {
    let is_ready = with_entry(key, |entry| entry.tls.as_ref().is_none_or(|tls| tls.acceptor.is_some()));
    if is_ready == Some(false) { read_files(key) } else { Ok(()) }
}

/// Reads the files of a worker that speaks TLS.
fn read_files(key: Key) -> Result<(), Error> {
    let told = with_entry(key, |entry| Some((Rc::clone(&entry.tls.as_ref()?.options), entry.scheme)));
    let Some((options, scheme)) = told.flatten() else { return Ok(()) };
    let alpn: &[_] = if matches!(scheme, "http" | "websocket") { &["http/1.1"] } else { &[] };
    let acceptor = Acceptor::load(&options, alpn)?;
    with_entry(key, |entry| {
        if let Some(tls) = &mut entry.tls {
            tls.acceptor = Some(acceptor);
        }
    });
    Ok(())
}

/// The app is reloaded: so are the files of all workers here. Answers what is wrong with some.
pub(super) fn read_all_files() -> Vec<Error> {
    let wrong: Vec<Error> = present().filter_map(|key| read_files(key).err()).collect();
    for error in &wrong {
        log::error!("the old certificates stay: {error}");
    }
    wrong
}

/// What accepts for a worker, if it speaks TLS.
pub(super) fn acceptor(key: Key) -> Option<Acceptor> {
    with_entry(key, |entry| entry.tls.as_ref()?.acceptor.clone())?
}

/// Begins a handshake. It counts as a connection as long as it lasts.
pub(super) fn shake_hands(
    acceptor: &Acceptor,
    transport: Transport,
    remote: Option<SocketAddr>,
    driver: &Rc<dyn Driver>,
) {
    let transport = match acceptor.accept(transport) {
        Ok(transport) => transport,
        Err(reason) => return log::error!("a connection of {}: {reason}", incoming::name(remote)),
    };
    let address = remote.map(|remote| remote.ip());
    driver.admission().enter(address);
    let time = driver.deadlines().handshake_time();
    let driver = Rc::clone(driver);
    let done = move |result| {
        let was_full = driver.admission().leave(address);
        match result {
            Ok(transport) => incoming::open(transport, remote, &driver),
            Err(error) => log::info!("a connection of {} has come to nothing: {error}", incoming::name(remote)),
        }
        // Somebody may wait for its place.
        if was_full && !driver.admission().is_full() {
            reactor::get().list(Kind::Listener, driver.worker());
        }
    };
    handshake::begin(transport, true, time, Box::new(done));
}
