//! Sessions: data of a client between its requests, found again by a cookie.
//!
//! In scope: the session of the request at hand (`request`), what is in it (this file), when it is saved (`record`), where
//! (`handler`, `memory`, `file`), under which id (`id`) and with which cookie (`config`). Out of scope: who the client is;
//! that is for the app to find out and to put in.
//!
//! Invariants:
//! * an id that a client made up is never taken on, only one under which something is stored;
//! * a session is on its loop's thread; a request carries numbers only, and may leave it;
//! * what was changed is written before the answer leaves, and at the latest when the last handle is dropped;
//! * handlers are user code: no borrow is alive while they run.

mod config;
mod error;
mod file;
mod handler;
mod id;
mod memory;
mod record;
mod request;

use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use config::SessionConfig;
pub(crate) use config::clear;
pub use error::SessionError;
pub use file::FileSessionHandler;
pub use handler::SessionHandler;
pub use memory::MemorySessionHandler;

use record::Record;

/// The data of one client between its requests, as [`Request::session`](crate::Request::session) gives them.
///
/// A handle that is cloned freely; all handles from one request mean the same data. Values are those of `serde`; what is
/// stored is JSON. Each request reads the data anew, so of two requests that overlap, the one that is answered last
/// decides, as in PHP Workerman.
///
/// What was changed is saved when the request is answered, before the answer leaves. A handle that is kept after that (in
/// a timer, beside an event stream) still reads and changes its data; they are saved when the last handle is dropped, or
/// by [`Session::save`]. A callback that fails does not undo what it has changed.
///
/// ```
/// use workerman::{Http, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, request| -> workerman::Result<()> {
///     let session = request.session()?;
///     let visits = session.get::<u64>("visits").unwrap_or(0) + 1;
///     session.set("visits", visits)?;
///     connection.send(format!("visit {visits}"));
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct Session(Rc<Record>);

/// # What is in it
impl Session {
    /// A value, as a type of the app's; `None` when it is not there, is null, or does not fit the type.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// let name: Option<String> = session.get("name");
    /// let visits = session.get::<u64>("visits").unwrap_or(0);
    /// # }
    /// ```
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        fit(self.0.read(|data| data.get(name).cloned()))
    }

    /// Sets a value.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) -> workerman::Result<()> {
    /// session.set("user_id", 42)?;
    /// session.set("roles", ["admin", "editor"])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Value`] when the value cannot be JSON, as a map whose keys are no text.
    #[doc(alias = "put")]
    pub fn set(&self, name: &str, value: impl Serialize) -> Result<(), SessionError> {
        self.put([(name, value)])
    }

    /// Sets several values: PHP's `put` of an array. When one cannot be JSON, none is set.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) -> workerman::Result<()> {
    /// session.put([("name", "Ada"), ("city", "London")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Session::set`].
    pub fn put<K: Into<String>, V: Serialize>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), SessionError> {
        let one = |(name, value): (K, V)| Ok((name.into(), serde_json::to_value(value)?));
        let values: Result<Vec<(String, Value)>, serde_json::Error> = values.into_iter().map(one).collect();
        let values = values.map_err(|error| SessionError::Value(error.into()))?;
        self.0.change(|data| data.extend(values));
        Ok(())
    }

    /// Removes a value and answers it, as [`Session::get`] does; what does not fit the type is removed too.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// if let Some(notice) = session.pull::<String>("notice") { /* shown once */ }
    /// # }
    /// ```
    pub fn pull<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        fit(self.0.remove(name))
    }

    /// Removes a value.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// session.delete("user_id");
    /// # }
    /// ```
    pub fn delete(&self, name: &str) {
        self.0.remove(name);
    }

    /// Removes several values.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// session.forget(["user_id", "roles"]);
    /// # }
    /// ```
    pub fn forget<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) {
        for name in names {
            self.0.remove(name.as_ref());
        }
    }

    /// Removes everything; a session without values is not stored, so this ends it.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// session.flush(); // the client is logged out
    /// # }
    /// ```
    pub fn flush(&self) {
        self.0.change(Map::clear);
    }

    /// All values by their names.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// for (name, value) in session.all() {
    ///     println!("{name}: {value}");
    /// }
    /// # }
    /// ```
    pub fn all(&self) -> Map<String, Value> {
        self.0.read(Map::clone)
    }

    /// Whether a value is there and is not null, as PHP's `isset`.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// let logged_in = session.has("user_id");
    /// # }
    /// ```
    pub fn has(&self, name: &str) -> bool {
        self.0.read(|data| data.get(name).is_some_and(|value| !value.is_null()))
    }

    /// Whether a value is there, be it null.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// let was_asked = session.exists("newsletter");
    /// # }
    /// ```
    pub fn exists(&self, name: &str) -> bool {
        self.0.read(|data| data.contains_key(name))
    }
}

