//! The session of the request at hand.
//!
//! ```text
//!              session(), session_id()                   the answer begins
//!  (nothing) ─────────────────────────▶ Open, a companion ────────────────▶ saved, its cookie in the head
//!                                            │    of the connection
//!                                            └──── the connection is gone ─▶ saved
//! ```

use std::any::Any;
use std::rc::Rc;

use super::record::Record;
use super::{Session, SessionError, config, id};
use crate::connection::along;
use crate::connection::companion::{self, Companion};
use crate::protocols::http::{Http, Request};
use crate::protocols::websocket::Websocket;
use crate::reactor::{self, Key};
use crate::shared::Shared;

/// # Sessions
///
/// With the feature `session`.
impl Request {
    /// The session of the client; each call gives the same. It is found by the cookie that the client has sent, if
    /// something is stored under that id; else it is new, and the answer sets the cookie.
    ///
    /// It belongs to the request until the answer begins: ask for it before that, on the loop's thread.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| -> workerman::Result<()> {
    ///     let session = request.session()?;
    ///     match session.get::<String>("name") {
    ///         Some(_) => connection.send("welcome back"),
    ///         None => connection.send("hello stranger"),
    ///     };
    ///     Ok(())
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::OffLoop`] on another thread, [`SessionError::Answered`] once the answer has begun or the
    /// connection is gone, [`SessionError::Storage`] when the handler fails.
    pub fn session(&self) -> Result<Session, SessionError> {
        Ok(self.open_session()?.session())
    }

    /// The id of the session. With `Some` id the request goes on with that session from here on, whether or not anything
    /// is stored under it, and the answer sets the cookie; what was changed in the one before is saved. Give no id here
    /// that a client has made up.
    ///
    /// ```
    /// # fn example(request: &workerman::Request, token: &str) -> workerman::Result<()> {
    /// let id = request.session_id(None)?;
    /// request.session_id(Some("0123456789abcdef0123456789abcdef"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Request::session`]; [`SessionError::InvalidId`] for an id that has not 16 to 128 letters, digits, `,` or `-`.
    #[doc(alias = "sessionId")]
    pub fn session_id(&self, id: Option<&str>) -> Result<String, SessionError> {
        let Some(id) = id else { return Ok(self.session()?.id()) };
        if !id::is_valid(id) {
            return Err(SessionError::InvalidId);
        }
        let key = self.awaiting_connection()?;
        let found = self.companion(key);
        if let Some(open) = &found {
            open.session().save()?;
        }
        let record = Record::load(id)?.unwrap_or_else(|| Record::new(id.to_owned()));
        let session = Session(Rc::new(record));
        match found {
            Some(open) => open.go_on_with(session),
            None => companion::seat(key, Rc::new(Open::new(self, session, true))),
        }
        Ok(id.to_owned())
    }

    /// Gives the session another id and answers it; the answer sets the cookie. Handles that were taken from this request
    /// go on with the new id, so nothing is written under the old one by mistake. What is stored under that is removed, or
    /// stays with all changes so far.
    ///
    /// Do so with `true` when somebody logs in: whoever knew the id before knows nothing then.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) -> workerman::Result<()> {
    /// request.session_regenerate_id(true)?;
    /// request.session()?.set("user_id", 42)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Request::session`] and [`Session::save`].
    #[doc(alias = "sessionRegenerateId")]
    pub fn session_regenerate_id(&self, delete_old: bool) -> Result<String, SessionError> {
        let open = self.open_session()?;
        let new = open.session().0.renew(delete_old)?;
        open.set_cookie();
        Ok(new)
    }

    /// The session that is open, or the client's, or a new one.
    fn open_session(&self) -> Result<Rc<Open>, SessionError> {
        let key = self.awaiting_connection()?;
        if let Some(open) = self.companion(key) {
            return Ok(open);
        }
        let sent = self.cookie(&config::name()).unwrap_or_default().trim_matches('"');
        let known = if id::is_valid(sent) { Record::load(sent)? } else { None };
        let is_new = known.is_none();
        let record = match known {
            Some(record) => record,
            None => Record::new(id::create()?),
        };
        let open = Rc::new(Open::new(self, Session(Rc::new(record)), is_new));
        companion::seat(key, Rc::clone(&open) as Rc<dyn Companion>);
        Ok(open)
    }

    /// The connection that owes this request its answer, all of it.
    fn awaiting_connection(&self) -> Result<Key, SessionError> {
        let origin = self.origin();
        if origin.thread == 0 || origin.thread != reactor::number() {
            return Err(SessionError::OffLoop);
        }
        let key = Key { slot: origin.slot, generation: origin.generation };
        let http = along::ask(key, |http: &Http| http.awaits(origin.ticket));
        match http.or_else(|| along::ask(key, |websocket: &Websocket| websocket.awaits(origin.ticket))) {
            Some(true) => Ok(key),
            _ => Err(SessionError::Answered),
        }
    }

    fn companion(&self, key: Key) -> Option<Rc<Open>> {
        let open = companion::of(key)? as Rc<dyn Any>;
        open.downcast::<Open>().ok().filter(|open| open.ticket == self.origin().ticket)
    }
}

/// The session of a request whose answer has not begun.
#[derive(Debug)]
struct Open {
    ticket: u32,
    now: Shared<Now>,
}

#[derive(Debug)]
struct Now {
    session: Session,
    /// The id is news to the client.
    sets_cookie: bool,
}

impl Open {
    fn new(request: &Request, session: Session, sets_cookie: bool) -> Self {
        Self { ticket: request.origin().ticket, now: Shared::new(Now { session, sets_cookie }) }
    }

    fn session(&self) -> Session {
        self.now.with(|now| now.session.clone())
    }

    fn set_cookie(&self) {
        self.now.with(|now| now.sets_cookie = true);
    }

    fn go_on_with(&self, session: Session) {
        let before = self.now.with(|now| {
            now.sets_cookie = true;
            std::mem::replace(&mut now.session, session)
        });
        // Outside of the borrow: this may save it.
        drop(before);
    }
}

impl Companion for Open {
    fn ticket(&self) -> u32 {
        self.ticket
    }

    fn depart(&self) -> Box<str> {
        let session = self.session();
        session.0.save_quietly();
        let sets_cookie = self.now.with(|now| now.sets_cookie);
        if sets_cookie { config::cookie_line(&session.id()).into() } else { Box::default() }
    }
}
