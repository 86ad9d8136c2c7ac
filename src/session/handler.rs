//! What keeps sessions.

use std::time::Duration;

use crate::error::Result;

/// Where sessions are kept, PHP's `SessionHandlerInterface`: set by
/// [`Session::set_handler`](crate::Session::set_handler).
///
/// Calls come on the loop's thread and block it; ids have been checked, data are bytes of at most 1 MiB. What has reached
/// the end of its lifetime is not there any more, whether or not it is still stored. Only ids under which `read` or
/// `exists` find something are taken on from clients, so a handler never answers for what was not written.
///
/// ```
/// use std::cell::Cell;
/// use std::collections::HashMap;
/// use std::time::Duration;
/// use workerman::{Session, SessionHandler};
///
/// /// For tests: nothing ever ends.
/// #[derive(Default)]
/// struct Forever(Cell<HashMap<String, Vec<u8>>>);
///
/// impl Forever {
///     fn with<R>(&self, f: impl FnOnce(&mut HashMap<String, Vec<u8>>) -> R) -> R {
///         let mut map = self.0.take();
///         let result = f(&mut map);
///         self.0.set(map);
///         result
///     }
/// }
///
/// impl SessionHandler for Forever {
///     fn read(&self, id: &str, _lifetime: Duration) -> workerman::Result<Option<Vec<u8>>> {
///         Ok(self.with(|map| map.get(id).cloned()))
///     }
///     fn write(&self, id: &str, data: &[u8], _lifetime: Duration) -> workerman::Result<()> {
///         self.with(|map| map.insert(id.to_owned(), data.to_owned()));
///         Ok(())
///     }
///     fn destroy(&self, id: &str) -> workerman::Result<()> {
///         self.with(|map| map.remove(id));
///         Ok(())
///     }
/// }
///
/// Session::set_handler(Forever::default());
/// ```
#[doc(alias = "SessionHandlerInterface")]
pub trait SessionHandler {
    /// What is stored under an id, if its lifetime has not ended.
    ///
    /// # Errors
    ///
    /// When that cannot be found out; that nothing is there is none.
    fn read(&self, id: &str, lifetime: Duration) -> Result<Option<Vec<u8>>>;

    /// Stores data under an id, in place of what was there, for a whole lifetime from now on.
    ///
    /// # Errors
    ///
    /// When they are not stored; what was there before should be still.
    fn write(&self, id: &str, data: &[u8], lifetime: Duration) -> Result<()>;

    /// Removes what is stored under an id, if anything is.
    ///
    /// # Errors
    ///
    /// When it is still there.
    fn destroy(&self, id: &str) -> Result<()>;

    /// Whether something is stored under an id and has not ended.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), which it calls unless you know a shorter way.
    fn exists(&self, id: &str, lifetime: Duration) -> Result<bool> {
        Ok(self.read(id, lifetime)?.is_some())
    }

    /// Lets the lifetime of what is stored begin anew. Unless you know a shorter way, it is written again.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read) and [`write`](Self::write).
    #[doc(alias = "updateTimestamp")]
    fn update_timestamp(&self, id: &str, lifetime: Duration) -> Result<()> {
        match self.read(id, lifetime)? {
            Some(data) => self.write(id, &data, lifetime),
            None => Ok(()),
        }
    }

    /// Removes what is stored and has ended, for stores that do not do so by themselves.
    ///
    /// # Errors
    ///
    /// When the store fails as a whole.
    fn gc(&self, lifetime: Duration) -> Result<()> {
        let _ = lifetime;
        Ok(())
    }
}