/// # Where it is kept
impl Session {
    /// Its id. Who knows it is the client: neither log nor show it.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) {
    /// assert!(session.id().len() >= 16);
    /// # }
    /// ```
    #[doc(alias = "getId")]
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// Saves now what was changed. The answer does so by itself, but cannot tell of a failure: that is logged.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) -> workerman::Result<()> {
    /// session.set("paid", true)?;
    /// session.save()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Storage`] when the handler fails, [`SessionError::TooLarge`] above 1 MiB,
    /// [`SessionError::Gone`] when what was stored has ended meanwhile: a session that was ended elsewhere stays so.
    pub fn save(&self) -> Result<(), SessionError> {
        self.0.save()
    }

    /// Lets its lifetime begin anew, without writing.
    ///
    /// ```
    /// # fn example(session: &workerman::Session) -> workerman::Result<()> {
    /// session.refresh()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Storage`] when the handler fails.
    #[doc(alias = "updateTimestamp")]
    pub fn refresh(&self) -> Result<(), SessionError> {
        self.0.refresh()
    }

    /// Removes what is stored and has ended, of all sessions. This happens by itself, see
    /// [`SessionConfig::gc_interval`].
    ///
    /// ```
    /// # use workerman::Session;
    /// Session::gc()?;
    /// # Ok::<(), workerman::SessionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Storage`] when the handler fails.
    pub fn gc() -> Result<(), SessionError> {
        record::collect()
    }
}

/// # For all sessions of the thread
impl Session {
    /// Sets lifetime and cookie of the sessions on this thread, until its loop ends: PHP's static properties. Call it
    /// before `run_all` or in `on_worker_start`.
    ///
    /// ```
    /// # use workerman::{SameSite, Session, SessionConfig};
    /// Session::configure(SessionConfig::default().name("SID").secure(true).same_site(SameSite::Lax));
    /// ```
    pub fn configure(config: SessionConfig) {
        config::set(config);
    }

    /// What [`Session::configure`] has set.
    ///
    /// ```
    /// # use workerman::Session;
    /// Session::configure(Session::config().lifetime(3600));
    /// ```
    #[doc(alias = "getCookieParams")]
    pub fn config() -> SessionConfig {
        config::get()
    }

    /// Sets where the sessions of this thread are kept, until its loop ends; unless set, in memory.
    ///
    /// ```no_run
    /// # use workerman::{FileSessionHandler, Session};
    /// Session::set_handler(FileSessionHandler::new("/var/lib/my-app/sessions")?);
    /// # workerman::Result::<()>::Ok(())
    /// ```
    #[doc(alias = "handlerClass")]
    pub fn set_handler(handler: impl SessionHandler + 'static) {
        config::set_handler(Rc::new(handler));
    }
}

/// Without what nobody is to read in a log.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("values", &self.0.read(Map::len)).finish_non_exhaustive()
    }
}

/// `null` is nothing, as in PHP.
fn fit<T: DeserializeOwned>(value: Option<Value>) -> Option<T> {
    serde_json::from_value(value.filter(|value| !value.is_null())?).ok()
}
