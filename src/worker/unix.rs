//! What a worker on a Unix socket can be told and asked.

use std::path::PathBuf;

use super::Worker;
use super::listener::Listener;
use crate::protocols::Codec;

/// # Unix sockets
///
/// With `unix:///path` as its address, a worker of any protocol listens on a socket that is a file: for processes of the
/// same machine, such as a proxy in front. A file that a killed server has left behind is replaced; one that is served,
/// or is no socket, is an error. It is removed when the worker stops listening. `unix://@name` is a socket without a
/// file, on Linux.
impl<P: Codec> Worker<P> {
    /// Sets the mode of the socket's file: whoever may write to it may connect. Without it the `umask` decides, which
    /// usually lets in nobody but the user of this process. Set it before the worker listens.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("unix:///run/app/http.sock");
    /// worker.set_socket_mode(0o660);
    /// ```
    pub fn set_socket_mode(self, mode: u32) {
        self.entry(|entry| entry.access.mode = Some(mode));
    }

    /// Sets the user and the group whose the socket's file is: names of `/etc/passwd` and `/etc/group`, or numbers; `""`
    /// leaves one as it is. To give it to another user takes root; to a group, being a member. Set it before the worker
    /// listens: that fails if they are not there, or may not be given the file.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("unix:///run/app/http.sock");
    /// worker.set_socket_owner("", "www-data");
    /// worker.set_socket_mode(0o660);
    /// ```
    #[doc(alias = "user")]
    #[doc(alias = "group")]
    pub fn set_socket_owner(self, user: &str, group: &str) {
        self.entry(|entry| {
            entry.access.user = user.into();
            entry.access.group = group.into();
        });
    }

    /// The path of the Unix socket on which the worker listens, once it does; `None` on TCP, and for a socket without a
    /// file.
    ///
    /// ```
    /// # use workerman::{Text, Worker};
    /// # let directory = std::env::temp_dir();
    /// let worker = Worker::<Text>::new(&format!("unix://{}/app.sock", directory.display()));
    /// assert_eq!(worker.local_path(), None);
    /// worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_path()));
    /// ```
    #[doc(alias = "getSocketName")]
    pub fn local_path(self) -> Option<PathBuf> {
        self.entry(|entry| entry.listener.as_ref().and_then(Listener::local_path).map(Into::into)).flatten()
    }

    /// The address as it was given to [`new`](Self::new), `none` for none.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// assert_eq!(Worker::<Http>::new("unix:///run/app.sock").socket_name(), "unix:///run/app.sock");
    /// assert_eq!(Worker::<Http>::new("").socket_name(), "none");
    /// ```
    #[doc(alias = "getSocketName")]
    pub fn socket_name(self) -> String {
        let name = self.entry(|entry| entry.address.to_string()).unwrap_or_default();
        if name.is_empty() { "none".to_owned() } else { name }
    }
}
