//! What several processes of an app share of a UDP worker.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::registry::{self, Entry, with_entry};
use super::{UdpWorker, socket};
use crate::address::Address;
use crate::callback::{CallbackResult, Site, WorkerCallback};
use crate::error::Error;
use crate::part::Part;
use crate::protocols::datagram::Datagram;
use crate::reactor::Key;
use crate::transport::{Layout, Sharing};

/// # Several processes
impl<P: Datagram> UdpWorker<P> {
    /// Sets how many processes the worker has: 1 unless set, and for 0. See
    /// [`Worker::set_count`](crate::Worker::set_count). Datagrams of one peer all come to the same process, see
    /// [`set_reuse_port`](Self::set_reuse_port).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_count(4);
    /// assert_eq!(worker.count(), 4);
    /// ```
    #[doc(alias = "count")]
    pub fn set_count(self, count: usize) {
        with_entry(self.key, |entry| entry.sharing.count = count.max(1));
    }

    /// How many processes the worker has: PHP's `$worker->count`.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// assert_eq!(UdpWorker::<Tcp>::new("").count(), 1);
    /// ```
    pub fn count(self) -> usize {
        with_entry(self.key, |entry| entry.sharing.count).unwrap_or(1)
    }

    /// Sets whether each process has a socket of its own on the address (`SO_REUSEPORT`), or all have the same. Unless
    /// set, each has its own on Linux, and what comes from one peer comes to the same process as long as their number stays.
    /// A worker that broadcasts or has joined multicast groups has one for all, because otherwise what is sent to all comes to
    /// each process. Set it before the worker listens.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_reuse_port(false);
    /// ```
    #[doc(alias = "reusePort")]
    pub fn set_reuse_port(self, enabled: bool) {
        with_entry(self.key, |entry| entry.sharing.reuse_port = Some(enabled));
    }
}

/// # Its processes
///
/// As those of a [`Worker`](crate::Worker#its-processes).
impl<P: Datagram> UdpWorker<P> {
    /// Which of the worker's processes this is, from 0 on: PHP's `$worker->id`. See [`Worker::id`](crate::Worker::id).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
    /// worker.on_worker_start(|worker| println!("process {} of {}", worker.id(), worker.count()));
    /// ```
    pub fn id(self) -> usize {
        part(self.key, |part| part.id).unwrap_or(0)
    }

    /// Sets whether a reload replaces the worker's processes. See [`Worker::set_reloadable`](crate::Worker::set_reloadable).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_reloadable(false);
    /// ```
    #[doc(alias = "reloadable")]
    pub fn set_reloadable(self, reloadable: bool) {
        part(self.key, |part| part.stays = !reloadable);
    }

    /// Sets whom the worker's processes run as. See [`Worker::set_user`](crate::Worker::set_user).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_user("www-data");
    /// ```
    #[doc(alias = "user")]
    pub fn set_user(self, user: &str) {
        part(self.key, |part| part.user = user.into());
    }

    /// Sets the group of the worker's processes. See [`Worker::set_group`](crate::Worker::set_group).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_group("www-data");
    /// ```
    #[doc(alias = "group")]
    pub fn set_group(self, group: &str) {
        part(self.key, |part| part.group = group.into());
    }

    /// Called in each process of the worker when the app is reloaded. See
    /// [`Worker::on_worker_reload`](crate::Worker::on_worker_reload).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_reload(|worker| println!("{} is reloaded", worker.name()));
    /// ```
    #[doc(alias = "onWorkerReload")]
    #[track_caller]
    pub fn on_worker_reload<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_reload");
        self.own_callback(|entry| &entry.part.on_reload, site, Box::new(move || callback(self).into_result()));
    }

    /// Called in the master when a process of the worker has ended. See
    /// [`Worker::on_worker_exit`](crate::Worker::on_worker_exit).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_exit(|_, status, pid| eprintln!("process {pid} ended with status {status}"));
    /// ```
    #[doc(alias = "onWorkerExit")]
    #[track_caller]
    pub fn on_worker_exit<F, R>(self, mut callback: F)
    where
        F: FnMut(Self, i32, u32) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_exit");
        if let Some(slot) = part(self.key, |part| Rc::clone(&part.on_exit)) {
            slot.set(site, Box::new(move |status, pid| callback(self, status, pid).into_result()));
        }
    }
}

/// What part a worker has in the processes of its app.
pub(crate) fn part<R>(key: Key, f: impl FnOnce(&mut Part) -> R) -> Option<R> {
    with_entry(key, |entry| f(&mut entry.part))
}

/// What the worker calls when it starts.
pub(crate) fn on_start(key: Key) -> Option<Rc<WorkerCallback>> {
    with_entry(key, |entry| Rc::clone(&entry.on_start))
}

/// What the worker calls when it stops.
pub(crate) fn on_stop(key: Key) -> Option<Rc<WorkerCallback>> {
    with_entry(key, |entry| Rc::clone(&entry.on_stop))
}

/// The worker's name.
pub(crate) fn name(key: Key) -> String {
    with_entry(key, |entry| entry.name.clone()).unwrap_or_default()
}

/// What the master has to know of a worker: where it listens, and how its processes share that.
pub(crate) fn look_at<R>(key: Key, f: impl FnOnce(&str, &mut Sharing, Layout) -> R) -> Option<R> {
    with_entry(key, |entry| {
        let usual = usual_layout(entry);
        f(&entry.address, &mut entry.sharing, usual)
    })
}

/// What is sent to all on a network comes to each socket on the address.
fn usual_layout(entry: &Entry) -> Layout {
    if entry.options.broadcast || !entry.options.groups.is_empty() { Layout::One } else { Layout::USUAL }
}

/// Binds the worker's address for other processes; `None` if it has none.
pub(crate) fn bind(key: Key) -> Result<Option<OwnedFd>, Error> {
    let Some((text, options)) = with_entry(key, |entry| (entry.address.clone(), entry.options.clone())) else {
        return Ok(None);
    };
    match registry::parse(&text)? {
        Address::None => Ok(None),
        address => {
            let failed = |source| Error::Listen { address: text, source };
            socket::bind_first(&address, &options, false).map(Some).map_err(failed)
        }
    }
}

/// One more socket where one of this worker's leaves room for it.
pub(crate) fn bind_beside(key: Key, local: SocketAddr) -> io::Result<OwnedFd> {
    let options = with_entry(key, |entry| entry.options.clone()).unwrap_or_default();
    socket::bind(local, &options, true)
}

/// Where the worker listens.
pub(crate) fn address(key: Key) -> Result<Address, Error> {
    with_entry(key, |entry| registry::parse(&entry.address)).unwrap_or(Ok(Address::None))
}
