//! The UDP workers of a thread, by key, without their types; their start and their end.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::driver::Driver;
use super::socket::{self, Socket};
use crate::address::Address;
use crate::callback::{self, WorkerCallback};
use crate::data::{Bag, Holder};
use crate::error::Error;
use crate::part::Part;
use crate::protocols::output::Outbound;
use crate::reactor::{Key, Table};
use crate::shared::{Leaked, Shared};
use crate::transport::Sharing;

#[derive(Default)]
pub(super) struct Registry {
    workers: Shared<Table<Entry>>,
    /// What a message is encoded into before it leaves.
    pub(super) spare: Cell<Outbound>,
}

thread_local! {
    static REGISTRY: Leaked<Registry> = const { Leaked::new() };
}

pub(super) fn registry() -> &'static Registry {
    REGISTRY.with(Leaked::get)
}

pub(super) struct Entry {
    pub(super) name: String,
    /// As given to `new`, which cannot say what is wrong with it: `listen` and `run_all` do.
    pub(super) address: Box<str>,
    pub(super) options: Options,
    pub(super) sharing: Sharing,
    pub(super) part: Part,
    pub(super) socket: Option<Socket>,
    pub(super) driver: Rc<dyn Driver>,
    /// What `on_error` is still to be told.
    pub(super) reports: VecDeque<(SocketAddr, Cow<'static, str>)>,
    pub(super) on_start: Rc<WorkerCallback>,
    pub(super) on_stop: Rc<WorkerCallback>,
    pub(super) data: Bag,
}

/// What a socket is made with.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) broadcast: bool,
    pub(super) groups: Vec<IpAddr>,
    /// `None` for that of new connections.
    pub(super) max_send_buffer_size: Option<usize>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

pub(super) fn insert(address: &str, driver: Rc<dyn Driver>) -> Key {
    let entry = Entry {
        name: "none".to_owned(),
        address: address.into(),
        options: Options::default(),
        sharing: Sharing::default(),
        part: Part::default(),
        socket: None,
        driver,
        reports: VecDeque::new(),
        on_start: Rc::default(),
        on_stop: Rc::default(),
        data: Bag::default(),
    };
    let inserted = registry().workers.with(|table| table.insert(entry));
    // A worker past the four-millionth is one that nothing ever happens to.
    inserted.unwrap_or(Key::NONE)
}

pub(super) fn with_entry<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    registry().workers.with(|table| Some(f(table.get_mut(key)?)))
}

pub(super) fn with_socket<R>(key: Key, f: impl FnOnce(&mut Socket) -> R) -> Option<R> {
    registry().workers.with(|table| Some(f(table.get_mut(key)?.socket.as_mut()?)))
}

/// Listens on the worker's address, unless it does already or has none.
pub(crate) fn listen(key: Key) -> Result<(), Error> {
    let made = with_entry(key, |entry| match entry.socket {
        Some(_) => Ok(Address::None),
        None => parse(&entry.address),
    });
    match made.transpose()? {
        None | Some(Address::None) => Ok(()),
        Some(address) => socket::open(key, &address),
    }
}

/// Reads an address. Whatever schemes connections have, here it is this one.
pub(super) fn parse(text: &str) -> Result<Address, Error> {
    match text.split_once("://") {
        Some((scheme, _)) if !scheme.eq_ignore_ascii_case("udp") => {
            let reason =
                format!("the scheme is \"{scheme}\", and that of a UdpWorker is \"udp\", whatever its protocol");
            Err(Error::Address { address: text.into(), reason: reason.into() })
        }
        _ => Address::parse(text, "udp"),
    }
}

/// The names and addresses of all workers that run here, for those who watch the loop.
pub(crate) fn overview() -> Vec<(String, String)> {
    let look_at = |entry: &mut Entry| (!entry.part.absent).then(|| (entry.name.clone(), entry.address.to_string()));
    keys().into_iter().filter_map(|key| with_entry(key, look_at).flatten()).collect()
}

/// Takes in no more datagrams. A socket closes when nothing waits in it any more.
pub(crate) fn leave() {
    for key in keys() {
        with_entry(key, |entry| {
            entry.sharing.handed = None;
            entry.socket.take_if(Socket::leave)
        });
    }
}

/// Whether datagrams wait to leave, once no more are taken in.
pub(crate) fn is_leaving() -> bool {
    keys().into_iter().any(|key| with_socket(key, |_| ()).is_some())
}

/// At the end of a loop: nothing of this thread's workers stays. Destructors of users' values run here.
pub(crate) fn clear() {
    callback::discard_all(registry().workers.with(Table::clear));
    registry().spare.take();
}

/// The keys of all workers, in the order of their slots.
pub(crate) fn keys() -> Vec<Key> {
    registry().workers.with(|table| table.keys())
}

/// The worker's driver, with its type.
pub(super) fn handlers<H: Driver>(key: Key) -> Option<Rc<H>> {
    let driver: Rc<dyn Any> = with_entry(key, |entry| Rc::clone(&entry.driver))?;
    driver.downcast().ok()
}

/// A worker's key as a holder of data.
#[derive(Clone, Copy)]
pub(super) struct WorkerData(pub(super) Key);

impl Holder for WorkerData {
    fn bag<R>(self, f: impl FnOnce(&mut Bag) -> R) -> Option<R> {
        with_entry(self.0, |entry| f(&mut entry.data))
    }
}
