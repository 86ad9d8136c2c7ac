//! What all sessions of a thread have in common: lifetime, cookie, and where they are kept.

use std::rc::Rc;
use std::time::Duration;

use super::handler::SessionHandler;
use super::memory::MemorySessionHandler;
use crate::callback;
use crate::protocols::http::{Cookie, SameSite};
use crate::reactor;
use crate::shared::{Leaked, Shared};
use crate::timer::Interval;

/// Lifetime and cookie of sessions, for [`Session::configure`](crate::Session::configure).
///
/// | what | unless set |
/// | --- | --- |
/// | name of the cookie | `PHPSID` |
/// | lifetime of the data since they were last written | 1440 s |
/// | lifetime of the cookie | 1440 s |
/// | path, domain | `/`, none |
/// | HttpOnly, Secure, SameSite | on, off, none |
///
/// These are the defaults of PHP Workerman's class. There php.ini overwrites them: with a stock one its cookie has neither
/// `HttpOnly` nor `Max-Age`.
///
/// ```
/// use workerman::{SameSite, Session, SessionConfig};
///
/// Session::configure(SessionConfig::default().lifetime(7200).secure(true).same_site(SameSite::Lax));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a configuration does nothing until `Session::configure` has it"]
pub struct SessionConfig {
    /// Without an id.
    cookie: Cookie,
    lifetime: Duration,
    gc_interval: u64,
    auto_update_timestamp: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            cookie: Cookie::new("PHPSID", "").max_age(1440).path("/").http_only(true),
            lifetime: Duration::from_secs(1440),
            gc_interval: 600_000_000_000,
            auto_update_timestamp: false,
        }
    }
}

impl SessionConfig {
    /// The name of the cookie: a token.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().name("__Host-SID").secure(true);
    /// ```
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { cookie: self.cookie.with_name(name), ..self }
    }

    /// How long data are kept after they were last written: seconds or a `Duration`. 0 ends them at once.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().lifetime(24 * 3600);
    /// ```
    pub fn lifetime(self, time: impl Interval) -> Self {
        Self { lifetime: Duration::from_nanos(time.nanoseconds()), ..self }
    }

    /// After how many seconds the browser forgets the cookie; 0 means when it closes. It is sent when the id is new, not
    /// with each answer, so this bounds how long a client stays known, however active it is.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().cookie_lifetime(0);
    /// ```
    #[doc(alias = "cookieLifetime")]
    pub fn cookie_lifetime(self, seconds: u32) -> Self {
        Self { cookie: self.cookie.with_age(seconds), ..self }
    }

    /// For which paths the cookie is.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().cookie_path("/app");
    /// ```
    #[doc(alias = "cookiePath")]
    pub fn cookie_path(self, path: impl Into<String>) -> Self {
        Self { cookie: self.cookie.path(path), ..self }
    }

    /// For which host the cookie is, those below it included; unless set, for the one that sets it only.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().domain("example.com");
    /// ```
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { cookie: self.cookie.domain(domain), ..self }
    }

    /// Whether the cookie goes over TLS only. Set it wherever the site is reached by https.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().secure(true);
    /// ```
    pub fn secure(self, secure: bool) -> Self {
        Self { cookie: self.cookie.secure(secure), ..self }
    }

    /// Whether the cookie is kept from the page's scripts, which is so unless set.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().http_only(false);
    /// ```
    #[doc(alias = "httpOnly")]
    pub fn http_only(self, http_only: bool) -> Self {
        Self { cookie: self.cookie.http_only(http_only), ..self }
    }

    /// With which requests from other sites the cookie goes. Browsers take none as `Lax`.
    ///
    /// ```
    /// # use workerman::{SameSite, SessionConfig};
    /// let config = SessionConfig::default().same_site(SameSite::Strict);
    /// ```
    #[doc(alias = "sameSite")]
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { cookie: self.cookie.same_site(same_site), ..self }
    }

    /// How often what has ended is removed from the store, at most: seconds or a `Duration`, 10 minutes unless set. It is
    /// done behind a request that has used a session, where PHP throws dice: how much a store keeps does not depend on
    /// luck then, and a quiet loop is not woken for it.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().gc_interval(3600);
    /// ```
    #[doc(alias = "gcProbability")]
    pub fn gc_interval(self, time: impl Interval) -> Self {
        Self { gc_interval: time.nanoseconds(), ..self }
    }

    /// Whether a request that uses a session and changes nothing lets the lifetime of its data begin anew, too.
    ///
    /// ```
    /// # use workerman::SessionConfig;
    /// let config = SessionConfig::default().auto_update_timestamp(true);
    /// ```
    #[doc(alias = "autoUpdateTimestamp")]
    pub fn auto_update_timestamp(self, auto: bool) -> Self {
        Self { auto_update_timestamp: auto, ..self }
    }

    /// The value of the `Set-Cookie` line for an id, empty when a part of it is against the grammar.
    fn cookie_line(&self, id: &str) -> String {
        self.cookie.session_line(id).unwrap_or_else(|why| {
            log::error!("the cookie of sessions, {:?}, is left out: {why}", self.cookie.name());
            String::new()
        })
    }
}

thread_local! {
    static SETTINGS: Leaked<Shared<Settings>> = const { Leaked::new() };
}

#[derive(Default)]
struct Settings {
    config: SessionConfig,
    /// Made at first use, unless the app has set one.
    handler: Option<Rc<dyn SessionHandler>>,
    /// When what has ended is to be removed next.
    gc_at: u64,
}

fn with<R>(f: impl FnOnce(&mut Settings) -> R) -> R {
    SETTINGS.with(|settings| settings.get().with(f))
}

pub(super) fn set(config: SessionConfig) {
    with(|settings| settings.config = config);
}

pub(super) fn get() -> SessionConfig {
    with(|settings| settings.config.clone())
}

pub(super) fn set_handler(handler: Rc<dyn SessionHandler>) {
    let before = with(|settings| settings.handler.replace(handler));
    callback::discard(before);
}

/// The name of the cookie.
pub(super) fn name() -> String {
    with(|settings| settings.config.cookie.name().to_owned())
}

/// The value of the `Set-Cookie` line for an id.
pub(super) fn cookie_line(id: &str) -> String {
    // A logger is user code, so nothing is borrowed when it runs.
    get().cookie_line(id)
}

/// Where sessions are kept, for how long, and whether reading lets that begin anew.
pub(super) fn storage() -> (Rc<dyn SessionHandler>, Duration, bool) {
    with(|settings| {
        let handler = settings.handler.get_or_insert_with(|| Rc::new(MemorySessionHandler::default()));
        (Rc::clone(handler), settings.config.lifetime, settings.config.auto_update_timestamp)
    })
}

/// Whether what has ended is to be removed now; the next time is planned then.
pub(super) fn is_gc_due() -> bool {
    let now = reactor::get().clock.now();
    with(|settings| {
        let due = now >= settings.gc_at;
        if due {
            settings.gc_at = now.saturating_add(settings.config.gc_interval);
        }
        due
    })
}

/// The loop has ended: drops the handler and everything that was set.
pub(crate) fn clear() {
    callback::discard(with(std::mem::take));
}
